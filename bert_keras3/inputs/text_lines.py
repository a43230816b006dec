"""Files to predict with a text a line, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs.delimited import Decision
from bert_keras3.inputs.encodings import decoded_lines
from bert_keras3.inputs.tagged_text import (
    ENDINGS,
    PREDICTIONS,
    Found,
    TaggedText,
)
from bert_keras3.safekeeping.files import atomic_write

FORM = "lines"


@dataclasses.dataclass(frozen=True)
class TextLines:
    """A file with a text a line, a `tagged_text.TaggedFile`.

    Blank lines are no texts.

    Attributes:
        path: the file.
        encoding: a Python codec.
    """

    path: pathlib.Path
    encoding: str

    has_labels = False
    is_text = True
    layout: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"form": FORM}
    )
    decisions: tuple[Decision, ...] = (
        Decision("form", "a text a line", "its lines"),
    )

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts; the id is the number of the line, from 1."""
        lines = decoded_lines(self.path, self.encoding)
        for number, line in enumerate(lines, 1):
            text = line.strip("\ufeff\r\n")
            if text.strip():
                yield TaggedText(str(number), number, text=text)

    heading = ""

    def raw_texts(self) -> Iterator[str]:
        """Writes nothing: such files are only predicted.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{self.path} has no labels to hold out")

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes JSON lines: each text with its entities."""
        path = folder / f"{PREDICTIONS}{ENDINGS[1]}"
        with atomic_write(path) as file:
            for text, entities in zip(self, found, strict=True):
                assert text.text is not None
                record = {
                    "text": text.text,
                    "entities": [
                        {
                            "start": one.start,
                            "end": one.end,
                            "label": one.type,
                            "text": text.text[one.start : one.end],
                            "score": round(one.score, 6),
                        }
                        for one in entities
                        if isinstance(one, Found)
                    ],
                }
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        return path
