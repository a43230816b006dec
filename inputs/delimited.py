"""One file of records: its encoding, its dialect and its rows, streamed.

Says nothing about what the columns mean; that is found out in `columns`. A
file of JSON objects, one a line, is read as rows of the same shape.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import itertools
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import charset_normalizer

from inputs import examples
from safekeeping.errors import UserError

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""The delimiters that are tried, under the names that flags may use."""

QUOTINGS: dict[str, dict[str, Any]] = {
    "double": {"strict": True, "skipinitialspace": True},
    "backslash": {"strict": True, "skipinitialspace": True, "escapechar": "\\"},
    "none": {"quoting": csv.QUOTE_NONE},
}
"""How a cell may hold the delimiter: csv options under the flag's values.

`double`: a quote inside quotes is written twice; `backslash`: or after a
backslash; `none`: a quote is a letter like any other.
"""

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

# A noncharacter: what the csv module splits at in a file of one column.
_NO_DELIMITER = "\uffff"

# A longer cell is a quote that nobody closed, not a text.
_LONGEST_CELL = 1 << 24

_BLOCK = 1 << 20
_HEAD_LINES = 1000
_HEAD_CHARACTERS = 1 << 20

# clevercsv compares every pair of rows and needs no more than a few.
_CLEVER_CHARACTERS = 1 << 14

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# What is not UTF-8 may be one of these; the commoner wins a tie. GB18030
# includes GBK and GB2312, each cp… its ISO or national relative.
_ENCODINGS = (
    *("gb18030", "cp950", "cp932", "euc_jp", "cp949"),
    *("cp1252", "cp1251", "koi8_r", "cp1250"),
)

# With fewer bytes beyond ASCII every guess is as good as another, but for
# the commonest of Latin letters and signs; a lone Ã or ÿ is damage.
_FEWEST_TELLING_BYTES = 12
_LATIN_SHARE = 0.9
_SIGNS = "‘’“”‚„«»‹›–—…•·€§°©®\xa0"
_LATIN = {
    "cp1252": "ÄÖÜäöüßÀÁÉÈÇÑÓàâáãéèêëíìîïóòôõúùûñçÅåØøÆæŒœ¡¿£²" + _SIGNS,
    "cp1250": "ąćęłńóśźżčďěňřšťůžáéíýúäôľöőüűăâîşţŁŚŻŹĆČŘŠŽ" + _SIGNS,
}

_NOT_TEXT = (
    (b"PK\x03\x04", "a spreadsheet or ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an Excel spreadsheet"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
)


class Row(NamedTuple):
    """One record: the line where it starts, counted from 1, and its cells."""

    line: int
    cells: list[str]


class Decision(NamedTuple):
    """Something found out about a file: what, its value, and how."""

    what: str
    value: str
    how: str


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How the bytes of one file become rows.

    Attributes:
        delimiter: one character; "" in a file of one column.
        quoting: a key of `QUOTINGS`.
        encoding: a Python codec that decodes the whole file.
        header: whether the first row holds the columns' names.
        columns: the names; `column 1`… where there is no header.
        form: `delimited`, or `json` for one JSON object a line.
        decisions: what was decided and how, for display.
    """

    delimiter: str
    quoting: str
    encoding: str
    header: bool
    columns: tuple[str, ...]
    form: str = "delimited"
    decisions: tuple[Decision, ...] = dataclasses.field(
        default=(), compare=False
    )


def sniff(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    quoting: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Finds out how a file is written; what is given is not questioned.

    The encoding and the quoting are tried on the whole file, since the one
    byte or the one quote that decides may be its last.

    Args:
        path: a delimited file, or one JSON object a line where the name ends
            in one of `JSON_SUFFIXES`.
        delimiter: one character, a key of `DELIMITERS`, or `none` for a file
            of one column.
        quoting: a key of `QUOTINGS`.
        encoding: a Python codec.
        header: whether the first row holds names.

    Returns:
        The dialect, to be passed to `rows`.

    Raises:
        UserError: no such file, no text, no rows, undecodable bytes, or an
            unknown value of an argument.
    """
    path = pathlib.Path(path)
    delimiter = _given_delimiter(delimiter)
    if quoting is not None and quoting not in QUOTINGS:
        raise UserError(
            f"--quoting={quoting}: give one of {', '.join(QUOTINGS)}."
        )
    _check_file(path)
    encoding, how_encoding = _find_encoding(path, encoding)
    decided = [Decision("encoding", encoding, how_encoding)]
    if path.suffix.lower() in JSON_SUFFIXES:
        return _json_dialect(path, encoding, decided)

    head = _head(path, encoding)
    if not any(line.strip() for line in head):
        raise UserError(f"{path} is empty: it holds no row.")
    how_delimiter = how_quoting = "as given"
    if delimiter is None:
        delimiter, how_delimiter = _find_delimiter(path, head)
    if quoting is None:
        quoting, how_quoting = _find_quoting(path, encoding, delimiter)
    decided.append(
        Decision("delimiter", delimiter_name(delimiter), how_delimiter)
    )
    decided.append(Decision("quoting", quoting, how_quoting))

    lines = _lines(path, encoding)
    whole_rows = _whole_rows(lines, delimiter, quoting)
    table = list(itertools.islice(whole_rows, _HEAD_LINES))
    if not table:
        # Already the first row is at fault: let the reader say how.
        dialect = Dialect(delimiter, quoting, encoding, False, ("column 1",))
        table = [row.cells for row in rows(path, dialect)]
    how_header = "as given"
    if header is None:
        header, how_header = _find_header(table)
    decided.append(Decision("header", "yes" if header else "no", how_header))
    names = table[0] if header else [""] * len(table[0])
    columns = tuple(
        name.strip() or f"column {number}"
        for number, name in enumerate(names, 1)
    )
    dialect = Dialect(
        delimiter,
        quoting,
        encoding,
        header,
        columns,
        decisions=tuple(decided),
    )
    if next(rows(path, dialect), None) is None:
        raise UserError(
            f"{path} has only a header ({', '.join(columns)}) and no row."
        )
    return dialect


def rows(path: str | os.PathLike[str], dialect: Dialect) -> Iterator[Row]:
    """Streams the data rows of a file; memory does not grow with the file.

    Blank lines are passed over and NUL characters dropped. Every call starts
    anew.

    Args:
        path: the file.
        dialect: as found by `sniff`.

    Yields:
        The rows after the header, each with as many cells as columns.

    Raises:
        UserError: a row with too many or too few cells, a quote that is not
            closed, undecodable bytes, or a line that is no JSON object.
    """
    path = pathlib.Path(path)
    read = _json_rows if dialect.form == "json" else _delimited_rows
    try:
        yield from read(path, dialect)
    except UnicodeDecodeError as error:
        fault = _first_fault(path, dialect.encoding)
        if fault is None:
            raise
        raise _undecodable(path, dialect.encoding, fault) from error


def sample(
    path: str | os.PathLike[str], dialect: Dialect, size: int = 1000
) -> list[Row]:
    """Rows from the whole length of a file, in order, evenly spaced.

    A file sorted by its labels shows all of them here, which its first rows
    would not.

    Args:
        path: the file.
        dialect: as found by `sniff`.
        size: how many rows at least, where the file has as many; at most
            twice this number.

    Returns:
        The sample. The first row of the file is always in it.

    Raises:
        UserError: as for `rows`.
    """
    kept: list[Row] = []
    stride = 1
    for number, row in enumerate(rows(path, dialect)):
        if number % stride == 0:
            kept.append(row)
            if len(kept) == 2 * size:
                kept = kept[::2]
                stride *= 2
    return kept


def delimiter_name(delimiter: str) -> str:
    """A delimiter in words, as flags and messages call it."""
    names = {character: name for name, character in DELIMITERS.items()}
    return names.get(delimiter, delimiter or "none")


def _given_delimiter(value: str | None) -> str | None:
    if value is None:
        return None
    spellings = {**DELIMITERS, "none": "", "\\t": "\t"}
    delimiter = spellings.get(value, value)
    if len(delimiter) > 1 or delimiter in ('"', "\\", " ", "\r", "\n"):
        raise UserError(
            f"--delimiter={value}: give one character, or one of "
            f"{', '.join(DELIMITERS)}, none."
        )
    return delimiter


def _check_file(path: pathlib.Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: there is no such file.")
    if not path.is_file():
        raise UserError(
            f"{path} is not a regular file; give the path of a CSV or TSV file."
        )
    with open(path, "rb") as file:
        start = file.read(8)
    if not start:
        raise UserError(f"{path} is empty: it holds no row.")
    for magic, kind in _NOT_TEXT:
        if start.startswith(magic):
            raise UserError(
                f"{path} is {kind}, not text; save it as CSV (UTF-8) and give "
                "that file."
            )


# The encoding.


class _Fault(NamedTuple):
    offset: int
    line: int


def _find_encoding(path: pathlib.Path, given: str | None) -> tuple[str, str]:
    with open(path, "rb") as file:
        start = file.read(4096)
    mark = next((name for bom, name in _BOMS if start.startswith(bom)), None)
    if given is not None:
        encoding, how = _given_encoding(given, mark), "as given"
    elif mark is not None:
        encoding, how = mark, "from the byte order mark"
    else:
        encoding = _utf_16_without_mark(start) or "utf-8"
        how = f"the whole file is valid {encoding.upper()}"
    fault = _first_fault(path, encoding)
    if fault is None:
        return encoding, how
    if given is not None or mark is not None or _mostly_utf_8(path):
        raise _undecodable(path, encoding, fault)
    guess = _guess_encoding(path)
    if guess is None:
        raise _undecodable(path, encoding, fault)
    return guess, (
        f"not UTF-8 (byte {fault.offset}); guessed, so look at the first rows"
    )


def _given_encoding(given: str, mark: str | None) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=given)
    except LookupError:
        raise UserError(
            f"--encoding={given}: there is no such encoding; try utf-8, "
            f"utf-16, {', '.join(_ENCODINGS)}."
        ) from None
    name = codecs.lookup(given).name
    # A mark left in place would become part of the first column's name.
    return mark if mark and mark.startswith(name[:6]) else name


def _utf_16_without_mark(start: bytes) -> str | None:
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = start[first::2]
        if half.count(0) > 0.5 * len(half) and 0 not in start[1 - first :: 2]:
            return encoding
    return None


def _first_fault(path: pathlib.Path, encoding: str) -> _Fault | None:
    # utf-8-sig counts its offsets from behind the mark.
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    line = 1
    with open(path, "rb") as file:
        while True:
            block = file.read(_BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(encoding, "ignore")
                return _Fault(
                    offset - pending + error.start, line + good.count("\n")
                )
            if not block:
                return None
            offset += len(block)


def _undecodable(path: pathlib.Path, encoding: str, fault: _Fault) -> UserError:
    with open(path, "rb") as file:
        file.seek(fault.offset)
        found = file.read(4)
    return UserError(
        f"{path}, line {fault.line}: the bytes "
        f"{found.hex(' ')} at offset {fault.offset} are not "
        f"{encoding.removesuffix('-sig')} text; save the file as UTF-8, or "
        "name its encoding with --encoding (such as gb18030, big5, cp932, "
        "cp1252)."
    )


def _mostly_utf_8(path: pathlib.Path) -> bool:
    """Whether the characters beyond ASCII are UTF-8 more often than not.

    Such a file is damaged UTF-8 rather than something else: of text in
    another encoding only chance pairs decode (less than a third in Chinese,
    Japanese and Korean, hardly any in the one-byte encodings).
    """
    good = bad = 0
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        while text := file.read(_BLOCK):
            wrong = text.count("\ufffd")
            bad += wrong
            good += len(text) - len(text.encode("ascii", "ignore")) - wrong
    return good > bad


def _guess_encoding(path: pathlib.Path) -> str | None:
    """The likeliest encoding, or None if what is there looks like damage."""
    possible = [
        encoding
        for encoding in _ENCODINGS
        if _first_fault(path, encoding) is None
    ]
    telling = bytearray()
    with open(path, "rb") as file:
        while len(telling) < _BLOCK // 16 and (line := file.readline(_BLOCK)):
            if not line.isascii():
                telling += line
    if sum(byte > 127 for byte in telling) < _FEWEST_TELLING_BYTES:
        possible = ["cp1252"] if "cp1252" in possible else []
    guess = _likeliest(bytes(telling), possible)
    if guess in _LATIN:
        shares = {
            encoding: _share(telling.decode(encoding), _LATIN[encoding])
            for encoding in _LATIN
            if encoding in possible
        }
        guess = max(shares, key=lambda encoding: shares[encoding])
        return guess if shares[guess] > _LATIN_SHARE else None
    if guess is None or _stands_alone(telling.decode(guess)):
        return None
    return guess


def _likeliest(telling: bytes, possible: list[str]) -> str | None:
    if len(possible) < 2:
        return possible[0] if possible else None
    matches = charset_normalizer.from_bytes(telling, cp_isolation=possible)
    best = matches.best()
    if best is None:
        # Other encodings seldom form GB18030 pairs throughout by chance.
        return "gb18030" if "gb18030" in possible else None
    tied = {
        encoding
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for encoding in match.could_be_from_charset
    }
    return next(encoding for encoding in possible if encoding in tied)


def _share(text: str, letters: str) -> float:
    """How many of the characters beyond ASCII are among the letters."""
    beyond = [character for character in text if not character.isascii()]
    return sum(character in letters for character in beyond) / len(beyond)


def _stands_alone(text: str) -> bool:
    """Whether most characters beyond ASCII have no other beside them.

    So do stray bytes; the words of other scripts do not.
    """
    runs = re.findall(r"[^\x00-\x7f]+", text)
    return sum(map(len, runs)) < 2 * len(runs)


# The delimiter, the quoting and the header.


def _lines(path: pathlib.Path, encoding: str) -> Iterator[str]:
    with open(path, encoding=encoding, newline="") as file:
        for line in file:
            # The csv module refused NUL until Python 3.11.
            yield line.replace("\0", "")


def _head(path: pathlib.Path, encoding: str) -> list[str]:
    head = []
    room = _HEAD_CHARACTERS
    for line in itertools.islice(_lines(path, encoding), _HEAD_LINES):
        head.append(line)
        room -= len(line)
        if room < 0:
            break
    return head


def _reader(lines: Iterable[str], delimiter: str, quoting: str) -> Any:
    csv.field_size_limit(_LONGEST_CELL)
    return csv.reader(
        lines, delimiter=delimiter or _NO_DELIMITER, **QUOTINGS[quoting]
    )


def _is_blank(cells: Sequence[str]) -> bool:
    return not cells or (len(cells) == 1 and not cells[0].strip())


def _whole_rows(
    lines: Iterable[str], delimiter: str, quoting: str
) -> Iterator[list[str]]:
    """The rows up to the first that breaks off or breaks the rules."""
    try:
        for cells in _reader(lines, delimiter, quoting):
            if not _is_blank(cells):
                yield cells
    except csv.Error:
        return


class _Fit(NamedTuple):
    width: int
    clean_lines: int
    whole: bool


def _fit(lines: Iterable[str], delimiter: str, quoting: str) -> _Fit:
    """How far the lines can be read as rows of one width."""
    reader = _reader(lines, delimiter, quoting)
    width = clean = 0
    try:
        for cells in reader:
            if len(cells) != width and not _is_blank(cells):
                if width:
                    return _Fit(width, clean, False)
                width = len(cells)
            clean = reader.line_num
    except csv.Error:
        return _Fit(width, clean, False)
    return _Fit(width, clean, True)


def _find_delimiter(path: pathlib.Path, head: list[str]) -> tuple[str, str]:
    """The delimiter under which rows keep one width for most lines."""
    reach: dict[str, int] = {}
    for delimiter in DELIMITERS.values():
        fits = [_fit(head, delimiter, quoting) for quoting in QUOTINGS]
        reach[delimiter] = max(
            (fit.clean_lines for fit in fits if fit.width > 1), default=0
        )
    most = max(reach.values())
    best = [delimiter for delimiter in reach if reach[delimiter] == most]
    # Prose has commas too, but not the same number in every line. A file
    # called CSV is taken at its word, so that its odd row can be named.
    like_prose = 10 * most < 9 * len(head) and set(best) <= {",", ";"}
    tabular = path.suffix.lower() in (".csv", ".tsv")
    if not most or (like_prose and not tabular):
        return "", "no delimiter splits the lines evenly: one column"
    if len(best) == 1:
        return best[0], "it splits the lines evenly"
    if "\t" in best and path.suffix.lower() == ".tsv":
        return "\t", "the name ends in .tsv"
    return _cleverest(head, best), "the most plausible of several"


def _cleverest(head: list[str], delimiters: list[str]) -> str:
    # Imported here: it takes a fifth of a second and is seldom needed.
    import clevercsv

    text = "".join(head)[:_CLEVER_CHARACTERS]
    try:
        found = clevercsv.Sniffer().sniff(text, delimiters=delimiters)
    except clevercsv.Error:
        found = None
    if found is not None and found.delimiter in delimiters:
        return str(found.delimiter)
    return delimiters[0]


def _find_quoting(
    path: pathlib.Path, encoding: str, delimiter: str
) -> tuple[str, str]:
    """The first quoting that reads the whole file, or else gets furthest."""
    if not any('"' in line for line in _lines(path, encoding)):
        return "double", "there is no quote in the file"
    reach: dict[str, int] = {}
    for quoting in QUOTINGS:
        fit = _fit(_lines(path, encoding), delimiter, quoting)
        reach[quoting] = fit.clean_lines
        if fit.whole:
            break
    else:
        best = max(reach, key=lambda name: reach[name])
        return best, f"no quoting suits line {reach[best] + 1}"
    by_custom_literal = delimiter == "\t" or (
        not delimiter and path.suffix.lower() != ".csv"
    )
    if quoting != "none" and by_custom_literal:
        if not _fit(_lines(path, encoding), delimiter, "none").whole:
            return quoting, "a quoted cell holds a delimiter or line break"
        if not _written_with_quotes(_lines(path, encoding), delimiter):
            return "none", "quotes are part of the text"
    return quoting, "it suits every row"


def _written_with_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Whether quotes that could be text look like a CSV writer's.

    A writer quotes every row, or only where it has to: cells that hold a
    quote, which it doubles, or a delimiter.
    """
    count = quoted = 0
    for cells in _reader(lines, delimiter, "none"):
        opened = [cell for cell in cells if cell.startswith('"')]
        if any(
            len(cell) == 1 or cell[-1] != '"' or '""' in cell[1:-1]
            for cell in opened
        ):
            return True
        count += 1
        quoted += bool(opened)
    return quoted == count


def _find_header(table: list[list[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns below it."""
    first = [cell.strip() for cell in table[0]]
    below = list(zip(*table[1:], strict=False))
    if any(is_number(cell) for cell in first):
        return False, "the first row holds a number"
    if len(set(first)) < len(first):
        return False, "cells of the first row are alike"
    for cell, values in zip(first, below, strict=False):
        if cell and any(value.strip() == cell for value in values):
            return False, f"{_short(cell)} comes again in its column"
    known = examples.known_names()
    for cell in first:
        if examples.plain_name(cell) in known:
            return True, f"{cell!r} is a common name"
    for cell, values in zip(first, below, strict=False):
        if not cell:
            continue
        if all(map(is_number, values)):
            return True, f"numbers follow {_short(cell)}"
        if 4 * len(set(values)) <= len(values) and max(map(len, first)) < 30:
            return True, f"{_short(cell)} is none of the values that follow"
        lengths = list(map(len, values))
        much = 5 * len(lengths) * len(cell)
        if min(lengths) > len(cell) and sum(lengths) > much:
            return True, f"{_short(cell)} is followed by much longer texts"
    return False, "the first row is like the others"


def is_number(cell: str) -> bool:
    """Whether a cell is written as a finite decimal number."""
    cell = cell.strip()
    # float() also takes nan, infinity and 1_000.
    if not cell or not set(cell) <= set("0123456789+-.eE"):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


# The rows.


def _short(text: str, length: int = 60) -> str:
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def _delimited_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    width = len(dialect.columns)
    skip = dialect.header
    line = 1
    reader = _reader(
        _lines(path, dialect.encoding), dialect.delimiter, dialect.quoting
    )
    try:
        for cells in reader:
            if _is_blank(cells):
                pass
            elif skip:
                skip = False
            elif len(cells) != width:
                raise _wrong_width(path, dialect, line, len(cells))
            else:
                yield Row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise _broken_quote(path, dialect, line, error) from None


def _start_of_line(path: pathlib.Path, dialect: Dialect, line: int) -> str:
    lines = itertools.islice(_lines(path, dialect.encoding), line - 1, line)
    return _short(next(lines).rstrip())


def _wrong_width(
    path: pathlib.Path, dialect: Dialect, line: int, found: int
) -> UserError:
    width = len(dialect.columns)
    return UserError(
        f"{path}, line {line}: {found} cells where {width} are expected "
        f"({', '.join(dialect.columns)}); the row starts "
        f"{_start_of_line(path, dialect, line)}. Put quotes around a cell "
        "that holds the delimiter, or set --delimiter (taken: "
        f"{delimiter_name(dialect.delimiter)}) or --quoting (taken: "
        f"{dialect.quoting})."
    )


def _broken_quote(
    path: pathlib.Path, dialect: Dialect, line: int, error: csv.Error
) -> UserError:
    if "expected after" in str(error):
        what = "a closing quote is followed by more text"
    else:
        what = "a quote is opened and never closed"
    return UserError(
        f"{path}, line {line}: {what}; the row starts "
        f"{_start_of_line(path, dialect, line)}. Write a quote inside quotes "
        "twice, or say --quoting=none if quotes are part of the text (taken: "
        f"{dialect.quoting})."
    )


# JSON lines.


def _json_dialect(
    path: pathlib.Path, encoding: str, decided: list[Decision]
) -> Dialect:
    records = itertools.islice(_json_records(path, encoding), _HEAD_LINES)
    names: dict[str, None] = {}
    for _, record in records:
        names.update(dict.fromkeys(record))
    if not names:
        raise UserError(f"{path} is empty: it holds no record.")
    decided.append(
        Decision("form", "JSON lines", f"the name ends in {path.suffix}")
    )
    return Dialect(
        delimiter="",
        quoting="none",
        encoding=encoding,
        header=True,
        columns=tuple(names),
        form="json",
        decisions=tuple(decided),
    )


def _json_records(
    path: pathlib.Path, encoding: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}, line {number}, column {error.colno}: {error.msg}; "
                f"each line must be one JSON object, this one starts "
                f"{_short(line.rstrip())}."
            ) from None
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, line {number}: each line must be one JSON object "
                f"({{…}}), this one starts {_short(line.rstrip())}."
            )
        yield number, record


def _json_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    for line, record in _json_records(path, dialect.encoding):
        cells = [_json_cell(record.get(name)) for name in dialect.columns]
        yield Row(line, cells)


def _json_cell(value: Any) -> str:
    """A JSON value as a cell: absent and null are empty, 3 is `3`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
