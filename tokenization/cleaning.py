r"""What may be done to texts before they are tokenized.

    html     <p>Fine &amp; good</p>     →  Fine & good
    urls     see https://a.bc/d?e=1     →  see URL
    digits   1,250 of 9                 →  0,000 of 0
    repeats  what???!!                  →  what?!

A rule is a list of regular expressions that Python's `re` and the RE2 of
TensorFlow's graphs read alike: ASCII letters in both cases instead of a flag,
classes of characters instead of \d and \s, no reference to what was found.
The original does nothing of this.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping

from tokenization import characters
from tokenization.tokenizers import Tokenizer


def _either_case(word: str) -> str:
    return "".join(f"[{char.upper()}{char.lower()}]" for char in word)


_SPACE = "[ \\t\\r\\n]"
_TAG_REST = f"(?:{_SPACE}[^<>]*)?"
_SCRIPT, _STYLE = _either_case("script"), _either_case("style")
# What tags and comments stand for; a line break ends a word as well.
_HTML = (
    (f"<{_SCRIPT}{_TAG_REST}>(?:.|\\n)*?</{_SCRIPT}{_SPACE}*>", " "),
    (f"<{_STYLE}{_TAG_REST}>(?:.|\\n)*?</{_STYLE}{_SPACE}*>", " "),
    ("<!--(?:.|\\n)*?-->", " "),
    ("<![A-Za-z][^<>]*>", " "),
    ("</?[A-Za-z][^<>]*>", " "),
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&(?:apos|#0*39|#[xX]0*27);", "'"),
    ("&mdash;", "—"),
    ("&ndash;", "–"),
    ("&hellip;", "…"),
    ("&[lr]dquo;", '"'),
    ("&[lr]squo;", "'"),
    # The last, for what it leaves is not read again.
    ("&amp;", "&"),
)
# Up to a space, a quote or a character beyond ASCII: in Chinese, the text goes
# on behind an address without a space.
_REST = "[!#-&(-;=?-~]+"
_URLS = (
    (f"(?:{_either_case('http')}[Ss]?|{_either_case('ftp')})://{_REST}", "URL"),
    (f"{_either_case('www')}[.]{_REST}", "URL"),
    ("[0-9A-Za-z._%+-]+@[0-9A-Za-z.-]+[.][A-Za-z]+", "EMAIL"),
)
_DIGITS = (("[0-9０-９]", "0"),)
_MARKS = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~！？。，、；：～…—·￥“”‘’（）《》【】"
)
_REPEATS = tuple(
    (f"{re.escape(mark)}{{2,}}", mark.replace("\\", "\\\\")) for mark in _MARKS
)

RULES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "html": _HTML,
    "urls": _URLS,
    "digits": _DIGITS,
    "repeats": _REPEATS,
}
"""{rule: (expression, what replaces it)}; they are applied in this order."""


def expressions(rules: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Returns the expressions of some rules, in the order of `RULES`.

    Raises:
        ValueError: there is no such rule.
    """
    for name in rules:
        if name not in RULES:
            raise ValueError(
                f"{name!r} is no rule; there are {', '.join(RULES)}"
            )
    return tuple(
        pair for name, pairs in RULES.items() if name in rules for pair in pairs
    )


@functools.lru_cache(maxsize=16)
def _compiled(
    rules: tuple[str, ...],
) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(expression), replacement)
        for expression, replacement in expressions(rules)
    )


def clean(text: str | bytes, rules: tuple[str, ...]) -> str:
    """Returns a text after some rules; bytes that are not UTF-8 are dropped."""
    text = characters.convert_to_unicode(text)
    for pattern, replacement in _compiled(rules):
        text = pattern.sub(replacement, text)
    return text


def with_cleaning(plain: Tokenizer, rules: Collection[str]) -> Tokenizer:
    """Returns a tokenizer that cleans texts first; with no rule, the same."""
    return CleaningTokenizer(plain, rules) if rules else plain


class CleaningTokenizer:
    """A tokenizer of cleaned texts; see `tokenizers.Tokenizer`.

    Attributes:
        rules: some of `RULES`.
    """

    def __init__(self, plain: Tokenizer, rules: Iterable[str]) -> None:
        """Takes the tokenizer of what is left.

        Raises:
            ValueError: there is no such rule.
        """
        self.rules = tuple(rules)
        expressions(self.rules)
        self._plain = plain
        self.vocab = plain.vocab
        self.inv_vocab = plain.inv_vocab
        self.special_tokens = plain.special_tokens

    @property
    def do_lower_case(self) -> bool:
        """Whether case is folded."""
        return self._plain.do_lower_case

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the tokens of a text."""
        return self._plain.tokenize(clean(text, self.rules))

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of a text's tokens."""
        return self._plain.encode(clean(text, self.rules))

    def unknown_parts(self, text: str | bytes) -> list[str]:
        """Returns what of a text the vocabulary lacks."""
        return self._plain.unknown_parts(clean(text, self.rules))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks tokens up."""
        return self._plain.convert_tokens_to_ids(tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up."""
        return self._plain.convert_ids_to_tokens(ids)
