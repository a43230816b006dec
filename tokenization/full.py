"""The whole tokenizer: text to pieces or ids, with a memory of seen words.

Puts `tokenization.basic` and `tokenization.wordpiece` together; special
tokens and lengths are left to `tokenization.packing`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from tokenization import characters, vocab
from tokenization.basic import BasicTokenizer
from tokenization.vocab import Path
from tokenization.wordpiece import WordpieceTokenizer

Value = TypeVar("Value")

# What a memory may hold, counted in characters: some 30 MB, which is 100,000
# English words or 40,000 Chinese clauses. A word counts for its length and
# what Python spends on it beside that.
_ROOM = 4_000_000
_ROOM_OF_EMPTY_WORD = 32
_LONGEST_WORD = 1_000

# What `str.split` cuts at and the tokenizer drops, so that "a\x0bb" is one
# word.
_JOINED = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"


class _Memory(dict[str, tuple[Value, ...]]):
    """Remembers the outcome for each word, and forgets all when full.

    Args:
        compute: gives the outcome for a word that is not remembered.
    """

    def __init__(self, compute: Callable[[str], Iterable[Value]]) -> None:
        super().__init__()
        self._compute = compute
        self._used = 0

    def __missing__(self, word: str) -> tuple[Value, ...]:
        # Without spaces, a word can be a whole sentence. Its ideographs are
        # set apart in any case, so they may as well be looked up one by one.
        parts = characters.IDEOGRAPH_OR_REST.findall(word)
        outcome = tuple(
            self.of_all(parts) if len(parts) > 1 else self._compute(word)
        )
        if len(word) <= _LONGEST_WORD:
            self._used += len(word) + _ROOM_OF_EMPTY_WORD
            if self._used > _ROOM:
                self.clear()
                self._used = len(word) + _ROOM_OF_EMPTY_WORD
            self[word] = outcome
        return outcome

    def __reduce__(
        self,
    ) -> tuple[type, tuple[Callable[[str], Iterable[Value]]]]:
        """Pickles without what is remembered."""
        return type(self), (self._compute,)

    def of_all(self, words: Iterable[str]) -> list[Value]:
        """Returns the outcomes for `words` in one list."""
        return list(itertools.chain.from_iterable(map(self.__getitem__, words)))


class FullTokenizer:
    """Text to WordPiece tokens or ids, as the original's class of this name.

    Whitespace separates words before anything else is done, and nothing that
    is done looks past it; so the tokens of a text are those of its words, and
    each word is worked out once.

    Args:
        vocab_file: a `vocab.txt` or `tokenizer.json`.
        do_lower_case: fold case and drop accents.

    Attributes:
        vocab: {token: id}; not to be changed.
        inv_vocab: {id: token}.
        basic_tokenizer: text to words and punctuation marks.
        wordpiece_tokenizer: words to pieces.
        special_tokens: what the program itself writes, [UNK] first.

    Raises:
        UserError: the vocabulary cannot be read.
    """

    special_tokens: tuple[str, ...] = vocab.SPECIAL_TOKENS

    def __init__(self, vocab_file: Path, do_lower_case: bool = True) -> None:
        self._set_up(vocab.load_vocab(vocab_file), do_lower_case)

    @classmethod
    def from_vocab(
        cls, entries: Mapping[str, int], do_lower_case: bool = True
    ) -> FullTokenizer:
        """Returns a tokenizer for a vocabulary in memory, {token: id}."""
        tokenizer = cls.__new__(cls)
        tokenizer._set_up(dict(entries), do_lower_case)
        return tokenizer

    def _set_up(self, entries: dict[str, int], do_lower_case: bool) -> None:
        self.vocab = entries
        self.inv_vocab = {index: token for token, index in entries.items()}
        self.basic_tokenizer = BasicTokenizer(do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(entries)
        self._tokens = _Memory(self._tokens_of_word)
        self._ids = _Memory(self._ids_of_word)

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the tokens of `text`; [UNK] for words that match nothing.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        return self._tokens.of_all(_split(text))

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of `tokenize(text)`.

        Raises:
            KeyError: a word is unknown and the vocabulary has no [UNK].
            ValueError: `text` is neither a string nor bytes.
        """
        return self._ids.of_all(_split(text))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks tokens up; a token that is not there is a KeyError."""
        return vocab.convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up; an id that is not there is a KeyError."""
        return vocab.convert_by_vocab(self.inv_vocab, ids)

    def _tokens_of_word(self, word: str) -> list[str]:
        tokens = []
        for token in self.basic_tokenizer.tokenize(word):
            tokens.extend(self.wordpiece_tokenizer.tokenize(token))
        return tokens

    def _ids_of_word(self, word: str) -> list[int]:
        return self.convert_tokens_to_ids(self._tokens_of_word(word))


def _split(text: str | bytes) -> list[str]:
    """Cuts at what is whitespace to the tokenizer too."""
    text = characters.convert_to_unicode(text)
    for char in _JOINED:
        if char in text:
            text = text.replace(char, "")
    return text.split()
