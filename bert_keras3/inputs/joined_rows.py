"""Files with a row for each text, whose tokens and tags are joined.

    text_a<tab>label
    Smith sang<tab>B-PER O

They are joined by a space, the character U+0002 or another separator.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs import delimited
from bert_keras3.inputs.column_layout import is_tag
from bert_keras3.inputs.delimited import (
    Decision,
    Dialect,
    csv_line,
)
from bert_keras3.inputs.tagged_text import (
    ENDINGS,
    PREDICTIONS,
    Found,
    TaggedText,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

FORM = "joined"

SEPARATORS = ("\x02", " ", "|", "\x01", "\x03")
"""What tokens and tags of a cell may be joined by."""
_LOOKED_AT = 200
# Shares of rows with as many tags as tokens. If no two columns have the first,
# those with the second are taken, and the other rows are mistakes.
_MOST, _HALF = 0.98, 0.5


@dataclasses.dataclass(frozen=True)
class JoinedRows:
    """A file whose cells are joined tokens and tags.

    Attributes:
        path: the file.
        dialect: how its bytes become rows.
        tokens: the column of tokens, from 0.
        tags: that of tags; None: there is none, or it is not read.
        separator: between tokens, and between tags.
        decisions: what was detected.
    """

    path: pathlib.Path
    dialect: Dialect
    tokens: int
    tags: int | None
    separator: str
    decisions: tuple[Decision, ...] = ()

    is_text = False

    @classmethod
    def find(
        cls,
        path: pathlib.Path,
        dialect: Dialect,
        like: Mapping[str, Any] | None = None,
        *,
        want_tags: bool = True,
    ) -> JoinedRows | None:
        """Opens a file if it is of this form; else returns None.

        Args:
            path: the file.
            dialect: of the file.
            like: `layout` of the training file.
            want_tags: False for a file to predict.
        """
        rows = [
            row.cells
            for row in itertools.islice(
                delimited.rows(path, dialect), _LOOKED_AT
            )
        ]
        width = len(dialect.columns)
        trained = like if like and like.get("form") == FORM else None
        for share, tags, tokens, separator in itertools.product(
            (_MOST, _HALF), range(width), range(width), SEPARATORS
        ):
            if tags == tokens or not _are_joined(
                rows, tokens, tags, separator, share
            ):
                continue
            decisions = (
                Decision("form", "a row for each text", "joined tags"),
                *dialect.decisions,
                Decision("tokens", dialect.columns[tokens], "as many as tags"),
                Decision("tags", dialect.columns[tags], "O, or such as B-PER"),
                Decision("joined by", repr(separator), "the tags"),
            )
            column = tags if want_tags else None
            return cls(path, dialect, tokens, column, separator, decisions)
        if trained is None or want_tags:
            return None
        tokens = trained["tokens"] if width > trained["tokens"] else 0
        return cls(path, dialect, tokens, None, trained["separator"])

    @property
    def has_labels(self) -> bool:
        """Whether tags are read."""
        return self.tags is not None

    @property
    def layout(self) -> Mapping[str, Any]:
        """The columns, as JSON values."""
        return {
            "form": FORM,
            "tokens": self.tokens,
            "separator": self.separator,
        }

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts.

        Raises:
            UserError: a row has another number of tags than tokens.
        """
        rows = delimited.rows(self.path, self.dialect)
        for number, row in enumerate(rows, 1):
            cell = row.cells[self.tokens]
            tokens = tuple(cell.split(self.separator)) if cell else ()
            tags = None
            if self.tags is not None:
                cell = row.cells[self.tags]
                tags = tuple(cell.split(self.separator)) if cell else ()
                if len(tags) != len(tokens):
                    raise UserError(
                        f"{self.path}, line {row.line}: {len(tokens)} tokens "
                        f"and {len(tags)} tags, joined by "
                        f"{self.separator!r}; each token needs one tag"
                    )
            lines = [row.line] * len(tokens)
            yield TaggedText(str(number), row.line, tokens, tags, lines)

    @property
    def heading(self) -> str:
        """The names of the columns, if there are any; see `TaggedFile`."""
        return csv_line(self.dialect.columns) if self.dialect.header else ""

    def raw_texts(self) -> Iterator[str]:
        """Yields the rows; see `TaggedFile`."""
        for row in delimited.rows(self.path, self.dialect):
            yield csv_line(row.cells)

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes every row again, with a column `predicted` of joined tags."""
        path = folder / f"{PREDICTIONS}{ENDINGS[2]}"
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            if self.dialect.header:
                writer.writerow([*self.dialect.columns, "predicted"])
            rows = delimited.rows(self.path, self.dialect)
            for row, tags in zip(rows, found, strict=True):
                joined = self.separator.join(map(str, tags))
                writer.writerow([*row.cells, joined])
        return path


def _are_joined(
    rows: Sequence[Sequence[str]],
    tokens: int,
    tags: int,
    separator: str,
    share: float,
) -> bool:
    """Whether a column has a tag for each token of another in most rows."""
    cut = [
        (row[tokens].split(separator), row[tags].split(separator))
        for row in rows
    ]
    # One tag a row would be a label for each text.
    if not any(len(two) > 1 for _, two in cut):
        return False
    fits = sum(
        len(one) == len(two) and all(map(is_tag, two)) for one, two in cut
    )
    return fits >= share * len(rows)
