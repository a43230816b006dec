"""A sentence or text as its tokens and the entities among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bert_keras3.tagging.schemes import Entity


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedExample:
    """One text.

    Attributes:
        guid: its id, or its number in the file, counted from 1.
        path: the file, for messages.
        line: the line where it begins, counted from 1.
        tokens: what has a tag each.
        entities: by tokens, in order, none sharing a token with another;
            None in a file to predict.
        lines: the line of each token; empty: all are in `line`.
    """

    guid: str
    path: str
    line: int
    tokens: tuple[str, ...]
    entities: tuple[Entity, ...] | None = None
    lines: Sequence[int] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, for the survey of texts that are repeated or empty."""
        return (" ".join(self.tokens),)

    @property
    def label(self) -> str | None:
        """The entities as one label: equal texts should have equal ones."""
        if self.entities is None:
            return None
        return " ".join(f"{a}-{b}-{kind}" for a, b, kind in self.entities)

    def line_of(self, token: int) -> int:
        """Returns the line of a token, for messages."""
        return self.lines[token] if self.lines else self.line

    def text_of(self, entity: Entity) -> str:
        """Returns an entity's tokens, with spaces where scripts have them."""
        words = self.tokens[entity.first : entity.behind]
        is_spaced = any(len(word) > 1 and word.isascii() for word in words)
        return (" " if is_spaced else "").join(words)
