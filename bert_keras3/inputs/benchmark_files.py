"""Reads the files of a benchmark, and writes those that its server takes.

    index⇥sentence1⇥sentence2⇥label      →  InputExample("train-0", "It rains.",
    0⇥It rains.⇥It is wet.⇥entailment       "It is wet.", "entailment", line=2)

`benchmark.py` says what is where in the files.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.benchmark import Benchmark, Split, Submission
from bert_keras3.inputs.delimited import Dialect, as_cell
from bert_keras3.inputs.examples import (
    InputExample,
    is_number,
    known_names,
    plain_name,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

# What an example is made of, in the order of `Split`'s attributes.
_ROLES = ("text_a", "text_b", "label", "guid", "language")

# Labels listed in a message.
_MOST_LISTED = 20
# Characters of a column's name there.
_LONGEST_NAME = 30


@dataclasses.dataclass(frozen=True)
class BenchmarkFile:
    """One part of a benchmark in a folder: an iterable of examples.

    Attributes:
        benchmark: a row of a table.
        part: "train", "dev", "test" or a key of `Benchmark.further`.
        data_dir: the folder that holds the benchmark's files.
        labels: the allowed labels; None: any.
        left_out: {why: number of rows}, of those that were left out when it
            was read last.
    """

    benchmark: Benchmark
    part: str
    data_dir: pathlib.Path
    labels: tuple[str, ...] | None = None
    left_out: dict[str, int] = dataclasses.field(
        default_factory=dict, compare=False
    )

    @property
    def path(self) -> pathlib.Path:
        """The file that is read.

        Raises:
            UserError: it is not there.
        """
        return self._found[0]

    @property
    def split(self) -> Split:
        """How the file is written."""
        return self._found[1]

    @functools.cached_property
    def _found(self) -> tuple[pathlib.Path, Split]:
        found = self.benchmark.find(self.part, self.data_dir)
        if found is None:
            names = " or ".join(self.benchmark.names_of(self.part))
            raise UserError(
                f"--data_dir={self.data_dir} has no {names}, the "
                f"{self.part} part of {self.benchmark.name}."
            )
        return found

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples.

        Yields:
            The examples; the label is None where it is not published.

        Raises:
            UserError: no such file, a wrong or missing column or key, a row
                with another number of cells than the first, a line that is no
                JSON object, a label that the benchmark does not have, an id
                twice in a part whose predictions are submitted by id.
        """
        return (example for _, example in self._read())

    def ids(self) -> Iterator[str]:
        """Yields the ids of the examples for a submission, in order."""
        return (guid for guid, _ in self._read())

    def _read(self) -> Iterator[tuple[str, InputExample]]:
        """Yields (id for a submission, example); counts rows left out."""
        self.left_out.clear()
        split, path, benchmark = self.split, self.path, self.benchmark
        dialect = dialect_search.sniff(
            path,
            delimiter=split.delimiter,
            quoting=split.quoting,
            header=split.header,
        )
        read = self._objects if dialect.form == "json" else self._rows
        first_number = 1 if split.header and dialect.form != "json" else 0
        prefix = split.guid_prefix or self.part
        seen: dict[str, int] = {}
        for number, (line, values) in enumerate(
            read(path, dialect), first_number
        ):
            is_of_language = values["language"] in (None, benchmark.language)
            if not is_of_language:
                continue
            if values["label"] in benchmark.skip_labels:
                self._leave_out(benchmark.skip_labels[values["label"]])
                continue
            guid = values["guid"]
            if guid and split.submission is not None:
                self._check_new(path, line, guid, seen)
            yield (
                guid or str(number - first_number),
                InputExample(
                    guid=f"{prefix}-{guid or number}",
                    text_a=values["text_a"],
                    text_b=values["text_b"],
                    label=self._label(path, line, values["label"]),
                    line=line,
                ),
            )

    def _leave_out(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1

    # Delimited files.

    def _rows(
        self, path: pathlib.Path, dialect: Dialect
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (line, values by role) of a delimited file."""
        split = self.split
        width = len(dialect.columns)
        places = {
            role: self._place(path, role, dialect.columns) for role in _ROLES
        }
        self._check_order(path, dialect.columns)

        def wrong_width(row: delimited.Row) -> None:
            if split.short_rows and len(row.cells) < width:
                return self._leave_out(split.short_rows)
            raise UserError(
                f"{path}, line {row.line}: {len(row.cells)} cells where "
                f"{width} are expected ({_listed(dialect.columns)}), with "
                f"{delimited.delimiter_name(dialect.delimiter)}s between. Is "
                f"the file whole? Correct the row, or take the official file "
                f"of {self.benchmark.name}."
            )

        for row in delimited.rows(path, dialect, wrong_width):
            yield (
                row.line,
                {
                    role: None if place is None else row.cells[place]
                    for role, place in places.items()
                },
            )

    def _place(
        self, path: pathlib.Path, role: str, columns: tuple[str, ...]
    ) -> int | None:
        """Returns the index of a column, None if there is none.

        Raises:
            UserError: it must be there and is not.
        """
        split = self.split
        column = getattr(split, role)
        if column is None:
            return None
        if isinstance(column, int):
            last = max(
                one
                for one in (getattr(split, name) for name in _ROLES)
                if isinstance(one, int)
            )
            if last >= len(columns):
                raise UserError(
                    f"{path} has {len(columns)} columns; the {self.part} part "
                    f"of {self.benchmark.name} has at least {last + 1}, with "
                    f"{split.delimiter}s between."
                )
            return column
        names = (column,) if isinstance(column, str) else column
        for name in names:
            if name in columns:
                return columns.index(name)
        if role == "guid":
            return None
        raise UserError(
            f"{path}, line 1: there is no column {' or '.join(names)} among "
            f"{_listed(columns)}; the {self.part} part of "
            f"{self.benchmark.name} has it, with {split.delimiter}s between. "
            "Take the official file, or --task_name=csv for a file of your own."
        )

    def _check_order(
        self, path: pathlib.Path, columns: tuple[str, ...]
    ) -> None:
        """Checks that columns given by index are not at another place."""
        for index, name in self.split.named.items():
            if name in columns and columns[index] != name:
                place = columns.index(name) + 1
                raise UserError(
                    f"{path}, line 1: column {index % len(columns) + 1} is "
                    f"{columns[index]!r} and {name!r} is column {place}; in "
                    f"the {self.part} part of {self.benchmark.name}, {name!r} "
                    f"is where {columns[index]!r} stands. Is this another "
                    "benchmark's file? Take the official file, or "
                    "--task_name=csv for a file of your own."
                )

    # JSON lines.

    def _objects(
        self, path: pathlib.Path, dialect: Dialect
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (line, values by role) of a file of JSON objects."""
        for line, record in delimited.json_records(path, dialect.encoding):
            try:
                yield (
                    line,
                    {
                        role: self._value(
                            record, role, getattr(self.split, role)
                        )
                        for role in _ROLES
                    },
                )
            except ValueError as error:
                raise UserError(
                    f"{path}, line {line}: {error}. Correct the line, or take "
                    f"the official file of {self.benchmark.name}."
                ) from None

    def _value(
        self, record: Mapping[str, Any], role: str, column: Any
    ) -> str | None:
        """Returns a value of an object; None if there is none.

        Raises:
            ValueError: it must be there and is not.
        """
        if column is None:
            return None
        if callable(column):
            return str(column(record))
        names = (column,) if isinstance(column, str) else column
        for name in names:
            if record.get(name) is not None:
                return as_cell(record[name])
        if role == "guid":
            return None
        raise ValueError(
            f"there is no {' or '.join(map(repr, names))} among the keys "
            f"{', '.join(record)}"
        )

    # Checks of values.

    def _check_new(
        self, path: pathlib.Path, line: int, guid: str, seen: dict[str, int]
    ) -> None:
        before = seen.setdefault(guid, line)
        if before != line:
            raise UserError(
                f"{path}, line {line}: the id {guid!r} is that of line "
                f"{before} too; predictions are submitted under ids, so each "
                f"must occur once. Take the official file of "
                f"{self.benchmark.name}."
            )

    def _label(
        self, path: pathlib.Path, line: int, cell: str | None
    ) -> str | None:
        if cell is None:
            return None
        benchmark = self.benchmark
        is_name = plain_name(cell) in known_names()
        if is_name and line == 1 and self.split.header is False:
            raise UserError(
                f"{path}, line 1: is a header, since its label is {cell!r}; "
                f"the {self.part} part of {benchmark.name} has none. Delete "
                "the line, take the official file, or --task_name=csv for a "
                "file of your own."
            )
        if benchmark.score_range is not None:
            least, most = benchmark.score_range
            if not is_number(cell) or not least <= float(cell) <= most:
                raise UserError(
                    f"{path}, line {line}: the label of {benchmark.name} is a "
                    f"number from {least:g} to {most:g}, and here {cell!r}. "
                    "Correct the row, or take the official file."
                )
            return cell
        label = benchmark.renamed_labels.get(cell, cell)
        if self.labels is not None and label not in self.labels:
            more = " …" if len(self.labels) > _MOST_LISTED else ""
            raise UserError(
                f"{path}, line {line}: {benchmark.name} has no label "
                f"{cell!r}, only {', '.join(self.labels[:_MOST_LISTED])}{more}."
            )
        return label


def _listed(columns: Iterable[str]) -> str:
    """Returns names for a message; what is no name may be a whole text."""
    return ", ".join(
        name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        for name in columns
    )


def open_split(
    benchmark: Benchmark, part: str, data_dir: str | os.PathLike[str]
) -> BenchmarkFile:
    """One part of a benchmark, as an iterable of examples.

    Args:
        benchmark: a row of a table.
        part: "train", "dev", "test" or a key of `Benchmark.further`.
        data_dir: the folder that holds the benchmark's files.

    Returns:
        The part; its file is known to be there.

    Raises:
        UserError: the benchmark has no such part; the folder or the file is
            not there.
    """
    folder = pathlib.Path(data_dir)
    if benchmark.split(part) is None:
        raise UserError(
            f"--task_name={benchmark.name} has no {part} part, only one to "
            f"predict with a model of {benchmark.model_of}. Train with "
            f"--task_name={benchmark.model_of}, then give --do_predict and "
            f"--task_name={benchmark.name} with the same --output_dir."
        )
    if not folder.is_dir():
        raise UserError(f"--data_dir={data_dir}: there is no such folder.")
    opened = BenchmarkFile(
        benchmark, part, folder, benchmark.known_labels(folder)
    )
    _ = opened.path
    return opened


def write_submission(
    path: pathlib.Path,
    submission: Submission,
    rows: Iterable[tuple[str, str]],
    score_range: tuple[float, float] | None = None,
) -> None:
    """Writes predictions in the form that a benchmark's server takes.

    Args:
        path: the new file.
        submission: its form.
        rows: (id, label) of all test examples, in their order.
        score_range: of a regression, whose predictions are numbers; those
            outside are replaced by the nearest end.
    """
    is_json = path.suffix == ".json"
    id_name, label_name = submission.names
    with atomic_write(path, newline="\n") as file:
        writer = csv.writer(
            file, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n"
        )
        if not is_json:
            writer.writerow(submission.names)
        for guid, label in rows:
            if score_range is not None:
                least, most = score_range
                label = f"{min(max(float(label), least), most):.3f}"
            if is_json:
                number = int(guid) if guid.isdecimal() else guid
                record = {id_name: number, label_name: label}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            else:
                writer.writerow([guid, label])
