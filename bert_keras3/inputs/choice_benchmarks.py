"""The benchmarks with choices: where their files are, how they are read.

A benchmark is a row of `CHOICE_BENCHMARKS`. In its files the columns and the
spelling of labels are known, so that nothing is detected but the encoding.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from bert_keras3.inputs import dialect_search
from bert_keras3.inputs.choice_documents import (
    Read,
    read_articles,
    read_documents,
    read_stems,
)
from bert_keras3.inputs.choices import (
    ChoiceColumns,
    ChoiceExample,
    ChoiceFile,
    Ids,
)
from bert_keras3.inputs.columns import same_name
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write


@dataclasses.dataclass(frozen=True)
class Rows:
    """Reads files of rows whose columns are known, by name or number.

    Attributes:
        context: column of the context.
        question: column of what each choice answers or continues.
        choices: columns of the choices; a single one has lists.
        label: column of the label.
        id: column of the id.
        form: how labels are spelled, one of `LABEL_FORMS`.
        delimiter: key of `delimited.DELIMITERS`; None: it is detected.
    """

    context: str | int
    choices: tuple[str | int, ...]
    question: str | int | None = None
    label: str | int = "label"
    id: str | int | None = None
    form: str = "0"
    delimiter: str | None = None

    def __call__(
        self, path: pathlib.Path, encoding: str | None, *, want_label: bool
    ) -> Iterator[ChoiceExample]:
        """Streams the examples of a file.

        Raises:
            UserError: a column is missing; as for `ChoiceFile`.
        """
        dialect = dialect_search.sniff(
            path,
            delimiter=self.delimiter,
            encoding=encoding,
            header=isinstance(self.context, str),
        )

        def place(column: str | int) -> int:
            index = (
                same_name(column, dialect)
                if isinstance(column, str)
                else column
            )
            if index is None or index >= len(dialect.columns):
                said = column if isinstance(column, str) else column + 1
                raise UserError(
                    f"{path}: the column {said} is missing; it has "
                    f"{', '.join(dialect.columns)}. Is it a file of this "
                    "benchmark?"
                )
            return index

        columns = ChoiceColumns(
            place(self.context),
            None if self.question is None else place(self.question),
            tuple(map(place, self.choices)),
            place(self.label) if want_label else None,
            None if self.id is None else place(self.id),
            dialect.columns,
            dialect.header,
            self.form,
        )
        return iter(ChoiceFile(path, dialect, columns))


@dataclasses.dataclass(frozen=True)
class Submission:
    """The file of predictions that a benchmark's server takes.

    Attributes:
        file: its name.
        names: keys of the id and of the choice, which is a number from 0, in
            an object a line; None: a line has the number alone.
    """

    file: str
    names: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class ChoiceBenchmark:
    """One benchmark.

    Attributes:
        name: as its authors spell it; flags may use any case.
        read: streams the examples of a file.
        files: {split: names in the folder, as patterns}. The files of the
            first group of which any exist are read, one after the other.
        ids_repeat: whether the files of one split may have the same ids, so
            that the name of the file becomes a part of them.
        submissions: {name of a file to predict: file for the server}.
    """

    name: str
    read: Read
    files: Mapping[str, tuple[tuple[str, ...], ...]]
    ids_repeat: bool = False
    submissions: Mapping[str, Submission] = dataclasses.field(
        default_factory=dict
    )

    @property
    def further(self) -> tuple[str, ...]:
        """The splits beside "train", "dev" and "test"."""
        return tuple(split for split in self.files if "_" in split)


def _numbered(stem: str, first: int, number: int) -> tuple[str, ...]:
    return tuple(f"{stem}{n}" for n in range(first, first + number))


def _one_each(**names: tuple[str, ...]) -> dict[str, tuple[tuple[str], ...]]:
    """Splits of one file each, which may have several names."""
    return {
        split: tuple((name,) for name in alternatives)
        for split, alternatives in names.items()
    }


CHOICE_BENCHMARKS = (
    ChoiceBenchmark(
        "SWAG",
        # Sentence A is the first sentence, sentence B the beginning of the
        # second and an ending (Devlin et al., section 4.4).
        Rows("sent1", _numbered("ending", 0, 4), "sent2"),
        _one_each(
            train=("train.csv",),
            dev=("val.csv", "dev.csv"),
            test=("test.csv",),
        ),
    ),
    ChoiceBenchmark(
        "HellaSwag",
        Rows("ctx_a", ("endings",), "ctx_b", id="ind"),
        {
            split: ((f"hellaswag_{name}.jsonl",), (f"{name}.jsonl",))
            for split, name in (
                *(("train", "train"), ("dev", "val"), ("test", "test")),
            )
        },
    ),
    ChoiceBenchmark(
        "CODAH",
        Rows(1, (2, 3, 4, 5), label=6, delimiter="tab"),
        _one_each(train=("train.tsv",), dev=("dev.tsv",), test=("test.tsv",)),
    ),
    ChoiceBenchmark(
        "CosmosQA",
        Rows("context", _numbered("answer", 0, 4), "question", id="id"),
        _one_each(
            train=("train.csv", "train.jsonl"),
            dev=("valid.csv", "valid.jsonl", "dev.csv"),
            test=("test.jsonl", "test.csv"),
        ),
        submissions=dict.fromkeys(
            ("test.jsonl", "test.csv"), Submission("predictions.lst")
        ),
    ),
    ChoiceBenchmark(
        "COPA",
        Rows("premise", ("choice1", "choice2"), "question", id="idx"),
        _one_each(
            train=("train.jsonl",),
            dev=("val.jsonl",),
            test=("test.jsonl",),
        ),
        submissions={"test.jsonl": Submission("COPA.jsonl", ("idx", "label"))},
    ),
    ChoiceBenchmark(
        "CommonsenseQA",
        read_stems,
        _one_each(
            train=("train_rand_split.jsonl",),
            dev=("dev_rand_split.jsonl",),
            test=("test_rand_split_no_answers.jsonl",),
        ),
    ),
    *(
        ChoiceBenchmark(
            name,
            read_stems,
            _one_each(
                train=(f"{name}-Train.jsonl",),
                dev=(f"{name}-Dev.jsonl",),
                test=(f"{name}-Test.jsonl",),
            ),
        )
        for name in ("ARC-Easy", "ARC-Challenge")
    ),
    ChoiceBenchmark(
        "C3",
        read_documents,
        {
            # Mixed genres and dialogues; the second names are CLUE's.
            "train": (
                ("c3-m-train.json", "c3-d-train.json"),
                ("m-train.json", "d-train.json"),
            ),
            "dev": (
                ("c3-m-dev.json", "c3-d-dev.json"),
                ("m-dev.json", "d-dev.json"),
            ),
            "test": (
                ("c3-m-test.json", "c3-d-test.json"),
                ("test1.1.json",),
                ("test1.0.json",),
            ),
            "test_1.0": (("test1.0.json",),),
        },
        ids_repeat=True,
        submissions={
            f"test1.{n}.json": Submission(
                f"c31{n}_predict.json", ("id", "label")
            )
            for n in (0, 1)
        },
    ),
    ChoiceBenchmark(
        "DREAM",
        read_documents,
        _one_each(
            train=("train.json",), dev=("dev.json",), test=("test.json",)
        ),
    ),
    ChoiceBenchmark(
        "RACE",
        read_articles,
        {
            split: (
                (f"{split}/middle/*.txt", f"{split}/high/*.txt"),
                (f"{split}/*.txt",),
            )
            for split in ("train", "dev", "test")
        },
    ),
)


def find_choice_benchmark(name: str) -> ChoiceBenchmark | None:
    """Returns the benchmark of a name, in any case; None: there is none."""
    for benchmark in CHOICE_BENCHMARKS:
        if benchmark.name.lower() == name.lower():
            return benchmark
    return None


@dataclasses.dataclass(frozen=True)
class ChoicePart:
    """One part of a benchmark in a folder: an iterable of examples.

    Attributes:
        benchmark: a row of `CHOICE_BENCHMARKS`.
        split: a key of its `files`; answers of "test" and "test_…" are not
            read.
        data_dir: the folder that holds the benchmark's files.
    """

    benchmark: ChoiceBenchmark
    split: str
    data_dir: pathlib.Path

    @property
    def exists(self) -> bool:
        """Whether there is a file to read."""
        try:
            return bool(self.paths)
        except UserError:
            return False

    @functools.cached_property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """The files that are read, in order.

        Raises:
            UserError: there are none.
        """
        if not self.data_dir.is_dir():
            raise UserError(
                f"--data_dir={self.data_dir}: there is no such folder"
            )
        groups = self.benchmark.files[self.split]
        for group in groups:
            found = [
                path
                for pattern in group
                for path in sorted(self.data_dir.glob(pattern), key=_in_order)
            ]
            if found:
                return tuple(found)
        names = " or ".join(" and ".join(group) for group in groups)
        raise UserError(
            f"--data_dir={self.data_dir} has no {names}, the {self.split} "
            f"part of {self.benchmark.name}"
        )

    @property
    def path(self) -> pathlib.Path:
        """The file; the folder, if there are several."""
        return self.paths[0] if len(self.paths) == 1 else self.data_dir

    def __iter__(self) -> Iterator[ChoiceExample]:
        """Streams the examples of all files.

        Raises:
            UserError: see `choice_documents` and `ChoiceFile`; an id
                occurs twice.
        """
        ids = Ids()
        want_label = not self.split.startswith("test")
        for path in self.paths:
            for example in self.benchmark.read(
                path, None, want_label=want_label
            ):
                if self.benchmark.ids_repeat and len(self.paths) > 1:
                    guid = f"{path.stem}/{example.guid}"
                    example = dataclasses.replace(example, guid=guid)
                ids.add(example.where, example.guid, "Correct one of them")
                yield example


def write_choice_submission(
    path: pathlib.Path,
    submission: Submission,
    chosen: Iterable[tuple[str, int]],
) -> None:
    """Writes predictions in the form that a benchmark's server takes.

    Args:
        path: the new file.
        submission: its form.
        chosen: (id, number of the choice from 0) of all test examples.
    """
    with atomic_write(path, newline="\n") as file:
        for guid, place in chosen:
            line = str(place)
            if submission.names is not None:
                number = int(guid) if guid.isdecimal() else guid
                values = (number, place)
                line = json.dumps(
                    dict(zip(submission.names, values, strict=True)),
                    ensure_ascii=False,
                )
            file.write(f"{line}\n")


def _in_order(path: pathlib.Path) -> tuple[int, str]:
    """2.txt before 10.txt."""
    return len(os.fspath(path)), os.fspath(path)
