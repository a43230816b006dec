"""A row of the table of benchmarks: its parts, columns, labels and metrics.

    Benchmark("RTE", ("entailment", "not_entailment"), ("accuracy",),
              train=Split(("train.tsv",), "sentence1", "sentence2", "label"))

The tables are `glue.py` and `clue.py`; `benchmark_files.py` reads the files.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.delimited import as_cell
from bert_keras3.safekeeping.errors import UserError

Column: TypeAlias = "int | str | tuple[str, ...]"
"""Where a value stands. An index, as Python has them: −1 is the last column.
Or its name in the header or the JSON objects; of several names, the first that
is there."""


@dataclasses.dataclass(frozen=True)
class Submission:
    """The file of predictions that a benchmark's server takes.

    Attributes:
        file: its name. What ends in `.json` has one JSON object a line, other
            files have a header and tabs.
        names: of the two columns or keys: the id, and the prediction.
        is_optional: whether the server takes the other files without it.
    """

    file: str
    names: tuple[str, str] = ("index", "prediction")
    is_optional: bool = False


@dataclasses.dataclass(frozen=True)
class Split:
    """One part of a benchmark: JSON lines, or delimited with or without header.

    Attributes:
        files: paths in the data folder; the first that exists is read.
            `{language}` stands for the language of a multilingual benchmark.
        text_a: column of the text, or the first of two; or a function that
            makes the text from a JSON object and raises a ValueError.
        text_b: column of the second text, if any.
        label: column of the label; None where the labels are not published.
        header: whether the first row holds names.
        guid: column of the identifier; None, or where no such column is there,
            for the row's number.
        guid_prefix: prefix of the identifier; by default the split's name.
        language: column of the language, where rows are chosen by it.
        named: the official names of columns that are given by their index. If
            a header has one of them at another place, the file is another one.
        delimiter: a key of `delimited.DELIMITERS`.
        quoting: a key of `delimited.QUOTINGS`. By default, quotes are part of
            the text.
        short_rows: why rows with too few cells are left out; "" if they are
            errors.
        submission: the file of predictions for the benchmark's server.
        or_else: how other files are written, if none of `files` exists.
    """

    files: tuple[str, ...]
    text_a: Column | Callable[[Mapping[str, Any]], str]
    text_b: Column | None = None
    label: Column | None = None
    header: bool = True
    guid: Column | None = None
    guid_prefix: str = ""
    language: Column | None = None
    named: Mapping[int, str] = dataclasses.field(default_factory=dict)
    delimiter: str = "tab"
    quoting: str = "none"
    short_rows: str = ""
    submission: Submission | None = None
    or_else: Split | None = None

    def alternatives(self) -> Iterator[Split]:
        """Yields this description and those that are tried after it."""
        yield self
        if self.or_else is not None:
            yield from self.or_else.alternatives()


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as its authors spell it; flags may use any case.
        labels: in the order of the model's outputs; of a regression, the name
            of the number. None: those of `labels_file`, or else of the
            training file.
        metrics: the official ones; the best epoch is chosen by the first.
        train: the training part; None where there is none.
        dev: the part to evaluate on.
        test: the part to predict.
        further: other parts by name, `dev_…` to evaluate on and `test_…` to
            predict. They are used where their files exist.
        renamed_labels: spellings in the files that mean one of `labels`.
        skip_labels: {label of rows that are left out of training and
            evaluation: why}.
        labels_file: beside the training file, a file of JSON objects with the
            labels as `label`.
        score_range: least and greatest number of a regression.
        language: which rows of a multilingual benchmark are read; the original
            has Chinese.
        folders: how its folder may be called beside its name, in lower case
            and without signs.
        model_of: name of the benchmark whose model predicts this one, where
            there is no training part.
    """

    name: str
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    train: Split | None = None
    dev: Split | None = None
    test: Split | None = None
    further: Mapping[str, Split] = dataclasses.field(default_factory=dict)
    renamed_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skip_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    labels_file: str = ""
    score_range: tuple[float, float] | None = None
    language: str = ""
    folders: tuple[str, ...] = ()
    model_of: str = ""

    @property
    def task(self) -> str:
        """The task that its labels need, a value of `--problem_type`."""
        return "single_label" if self.score_range is None else "regression"

    def split(self, part: str) -> Split | None:
        """Returns a part by name, if there is one."""
        main = {"train": self.train, "dev": self.dev, "test": self.test}
        return {**main, **self.further}.get(part)

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """The files for the server, that of the test part first."""
        return tuple(
            split.submission
            for split in (self.test, *self.further.values())
            if split is not None and split.submission is not None
        )

    def find(
        self, part: str, data_dir: pathlib.Path
    ) -> tuple[pathlib.Path, Split] | None:
        """Finds the file of a part.

        Args:
            part: as for `split`.
            data_dir: the folder that holds the benchmark's files.

        Returns:
            The file and how it is written; None if there is none.
        """
        split = self.split(part)
        for alternative in () if split is None else split.alternatives():
            for name in self._names(alternative):
                if (data_dir / name).is_file():
                    return data_dir / name, alternative
        return None

    def further_parts(
        self, kind: str, data_dir: pathlib.Path
    ) -> tuple[str, ...]:
        """Returns the further parts whose files are there.

        Args:
            kind: "dev" for those to evaluate on, "test" for those to predict.
            data_dir: the folder that holds the benchmark's files.
        """
        return tuple(
            part
            for part in self.further
            if part.startswith(kind) and self.find(part, data_dir) is not None
        )

    def names_of(self, part: str) -> list[str]:
        """Returns how the file of a part may be called."""
        split = self.split(part)
        alternatives = () if split is None else split.alternatives()
        return [name for one in alternatives for name in self._names(one)]

    def _names(self, split: Split) -> list[str]:
        return [name.format(language=self.language) for name in split.files]

    def known_labels(
        self, data_dir: str | os.PathLike[str]
    ) -> tuple[str, ...] | None:
        """Returns the labels, if they are known before training.

        Args:
            data_dir: the folder that holds the benchmark's files.

        Raises:
            UserError: a line of `labels_file` has no label.
        """
        path = pathlib.Path(data_dir, self.labels_file)
        if self.labels is not None or not self.labels_file:
            return self.labels
        if not path.is_file():
            return None
        labels: dict[str, None] = {}
        encoding = dialect_search.sniff(path).encoding
        for line, record in delimited.json_records(path, encoding):
            if record.get("label") is None:
                raise UserError(
                    f"{path}, line {line}: has no 'label'; each line must name "
                    f"one label of {self.name}. Use the official file, or "
                    "delete it to take the labels from the training file."
                )
            labels[as_cell(record["label"])] = None
        return tuple(labels) or None
