"""A text with masks as token ids, and the part of it that a model reads.

"The [MASK] sat." → the [MASK] sat . with a mask at position 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bert_keras3.mask_filling.pieces import Pieces
from bert_keras3.pretraining_data.masking import MASK
from tokenization import characters
from tokenization.packing import NUM_SPECIAL_SINGLE, Packed

_WORD_MARK = "▁"


@dataclasses.dataclass(frozen=True)
class MaskedText:
    """A text whose `[MASK]` are special tokens.

    Attributes:
        text: as it was given.
        ids: token ids, without [CLS] and [SEP].
        positions: of the masks among them, ascending.
        within_word: for each mask, whether it goes on with the word before
            it, as in `run[MASK]`.
    """

    text: str
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    within_word: tuple[bool, ...]

    def filled(self, words: Sequence[str]) -> str:
        """Returns the text with a word in place of each mask."""
        first, *rest = self.text.split(MASK)
        return first + "".join(
            word.removeprefix("##") + part
            for word, part in zip(words, rest, strict=True)
        )


def read_masked(text: str, pieces: Pieces) -> MaskedText:
    """Tokenizes a text around its masks.

    Args:
        text: with any number of `[MASK]`, written like this.
        pieces: of the model.
    """
    ids: list[int] = []
    positions: list[int] = []
    within_word: list[bool] = []
    before = ""
    for number, part in enumerate(text.split(MASK)):
        if number:
            positions.append(len(ids))
            within_word.append(_ends_in_a_word(before))
            ids.append(pieces.mask_id)
        ids += _encode_part(part, pieces, is_first=not number)
        before = part or MASK
    return MaskedText(text, tuple(ids), tuple(positions), tuple(within_word))


def _ends_in_a_word(text: str) -> bool:
    """Whether a mask behind a text would go on with its last word."""
    last = text[-1:]
    return bool(last) and not (
        characters.is_whitespace(last)
        or characters.is_punctuation(last)
        or characters.is_ideograph(last)
    )


def _encode_part(part: str, pieces: Pieces, *, is_first: bool) -> list[int]:
    ids = pieces.tokenizer.encode(part)
    if is_first or not ids or part[:1].isspace():
        return ids
    # SentencePiece takes a part for the beginning of a text and puts a space
    # before it, which is not there.
    first = pieces.tokenizer.inv_vocab[ids[0]]
    if first == _WORD_MARK:
        return ids[1:]
    plain = pieces.tokenizer.vocab.get(first.removeprefix(_WORD_MARK))
    return ids if plain is None else [plain, *ids[1:]]


def window_around(
    ids: Sequence[int], position: int, pieces: Pieces, max_seq_length: int
) -> tuple[Packed, int]:
    """Packs as much of a text around a token as the model reads.

    Args:
        ids: of the text, without [CLS] and [SEP].
        position: of the token.
        pieces: of the model.
        max_seq_length: the most tokens of a row, [CLS] and [SEP] included.

    Returns:
        `[CLS] … [SEP]`, in which the token is in the middle where the text is
        too long, and its position there.
    """
    room = max_seq_length - NUM_SPECIAL_SINGLE
    first = max(0, min(position - room // 2, len(ids) - room))
    part = ids[first : first + room]
    packed = Packed(
        [pieces.cls_id, *part, pieces.sep_id],
        [0] * (len(part) + NUM_SPECIAL_SINGLE),
        len(ids) - len(part),
    )
    return packed, position - first + 1
