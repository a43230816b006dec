"""Data sets of multiple choice: the user's own files, or a benchmark.

rows, or nested JSON        ─▶ ChoiceFiles ─────────────┐
                                                        ├─▶ ChoiceSource
files of a benchmark        ─▶ ChoiceBenchmarkDataset ──┘
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.choice import Choice
from bert_keras3.finetuning.dataset import (
    Dataset,
    Description,
    Kind,
    OwnFiles,
    Source,
    as_written,
    benchmark_folder,
    check_own_files,
    other_benchmark,
    write_rows,
)
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import CSV, DataChoices
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.trained_task import check_trained_for
from bert_keras3.inputs.choice_benchmarks import (
    ChoiceBenchmark,
    ChoicePart,
    find_choice_benchmark,
    write_choice_submission,
)
from bert_keras3.inputs.choice_columns import (
    ChoiceFlags,
    open_choices,
    open_choices_like,
)
from bert_keras3.inputs.choice_documents import (
    NestedFiles,
    Read,
    find_reader,
)
from bert_keras3.inputs.choices import (
    ChoiceColumns,
    ChoiceExample,
    ChoiceFile,
)
from bert_keras3.inputs.delimited import Decision
from bert_keras3.inputs.several_files import SeveralFiles, decision_on
from bert_keras3.safekeeping.errors import UserError

_EXAMPLES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class ChoiceSource:
    """Examples with choices, a `dataset.Source`.

    Attributes:
        file: the examples.
        decisions: what was detected about it.
    """

    file: ChoiceFile | SeveralFiles | NestedFiles | ChoicePart
    decisions: tuple[Decision, ...] = ()
    takes_pairs: bool = True
    label_separator: str | None = None
    suffix = ".csv"

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""
        return self.file.path

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The name of the label column; none of a benchmark."""
        if isinstance(self.file, ChoicePart):
            return ()
        label = self.file.columns.label
        return () if label is None else (self.file.columns.names[label],)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns as JSON values; empty for a benchmark.

        Those of nested JSON are those that `write_rows` gives it.
        """
        if isinstance(self.file, ChoicePart):
            return {}
        columns = self.file.columns
        return dataclasses.asdict(columns)

    @property
    def has_ids(self) -> bool:
        """Whether there are identifiers."""
        if isinstance(self.file, ChoicePart):
            return True
        return self.file.columns.id is not None

    def __iter__(self) -> Iterator[ChoiceExample]:
        """Streams the examples."""
        return iter(self.file)

    def describe(self) -> Description | None:
        """What was detected about the file; None for a benchmark."""
        if isinstance(self.file, ChoicePart):
            return None
        return Description(
            self.decisions,
            ("id", "context", "question", "choices", "label"),
            [
                (
                    one.guid,
                    one.context or "",
                    one.question or "",
                    " | ".join(one.choices),
                    one.label or "",
                )
                for one in itertools.islice(self, _EXAMPLES_SHOWN)
            ],
        )

    def notes(self) -> tuple[str, ...]:
        """Returns nothing; the report on the file says it all."""
        return ()

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some examples to a separate CSV file: rows, unchanged.

        Args:
            chosen: numbers of examples, from 0, ascending.
            path: the new file.

        Raises:
            TypeError: the file is of a benchmark, which has a "dev" split.
        """
        if isinstance(self.file, ChoicePart):
            raise TypeError(f"{self.path} is not to be split")
        write_rows(path, self.file.dialect, self.file.rows(), chosen)


def find_choices(
    data: DataChoices, trained: RunSettings | None = None
) -> Dataset:
    """Returns the data set with choices that the flags describe.

    Args:
        data: given by the user.
        trained: settings of the trained model to use, if there is one.

    Raises:
        UserError: it is not that of the trained model, or its folder is not
            given.
    """
    wanted, columns = data.task_name.lower(), None
    if trained is not None:
        if trained.columns:
            columns = columns_of(trained)
        # The user's own files can be used with any model.
        if wanted not in (CSV, trained.task_name):
            raise other_benchmark(data, trained)
        if data.data_dir and not (data.dev_file or data.test_file):
            wanted = trained.task_name
    benchmark = find_choice_benchmark(wanted)
    if benchmark is not None:
        return ChoiceBenchmarkDataset(benchmark, benchmark_folder(data))
    return ChoiceFiles(data, columns)


def columns_of(trained: RunSettings) -> ChoiceColumns:
    """Returns the columns of the training file of a trained model."""
    values = dict(trained.columns)
    for name in ("choices", "names"):
        values[name] = tuple(values[name])
    return ChoiceColumns(**values)


@dataclasses.dataclass(frozen=True)
class ChoiceBenchmarkDataset:
    """One of the benchmarks in `inputs/choice_benchmarks.py`."""

    benchmark: ChoiceBenchmark
    folder: pathlib.Path
    labels: tuple[str, ...] | None = None
    metric: str | None = None

    @property
    def name(self) -> str:
        """Its name in the settings of the run."""
        return self.benchmark.name.lower()

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return True

    def further(self, split: str) -> tuple[str, ...]:
        """Returns the further parts whose files are there."""
        main = self._part(split).paths
        return tuple(
            name
            for name in self.benchmark.further
            if name.startswith(split)
            and (part := self._part(name)).exists
            and part.paths != main
        )

    def source(self, split: str) -> Source:
        """Opens a split."""
        part = self._part(split)
        _ = part.paths  # an error if there are none
        return ChoiceSource(part)

    def _part(self, split: str) -> ChoicePart:
        return ChoicePart(self.benchmark, split, self.folder)

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns multiple choice."""
        return Choice(), f"task {self.benchmark.name}"

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Returns None: a benchmark has a "dev" split."""
        return None

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        """Writes the labels in `predictions.csv` as numbers from 0."""
        part = self._part(split)
        submission = self.benchmark.submissions.get(part.path.name)
        if submission is None:
            return None
        with open(predictions, encoding="utf-8", newline="") as lines:
            labels = (row["label"] for row in csv.DictReader(lines))
            write_choice_submission(
                folder / submission.file,
                submission,
                (
                    (example.guid, example.place_of(label))
                    for example, label in zip(part, labels, strict=True)
                ),
            )
        return folder / submission.file

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns multiple choice, if the checkpoint has one output."""
        return _task_of(checkpoint)

    def reopened(self, task: Task) -> Task:
        """Returns the same task: no flag changes it."""
        return task


class ChoiceFiles:
    """The user's own CSV, TSV or JSON lines files."""

    name = CSV
    labels: tuple[str, ...] | None = None
    metric: str | None = None

    def __init__(
        self, data: DataChoices, columns: ChoiceColumns | None = None
    ) -> None:
        """Finds the files without opening them.

        Args:
            data: given by the user.
            columns: of the training file of a trained model; by default they
                are detected in the first file that is opened.
        """
        self._data = data
        self._columns = columns
        self._files = OwnFiles(data)

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return self._files.has(split)

    def further(self, split: str) -> tuple[str, ...]:
        """Returns nothing: there is one part for each split."""
        return ()

    def source(self, split: str) -> Source:
        """Opens a split; the columns are detected in the first one opened."""
        paths, want_label = self._files.paths(split), split != "test"
        encoding = self._data.file.encoding
        readers = [find_reader(path, encoding) for path in paths]
        if any(readers):
            return self._nested(paths, readers, want_label)
        (first, decisions), *others = (
            self._open(path, want_label) for path in paths
        )
        if not others:
            return ChoiceSource(first, decisions)
        return ChoiceSource(
            SeveralFiles((first, *(file for file, _ in others))),
            (*decision_on(paths), *decisions),
        )

    def _nested(
        self,
        paths: tuple[pathlib.Path, ...],
        readers: Sequence[Read | None],
        want_label: bool,
    ) -> ChoiceSource:
        """Opens files of nested JSON.

        Raises:
            UserError: one of them has another form, or rows are to be skipped.
        """
        read, data = readers[0], self._data
        if len(set(readers)) > 1:
            raise UserError(
                f"{', '.join(map(str, paths))}: have different forms, one of "
                "which is nested JSON. Give files of one form"
            )
        if data.skip_labels and want_label:
            raise UserError(
                f"--skip_labels={','.join(data.skip_labels)}: {paths[0]} is "
                "nested JSON, all of whose questions are read. Leave the "
                "flag out, or write a file of rows"
            )
        assert read is not None
        nested = NestedFiles(paths, read, data.file.encoding, want_label)
        self._columns = self._columns or nested.columns
        return ChoiceSource(nested, nested.decisions)

    def _open(
        self, path: pathlib.Path, want_label: bool
    ) -> tuple[ChoiceFile, tuple[Decision, ...]]:
        """Opens a file of rows; all others are read like the first."""
        data = self._data
        # Every row of a test file gets a prediction.
        skipped = frozenset(data.skip_labels if want_label else ())
        if self._columns is not None:
            return open_choices_like(
                path,
                self._columns,
                data.file,
                want_label=want_label,
                skip_labels=skipped,
            )
        file, decisions = open_choices(
            path,
            ChoiceFlags(data.file, data.choice_columns, data.choice_labels),
            want_label=want_label,
            skip_labels=skipped,
        )
        self._columns = file.columns
        return file, decisions

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Opens the rows that a training held out."""
        path = folder.dev_split(ChoiceSource.suffix)
        if self._columns is None or not path.exists() or self.has("dev"):
            return None
        # Ids may come twice in several files, and are not needed.
        return ChoiceSource(
            *open_choices_like(
                path,
                dataclasses.replace(self._columns, id=None),
                as_written(self._columns.header),
                want_label=True,
            )
        )

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns multiple choice."""
        given = self._data.problem_type is not None
        return Choice(), "as given" if given else "there are choices"

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        """Writes nothing: these are not files of a benchmark."""
        return None

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns multiple choice, if the checkpoint has one output."""
        return _task_of(checkpoint)

    def reopened(self, task: Task) -> Task:
        """Returns the same task: no flag changes it."""
        return task


def _task_of(checkpoint: Checkpoint) -> Task:
    """Returns multiple choice.

    Raises:
        UserError: the checkpoint has no head, or one with other outputs.
    """
    check_trained_for(checkpoint, Choice.name)
    if checkpoint.num_labels != len(Choice.labels):
        outputs = checkpoint.num_labels or "no"
        raise UserError(
            f"{checkpoint.source}: was not trained for choices: it has "
            f"{outputs} outputs (`output_weights`) where one is needed. Train "
            "a model with --do_train."
        )
    return Choice()


# Checks of flags.


def check_choices(data: DataChoices, *, do_train: bool) -> None:
    """Checks the flags of the data against each other.

    Raises:
        UserError: two contradict each other, or one would have no effect.
    """
    check_own_files(data)
    if data.problem_type == Choice.name:
        for name in ("label_separator", "labels_file", "unsure_below"):
            value = getattr(data, name)
            if value is not None:
                raise UserError(
                    f"--{name}={value} is for examples with labels; of "
                    "choices one is right. Leave it out"
                )
    if len(data.choice_columns) != len(set(data.choice_columns)):
        raise UserError(
            f"--choice_columns={','.join(data.choice_columns)} names a column "
            "twice"
        )


def check_same_choices(
    data: DataChoices, folder: FinetuningFolder, *, do_eval: bool
) -> None:
    """Checks that flags agree with how the data of a model was read.

    Args:
        data: given by the user.
        folder: of a model that was trained on choices.
        do_eval: whether labels are read.

    Raises:
        UserError: a flag does not agree.
    """
    settings = folder.read_settings()
    folder.check_flags(problem_type=(data.problem_type, settings.problem))
    if not settings.columns:
        return
    trained = columns_of(settings)
    file = data.file
    roles = {
        "choice_columns": (data.choice_columns, trained.choices),
        "text_column": (file.text and (file.text,), trained.context),
        "text_pair_column": (
            file.text_pair and (file.text_pair,),
            trained.question,
        ),
        "id_column": (file.id and (file.id,), trained.id),
        # A test file needs no labels.
        "label_column": (
            do_eval and file.label and (file.label,),
            trained.label,
        ),
    }
    for name, (values, place) in roles.items():
        if not values:
            continue
        places = place if isinstance(place, tuple) else (place,)
        names = [trained.names[n] for n in places if n is not None] or ["none"]
        numbers = [str(n + 1) for n in places if n is not None] or ["none"]
        said = [value.strip().casefold() for value in values]
        if said not in ([one.casefold() for one in names], numbers):
            flag = f"--{name}={','.join(values)}"
            raise folder.contradiction(flag, ", ".join(names))
    folder.check_flags(choice_labels=(data.choice_labels, trained.form))


KIND = Kind(
    find_choices,
    check_choices,
    check_same_choices,
    problems=(Choice.name,),
    script="run_classifier",
)
