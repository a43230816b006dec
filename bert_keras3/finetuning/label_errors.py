"""Labels that are probably wrong, found by models that have not seen them.

The training file is cut into K folds. Each is predicted by a model trained on
the others, so that every row has probabilities from a model that has not
learnt its labels; `doubtful_labels` says which of them they contradict. Rows
with equal texts are in the same fold, or a model would have seen the text with
its label.

    out/folds/1 … K                 a run folder each
    out/label_issues.csv            doubtful rows, the most doubtful first
    out/without_label_issues.csv    the training file without those whose
                                    label is ten times less probable than
                                    another, of each label half at most
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.util
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from bert_keras3.finetuning.doubtful_labels import (
    TIMES_AS_PROBABLE,
    Doubts,
    find_doubts,
    given_labels,
)
from bert_keras3.finetuning.job import RunningJob, begun
from bert_keras3.finetuning.job_data import TrainingData
from bert_keras3.finetuning.run_folder import (
    FINISHED,
    FOLDS,
    ISSUES,
    MODEL,
    WITHOUT_ISSUES,
    FinetuningFolder,
)
from bert_keras3.finetuning.settings import LabelledJob
from bert_keras3.finetuning.task import TARGETS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from bert_keras3.training.environment import without_tracing_warnings
from bert_keras3.training.run_folder import STATE
from bert_keras3.training.session import Screen
from bert_keras3.training.state import checksum

_PROBABILITIES = "probabilities.npy"
_SHOWN = 10
_CONTRADICTS = "same text, other label"
_UNLIKELY = "unlikely label"


@dataclasses.dataclass(frozen=True)
class _Row:
    """A labelled row of the training file."""

    guid: str
    line: int
    place: str
    """With its file, where there are several."""
    texts: tuple[str, ...]


def find_label_errors(job: LabelledJob, screen: Screen) -> None:
    """Writes the rows of a training file whose labels are doubtful.

    Args:
        job: its settings, with --find_label_errors.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong, or cleanlab is not installed; no
            existing file has been overwritten.
    """
    _check(job)
    job = dataclasses.replace(job, do_train=True)
    with begun(job, screen) as running, without_tracing_warnings():
        folder = FinetuningFolder(job.output_dir)
        for name in (ISSUES, WITHOUT_ISSUES):
            folder.check_not_foreign(name, FOLDS)
        data = running.prepare()
        _Folds(job, screen, running, data).run(folder)


def _check(job: LabelledJob) -> None:
    for name in ("do_train", "do_eval", "do_predict", "calibrate"):
        if getattr(job, name):
            raise UserError(
                f"--find_label_errors and --{name}: look for label errors "
                "first, in a command of its own with another --output_dir"
            )
    if job.search.wanted:
        raise UserError(
            "--find_label_errors and --search or --num_restarts: leave one out"
        )
    if importlib.util.find_spec("cleanlab") is None:
        raise UserError(
            "--find_label_errors needs the package cleanlab: "
            "pip install 'bert-keras3[label_errors]'"
        )


class _Folds:
    """The models of one search for label errors."""

    def __init__(
        self,
        job: LabelledJob,
        screen: Screen,
        running: RunningJob,
        data: TrainingData,
    ) -> None:
        self._job = job
        self._screen = screen
        self._running = running
        self._data = data
        self._task: Any = data.task
        self._given = given_labels(
            data.task, data.train.values(TARGETS), job.folds
        )
        self._rows = self._read_rows()
        self._identity: dict[str, Any] = {}
        for note in self._given.notes:
            screen.say(note)

    def run(self, folder: FinetuningFolder) -> None:
        """Trains and predicts all folds, and writes what is doubtful."""
        self._identity = self._running.identity(self._data)
        probabilities = self._out_of_fold()
        learnt, note = self._given.learnt(probabilities)
        self._screen.say(f"\n{learnt}")
        if note is not None:
            self._screen.say(
                f"note: {note}. Train longer or with a larger --learning_rate "
                "before these rows mean anything"
            )
        doubts = find_doubts(self._given, probabilities)
        reasons = dict.fromkeys(self._contradicting(), _CONTRADICTS)
        reasons.update(dict.fromkeys(doubts.unlikely.tolist(), _UNLIKELY))
        order = sorted(reasons, key=lambda row: float(doubts.scores[row]))
        self._write(folder, order, doubts, reasons)
        numbers = self._data.train.numbers
        kept = np.setdiff1d(numbers, numbers[doubts.left_out])
        self._data.source.write_rows(kept, folder / WITHOUT_ISSUES)
        self._show(folder, order, doubts)

    def _out_of_fold(self) -> np.ndarray:
        """Returns probabilities of models that have not seen the row, [E, C].

        They are of the weights after the last step: nothing of a fold chooses
        among weights.
        """
        found = np.zeros((len(self._rows), len(self._task.labels)), np.float64)
        folds = StratifiedGroupKFold(
            self._job.folds, shuffle=True, random_state=self._job.training.seed
        )
        rows = self._given.looked_at
        groups = np.unique(
            [_digest(self._rows[row].texts) for row in rows],
            return_inverse=True,
        )[1]
        parts = folds.split(rows, self._given.strata[rows], groups)
        for number, (_, chosen) in enumerate(parts, 1):
            self._screen.say(f"\nfold {number} of {self._job.folds}")
            rest = rows[chosen]
            train = np.setdiff1d(np.arange(len(self._rows)), rest)
            found[rest] = self._fold(number, train, rest)
        return found

    def _fold(
        self, number: int, train: np.ndarray, rest: np.ndarray
    ) -> np.ndarray:
        """Trains on some examples; returns probabilities of the others."""
        examples = self._data.train
        path = pathlib.Path(self._job.output_dir) / FOLDS / str(number)
        folder = FinetuningFolder(path)
        identity = {**self._identity, "fold": checksum(train)}
        record = folder.run.read_json(FINISHED) or {}
        if not self._job.overwrite_output_dir and record:
            if record["identity"] != json.loads(json.dumps(identity)):
                raise UserError(
                    f"{path}: is of other files or settings. Give another "
                    "--output_dir, or --overwrite_output_dir to start anew."
                )
            self._screen.say("was finished before")
            found: np.ndarray = np.load(path / _PROBABILITIES)
            return found
        part = self._running.part(
            dataclasses.replace(self._job, output_dir=path)
        )

        def some(chosen: np.ndarray) -> Any:
            return dataclasses.replace(
                examples, numbers=examples.numbers[chosen]
            )

        try:
            trained = part.train(
                dataclasses.replace(
                    self._data, train=some(train), dev=None, others={}
                )
            )
            others = some(rest)
            outputs = part.outputs(
                trained, others, self._job.predict_batch_size
            )
            logits = self._task.logits_of(outputs, others)
        finally:
            keras.backend.clear_session()
        probabilities = self._task.scores_of(logits.astype(np.float64))
        with (
            atomic_path(path / _PROBABILITIES) as temporary,
            # Not by name, to which NumPy would add its own ending.
            open(temporary, "wb") as file,
        ):
            np.save(file, probabilities)
        folder.run.write_json(FINISHED, {"identity": identity})
        # They are large, and not needed any more.
        for name in (MODEL, STATE):
            (folder / name).unlink(missing_ok=True)
        return probabilities

    # Rows.

    def _read_rows(self) -> list[_Row]:
        """Returns the rows of the examples, in order."""
        wanted = set(self._data.train.numbers.tolist())
        return [
            _Row(one.guid, one.line, one.place, one.texts)
            for number, one in enumerate(self._data.source)
            if number in wanted
        ]

    def _contradicting(self) -> list[int]:
        """Returns the rows whose text has another label elsewhere."""
        labels: dict[bytes, set[str]] = {}
        digests = [_digest(row.texts) for row in self._rows]
        for row, digest in enumerate(digests):
            labels.setdefault(digest, set()).add(self._given.shown(row))
        return [
            row for row, digest in enumerate(digests) if len(labels[digest]) > 1
        ]

    def _write(
        self,
        folder: FinetuningFolder,
        order: Sequence[int],
        doubts: Doubts,
        reasons: Mapping[int, str],
    ) -> None:
        texts = ("text", "text_pair")[: len(self._rows[0].texts)]
        with atomic_write(folder / ISSUES, newline="") as file:
            writer = csv.writer(file)
            names = ("label", "suggested_label", "score", "reason")
            writer.writerow(("line", "id", *texts, *names))
            for place in order:
                row = self._rows[place]
                writer.writerow(
                    (
                        *(row.line or row.place, row.guid, *row.texts),
                        self._given.shown(place),
                        doubts.suggested[place],
                        f"{doubts.scores[place]:.6f}",
                        reasons[place],
                    )
                )

    def _show(
        self, folder: FinetuningFolder, order: Sequence[int], doubts: Doubts
    ) -> None:
        say = self._screen.say
        if order:
            self._screen.table(
                ("line", "text", "label", "suggested", "score"),
                [
                    (
                        self._rows[place].line or self._rows[place].guid,
                        " | ".join(self._rows[place].texts),
                        self._given.shown(place),
                        doubts.suggested[place],
                        f"{doubts.scores[place]:.3f}",
                    )
                    for place in order[:_SHOWN]
                ],
                f"the most doubtful of {len(order)}; the score is the "
                "probability of the given label",
            )
        say(f"written: {folder / ISSUES} ({len(order)} rows to look at)")
        say(
            f"written: {folder / WITHOUT_ISSUES} ({len(doubts.left_out)} of "
            f"{len(self._rows)} rows left out, for which another label is at "
            f"least {TIMES_AS_PROBABLE} times as probable)"
        )


def _digest(texts: Sequence[str]) -> bytes:
    """Returns a number for texts, whatever the space around them."""
    joined = "\0".join(text.strip() for text in texts)
    return hashlib.blake2b(joined.encode(), digest_size=8).digest()
