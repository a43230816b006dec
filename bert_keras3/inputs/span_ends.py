"""Whether the ends of spans are inclusive, told from the texts.

Of "Smith sang", the span [0, 5] is "Smith" if the end is exclusive; if it is
inclusive, "Smith " ends with a space, so it is not. [0, 4] is "Smit", which
would end within a word, or, with an inclusive end, "Smith".
"""

from __future__ import annotations

import dataclasses

from tokenization import characters


@dataclasses.dataclass
class EndVotes:
    """What speaks for exclusive and for inclusive ends, counted.

    Attributes:
        of_texts: spans whose own text, given beside them, ends like that.
        of_bounds: spans that cannot be of the other kind: empty ones are
            inclusive, those that end with the text exclusive.
        of_words: spans that end where a word does, and with the other kind
            of end would not. Each is [exclusive, inclusive].
    """

    of_texts: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    of_bounds: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    of_words: list[int] = dataclasses.field(default_factory=lambda: [0, 0])

    def add(self, text: str, start: int, end: int, surface: str | None) -> None:
        """Counts a span.

        Args:
            text: that it is in.
            start: number of its first character.
            end: as the file says.
            surface: the span's own text, if the file says it.
        """
        if surface is not None:
            self.of_texts[0] += text[start:end] == surface
            self.of_texts[1] += text[start : end + 1] == surface
        self.of_bounds[0] += end == len(text)
        self.of_bounds[1] += start == end
        if 0 <= start < end < len(text):
            exclusive = _ends_word(text, end)
            inclusive = _ends_word(text, end + 1)
            self.of_words[0] += exclusive and not inclusive
            self.of_words[1] += inclusive and not exclusive

    def decide(self, trained: bool | None = None) -> tuple[bool, str]:
        """Returns whether ends are inclusive, and why in words.

        Args:
            trained: whether they are in the training file, which counts more
                than what the ends of words say.
        """
        witnesses = [
            (self.of_texts, "the spans' own texts"),
            (self.of_bounds, "the first and the last character of texts"),
            (self.of_words, "the ends of words"),
        ]
        if trained is not None:
            del witnesses[2]
        for (exclusive, inclusive), why in witnesses:
            if exclusive != inclusive:
                both = sorted((exclusive, inclusive))
                how = f"{why}: {both[1]} for it, {both[0]} against"
                return inclusive > exclusive, how
        if trained is not None:
            return trained, "as in the training file"
        return False, "usual; nothing in the texts tells"


def _ends_word(text: str, end: int) -> bool:
    """Whether what ends there ends a word, and not with a space."""
    last = text[end - 1]
    if last.isspace():
        return False
    if end == len(text):
        return True
    return not (_is_letter(last) and _is_letter(text[end]))


def _is_letter(char: str) -> bool:
    return char.isalnum() and not characters.is_ideograph(char)
