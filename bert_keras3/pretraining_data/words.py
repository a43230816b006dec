"""Where words and entities begin among the tokens of a sentence.

"New York is unaffable" with the entity [0, 8], its first eight characters:

    token    new  york  is  un  ##aff  ##able
    WORD      1    1    1   1     0      0
    ENTITY    2    0    2   2     0      0
    start     3    1    3   3     0      0

A word is what whitespace and punctuation leave together. Its further tokens
are marked by `##`; ideographs, which are a token each, are joined to words by
a segmenter or a list of words. In a SentencePiece vocabulary (ALBERT's), the
pieces themselves mark where a word begins.
"""

from __future__ import annotations

import functools
import logging
import re
import string
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bert_keras3.pretraining_data.documents import Sentence
from bert_keras3.pretraining_data.settings import WordSettings
from bert_keras3.safekeeping.errors import UserError
from tokenization import BasicTokenizer, FullTokenizer, characters
from tokenization.tokenizers import Tokenizer
from tokenization.vocab import CONTINUATION

# What begins at a token, as bits of one number; both are set at the first
# token of an entity, and of a word that is outside of all entities.
WORD = 1
ENTITY = 2

# Words whose tokens are kept in memory.
_CACHED_WORDS = 1 << 16

# Whitespace, except characters that the tokenizer drops without ending a
# word.
_SPACE = re.compile(r"[^\S\x0b\x0c\x1c-\x1f\x85]+")

# What SentencePiece puts before the first piece of a word.
_WORD_MARK = "▁"
# A piece of these characters alone can stand inside of a word; one of the
# latter that is alone cannot.
_LETTERS = frozenset(string.ascii_letters)
_PUNCTUATION = frozenset(string.punctuation) - frozenset("'<=>")

Segmenter = Callable[[str], Iterable[str]]


class Phrases:
    """Finds given phrases in a text, the longest at each place.

    Args:
        phrases: each as basic tokens, none empty.
    """

    def __init__(self, phrases: Iterable[Sequence[str]]) -> None:
        self._phrases = {tuple(phrase) for phrase in phrases}
        lengths: dict[str, set[int]] = {}
        for phrase in self._phrases:
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {
            first: sorted(found, reverse=True)
            for first, found in lengths.items()
        }

    @classmethod
    def from_file(cls, path: str, tokenizer: BasicTokenizer) -> Phrases:
        """Reads one phrase a line; empty lines are left out.

        Raises:
            UserError: the file cannot be read, or has no phrase.
        """
        try:
            with open(path, encoding="utf-8-sig") as file:
                phrases = [tokenizer.tokenize(line) for line in file]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: the list cannot be read ({error}); give a UTF-8 "
                "file with one word or name a line"
            ) from error
        found = cls(filter(None, phrases))
        if not found._phrases:
            raise UserError(
                f"{path}: the list is empty; give one word or name a line"
            )
        return found

    def find(self, tokens: Sequence[str]) -> list[tuple[int, int]]:
        """Returns (start, end) of the phrases, from left to right."""
        found = []
        start = 0
        while start < len(tokens):
            length = next(
                (
                    length
                    for length in self._lengths.get(tokens[start], ())
                    if tuple(tokens[start : start + length]) in self._phrases
                ),
                0,
            )
            if length:
                found.append((start, start + length))
            start += length or 1
        return found


class WordPieceEncoder:
    """Sentences to token ids, and what begins at each token.

    Args:
        tokenizer: text to token ids.
        settings: how words and entities are found.

    Raises:
        UserError: a list cannot be read, or the segmenter is not installed.
    """

    def __init__(
        self, tokenizer: FullTokenizer, settings: WordSettings
    ) -> None:
        self._tokenizer = tokenizer
        self._by_vocabulary = settings.plain
        self._begins_word = np.zeros(max(tokenizer.inv_vocab) + 1, np.uint8)
        for token, index in tokenizer.vocab.items():
            if not token.startswith(CONTINUATION):
                self._begins_word[index] = WORD | ENTITY
        basic = tokenizer.basic_tokenizer
        self._segment = _load_jieba() if settings.segmenter == "jieba" else None
        self._words = (
            Phrases.from_file(settings.word_list, basic)
            if settings.word_list
            else None
        )
        self._entities = (
            Phrases.from_file(settings.entity_list, basic)
            if settings.entity_list
            else None
        )
        self._pieces = functools.lru_cache(_CACHED_WORDS)(self._ids_of_word)

    def ids(self, sentence: Sentence) -> list[int]:
        """Returns the token ids of a sentence."""
        return self._tokenizer.encode(sentence.text)

    @property
    def by_vocabulary(self) -> bool:
        """Whether `starts_of_ids` is enough where there are no entities."""
        return self._by_vocabulary

    def starts_of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Returns what begins at each, uint8 like `ids`, by `##` alone."""
        return self._begins_word[ids]

    def ids_and_starts(self, sentence: Sentence) -> tuple[list[int], list[int]]:
        """Returns the token ids of a sentence and what begins at each.

        An entity that begins or ends inside a word takes the whole word.
        """
        words, glued = self._basic_tokens(sentence.text)
        if self._words is not None:
            for start, end in self._words.find(words):
                glued[start + 1 : end] = [True] * (end - start - 1)
        spans = [
            self._words_of_span(sentence.text, *span)
            for span in sentence.entities
        ]
        if self._entities is not None:
            spans += self._entities.find(words)
        inside = [False] * len(words)
        for start, end in spans:
            inside[start + 1 : end] = [True] * (end - start - 1)
            # An entity's ends are ends of words, whatever the segmenter says.
            for edge in (start, end):
                if edge < len(words):
                    glued[edge] = False
        ids: list[int] = []
        starts: list[int] = []
        for word, is_glued, is_inside in zip(words, glued, inside, strict=True):
            pieces = self._pieces(word)
            ids += pieces
            starts.append(
                0 if is_glued else WORD if is_inside else WORD | ENTITY
            )
            starts += [0] * (len(pieces) - 1)
        return ids, starts

    def _ids_of_word(self, word: str) -> tuple[int, ...]:
        if self._tokenizer.added_tokens:
            return tuple(self._tokenizer.encode(word))
        pieces = self._tokenizer.wordpiece_tokenizer.tokenize(word)
        return tuple(self._tokenizer.convert_tokens_to_ids(pieces))

    def _basic_tokens(self, text: str) -> tuple[list[str], list[bool]]:
        """Returns basic tokens, and which of them continue a word."""
        words_of = self._tokenizer.words
        if self._segment is None:
            words = words_of(text)
            return words, [False] * len(words)
        words, glued = [], []
        # Whitespace always ends a word, so text that was segmented before
        # keeps its words.
        for chunk in _SPACE.split(text):
            tokens = words_of(chunk)
            words += tokens
            glued += _glue(tokens, self._segment)
        return words, glued

    def _words_of_span(
        self, text: str, start: int, end: int
    ) -> tuple[int, int]:
        """Returns which basic tokens the characters [start, end) are in."""
        tokenize = self._tokenizer.words
        before, through = tokenize(text[:start]), tokenize(text[:end])
        cuts_a_word = before + tokenize(text[start:]) != tokenize(text)
        return len(before) - cuts_a_word, len(through)


def _glue(tokens: Sequence[str], segment: Segmenter) -> list[bool]:
    """Returns which tokens continue the word of the token before.

    Only beside an ideograph: a number with a decimal point is three words, as
    it is without a segmenter.
    """
    glued = [False] * len(tokens)
    if not any(map(_is_ideograph, tokens)):
        return glued
    ends, end = set(), 0
    for word in segment("".join(tokens)):
        end += len(word)
        ends.add(end)
    position = 0
    for index, token in enumerate(tokens):
        if index and position not in ends:
            glued[index] = _is_ideograph(token) or _is_ideograph(
                tokens[index - 1]
            )
        position += len(token)
    return glued


def _is_ideograph(token: str) -> bool:
    return len(token) == 1 and characters.is_ideograph(token)


def _load_jieba() -> Segmenter:
    try:
        import jieba
    except ImportError as error:
        raise UserError(
            "--segmenter=jieba: jieba is not installed; pip install "
            "'.[chinese]', or give the words with --word_list"
        ) from error
    jieba.setLogLevel(logging.WARNING)
    return jieba.cut


def begins_word(piece: str) -> bool:
    """Returns whether a SentencePiece piece is the first of a word.

    As in google-research/albert (`_is_start_piece_sp` of its
    `create_pretraining_data.py`): pieces behind a space, lone punctuation, and
    every piece with a character beside English letters and punctuation; so
    each piece of another script, and of a number, is a word.
    """
    return (
        piece.startswith((_WORD_MARK, "<"))
        or piece in _PUNCTUATION
        or not _LETTERS.union(_PUNCTUATION).issuperset(piece)
    )


class SentencePieceEncoder:
    """Sentences to token ids, and what begins at each token.

    Args:
        tokenizer: of a SentencePiece model.
    """

    by_vocabulary = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begins_word = np.zeros(max(tokenizer.inv_vocab) + 1, np.uint8)
        for index, piece in tokenizer.inv_vocab.items():
            if begins_word(piece):
                self._begins_word[index] = WORD | ENTITY

    def ids(self, sentence: Sentence) -> list[int]:
        """Returns the token ids of a sentence."""
        return self._tokenizer.encode(sentence.text)

    def starts_of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Returns what begins at each, uint8 like `ids`."""
        return self._begins_word[ids]

    def ids_and_starts(self, sentence: Sentence) -> tuple[list[int], list[int]]:
        """Returns the token ids of a sentence and what begins at each.

        Raises:
            UserError: the sentence has entities.
        """
        if sentence.entities:
            raise UserError(
                f"{sentence.text[:40]!r}: has entities, which can be found "
                "among the tokens of a WordPiece vocabulary alone; leave them "
                "out, or give a vocab.txt"
            )
        ids = self.ids(sentence)
        return ids, self._begins_word[ids].tolist()


SentenceEncoder = WordPieceEncoder | SentencePieceEncoder


def sentence_encoder(
    tokenizer: Tokenizer, settings: WordSettings
) -> SentenceEncoder:
    """Returns the encoder for a tokenizer.

    Args:
        tokenizer: text to token ids.
        settings: how words and entities are found; for WordPiece only.

    Raises:
        UserError: a list cannot be read, or the segmenter is not installed.
    """
    if isinstance(tokenizer, FullTokenizer):
        return WordPieceEncoder(tokenizer, settings)
    return SentencePieceEncoder(tokenizer)
