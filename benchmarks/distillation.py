r"""What a student keeps of its teacher, beside the same student without one.

    MINILM=$(python -m examples.fetch_minilm)
    python -m benchmarks.distillation --train_file=train.csv \
        --test_file=test.csv --checkpoint=$MINILM --labelled_each=10
    python -m benchmarks.distillation … --exports
    python -m benchmarks.distillation … --speed

A teacher is trained on some labelled rows of the training file, students of
3, 2 and 1 layers on these and, without their labels, on the others; beside
each, the same layers of the checkpoint that the teacher began with, on the
labelled rows alone. Prints one JSON object a model: its accuracy on the test
file, and on rows of the training file that were held out of all training, by
which settings are to be chosen.

Once the models are there, --exports says how large and how accurate their
exports are, in int8 too, and --speed how many sentences a second they answer,
in turns.

Models stay in --work_dir; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import json
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

TEACHER, CHECKPOINT, RANDOM = "teacher", "checkpoint", "random"
LAYERS = (3, 2, 1)
# (text, label)
Row = tuple[str, str]

# {name of an export: its format, how it is quantized}
EXPORTS: Mapping[str, tuple[str, str | None]] = {
    "SavedModel": ("saved_model", None),
    "ONNX": ("onnx", None),
    "ONNX, int8": ("onnx", "int8"),
}
_RANDOM_ORDER = 1


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of the table.

    Attributes:
        name: what it is.
        layers: how many; None for those of the checkpoint.
        origin: of its first weights.
        flags: of its training, beside those that all have.
        unlabelled: whether it is trained on the rows without labels, too, if
            the loss reads the teacher.
    """

    name: str
    layers: int | None
    origin: str
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unlabelled: bool = True

    @property
    def reads_teacher(self) -> bool:
        """Whether what a teacher says is a part of its loss."""
        return (
            self.origin == TEACHER
            and float(self.flags.get("logits_weight", 1)) > 0
        )

    @property
    def folder(self) -> str:
        """The name of its folder."""
        words = self.name.replace(",", "").replace("'", "").split()
        return "-".join([*words, str(self.layers or "all")])


THE_TEACHER = Model("teacher", None, CHECKPOINT)
_LABELS_ALONE = {"label_weight": 1, "logits_weight": 0}
_VECTORS = {"hidden_weight": 1, "attention_weight": 1, "embedding_weight": 1}


def models(num_layers: int) -> Iterator[Model]:
    """Yields all models of the table but the teacher.

    Args:
        num_layers: of the teacher.
    """
    for layers in LAYERS:
        yield Model("student", layers, TEACHER)
        yield Model("without a teacher", layers, CHECKPOINT)
    most = LAYERS[0]
    yield Model("random weights", most, RANDOM)
    yield Model("labels alone", most, TEACHER, _LABELS_ALONE)
    yield Model(
        "student without unlabelled rows", most, TEACHER, unlabelled=False
    )
    yield Model(
        "logits alone", most, TEACHER, {"label_weight": 0, "logits_weight": 1}
    )
    for name in _VECTORS:
        part = name.removesuffix("_weight")
        yield Model(f"and {part}", most, TEACHER, {name: 1})
    yield Model("and all three", most, TEACHER, _VECTORS)
    yield Model("student", num_layers, TEACHER)


def read_rows(path: str, text_column: str, label_column: str) -> list[Row]:
    """Reads a CSV file, or TSV without quoting.

    Raises:
        UserError: it has no such columns.
    """
    dialect: dict[str, Any] = {}
    if path.endswith(".tsv"):
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, **dialect)
        for column in (text_column, label_column):
            if column not in (rows.fieldnames or ()):
                raise UserError(
                    f"{path}: has no column {column!r}; it has "
                    f"{', '.join(rows.fieldnames or ())}"
                )
        return [(row[text_column], row[label_column]) for row in rows]


def split(
    rows: Sequence[Row],
    labelled_each: int | None,
    unlabelled: int | None,
    held_out: int,
) -> tuple[list[Row], list[Row], list[Row]]:
    """Returns rows that are labelled, unlabelled and held out.

    Args:
        rows: of the training file.
        labelled_each: for each label, how many are labelled; None for all.
        unlabelled: how many of the others there are at most.
        held_out: how many are in none of the two.
    """
    rows = random.Random(_RANDOM_ORDER).sample([*rows], len(rows))
    kept_out, rest = [*rows[:held_out]], rows[held_out:]
    if labelled_each is None:
        return [*rest], [], kept_out
    chosen: list[Row] = []
    others: list[Row] = []
    seen: dict[str, int] = {}
    for row in rest:
        seen[row[1]] = seen.get(row[1], 0) + 1
        (chosen if seen[row[1]] <= labelled_each else others).append(row)
    return chosen, others[:unlabelled], kept_out


class Study:
    """The models of one table, and their files."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Reads the data and writes the files of the trainings."""
        self.given = given
        self.path = pathlib.Path(given.work_dir)
        self.path.mkdir(parents=True, exist_ok=True)
        columns = (given.text_column, given.label_column)
        self.labelled, self.unlabelled, self.held_out = split(
            read_rows(given.train_file, *columns),
            given.labelled_each,
            given.unlabelled,
            given.held_out,
        )
        self.test = read_rows(given.test_file, *columns)
        self._write("labelled", ("text", "label"), self.labelled)
        self._write("unlabelled", ("text",), self.unlabelled)
        # Predicted in one go.
        self._write("evaluated", ("text",), [*self.held_out, *self.test])

    def _write(
        self, name: str, columns: Sequence[str], rows: Sequence[Row]
    ) -> None:
        with atomic_write(self.path / f"{name}.csv", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(row[: len(columns)] for row in rows)

    @functools.cached_property
    def checkpoint(self) -> Any:
        """The pretrained model."""
        from bert_keras3 import checkpointing

        return checkpointing.open(self.given.checkpoint)

    @property
    def num_layers(self) -> int:
        """Of the checkpoint, and so of the teacher."""
        return int(self.checkpoint.config.num_hidden_layers)

    def folder(self, model: Model, seed: int) -> pathlib.Path:
        """Returns the run folder of a model."""
        if model is THE_TEACHER:
            return self.path / TEACHER
        return self.path / f"{model.folder}-seed{seed}"

    def train(self, model: Model, seed: int) -> dict[str, Any]:
        """Trains a model unless it is there, and returns its figures."""
        folder = self.folder(model, seed)
        predictions = folder / "predictions.csv"
        if not predictions.exists():
            command = [sys.executable, *self._command(model, seed)]
            with open(self.path / f"{folder.name}.log", "w") as log:
                subprocess.run(command, check=True, stdout=log, stderr=log)
            # Half a gigabyte, and of no use once it is trained.
            shutil.rmtree(folder / "training_state", ignore_errors=True)
        with open(predictions, encoding="utf-8", newline="") as file:
            found = [row["label"] for row in csv.DictReader(file)]
        return {
            "model": model.name,
            "layers": model.layers or self.num_layers,
            "seed": seed,
            "flags": dict(model.flags),
            **self.accuracies(found),
        }

    def accuracies(self, found: Sequence[str]) -> dict[str, float]:
        """Returns the shares of predicted labels that are right.

        Args:
            found: a label for each row of evaluated.csv.
        """
        wanted = [label for _, label in (*self.held_out, *self.test)]
        right = np.array(found, str) == np.array(wanted, str)
        number = len(self.held_out)
        figures = {"accuracy": float(right[number:].mean())}
        if number:
            figures["held_out_accuracy"] = float(right[:number].mean())
        return figures

    def _command(self, model: Model, seed: int) -> list[str]:
        """Returns script and flags of a training."""
        given = self.given
        script, steps = "run_classifier.py", given.student_steps
        num_rows = len(self.labelled)
        flags: dict[str, Any] = {"learning_rate": given.learning_rate}
        if model is THE_TEACHER:
            steps = given.teacher_steps
            flags["init_checkpoint"] = given.checkpoint
            flags["learning_rate"] = given.teacher_learning_rate
        elif model.origin != TEACHER:
            steps = given.plain_steps or steps
            if given.plain_learning_rate is not None:
                flags["learning_rate"] = given.plain_learning_rate
            part = self._part(model.layers)
            if model.origin == CHECKPOINT:
                flags["init_checkpoint"] = part
            else:
                flags["bert_config_file"] = part / "config.json"
                flags["vocab_file"] = part / "vocab.txt"
        else:
            script = "distill.py"
            if model.reads_teacher and not model.flags.keys() & _VECTORS:
                flags["teacher_answers"] = self.path / "answers"
            flags |= {
                "teacher": self.path / TEACHER,
                "num_student_layers": model.layers,
                "take_layers": given.take_layers,
            }
            if self.unlabelled and model.unlabelled and model.reads_teacher:
                num_rows += len(self.unlabelled)
                flags["unlabelled_file"] = self.path / "unlabelled.csv"
        # The half keeps rounding from leaving the last step out.
        epochs = (steps + 0.5) * given.train_batch_size / num_rows
        flags |= {
            "train_file": self.path / "labelled.csv",
            "test_file": self.path / "evaluated.csv",
            "num_train_epochs": epochs,
            "train_batch_size": given.train_batch_size,
            "max_seq_length": given.max_seq_length,
            "seed": seed,
            "output_dir": self.folder(model, seed),
            **model.flags,
        }
        return [
            script,
            *("--do_train", "--do_predict", "--predict_batch_size=32"),
            *(f"--{name}={value}" for name, value in flags.items()),
            *shlex.split(given.training_flags),
        ]

    def _part(self, layers: int | None) -> pathlib.Path:
        """Writes some layers of the checkpoint as a checkpoint."""
        from bert_keras3 import checkpointing
        from bert_keras3.distillation.layers import (
            CHOICES,
            layers_of,
            with_layers,
        )

        assert layers is not None
        path = self.path / f"checkpoint-{layers}"
        if not path.exists():
            chosen = layers_of(
                "take_layers",
                self.given.take_layers.split(","),
                layers,
                self.num_layers,
                [*CHOICES],
            )
            checkpointing.write(
                path, with_layers(self.checkpoint, chosen), format="huggingface"
            )
        return path

    # Exports.

    def exported(self, model: Model, seed: int) -> Iterator[Exported]:
        """Exports a model in every form, unless it is, and opens it."""
        from bert_keras3.serving import Predictor, export
        from bert_keras3.serving.versions import versions

        folder = self.folder(model, seed)
        for name, (format_name, quantize) in EXPORTS.items():
            place = folder / f"export-{format_name}-{quantize or 'float32'}"
            if not versions(place):
                export(
                    folder, place, format_name=format_name, quantize=quantize
                )
            files = [one for one in place.rglob("*") if one.is_file()]
            yield Exported(
                model,
                name,
                Predictor(place),
                sum(one.stat().st_size for one in files),
            )

    def all_exported(self, seed: int) -> Iterator[Exported]:
        """Yields the exports of the teacher and its students."""
        yield from self.exported(THE_TEACHER, seed)
        for layers in LAYERS:
            yield from self.exported(Model("student", layers, TEACHER), seed)

    def exports(self, seed: int) -> Iterator[dict[str, Any]]:
        """Yields size and accuracy of every export."""
        texts = [text for text, _ in (*self.held_out, *self.test)]
        for one in self.all_exported(seed):
            found = [answer.label for answer in one.predictor.predict(texts)]
            yield {
                **self._line(one, seed),
                "mb": one.num_bytes / 1e6,
                **self.accuracies(found),
            }

    def _line(self, one: Exported, seed: int) -> dict[str, Any]:
        return {
            "model": one.model.name,
            "layers": one.model.layers or self.num_layers,
            "seed": seed,
            "export": one.name,
        }

    def speeds(self, seed: int) -> Iterator[dict[str, Any]]:
        """Yields the sentences a second of every export."""
        exports = [*self.all_exported(seed)]
        some = random.Random(_RANDOM_ORDER).sample(
            [text for text, _ in self.test],
            min(self.given.sentences, len(self.test)),
        )
        seconds = np.zeros([self.given.rounds, len(exports)])
        for turn in seconds:
            for place, one in enumerate(exports):
                start = time.perf_counter()
                one.predictor.predict(some)
                turn[place] = time.perf_counter() - start
        for place, one in enumerate(exports):
            yield {
                **self._line(one, seed),
                "sentences_per_second": len(some) / seconds[:, place].min(),
                "median": len(some) / float(np.median(seconds[:, place])),
                "n": len(some),
                "rounds": self.given.rounds,
            }


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model in one of the forms that it is served in."""

    model: Model
    name: str
    predictor: Any
    num_bytes: int


def parse() -> argparse.Namespace:
    """Returns the settings of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distillation",
        description="What a student keeps of its teacher.",
    )
    add = parser.add_argument
    add("--train_file", required=True)
    add("--test_file", required=True)
    add("--checkpoint", required=True, help="pretrained")
    add("--text_column", default="text")
    add("--label_column", default="label")
    add("--labelled_each", type=int, help="rows a label; default: all")
    add("--unlabelled", type=int, help="the most rows; default: all others")
    add("--held_out", type=int, default=1000, help="rows of the training file")
    add("--teacher_steps", type=int, default=700)
    add("--teacher_learning_rate", type=float, default=2e-4)
    add("--student_steps", type=int, default=850)
    add("--learning_rate", type=float, default=2e-4, help="of students")
    add("--plain_steps", type=int, help="without a teacher; default: as many")
    add("--plain_learning_rate", type=float, help="default: the students'")
    add("--train_batch_size", type=int, default=32)
    add("--max_seq_length", type=int, default=64)
    add("--take_layers", default="uniform")
    add("--training_flags", default="", help="further ones, of every training")
    add("--seeds", default="1", help="with commas; the teacher has the first")
    add("--only", help="parts of the names of models, with commas")
    add("--layers", help="numbers with commas; default: all")
    add("--exports", action="store_true", help="of models of the first seed")
    add("--speed", action="store_true", help="of these")
    add("--sentences", type=int, default=500, help="that are timed")
    add("--rounds", type=int, default=5, help="turns of every model")
    add(
        "--work_dir",
        type=pathlib.Path,
        default=pathlib.Path(".benchmarks", "distillation"),
        help="for data, models and exports; kept",
    )
    return parser.parse_args()


def main() -> None:
    """Trains the models, or measures their exports, and prints figures."""
    given = parse()
    study = Study(given)
    seeds = [int(seed) for seed in given.seeds.split(",")]

    def show(line: Mapping[str, Any]) -> None:
        context = {
            "benchmark": "distillation",
            "labelled": len(study.labelled),
            "unlabelled": len(study.unlabelled),
        }
        packages = environment("tensorflow", "keras", "onnxruntime")
        print(json.dumps({**context, **line, **packages}), flush=True)

    if given.exports or given.speed:
        measured = study.exports if given.exports else study.speeds
        for line in measured(seeds[0]):
            show(line)
        return
    show(study.train(THE_TEACHER, seeds[0]))
    parts = given.only.split(",") if given.only else [""]
    layers = given.layers.split(",") if given.layers else None
    for seed in seeds:
        for model in models(study.num_layers):
            wanted = any(part in model.name for part in parts)
            if layers is not None and str(model.layers) not in layers:
                wanted = False
            if wanted:
                show(study.train(model, seed))


if __name__ == "__main__":
    exit_after(main)
