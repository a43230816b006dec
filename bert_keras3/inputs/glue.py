"""The sentence-level benchmarks: their files, columns, labels and metrics.

Each is one row of `BENCHMARKS`: MRPC, for example, has its texts in columns 3
and 4 of `train.tsv` and its label, 0 or 1, in column 0.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split:
    """One part of a benchmark: tab-separated, quotes are part of the text.

    Columns are indices as Python has them: −1 is the last.

    Attributes:
        files: paths in the data folder; the first that exists is read.
            `{language}` stands for the language of a multilingual benchmark.
        text_a: column of the text, or the first of two.
        text_b: column of the second text, if any.
        label: column of the label; None where the labels are not published.
        header: whether the first row holds names.
        guid: column of the identifier; None for the row's number.
        guid_prefix: prefix of the identifier; by default the split's name.
        language: column of the language, where rows are chosen by it.
    """

    files: tuple[str, ...]
    text_a: int
    text_b: int | None = None
    label: int | None = None
    header: bool = True
    guid: int | None = None
    guid_prefix: str = ""
    language: int | None = None


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as its authors spell it; flags may use any case.
        labels: in the order of the model's outputs.
        metrics: the official ones; the best epoch is chosen by the first.
        train: the training part.
        dev: the part to evaluate on.
        test: the part to predict.
        renamed_labels: spellings in the files that mean one of `labels`.
        language: which rows of a multilingual benchmark are read; the original
            has Chinese.
    """

    name: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    train: Split
    dev: Split
    test: Split
    renamed_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    language: str = ""


BENCHMARKS = (
    Benchmark(
        name="CoLA",
        labels=("0", "1"),
        metrics=("matthews_correlation",),
        train=Split(("train.tsv",), 3, label=1, header=False),
        dev=Split(("dev.tsv",), 3, label=1, header=False),
        test=Split(("test.tsv",), 1),
    ),
    Benchmark(
        name="MRPC",
        labels=("0", "1"),
        metrics=("accuracy", "f1"),
        # GLUE's parts, or the two files that the corpus comes in.
        train=Split(("train.tsv", "msr_paraphrase_train.txt"), 3, 4, 0),
        dev=Split(("dev.tsv", "msr_paraphrase_test.txt"), 3, 4, 0),
        test=Split(("test.tsv", "msr_paraphrase_test.txt"), 3, 4),
    ),
    Benchmark(
        name="MNLI",
        labels=("contradiction", "entailment", "neutral"),
        metrics=("accuracy",),
        train=Split(("train.tsv",), 8, 9, -1, guid=0),
        dev=Split(
            ("dev_matched.tsv",), 8, 9, -1, guid=0, guid_prefix="dev_matched"
        ),
        test=Split(("test_matched.tsv",), 8, 9, guid=0),
    ),
    Benchmark(
        name="XNLI",
        labels=("contradiction", "entailment", "neutral"),
        metrics=("accuracy",),
        train=Split(("multinli/multinli.train.{language}.tsv",), 0, 1, 2),
        dev=Split(("xnli.dev.tsv",), 6, 7, 1, language=0),
        # The original read no test part; this one is written as the dev part.
        test=Split(("xnli.test.tsv",), 6, 7, language=0),
        renamed_labels={"contradictory": "contradiction"},
        language="zh",
    ),
    Benchmark(
        name="SST-2",
        labels=("0", "1"),
        metrics=("accuracy",),
        train=Split(("train.tsv",), 0, label=1),
        dev=Split(("dev.tsv",), 0, label=1),
        test=Split(("test.tsv",), 1, guid=0),
    ),
    Benchmark(
        name="RTE",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        train=Split(("train.tsv",), 1, 2, 3, guid=0),
        dev=Split(("dev.tsv",), 1, 2, 3, guid=0),
        test=Split(("test.tsv",), 1, 2, guid=0),
    ),
)


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name, in any case.

    Args:
        name: such as `mrpc`.

    Returns:
        The row of `BENCHMARKS`.

    Raises:
        UserError: there is none of that name.
    """
    for benchmark in BENCHMARKS:
        if benchmark.name.lower() == name.lower():
            return benchmark
    names = ", ".join(benchmark.name for benchmark in BENCHMARKS)
    raise UserError(
        f"--task_name={name}: there is no such task; give one of {names}, or "
        "csv for a file of your own."
    )


@dataclasses.dataclass(frozen=True)
class BenchmarkFile:
    """One part of a benchmark in a folder: an iterable of examples.

    Attributes:
        benchmark: a row of `BENCHMARKS`.
        split: "train", "dev" or "test".
        data_dir: the folder that holds the benchmark's files.
    """

    benchmark: Benchmark
    split: str
    data_dir: pathlib.Path

    @property
    def path(self) -> pathlib.Path:
        """The file that is read.

        Raises:
            UserError: it is not there.
        """
        names = [
            name.format(language=self.benchmark.language)
            for name in self._split.files
        ]
        for name in names:
            if (self.data_dir / name).exists():
                return self.data_dir / name
        raise UserError(
            f"--data_dir={self.data_dir} has no {' or '.join(names)}, the "
            f"{self.split} part of {self.benchmark.name}."
        )

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples.

        Yields:
            The examples; the label is None where it is not published.

        Raises:
            UserError: no such file, a row with another number of cells than
                the first, a label that the benchmark does not have.
        """
        split, path = self._split, self.path
        dialect = dialect_search.sniff(
            path, delimiter="tab", quoting="none", header=split.header
        )
        self._check_width(path, len(dialect.columns))
        first_number = 1 if split.header else 0
        for number, row in enumerate(
            delimited.rows(path, dialect), first_number
        ):
            cells = row.cells
            if (
                split.language is not None
                and cells[split.language] != self.benchmark.language
            ):
                continue
            guid = str(number) if split.guid is None else cells[split.guid]
            yield InputExample(
                guid=f"{split.guid_prefix or self.split}-{guid}",
                text_a=cells[split.text_a],
                text_b=None if split.text_b is None else cells[split.text_b],
                label=self._label(path, row),
                line=row.line,
            )

    @property
    def _split(self) -> Split:
        split: Split = getattr(self.benchmark, self.split)
        return split

    def _check_width(self, path: pathlib.Path, width: int) -> None:
        split = self._split
        columns = (split.text_a, split.text_b, split.label, split.guid)
        last = max(column for column in columns if column is not None)
        if last >= width:
            raise UserError(
                f"{path} has {width} columns; the {self.split} part of "
                f"{self.benchmark.name} has at least {last + 1}, with tabs "
                "between."
            )

    def _label(self, path: pathlib.Path, row: delimited.Row) -> str | None:
        column = self._split.label
        if column is None:
            return None
        cell = row.cells[column]
        label = self.benchmark.renamed_labels.get(cell, cell)
        if label not in self.benchmark.labels:
            raise UserError(
                f"{path}, line {row.line}: {self.benchmark.name} has no label "
                f"{cell!r}, only {', '.join(self.benchmark.labels)}."
            )
        return label


def open_split(
    benchmark: Benchmark, split: str, data_dir: str | os.PathLike[str]
) -> BenchmarkFile:
    """One part of a benchmark, as an iterable of examples.

    Args:
        benchmark: a row of `BENCHMARKS`.
        split: "train", "dev" or "test".
        data_dir: the folder that holds the benchmark's files.

    Returns:
        The part; its file is known to be there.

    Raises:
        UserError: the folder or the file is not there.
    """
    opened = BenchmarkFile(benchmark, split, pathlib.Path(data_dir))
    if not opened.data_dir.is_dir():
        raise UserError(f"--data_dir={data_dir}: there is no such folder.")
    _ = opened.path
    return opened
