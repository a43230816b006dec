"""Texts with tags or marked spans, whatever file they come from.

A file of tokens gives tokens and their tags as they stand there; a file of
texts gives the text and its spans. Which entities tags mean, and which tokens
a span covers, is found in `tagging/`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from bert_keras3.inputs.delimited import Decision
from bert_keras3.inputs.encodings import excerpt
from bert_keras3.inputs.settings import encoding_flag
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.safekeeping.settings import flag


class Span(NamedTuple):
    """Some characters of a text, with a type."""

    start: int
    """The number of the first character, from 0."""
    end: int
    """The number of the one behind the last."""
    type: str


def checked_span(
    where: str,
    text: str,
    start: int,
    end: int,
    kind: str,
    surface: str | None = None,
) -> Span:
    """Returns a span that is in its text.

    Args:
        where: file and line, for messages.
        text: of the record.
        start: number of its first character.
        end: the one behind its last.
        kind: its type.
        surface: its own text, if the file says it.

    Raises:
        UserError: it is empty or reaches out of the text, or another text
            stands there.
    """
    if not 0 <= start < end <= len(text):
        raise UserError(
            f"{where}: the span from {start} to before {end} ({kind}) is not "
            f"within its text, which has {len(text)} characters. Correct it; "
            "or say with --span_end whether ends are exclusive or inclusive."
        )
    if surface is not None and surface.strip() != text[start:end].strip():
        raise UserError(
            f"{where}: the file says that {excerpt(surface)} ({kind}) stands "
            f"from {start} to before {end}, and there stands "
            f"{excerpt(text[start:end])}. Correct the span, or its text."
        )
    return Span(start, end, kind)


class Found(NamedTuple):
    """An entity that was predicted, with its score from 0 to 1."""

    start: int
    """The number of its first token or, in a text, character."""
    end: int
    """The number of what follows its last."""
    type: str
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedText:
    """A sentence or text as it stands in a file.

    Attributes:
        guid: its id, or its number in the file, counted from 1.
        line: the line where it begins, counted from 1.
        tokens: of a file of tokens; else none.
        tags: one for each token; None in a file without tags.
        lines: the line of each token.
        text: of a file of texts; else None.
        spans: in the text, in the order of the file; None in a file without.
    """

    guid: str
    line: int
    tokens: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None
    lines: Sequence[int] = ()
    text: str | None = None
    spans: tuple[Span, ...] | None = None


class TaggedFile(Protocol):
    """A file of one of the forms; each iteration streams it anew."""

    @property
    def path(self) -> pathlib.Path:
        """The file."""

    @property
    def has_labels(self) -> bool:
        """Whether there are tags or spans."""

    @property
    def is_text(self) -> bool:
        """Whether it has texts with spans, and not tokens with tags."""

    @property
    def layout(self) -> Mapping[str, Any]:
        """What is needed to read other files in the same way; JSON values."""

    @property
    def decisions(self) -> Sequence[Decision]:
        """What was detected about it."""

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts.

        Raises:
            UserError: a line or record is wrong.
        """

    @property
    def heading(self) -> str:
        """What stands above the texts, such as the names of columns, or ""."""

    def raw_texts(self) -> Iterator[str]:
        """Yields each text as it stands in the file, ends of lines included."""

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes the file again, with what was found in each text.

        Args:
            found: for each text, in order: of a file of tokens the tag of
                each token, of one of texts the entities.
            folder: gets the file, named for its form.

        Returns:
            The path of the file.
        """


def write_tagged_rows(
    files: Sequence[TaggedFile],
    chosen: np.ndarray,
    path: str | os.PathLike[str],
) -> None:
    """Writes some texts of files, as they stand there, to another.

    Args:
        files: with the same heading.
        chosen: numbers of texts, from 0, ascending, counted through all files.
        path: the new file, UTF-8.
    """
    wanted = set(chosen.tolist())
    texts = itertools.chain.from_iterable(file.raw_texts() for file in files)
    with atomic_write(path, newline="") as file:
        file.write(files[0].heading)
        file.writelines(
            text for number, text in enumerate(texts) if number in wanted
        )


PREDICTIONS = "predictions"
"""Name of the file of `write_found`, without its ending."""
ENDINGS = (".conll", ".jsonl", ".csv")


@dataclasses.dataclass(frozen=True)
class TaggedChoices:
    """What a user can say about a tagged file; None: it is detected."""

    token_column: int | None = flag(
        None,
        "Number of the column with the tokens, counted from 1. By default it "
        "is detected.",
        group="Columns and labels",
        least=1,
    )
    tag_column: int | None = flag(
        None,
        "Number of the column with the tags, counted from 1. By default it is "
        "detected; of two columns with the same types of entities, the first "
        "is taken.",
        group="Columns and labels",
        least=1,
    )
    delimiter: str | None = flag(
        None,
        "Delimiter between the columns: one character, or one of the words "
        "tab, comma, semicolon, pipe and blanks (any number of spaces and "
        "tabs). By default it is detected.",
        group="Columns and labels",
        placeholder="CHARACTER",
    )
    encoding: str | None = encoding_flag("Columns and labels")
    span_end: str | None = flag(
        None,
        "Which character the end of a span in JSON or CSV counts. exclusive: "
        "the one behind the entity's last; inclusive: its last. By default it "
        "is detected from the texts.",
        group="Columns and labels",
        choices=("exclusive", "inclusive"),
    )
