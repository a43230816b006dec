"""Where words begin among the pieces of a SentencePiece vocabulary (ALBERT's).

The same answers as `words` gives for WordPiece, where words can also come
from a segmenter or a list, and entities.
"""

from __future__ import annotations

import string

import numpy as np

from bert_keras3.pretraining_data.documents import Sentence
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError
from tokenization.opening import Tokenizer

# What the library puts before the first piece of a word.
_SPACE = "▁"
# Of these alone a piece may stand inside of a word; one of the latter that is
# alone may not.
_LETTERS = frozenset(string.ascii_letters)
_PUNCTUATION = frozenset(string.punctuation) - frozenset("'<=>")


def begins_word(piece: str) -> bool:
    """Returns whether a piece is the first of a word.

    As in google-research/albert (`_is_start_piece_sp` of its
    `create_pretraining_data.py`): pieces behind a space, lone punctuation, and
    whatever has a character beside English letters and punctuation, so that
    each piece of another script, and of a number, is a word.
    """
    return (
        piece.startswith((_SPACE, "<"))
        or piece in _PUNCTUATION
        or not _LETTERS.union(_PUNCTUATION).issuperset(piece)
    )


class PieceEncoder:
    """Sentences to ids, with what begins at each; see `words.SentenceEncoder`.

    Args:
        tokenizer: of a SentencePiece model.
    """

    plain = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begins = np.zeros(max(tokenizer.inv_vocab) + 1, np.uint8)
        for index, piece in tokenizer.inv_vocab.items():
            if begins_word(piece):
                self._begins[index] = WORD | ENTITY

    def ids(self, sentence: Sentence) -> list[int]:
        """Returns the ids of a sentence's pieces."""
        return self._tokenizer.encode(sentence.text)

    def starts_of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Returns uint8 like `ids`: what begins at each."""
        return self._begins[ids]

    def ids_and_starts(self, sentence: Sentence) -> tuple[list[int], list[int]]:
        """Returns the ids of a sentence and what begins at each.

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
        return ids, self._begins[ids].tolist()
