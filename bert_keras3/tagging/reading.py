"""What stands in a tagged file → tokens and the entities among them.

tokens with tags  ─▶ TagReading, by the scheme of the tags  ─┐
                                                             ├─▶ TaggedExample
text with spans   ─▶ TextReading, by the tokens of the text ─┘
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from bert_keras3.inputs.encodings import excerpt
from bert_keras3.inputs.tagged_text import TaggedText
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.examples import TaggedExample
from bert_keras3.tagging.schemes import Entity, Scheme, Tag, entities_of
from bert_keras3.tagging.words import (
    CHARACTERS,
    WORDS,
    tokens_covered,
    words_of,
)

_LINES_KEPT = 10
# With a greater share of spans that begin or end within a word, as in scripts
# without spaces, each character is a token.
_MOST_CUT = 0.05


@dataclasses.dataclass
class Cases:
    """How often something was met, and the first lines of it."""

    number: int = 0
    lines: list[int] = dataclasses.field(default_factory=list)

    def add(self, line: int) -> None:
        """Counts one."""
        self.number += 1
        if len(self.lines) < _LINES_KEPT:
            self.lines.append(line)

    def places(self) -> str:
        """Returns "lines 3, 7 …"."""
        more = " …" if self.number > len(self.lines) else ""
        listed = ", ".join(map(str, self.lines))
        return f"line{'s' * (self.number > 1)} {listed}{more}"


class TagReading:
    """The entities that the tags of a file mean."""

    def __init__(self, path: pathlib.Path, scheme: Scheme, refuse: bool):
        """Makes one.

        Args:
            path: the file, for messages.
            scheme: of its tags.
            refuse: whether broken tags are an error.
        """
        self._path, self._scheme, self._refuse = path, scheme, refuse
        self._parsed: dict[str, Tag] = {}
        self._types: dict[str, int] = {}
        # {(tag, tag behind it): whether that breaks the scheme}.
        self._pairs: dict[tuple[Tag | None, Tag | None], bool] = {}
        self.broken = Cases()

    def entities(self, text: TaggedText) -> tuple[Entity, ...]:
        """Returns the entities of a sentence, by tokens.

        Raises:
            UserError: a tag is none, or breaks the scheme and none may.
        """
        tags = text.tags or ()
        if tags.count("O") == len(tags):
            return ()
        parsed = [
            self._parsed.get(tag) or self._parse(text, number)
            for number, tag in enumerate(tags)
        ]
        self._check(text, parsed)
        roles = np.array([one.role for one in parsed])
        types = np.array([self._number(one.type) for one in parsed])
        names = list(self._types)
        found = entities_of(roles, types, np.array([0, len(tags)]))
        return tuple(Entity(a, b, names[t]) for a, b, t in found.tolist())

    def notes(self) -> list[str]:
        """Returns what was met, a line each."""
        if not self.broken.number:
            return []
        note = (
            f"note: tags that break the scheme {self._scheme.name}: "
            f"{self.broken.number} ({self.broken.places()}); they are read as "
            "evaluations usually do, and --broken_tags=refuse stops there"
        )
        return [note]

    def _number(self, kind: str) -> int:
        return self._types.setdefault(kind, len(self._types))

    def _parse(self, text: TaggedText, number: int) -> Tag:
        tag = (text.tags or ())[number]
        found = self._scheme.parse(tag)
        if found is None:
            separator, letters = self._scheme.separator, self._scheme.letters
            raise UserError(
                f"{self._path}, line {text.lines[number]}: the tag "
                f"{excerpt(tag)} is neither O nor a type behind one of "
                f"{', '.join(dict.fromkeys(letters))} and {separator!r}, as "
                f"the others are ({self._scheme.name}). Correct it, or name "
                "the column of the tags with --tag_column."
            )
        self._parsed[tag] = found
        return found

    def _check(self, text: TaggedText, parsed: Sequence[Tag]) -> None:
        """Counts the places that break the scheme."""
        for number, pair in enumerate(
            itertools.pairwise((None, *parsed, None))
        ):
            is_broken = self._pairs.get(pair)
            if is_broken is None:
                is_broken = self._scheme.is_broken(*pair)
                self._pairs[pair] = is_broken
            if not is_broken:
                continue
            before, tag = pair
            line = text.lines[min(number, len(parsed) - 1)]
            if self._refuse:
                tags = text.tags or ()
                here = tags[number] if tag else "the end of the sentence"
                behind = tags[number - 1] if before else "its beginning"
                raise UserError(
                    f"{self._path}, line {line}: {here} behind {behind} "
                    f"breaks the scheme {self._scheme.name}. Correct the "
                    "tags, or give --broken_tags=repair to read them as "
                    "evaluations usually do."
                )
            self.broken.add(line)


class TextReading:
    """The tokens of texts, and which of them their spans cover."""

    def __init__(self, split: str) -> None:
        """Makes one; `split` says how, see `words.words_of`."""
        self._split = split
        self.overlapping = Cases()
        self.cut = Cases()
        self.without = Cases()

    def example(self, text: TaggedText, path: str) -> TaggedExample:
        """Returns a text as tokens and entities.

        Of spans that share a token, the longer one counts, of equal ones the
        first. A span that begins or ends within a token has all of it.
        """
        raw = text.text or ""
        words = words_of(raw, self._split)
        entities: list[Entity] | None = None
        if text.spans is not None:
            entities = []
            taken = np.zeros(len(words), bool)
            for start, end, kind in sorted(
                text.spans, key=lambda span: span.start - span.end
            ):
                first, behind, is_whole = tokens_covered(words, start, end)
                if first == behind:
                    self.without.add(text.line)
                elif taken[first:behind].any():
                    self.overlapping.add(text.line)
                else:
                    taken[first:behind] = True
                    entities.append(Entity(first, behind, kind))
                    if not is_whole:
                        self.cut.add(text.line)
            entities.sort()
        return TaggedExample(
            text.guid,
            path,
            text.line,
            tuple(raw[a:b] for a, b in words.tolist()),
            None if entities is None else tuple(entities),
        )

    def notes(self) -> list[str]:
        """Returns what was met, a line each."""
        said = (
            (self.overlapping, "lost, since a longer one has their token"),
            (self.cut, "widened to whole words"),
            (self.without, "left out, since they are white space alone"),
        )
        return [
            f"note: spans {what}: {cases.number} ({cases.places()})"
            for cases, what in said
            if cases.number
        ]


def suggested_split(texts: Iterable[TaggedText]) -> tuple[str, str]:
    """Returns how texts are best split into tokens, and why.

    Args:
        texts: with spans.
    """
    reading = TextReading(WORDS)
    number = 0
    for text in texts:
        number += len(text.spans or ())
        reading.example(text, "")
    share = reading.cut.number / max(1, number)
    if share > _MOST_CUT:
        return CHARACTERS, f"{share:.0%} of spans begin or end within a word"
    return WORDS, "spans begin and end with words"
