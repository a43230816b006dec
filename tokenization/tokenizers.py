"""The tokenizers of the original: text to words, words to pieces, both at once.

`BasicTokenizer` cuts at whitespace, around ideographs and around punctuation,
and, with `do_lower_case`, folds case and drops accents; `WordpieceTokenizer`
takes the longest piece of the vocabulary that fits next:

    FullTokenizer(vocab_file).tokenize("Unaffable!")
    # ["un", "##aff", "##able", "!"]

`open_tokenizer` opens the tokenizer for a vocabulary file, WordPiece or
SentencePiece.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from tokenization import characters, vocab
from tokenization.added_tokens import (
    AddedToken,
    AddedTokens,
    read_added_tokens,
)
from tokenization.vocab import CONTINUATION, UNKNOWN, Path, is_sentence_pieces


def _clean(char: str) -> str:
    """Drops control characters, normalises spaces, sets ideographs apart."""
    if char in "\0\ufffd" or characters.is_control(char):
        return ""
    if characters.is_whitespace(char):
        return " "
    return f" {char} " if characters.is_ideograph(char) else char


def _set_punctuation_apart(char: str) -> str:
    return f" {char} " if characters.is_punctuation(char) else char


def _drop_accent(char: str) -> str:
    return "" if characters.is_accent(char) else _set_punctuation_apart(char)


def _without_accent(char: str) -> str:
    return "" if characters.is_accent(char) else char


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
        self._without_accents = characters.Replacements(_without_accent)

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the words and punctuation marks of `text`, in order.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        return characters.whitespace_tokenize(self.normalize(text))

    def normalize(self, text: str | bytes) -> str:
        """Returns `text` rewritten so that whitespace alone separates tokens.

        The original folds case word by word. Doing it for the whole text at
        once is the same: the two steps that depend on neighbours, the final
        sigma in `lower` and the reordering of accents in NFD, do not cross a
        space.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        text = self.clean(text)
        if self.do_lower_case:
            text = unicodedata.normalize("NFD", text.lower())
        return text.translate(self._cut)

    def fold(self, text: str | bytes) -> str:
        """Returns `text` as `normalize` does, punctuation left where it is.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        text = self.clean(text)
        if not self.do_lower_case:
            return text
        text = unicodedata.normalize("NFD", text.lower())
        return text.translate(self._without_accents)

    def clean(self, text: str | bytes) -> str:
        """Returns `text` without control characters, ideographs set apart."""
        return characters.convert_to_unicode(text).translate(self._cleaned)


# In characters (Hugging Face stops at 100, tensorflow_text counts bytes).
MAX_CHARS_PER_WORD = 200


class WordpieceTokenizer:
    """Cuts words into the longest pieces that the vocabulary has.

    Args:
        vocab: the pieces, usually {piece: id}. Not to be changed afterwards.
        unk_token: stands for a word that cannot be cut without a rest.
        max_input_chars_per_word: a longer word is unknown without trying.
    """

    def __init__(
        self,
        vocab: Collection[str],
        unk_token: str = UNKNOWN,
        max_input_chars_per_word: int = MAX_CHARS_PER_WORD,
    ) -> None:
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word
        self._longest_piece = max(map(len, vocab), default=0) or 1

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the pieces of every word of `text`.

        `unaffable` is cut into `un ##aff ##able` where these are the longest
        pieces that the vocabulary has.

        Args:
            text: words separated by whitespace, as `BasicTokenizer` gives
                them one by one.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        pieces: list[str] = []
        text = characters.convert_to_unicode(text)
        for word in characters.whitespace_tokenize(text):
            pieces.extend(self._cut(word) or (self.unk_token,))
        return pieces

    def _cut(self, word: str) -> list[str] | None:
        """Returns the pieces of one word; None if a rest matches nothing."""
        if len(word) > self.max_input_chars_per_word:
            return None
        pieces = []
        start = 0
        prefix = ""
        while start < len(word):
            # No piece is longer than the longest: a long word without a match
            # costs its length times that, not its length squared.
            end = min(len(word), start + self._longest_piece)
            while prefix + word[start:end] not in self.vocab:
                end -= 1
                if end <= start:
                    return None
            pieces.append(prefix + word[start:end])
            start = end
            prefix = CONTINUATION
        return pieces


Value = TypeVar("Value")

# Maximum size of a cache in characters: some 30 MB, which is 100,000 English
# words or 40,000 Chinese clauses. A word counts as its length and Python's
# overhead.
_ROOM = 4_000_000
_ROOM_OF_EMPTY_WORD = 32
_LONGEST_WORD = 1_000

# Characters that `str.split` splits at and the tokenizer drops: "a\x0bb" is one
# word.
_JOINED = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"


class _WordCache(dict[str, tuple[Value, ...]]):
    """Caches the tokens or ids of each word, and is emptied when full.

    Args:
        compute: returns the tokens or ids of a word that is not cached.
    """

    def __init__(self, compute: Callable[[str], Iterable[Value]]) -> None:
        super().__init__()
        self._compute = compute
        self._used = 0

    def __missing__(self, word: str) -> tuple[Value, ...]:
        # Without spaces, a word can be a whole sentence. Its ideographs become
        # single tokens in any case, so they are looked up one by one.
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
        """Pickles without the cached words."""
        return type(self), (self._compute,)

    def of_all(self, words: Iterable[str]) -> list[Value]:
        """Returns the tokens or ids of all `words` in one list."""
        return list(itertools.chain.from_iterable(map(self.__getitem__, words)))


class FullTokenizer:
    """Text to WordPiece tokens or ids, as the original's class of this name.

    No rule crosses whitespace, so the tokens of a text are those of its words,
    and each word is tokenized only once and cached.

    Args:
        vocab_file: a `vocab.txt` or `tokenizer.json`.
        do_lower_case: fold case and drop accents.
        added_tokens: tokens beside the vocabulary, which texts are searched
            for first; the original has none.

    Attributes:
        vocab: {token: id}, added tokens included; not to be changed.
        inv_vocab: {id: token}.
        basic_tokenizer: text to words and punctuation marks.
        wordpiece_tokenizer: words to pieces.
        added_tokens: finds the added tokens of a text.
        special_tokens: tokens that the program itself writes, [UNK] first.

    Raises:
        UserError: the vocabulary cannot be read.
    """

    special_tokens: tuple[str, ...] = vocab.SPECIAL_TOKENS

    def __init__(
        self,
        vocab_file: Path,
        do_lower_case: bool = True,
        added_tokens: Iterable[AddedToken] = (),
    ) -> None:
        entries = vocab.load_vocab(vocab_file)
        self._set_up(entries, do_lower_case, tuple(added_tokens))

    @classmethod
    def from_vocab(
        cls,
        entries: Mapping[str, int],
        do_lower_case: bool = True,
        added_tokens: Iterable[AddedToken] = (),
    ) -> FullTokenizer:
        """Returns a tokenizer for a vocabulary in memory, {token: id}."""
        tokenizer = cls.__new__(cls)
        tokenizer._set_up(dict(entries), do_lower_case, tuple(added_tokens))
        return tokenizer

    def _set_up(
        self,
        entries: dict[str, int],
        do_lower_case: bool,
        added: tuple[AddedToken, ...],
    ) -> None:
        self.vocab = with_added(entries, added)
        self.inv_vocab = {index: token for token, index in self.vocab.items()}
        self.basic_tokenizer = BasicTokenizer(do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(pieces_of(entries, added))
        self.added_tokens = AddedTokens(added, self.basic_tokenizer.fold)
        self._tokens = _WordCache(self._tokens_of_word)
        self._ids = _WordCache(self._ids_of_word)

    @property
    def do_lower_case(self) -> bool:
        """Whether case is folded."""
        return self.basic_tokenizer.do_lower_case

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the tokens of `text`; [UNK] for words that match nothing.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        if not self.added_tokens:
            return self._tokens.of_all(_split(text))
        tokens: list[str] = []
        for part in self._parts(text):
            if isinstance(part, AddedToken):
                tokens.append(part.content)
            else:
                tokens += self._tokens.of_all(_split(part))
        return tokens

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of `tokenize(text)`.

        Raises:
            KeyError: a word is unknown and the vocabulary has no [UNK].
            ValueError: `text` is neither a string nor bytes.
        """
        if not self.added_tokens:
            return self._ids.of_all(_split(text))
        ids: list[int] = []
        for part in self._parts(text):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            else:
                ids += self._ids.of_all(_split(part))
        return ids

    def words(self, text: str | bytes) -> list[str]:
        """Returns words, punctuation marks and added tokens, in order.

        `encode` of each gives its ids.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        if not self.added_tokens:
            return self.basic_tokenizer.tokenize(text)
        words: list[str] = []
        for part in self._parts(text):
            if isinstance(part, AddedToken):
                words.append(part.content)
            else:
                words += self.basic_tokenizer.tokenize(part)
        return words

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks tokens up; a token that is not there is a KeyError."""
        return vocab.convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up; an id that is not there is a KeyError."""
        return vocab.convert_by_vocab(self.inv_vocab, ids)

    def unknown_parts(self, text: str | bytes) -> list[str]:
        """Returns what of a text the vocabulary lacks.

        Of a word that becomes [UNK], those are its characters that no token
        has, or the whole word where each of them is one.
        """
        parts = []
        for word in self.words(text):
            if word in self.vocab:
                continue
            if UNKNOWN in self.wordpiece_tokenizer.tokenize(word):
                missing = [
                    char
                    for char in word
                    if char not in self.vocab
                    and CONTINUATION + char not in self.vocab
                ]
                parts += missing or [word]
        return parts

    def _parts(self, text: str | bytes) -> Iterator[str | AddedToken]:
        return self.added_tokens.parts(characters.convert_to_unicode(text))

    def _tokens_of_word(self, word: str) -> list[str]:
        tokens = []
        for token in self.basic_tokenizer.tokenize(word):
            tokens.extend(self.wordpiece_tokenizer.tokenize(token))
        return tokens

    def _ids_of_word(self, word: str) -> list[int]:
        return self.convert_tokens_to_ids(self._tokens_of_word(word))


def _split(text: str | bytes) -> list[str]:
    """Splits only at characters that the tokenizer treats as whitespace."""
    text = characters.convert_to_unicode(text)
    for char in _JOINED:
        if char in text:
            text = text.replace(char, "")
    return text.split()


def with_added(
    entries: dict[str, int], added: Iterable[AddedToken]
) -> dict[str, int]:
    """Returns {token: id} of a vocabulary with its added tokens.

    An entry whose id is that of an added token is not there any more.
    """
    ids = {token.content: token.id for token in added if not token.is_piece}
    if not ids:
        return entries
    taken = set(ids.values())
    kept = {token: n for token, n in entries.items() if n not in taken}
    return dict(sorted({**kept, **ids}.items(), key=lambda entry: entry[1]))


def pieces_of(
    entries: dict[str, int], added: Iterable[AddedToken]
) -> dict[str, int]:
    """Returns the entries that words are cut into: no added tokens."""
    beside = {token.content for token in added if not token.is_piece}
    if not beside:
        return entries
    kept = with_added(entries, added)
    return {token: n for token, n in kept.items() if token not in beside}


class Tokenizer(Protocol):
    """The interface of both kinds of tokenizers; see `FullTokenizer`."""

    vocab: dict[str, int]
    inv_vocab: dict[int, str]
    special_tokens: tuple[str, ...]

    @property
    def do_lower_case(self) -> bool:
        """Whether case is folded."""

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the tokens of a text."""

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of a text's tokens."""

    def unknown_parts(self, text: str | bytes) -> list[str]:
        """Returns what of a text the vocabulary lacks."""

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks tokens up."""

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up."""


def open_tokenizer(vocab_file: Path, do_lower_case: bool = True) -> Tokenizer:
    """Makes the tokenizer of a vocabulary and of the tokens added beside it.

    Args:
        vocab_file: a `vocab.txt`, `tokenizer.json` or SentencePiece `.model`.
        do_lower_case: fold case; WordPiece drops accents then, too.

    Raises:
        UserError: a file cannot be read.
    """
    if is_sentence_pieces(vocab_file):
        # Imports a library that only ALBERT needs.
        from tokenization.sentence_pieces import SentencePieceTokenizer

        plain = SentencePieceTokenizer(vocab_file, do_lower_case)
        added = read_added_tokens(vocab_file, plain.vocab)
        if not added:
            return plain
        return SentencePieceTokenizer(vocab_file, do_lower_case, added)
    entries = vocab.load_vocab(vocab_file)
    return FullTokenizer.from_vocab(
        entries, do_lower_case, read_added_tokens(vocab_file, entries)
    )


def read_tokens(vocab_file: Path) -> dict[str, int]:
    """Reads {token: id} of any vocabulary.

    Raises:
        UserError: the file cannot be read.
    """
    return open_tokenizer(vocab_file).vocab
