"""Packs texts into one input, `[CLS] a [SEP] b [SEP]`, truncated and padded.

    pack([7, 8], [9], max_seq_length=8, cls_id=2, sep_id=3)
    # input_ids [2, 7, 8, 3, 9, 3], segment_ids [0, 0, 0, 0, 1, 1]

The only place that counts special tokens.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any, NamedTuple

import numpy as np

from bert_keras3.safekeeping.errors import UserError

# [CLS] a [SEP], and [CLS] a [SEP] b [SEP].
NUM_SPECIAL_SINGLE = 2
NUM_SPECIAL_PAIR = 3
# Room for the special tokens and one token of each text.
MIN_LENGTH_SINGLE = NUM_SPECIAL_SINGLE + 1
MIN_LENGTH_PAIR = NUM_SPECIAL_PAIR + 2


class Packed(NamedTuple):
    """One input of the model, not padded.

    Attributes:
        input_ids: token ids from [CLS] to the last [SEP].
        segment_ids: 0 up to the first [SEP], 1 behind it.
        num_dropped: number of tokens that were truncated.
    """

    input_ids: list[int]
    segment_ids: list[int]
    num_dropped: int


def truncated_lengths(
    length_a: int, length_b: int, max_length: int
) -> tuple[int, int]:
    """Returns two lengths after truncating the longer text first.

    Equal to the original's loop, which removes a token from the longer text,
    or from the second of equal ones, until both fit: a text within its half
    is kept whole, and of two long texts the first gets the odd token.

    Args:
        length_a: number of tokens of the first text.
        length_b: number of tokens of the second.
        max_length: maximum number of tokens of both, at least 0.

    Raises:
        ValueError: `max_length` is negative.
    """
    if max_length < 0:
        raise ValueError(f"max_length is {max_length}, must be at least 0")
    kept_b = min(length_b, max(max_length // 2, max_length - length_a))
    return min(length_a, max_length - kept_b), kept_b


def truncate_seq_pair(
    tokens_a: MutableSequence[Any],
    tokens_b: MutableSequence[Any],
    max_length: int,
) -> None:
    """Shortens two lists in place, from their ends, as `truncated_lengths`.

    Equal to `_truncate_seq_pair` of the original's run_classifier.py, but in
    one step per list, however long.

    Args:
        tokens_a: tokens or ids of the first text; shortened in place.
        tokens_b: tokens or ids of the second; shortened in place.
        max_length: maximum number of tokens of both, at least 0.

    Raises:
        ValueError: `max_length` is negative.
    """
    kept_a, kept_b = truncated_lengths(len(tokens_a), len(tokens_b), max_length)
    del tokens_a[kept_a:]
    del tokens_b[kept_b:]


def check_max_seq_length(max_seq_length: int, pair: bool) -> None:
    """Checks that there is room for at least one token of each text.

    Raises:
        UserError: there is not.
    """
    least = MIN_LENGTH_PAIR if pair else MIN_LENGTH_SINGLE
    if max_seq_length < least:
        texts = "a pair of texts" if pair else "a text"
        raise UserError(
            f"--max_seq_length={max_seq_length} leaves no room for {texts} "
            f"beside [CLS] and [SEP]; use at least {least}"
        )


def pack(
    ids_a: Sequence[int],
    ids_b: Sequence[int] | None = None,
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> Packed:
    """Packs one text, or two, into an input for the model.

    As the original's `convert_single_example`; there, too, a second text
    without any token counts as none.

    Args:
        ids_a: ids of the first text.
        ids_b: ids of the second text; None or empty if there is none.
        max_seq_length: the most ids that the input may have.
        cls_id: the id of [CLS].
        sep_id: the id of [SEP].

    Raises:
        UserError: `max_seq_length` leaves no room for the texts.
    """
    check_max_seq_length(max_seq_length, pair=bool(ids_b))
    if not ids_b:
        kept = ids_a[: max_seq_length - NUM_SPECIAL_SINGLE]
        input_ids = [cls_id, *kept, sep_id]
        return Packed(input_ids, [0] * len(input_ids), len(ids_a) - len(kept))
    kept_a, kept_b = truncated_lengths(
        len(ids_a), len(ids_b), max_seq_length - NUM_SPECIAL_PAIR
    )
    return Packed(
        [cls_id, *ids_a[:kept_a], sep_id, *ids_b[:kept_b], sep_id],
        [0] * (kept_a + 2) + [1] * (kept_b + 1),
        len(ids_a) + len(ids_b) - kept_a - kept_b,
    )


# Of a text of 510 tokens, as many of the first are kept (Sun et al. 2019, "How
# to Fine-Tune BERT for Text Classification?", section 5.3.1).
_HEAD, _OF_TOKENS = 128, 510


def pack_head_tail(
    ids_a: Sequence[int],
    ids_b: Sequence[int] | None = None,
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> Packed:
    """Packs as `pack`, but texts that are too long keep their ends as well.

    Each keeps as many tokens as with `pack`: the first quarter of them
    (128 of 510) from its beginning, the others from its end.

    Args:
        ids_a: as for `pack`, as are the others.
        ids_b: see there.
        max_seq_length: see there.
        cls_id: see there.
        sep_id: see there.

    Raises:
        UserError: `max_seq_length` leaves no room for the texts.
    """
    check_max_seq_length(max_seq_length, pair=bool(ids_b))
    if ids_b:
        kept_a, kept_b = truncated_lengths(
            len(ids_a), len(ids_b), max_seq_length - NUM_SPECIAL_PAIR
        )
        shown_b = _head_and_tail(ids_b, kept_b)
    else:
        kept_a, shown_b = max_seq_length - NUM_SPECIAL_SINGLE, []
    shown_a = _head_and_tail(ids_a, kept_a)
    packed = pack(
        shown_a,
        shown_b,
        max_seq_length=max_seq_length,
        cls_id=cls_id,
        sep_id=sep_id,
    )
    given = len(ids_a) + len(ids_b or ())
    return packed._replace(num_dropped=given - len(shown_a) - len(shown_b))


def _head_and_tail(ids: Sequence[int], kept: int) -> Sequence[int]:
    """[1, 2, …, 9] with 4 kept → [1, 7, 8, 9]."""
    if len(ids) <= kept:
        return ids
    head = kept * _HEAD // _OF_TOKENS
    return [*ids[:head], *ids[len(ids) - (kept - head) :]]


def pack_windows(
    ids_a: Sequence[int],
    ids_b: Sequence[int] | None = None,
    *,
    stride: int | None,
    most: int,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> list[Packed]:
    """Packs a text into as many inputs as it needs, which overlap.

    Of a pair the longer text is cut, and each input has the other one as well,
    of which at most half an input is kept.

    Args:
        ids_a: ids of the first text.
        ids_b: ids of the second text; None or empty if there is none.
        stride: number of tokens from the beginning of a window to that of the
            next (`doc_stride` in the original's run_squad.py); None for three
            quarters of a window.
        most: the most windows. Of a longer text as many are taken, the first
            and the last among them, evenly spaced.
        max_seq_length: the most ids that an input may have.
        cls_id: the id of [CLS].
        sep_id: the id of [SEP].

    Returns:
        The inputs, at least one; `num_dropped` of the first says how many
        tokens are in none of them.

    Raises:
        UserError: `max_seq_length` leaves no room for the texts, or tokens
            between two windows would be in none.
    """
    check_max_seq_length(max_seq_length, pair=bool(ids_b))
    cut_first = not ids_b or len(ids_a) >= len(ids_b)
    long, short = (ids_a, ids_b or []) if cut_first else (ids_b or [], ids_a)
    room = max_seq_length - NUM_SPECIAL_SINGLE
    if ids_b:
        room = max_seq_length - NUM_SPECIAL_PAIR
    kept = short[: room // 2]
    room -= len(kept)
    step = max(1, room * 3 // 4) if stride is None else stride
    if step > room:
        raise UserError(
            f"--window_stride={stride} is more than the {room} tokens of a "
            "window, so that some would be in none; give at most that"
        )
    number = 1 + max(0, -(-(len(long) - room) // step))
    starts = np.arange(number) * step
    if number > most:
        places = np.linspace(0, number - 1, most).round().astype(int)
        starts = starts[np.unique(places)]
    is_read = np.zeros(len(long), bool)
    packed = []
    for start in starts.tolist():
        part = long[start : start + room]
        is_read[start : start + room] = True
        packed.append(
            pack(
                *((part, kept) if cut_first else (kept, part)),
                max_seq_length=max_seq_length,
                cls_id=cls_id,
                sep_id=sep_id,
            )
        )
    dropped = int((~is_read).sum()) + len(short) - len(kept)
    packed[0] = packed[0]._replace(num_dropped=dropped)
    return packed


def pack_choices(
    ids_context: Sequence[int],
    ids_question: Sequence[int],
    ids_choices: Sequence[Sequence[int]],
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> list[Packed]:
    """Packs each choice as `[CLS] context [SEP] question choice [SEP]`.

    What does not fit is cut off from the end of the context, and of the
    question once no context is left, so that a choice stays whole as long as
    it fits alone. Longer choices are cut at their ends; if that made different
    ones equal, at their beginnings. (The original's longest-first order could
    cut off all that tells a long choice from another.)

    Args:
        ids_context: ids of the context.
        ids_question: ids of what each choice follows; may be empty.
        ids_choices: ids of the choices.
        max_seq_length: the most ids that a row may have.
        cls_id: the id of [CLS].
        sep_id: the id of [SEP].

    Returns:
        A row for each choice.

    Raises:
        UserError: `max_seq_length` leaves no room for two texts.
        ValueError: it makes different choices equal.
    """
    check_max_seq_length(max_seq_length, pair=True)
    room = max_seq_length - NUM_SPECIAL_PAIR
    rows = []
    for whole, choice in zip(
        ids_choices, _within(ids_choices, room), strict=True
    ):
        question = ids_question[: room - len(choice)]
        context = ids_context[: room - len(choice) - len(question)]
        packed = pack(
            context,
            [*question, *choice],
            max_seq_length=max_seq_length,
            cls_id=cls_id,
            sep_id=sep_id,
        )
        given = len(ids_context) + len(ids_question) + len(whole)
        kept = len(context) + len(question) + len(choice)
        rows.append(packed._replace(num_dropped=given - kept))
    return rows


def _within(
    ids_choices: Sequence[Sequence[int]], room: int
) -> Sequence[Sequence[int]]:
    """Cuts choices to some length, so that different ones stay different."""
    if all(len(choice) <= room for choice in ids_choices):
        return ids_choices
    number = len(set(map(tuple, ids_choices)))
    for kept in (slice(room), slice(-room, None)):
        cut = [choice[kept] for choice in ids_choices]
        if len(set(map(tuple, cut))) == number:
            return cut
    raise ValueError(
        f"different choices become equal when they are cut to {room} tokens"
    )


def pad(
    batch: Sequence[Packed], length: int | None = None
) -> dict[str, np.ndarray]:
    """Pads inputs to one length with id 0, mask 0, segment 0.

    Args:
        batch: B inputs.
        length: S; the longest of the batch if None.

    Returns:
        `input_ids`, `input_mask` (1 where there is an id) and `segment_ids`,
        each int32 [B, S].

    Raises:
        ValueError: an input is longer than `length`.
    """
    longest = max((len(packed.input_ids) for packed in batch), default=0)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"an input of {longest} ids does not fit in {length}")
    padded = {
        key: np.zeros((len(batch), length), np.int32)
        for key in ("input_ids", "input_mask", "segment_ids")
    }
    for row, packed in enumerate(batch):
        end = len(packed.input_ids)
        padded["input_ids"][row, :end] = packed.input_ids
        padded["input_mask"][row, :end] = 1
        padded["segment_ids"][row, :end] = packed.segment_ids
    return padded
