r"""Finds added tokens inside a TensorFlow graph, as `AddedTokens` does.

Each token is replaced by a character for private use, which the rest of the
graph takes for a word of the vocabulary:

    "The [E1] sat"  →  "The \U000f8000 sat"

Tokens that are `normalized` are searched for in the folded text, so that there
the table of characters is applied in two steps: folding, then cutting.
"""

from __future__ import annotations

import functools
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)

import numpy as np
import tensorflow as tf
import tensorflow_text

from bert_keras3.safekeeping.errors import UserError
from tokenization import characters
from tokenization.added_tokens import (
    AddedToken,
    Search,
    as_written,
    folded,
    is_word_char,
)
from tokenization.character_table import UNKNOWN_CHAR, folding_table
from tokenization.context_rules import boundaries
from tokenization.tokenizers import BasicTokenizer

# Private use, up to the separator of the character table.
_FIRST, _BEHIND = 0xF8000, 0xFFFFE


class AddedTokensInGraph:
    """The added tokens of a vocabulary, as characters for private use.

    Args:
        tokens: those that texts are searched for, one at least.
        alphabet: characters of the vocabulary.
        do_lower_case: as for `BasicTokenizer`.

    Attributes:
        ids: of the tokens that are found, in the order of `stand_ins`.
        stand_ins: the character for each of them.
        further: what the character table makes of characters that are no
            text, for `character_table`.
        folding: the table for folding, `strings` and `string_of`, where there
            are tokens that are searched for in folded texts; else None.
        alphabet: the characters that such tokens consist of.
    """

    def __init__(
        self,
        tokens: Sequence[AddedToken],
        alphabet: Collection[str],
        do_lower_case: bool,
    ) -> None:
        by_folding = folded(tokens, BasicTokenizer(do_lower_case).fold)
        by_writing = as_written(tokens)
        self.alphabet = frozenset("".join(by_folding))
        found = [*by_writing.values(), *by_folding.values()]
        free = _free_characters(len(found) + 5, alphabet)
        self.stand_ins = free[: len(found)]
        self.ids = [token.id for token in found]
        # What the text itself has of these characters becomes unknown.
        self._taken = f"[{free[0]}-{free[-1]}]"
        self._unknown, kinds = free[len(found)], free[len(found) + 1 :]
        self.further = {
            char: f" {char} " for char in self.stand_ins
        } | _unknown_kinds(kinds)
        stand_in_of = dict(zip(self.ids, self.stand_ins, strict=True))
        self.folding: tuple[list[str], np.ndarray] | None = None
        self._as_written = self._folded = None
        if by_writing:
            self._as_written = _Replacement(by_writing, stand_in_of, "")
        if by_folding:
            self._folded = _Replacement(by_folding, stand_in_of, kinds[2:])
            known = self.alphabet | frozenset(alphabet)
            self.folding = folding_table(
                do_lower_case,
                _keeping(known, kinds),
                free + "".join(filter(characters.is_inert, known)),
            )

    def replace(self, text: tf.Tensor) -> tf.Tensor:
        """Replaces the tokens that are searched for in texts as they are.

        Args:
            text: string [N].

        Returns:
            string [N], UTF-8 without invalid bytes.
        """
        text = tf.strings.unicode_transcode(
            text, "UTF-8", "UTF-8", errors="ignore"
        )
        # Another control character: RegexSplit ends at the first NUL.
        text = tf.strings.regex_replace(text, r"\x00", "\x01")
        text = tf.strings.regex_replace(text, self._taken, self._unknown)
        return self._as_written(text) if self._as_written else text

    def replace_folded(self, text: tf.Tensor) -> tf.Tensor:
        """Replaces the others in folded texts, string [N]."""
        return self._folded(text) if self._folded else text


class _Replacement:
    """One search: each token that is found becomes its stand-in.

    Args:
        tokens: {what is searched for: token}.
        stand_in_of: {id: character}.
        word_chars: characters for private use that stand for ones of words.
    """

    def __init__(
        self,
        tokens: Mapping[str, AddedToken],
        stand_in_of: Mapping[int, str],
        word_chars: str,
    ) -> None:
        self._pattern = f"({Search(tokens).pattern})"
        # Looked up by their hashes, which are constants, as a table is not.
        hashes = dict(
            zip(_hash(list(tokens)).numpy().tolist(), tokens, strict=True)
        )
        self._hashes = np.array(sorted(hashes), np.int64)
        self._contents = [hashes[number] for number in sorted(hashes)]
        found = [tokens[content] for content in self._contents]
        self._stand_ins = [stand_in_of[token.id] for token in found]
        self._single_word = [token.single_word for token in found]
        self._word_char = ""
        if any(self._single_word):
            self._word_char = f"[{_word_chars()}{word_chars}]"

    def __call__(self, text: tf.Tensor) -> tf.Tensor:
        # Texts cut around what is found; there are no empty parts.
        parts = tensorflow_text.regex_split(text, self._pattern, self._pattern)
        which = tf.searchsorted(self._hashes, _hash(parts.values))
        which = tf.minimum(which, len(self._hashes) - 1)
        found = tf.gather(self._contents, which) == parts.values
        if self._word_char:
            within = _within_words(parts, self._word_char) & tf.gather(
                self._single_word, which
            )
            found &= ~within
        replaced = tf.where(
            found, tf.gather(self._stand_ins, which), parts.values
        )
        return tf.strings.reduce_join(parts.with_values(replaced), axis=-1)


def _hash(texts: tf.Tensor | list[str]) -> tf.Tensor:
    """Returns a number for each, int64; which, all versions agree on."""
    with tf.device("CPU"):
        return tf.strings.to_hash_bucket_fast(texts, 1 << 62)


def _within_words(parts: tf.RaggedTensor, word_char: str) -> tf.Tensor:
    """Returns bool [M], whether a word character is beside each part."""
    begins = tf.strings.regex_full_match(parts.values, f"(?s){word_char}.*")
    ends = tf.strings.regex_full_match(parts.values, f"(?s).*{word_char}")
    row = parts.value_rowids()
    same_row = row[1:] == row[:-1]
    behind_one = tf.concat([[False], ends[:-1] & same_row], 0)
    before_one = tf.concat([begins[1:] & same_row, [False]], 0)
    # The two have one element even without parts.
    return (behind_one | before_one)[: tf.size(row)]


@functools.lru_cache(maxsize=1)
def _word_chars() -> str:
    """Returns the ranges of word characters, for a regular expression."""
    ranges = boundaries(is_word_char).reshape(-1, 2)
    return "".join(
        f"\\x{{{first:x}}}-\\x{{{behind - 1:x}}}" for first, behind in ranges
    )


def _free_characters(count: int, alphabet: Collection[str]) -> str:
    """Returns neighbouring characters for private use that no text needs.

    Raises:
        UserError: there are not so many.
    """
    taken = [ord(c) for c in alphabet if _FIRST <= ord(c) < _BEHIND]
    start = _FIRST
    for code in (*sorted(taken), _BEHIND):
        if code - start >= count:
            return "".join(map(chr, range(start, start + count)))
        start = code + 1
    raise UserError(
        f"{count} added tokens are too many for the tokenizer in a graph; "
        "export with --format=onnx or litert, which take ids"
    )


# Of characters that no entry has, the rest of the graph needs to know whether
# they are word characters and whether they are punctuation.
def _kind(char: str) -> int:
    return 2 * is_word_char(char) + characters.is_punctuation(char)


def _keeping(known: Collection[str], kinds: str) -> Callable[[str], str]:
    """Returns what keeps known characters, and the kinds of the others."""

    def rewrite(char: str) -> str:
        if char.isspace():
            return " "
        return char if char in known else kinds[_kind(char)]

    return rewrite


def _unknown_kinds(kinds: Iterable[str]) -> dict[str, str]:
    """Returns what each kind of unknown character becomes at last."""
    return {
        char: f" {UNKNOWN_CHAR} " if kind % 2 else UNKNOWN_CHAR
        for kind, char in enumerate(kinds)
    }
