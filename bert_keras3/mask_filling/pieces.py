"""Which pieces of a vocabulary make words: which begin one, which go on.

    vocabulary    [MASK]  un  ##able  ##s  cat  .  我  们
    begins           0     1     0     0    1   1   1   1
    continues        0     0     1     1    0   0   0   0

Behind `un` and `cat` comes a piece that continues; behind `我` a character,
since Google's tokenizers set these apart; behind a full stop nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from bert_keras3.pretraining_data.masking import MASK
from bert_keras3.pretraining_data.words import begins_word
from tokenization import characters
from tokenization.tokenizers import FullTokenizer, Tokenizer
from tokenization.vocab import CONTINUATION, UNKNOWN

# [PAD], [unused7], <unk>: entries that are no text.
_NO_TEXT = re.compile(r"\[.+\]|<.+>|")
# What SentencePiece puts before the first piece of a word.
_WORD_MARK = "▁"


class Pieces:
    """A tokenizer, and how its pieces follow one another.

    Attributes:
        tokenizer: text to pieces.
        cls_id: id of [CLS].
        sep_id: id of [SEP].
        mask_id: id of [MASK].
        begins: bool [V], pieces that can be the first of a word.
        continues: bool [V], pieces that can only stand behind others.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """Looks at each piece.

        Args:
            tokenizer: its vocabulary has [CLS], [SEP] and [MASK].
            vocab_size: V of the model, at least the vocabulary's.
        """
        self.tokenizer = tokenizer
        self.cls_id = tokenizer.vocab["[CLS]"]
        self.sep_id = tokenizer.vocab["[SEP]"]
        self.mask_id = tokenizer.vocab[MASK]
        self._is_word_piece = isinstance(tokenizer, FullTokenizer)
        self.begins = np.zeros(vocab_size, bool)
        self.continues = np.zeros(vocab_size, bool)
        self._ideographs = np.zeros(vocab_size, bool)
        self._punctuation = np.zeros(vocab_size, bool)
        self._nothing = np.zeros(vocab_size, bool)
        for number, piece in tokenizer.inv_vocab.items():
            if _NO_TEXT.fullmatch(piece) or piece == _WORD_MARK:
                continue
            first = piece.removeprefix(CONTINUATION)[:1]
            if self._is_word_piece:
                begins = first == piece[:1]
                ideograph = bool(first) and characters.is_ideograph(first)
                # The tokenizer never continues a word with one.
                self.continues[number] = not begins and not ideograph
                self._ideographs[number] = begins and ideograph
                self._punctuation[number] = begins and (
                    characters.is_punctuation(first)
                )
            else:
                begins = begins_word(piece)
                self.continues[number] = not begins
            self.begins[number] = begins

    def followers(self, piece: int) -> np.ndarray:
        """Returns bool [V], the pieces that may follow one within a word."""
        if self._ideographs[piece]:
            return self._ideographs
        if self._punctuation[piece]:
            return self._nothing
        return self.continues

    def text(self, ids: Sequence[int]) -> str:
        """Returns pieces as they are read: `un ##able` is unable.

        The signs of a first piece that continues a word stay.
        """
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        if not self._is_word_piece:
            return "".join(tokens).replace(_WORD_MARK, " ").strip()
        text = tokens[0]
        for before, number, token in zip(
            ids[:-1], ids[1:], tokens[1:], strict=True
        ):
            joined = token.startswith(CONTINUATION) or (
                self._ideographs[before] and self._ideographs[number]
            )
            text += ("" if joined else " ") + token.removeprefix(CONTINUATION)
        return text

    def is_how_it_is_cut(self, ids: Sequence[int]) -> bool:
        """Whether the tokenizer cuts the word that pieces make into these.

        `un ##able` is no answer where `unable` is a piece: the model has
        never seen it so.
        """
        word = self.text(ids).removeprefix(CONTINUATION)
        if self.continues[ids[0]]:
            return True
        return self.tokenizer.encode(word) == list(ids)

    def of_candidate(self, candidate: str) -> tuple[int, ...] | None:
        """Returns the ids of a word, or of a piece written as it is.

        Args:
            candidate: a word or several, or an entry of the vocabulary such
                as `##ing`.

        Returns:
            Its ids; None if the vocabulary lacks a part of it, or it is
            empty or a special token.
        """
        vocabulary: Mapping[str, int] = self.tokenizer.vocab
        if candidate in vocabulary:
            number = vocabulary[candidate]
            known = self.begins[number] or self.continues[number]
            return (number,) if known else None
        if not candidate.strip() or self.tokenizer.unknown_parts(candidate):
            return None
        return tuple(self.tokenizer.encode(candidate)) or None

    def is_unknown(self, number: int) -> bool:
        """Whether an id is that of the unknown token."""
        unknown = UNKNOWN
        if not self._is_word_piece:
            unknown = self.tokenizer.special_tokens[0]
        return self.tokenizer.vocab.get(unknown) == number
