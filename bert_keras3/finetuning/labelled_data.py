"""Data sets of texts with labels: the user's own files, or a benchmark.

CSV, TSV, JSON lines  ─▶ FileDataset ─▶ LabelledSource
files of a benchmark  ─▶ benchmark_data.BenchmarkDataset
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.checkpoint import read_labels
from bert_keras3.finetuning.benchmark_data import BenchmarkDataset, is_model_of
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
from bert_keras3.finetuning.extra_columns import (
    WithExtraColumns,
    with_extra_columns,
)
from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
)
from bert_keras3.finetuning.settings import CSV, DataChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.finetuning.trained_task import task_of_classifier
from bert_keras3.inputs import delimited
from bert_keras3.inputs.benchmarks import find_benchmark
from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.delimited import Decision
from bert_keras3.inputs.examples import InputExample, as_list, as_number
from bert_keras3.inputs.extra_column_search import find_extra_columns
from bert_keras3.inputs.extra_columns import ExtraColumns, named_features
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.labelled_files import LabelledFiles
from bert_keras3.inputs.settings import AUTO
from bert_keras3.safekeeping.errors import UserError

# Number of labels from which the task is detected.
_ROWS_LOOKED_AT = 1000

_WITH_COMMA = re.compile(r"-?\d+,\d+")

# More different whole numbers than these are quantities, not classes.
_MOST_NUMBERED_CLASSES = 50


@dataclasses.dataclass(frozen=True)
class LabelledSource:
    """A file of labelled texts, a `dataset.Source`.

    Attributes:
        file: the examples.
    """

    file: LabelledFile | LabelledFiles
    label_columns: tuple[str, ...]
    columns: dict[str, Any]
    takes_pairs: bool
    label_separator: str | None = None
    decisions: tuple[Decision, ...] = ()
    """On the extra columns."""
    suffix = ".csv"

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""
        return self.file.path

    @property
    def has_ids(self) -> bool:
        """Whether there is a column of identifiers."""
        return self.file.columns.id is not None

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples."""
        return iter(self.file)

    def describe(self) -> Description | None:
        """What was detected about the file."""
        found = self.file.describe()
        return Description(
            (*found.decisions, *self.decisions),
            ("id", "text", "second text", "label"),
            [
                (one.guid, one.text_a, one.text_b or "", one.label or "")
                for one in found.first
            ],
        )

    def notes(self) -> tuple[str, ...]:
        """Returns what was left out, or taken for a header."""
        return self.file.notes()

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some rows, unchanged, to a separate CSV file.

        Args:
            chosen: numbers of examples, from 0, ascending.
            path: the new file.
        """
        write_rows(path, self.file.dialect, self.file.rows(), chosen)


def find_labelled_data(
    data: DataChoices, trained: RunSettings | None = None
) -> Dataset:
    """Returns the data set that the flags describe.

    Args:
        data: given by the user.
        trained: settings of the trained model to use, if there is one.

    Raises:
        UserError: there is no such data set, or it is not that of the trained
            model.
    """
    wanted, columns = data.task_name.lower(), None
    if trained is not None and trained.columns:
        columns = Columns.from_dict(trained.columns)
    if trained is not None and wanted != trained.task_name:
        # The user's own files can be used with any model.
        if wanted != CSV and not is_model_of(trained.task_name, wanted):
            raise other_benchmark(data, trained)
        own_files = data.dev_file or data.test_file
        if wanted == CSV and data.data_dir and not own_files:
            return BenchmarkDataset(find_benchmark(trained.task_name), data)
    if wanted == CSV:
        labels = () if trained is None else trained.labels
        return FileDataset(data, columns, labels)
    benchmark_folder(data)
    return BenchmarkDataset(find_benchmark(data.task_name), data)


class FileDataset:
    """The user's own CSV, TSV or JSON lines files."""

    name = CSV
    metric: str | None = None

    def __init__(
        self,
        data: DataChoices,
        columns: Columns | None = None,
        trained_labels: tuple[str, ...] = (),
    ) -> None:
        """Finds the files without opening them.

        Args:
            data: given by the user.
            columns: of the training file of a trained model; by default they
                are detected in the first file that is opened.
            trained_labels: of a trained model.
        """
        self._data = data
        self._columns = columns
        # Those that cells may be numbers of.
        self._numbered = trained_labels if data.labels_file else ()
        self._files = OwnFiles(data)
        self._features = data.file.features
        # Known once the training file is open.
        self._extra: ExtraColumns | None = None

    @functools.cached_property
    def labels(self) -> tuple[str, ...] | None:
        """Those of a classifier to train, if --labels_file names them."""
        if self._data.labels_file is None:
            return None
        return read_labels(self._data.labels_file)

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return self._files.has(split)

    def further(self, split: str) -> tuple[str, ...]:
        """Returns nothing: there is one file for each split."""
        return ()

    def source(self, split: str) -> Source:
        """Opens a split; the columns are detected in the first one opened."""
        first, *others = self._files.paths(split)
        file = self._open(first, want_label=split != "test")
        found: LabelledFile | LabelledFiles = file
        if others:
            more = (
                self._open(one, want_label=split != "test") for one in others
            )
            found = LabelledFiles((file, *more))
        if split == "train" and self._features:
            return self._with_extra_columns(found)
        return self._source(found)

    def _with_extra_columns(
        self, file: LabelledFile | LabelledFiles
    ) -> LabelledSource:
        """Finds out what the extra columns of the training file hold.

        All rows count, those that are held out later too: with their cells,
        not with their labels.
        """
        columns = file.columns
        extra, left_out = find_extra_columns(
            [columns.names[index] for index in columns.features],
            (example.columns for example in file),
            named_features(self._features, columns.names),
            auto=AUTO in self._features,
        )
        if not extra.columns:
            why = "; ".join(
                f"{name!r} {reason}" for name, reason in left_out.items()
            )
            raise UserError(
                f"{file.path}: --feature_columns={','.join(self._features)}: "
                f"no column is of use ({why or 'there is no other'}). Name "
                "those that are, or leave the flag out"
            )
        self._extra = extra
        file = file.with_features(extra.names)
        self._columns = file.columns
        decisions = [
            *(Decision(one.name, one.kind, one.note) for one in extra.columns),
            *(
                Decision(name, "left out", f"it {why}")
                for name, why in left_out.items()
            ),
        ]
        return dataclasses.replace(
            self._source(file), decisions=tuple(decisions)
        )

    def _open(self, path: pathlib.Path, *, want_label: bool) -> LabelledFile:
        # Every row of a test file gets a prediction.
        skipped = frozenset(self._data.skip_labels if want_label else ())
        if self._columns is None:
            file = LabelledFile.open(
                path,
                dataclasses.replace(self._data.file, features=self._features),
                want_label=want_label,
                skip_labels=skipped,
            )
            self._columns = file.columns
            return file
        return LabelledFile.open_like(
            path,
            self._columns,
            self._data.file,
            want_label=want_label,
            skip_labels=skipped,
        )

    def _source(self, file: LabelledFile | LabelledFiles) -> LabelledSource:
        columns = file.columns
        return LabelledSource(
            file.with_classes(self._numbered or self.labels or ()),
            label_columns=tuple(
                columns.names[index] for index in columns.label
            ),
            columns=columns.to_dict(),
            takes_pairs=columns.text_pair is not None,
            label_separator=self._data.label_separator,
        )

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Opens the rows that a training held out."""
        path = folder.dev_split(LabelledSource.suffix)
        if self._columns is None or not path.exists() or self.has("dev"):
            return None
        written = as_written(self._columns.header)
        return self._source(
            LabelledFile.open_like(path, self._columns, written)
        )

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns the given task, or detects it from labels of the whole file.

        The first rows would not suffice: a file may be sorted by label.
        """
        if self._data.problem_type is not None:
            task, why = TASKS[self._data.problem_type](), "as given"
        elif self._data.labels_file is not None:
            task, why = SingleLabel(), "--labels_file names the classes"
        else:
            labels = (example.label for example in source)
            cells = delimited.evenly_spaced(labels, _ROWS_LOOKED_AT)
            if self._data.label_separator is None:
                _check_are_labels(source.path, cells)
            task, why = find_task(cells, self._data.label_separator)
        if self._extra is not None:
            task = with_extra_columns(task, self._extra, self._data.features)
        return self.reopened(task), why

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        """Writes nothing: these are not files of a benchmark."""
        return None

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns the task with the labels that are known of the checkpoint."""
        task = task_of_classifier(checkpoint, self._data, None)
        if self._data.labels_file is not None:
            self._numbered = task.labels
        if isinstance(task, WithExtraColumns):
            self._features = task.extra.names
        return self.reopened(task)

    def reopened(self, task: Task) -> Task:
        """Returns the task with --unsure_below.

        Raises:
            UserError: it is no task with one label.
        """
        unsure_below = self._data.unsure_below
        if unsure_below is None:
            return task
        if not isinstance(task, SingleLabel):
            raise UserError(
                f"--unsure_below={unsure_below:g} is for problems with one "
                f"label an example; this one is {task.name}. Leave it out"
            )
        return dataclasses.replace(task, unsure_below=unsure_below)


def find_task(
    cells: Sequence[str | tuple[str, ...] | None],
    separator: str | None = None,
) -> tuple[Task, str]:
    """Detects the task from the label cells of some rows.

    Args:
        cells: label cells as in `InputExample.label`.
        separator: of several labels in one cell, if the user gave one.

    Returns:
        The task, still without labels, and the reason in words.
    """
    if any(isinstance(cell, tuple) for cell in cells):
        return TASKS["multi_label"](), "there are several label columns"
    if separator is not None:
        return TASKS["multi_label"](), f"labels are separated by {separator!r}"
    if cells and all(as_list(str(cell)) is not None for cell in cells):
        return TASKS["multi_label"](), "labels are lists"
    numbers = [as_number(str(cell)) for cell in cells]
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(numbers):
        if any(number != int(number) for number in known):
            return TASKS["regression"](), "labels are numbers with fractions"
        if len(set(known)) > _MOST_NUMBERED_CLASSES:
            return TASKS["regression"](), "labels are many different numbers"
    return (
        SingleLabel(),
        f"{len(set(cells))} different labels in {len(cells)} rows looked at",
    )


def _check_are_labels(
    path: pathlib.Path, cells: Sequence[str | tuple[str, ...] | None]
) -> None:
    """Checks that label cells are not numbers in another notation.

    Raises:
        UserError: all are numbers, some of them with a comma.
    """
    texts = [cell for cell in cells if isinstance(cell, str)]
    commas = [one for one in texts if _WITH_COMMA.fullmatch(one)]
    numbers = sum(as_number(one) is not None for one in texts)
    if commas and len(commas) + numbers == len(texts):
        point = commas[0].replace(",", ".")
        raise UserError(
            f"{path}: the labels are numbers with a comma, such as "
            f"{commas[0]}. Write {point} if it is a decimal comma, give "
            "--label_separator=, if it stands between several labels, or "
            "--problem_type=single_label if each of these is a class"
        )


# Checks of flags.


def check_data(data: DataChoices, *, do_train: bool) -> None:
    """Checks the flags of the data against each other.

    Raises:
        UserError: two flags contradict each other or one would have no
            effect.
    """
    check_own_files(data)
    given = {
        "choice_columns": ",".join(data.choice_columns),
        "choice_labels": data.choice_labels,
    }
    for name, value in given.items():
        if value:
            raise UserError(
                f"--{name}={value} is for choices, and "
                f"--problem_type={data.problem_type} is not. Leave one out"
            )


def check_same_data(
    data: DataChoices, folder: FinetuningFolder, *, do_eval: bool
) -> None:
    """Checks that flags agree with how the data of a model was read.

    Args:
        data: given by the user.
        folder: of the model.
        do_eval: whether labels are read.

    Raises:
        UserError: a flag does not agree, or its file cannot be read.
    """
    settings = folder.read_settings()
    for name in ("choice_columns", "choice_labels"):
        if getattr(data, name):
            raise folder.contradiction(f"--{name}={getattr(data, name)}", None)
    folder.check_flags(
        problem_type=(data.problem_type, settings.problem),
        label_separator=(data.label_separator, settings.label_separator),
        features=(data.features, settings.options.get("features")),
    )
    if settings.columns:
        _check_same_columns(data, folder, settings, do_eval)
    if data.labels_file is not None:
        labels = read_labels(data.labels_file, len(settings.labels))
        if labels != settings.labels:
            before = f"the labels {', '.join(settings.labels)}"
            raise folder.contradiction(
                f"--labels_file={data.labels_file}", before
            )


def _check_same_columns(
    data: DataChoices,
    folder: FinetuningFolder,
    settings: RunSettings,
    do_eval: bool,
) -> None:
    trained = Columns.from_dict(settings.columns)
    given = {
        "text": data.file.text,
        "text_pair": data.file.text_pair,
        "id": data.file.id,
        # A test file needs no labels.
        "label": data.file.label if do_eval else None,
    }
    names = dict(enumerate(trained.names))
    if data.file.features:
        now = named_features(data.file.features, trained.names)
        trained_on = [trained.names[index] for index in trained.features]
        if [*now] != trained_on and AUTO not in data.file.features:
            shown = f"--feature_columns={','.join(data.file.features)}"
            raise folder.contradiction(shown, ", ".join(trained_on) or "none")
    for role, value in given.items():
        if value is None or trained.are_said(role, value):
            continue
        found = getattr(trained, role)
        indices = found if role == "label" else (found,)
        before = ", ".join(names.get(index, "none") for index in indices)
        raise folder.contradiction(f"--{role}_column={value}", before or "none")


KIND = Kind(
    find_labelled_data,
    check_data,
    check_same_data,
    problems=("single_label", "multi_label", "regression"),
    script="run_classifier",
)
