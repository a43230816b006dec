"""The first half of the tokenizer: text to words and punctuation marks.

Cuts at whitespace, around ideographs and around punctuation, and folds case
and accents if asked to; cutting words into pieces is left to
`tokenization.wordpiece`.
"""

from __future__ import annotations

import unicodedata

from tokenization import characters


def _clean(char: str) -> str:
    """Drops what cannot be seen, makes spaces plain, sets ideographs apart."""
    if char in "\0\ufffd" or characters.is_control(char):
        return ""
    if characters.is_whitespace(char):
        return " "
    return f" {char} " if characters.is_ideograph(char) else char


def _set_punctuation_apart(char: str) -> str:
    return f" {char} " if characters.is_punctuation(char) else char


def _drop_accent(char: str) -> str:
    return "" if characters.is_accent(char) else _set_punctuation_apart(char)


class BasicTokenizer:
    """Splits text into words and punctuation marks.

    Args:
        do_lower_case: fold case and drop accents. Without it characters are
            left as they are: no Unicode normalisation of any kind.
    """

    def __init__(self, do_lower_case: bool = True) -> None:
        self.do_lower_case = do_lower_case
        self._cleaned = characters.Replacements(_clean)
        self._cut = characters.Replacements(
            _drop_accent if do_lower_case else _set_punctuation_apart
        )

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the words and punctuation marks of `text`, in order.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        return characters.whitespace_tokenize(self.normalize(text))

    def normalize(self, text: str | bytes) -> str:
        """Returns `text` rewritten so that whitespace alone separates tokens.

        The original folds case word by word. Doing it for the whole text at
        once is the same: the two steps that look at neighbours, the final
        sigma in `lower` and the reordering of accents in NFD, do not look
        past a space.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        text = self.clean(text)
        if self.do_lower_case:
            text = unicodedata.normalize("NFD", text.lower())
        return text.translate(self._cut)

    def clean(self, text: str | bytes) -> str:
        """Returns `text` without control characters, ideographs set apart."""
        return characters.convert_to_unicode(text).translate(self._cleaned)
