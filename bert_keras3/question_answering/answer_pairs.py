"""Logits of windows → pairs of positions, the best first.

Of hundreds of windows at a time, with NumPy and without a loop over pairs;
what the pairs are, and in which order, is described in `answers`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bert_keras3.inputs.feature_store import FeatureStore, ranges
from bert_keras3.safekeeping.errors import UserError

# Windows that are decoded at a time: some 10 MB at 384 tokens.
_WINDOWS_AT_A_TIME = 512


@dataclasses.dataclass(frozen=True)
class AnswerSettings:
    """How answers are chosen.

    Attributes:
        n_best_size: how many logits of a window are looked at, and how many
            different texts are kept.
        max_answer_length: the most tokens of an answer.
        version_2_with_negative: whether questions may have no answer.
        null_score_diff_threshold: "no answer" is said if the null score less
            the best answer's is greater.
        do_lower_case: of the tokenizer.
        answers_by: as in `windows.WindowSettings`.
        always_answer: in version 1, where no pair of the n best counts, take
            the best of all pairs instead of answering `empty`. In version 2,
            where the original stops with an error, that is always done.

    Raises:
        UserError: a number is out of range.
    """

    n_best_size: int = 20
    max_answer_length: int = 30
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0
    do_lower_case: bool = True
    answers_by: str = "words"
    always_answer: bool = False

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("n_best_size", "max_answer_length"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"--{name}={getattr(self, name)}: must be at least 1"
                )


@dataclasses.dataclass(frozen=True)
class WindowScores:
    """The logits of some rows.

    Attributes:
        store: with `windows.ANSWER_COLUMNS`.
        rows: int64 [R], which rows, ascending; all rows of a question or none.
        start_logits: float32, of all tokens of the rows, one row after the
            other, [sum of their lengths]; or [R, S] with S at least the
            length of the longest row.
        end_logits: float32, the same shape. The original looks for the n best
            among padding, too; so do answers from [R, S].
    """

    store: FeatureStore
    rows: np.ndarray
    start_logits: np.ndarray
    end_logits: np.ndarray


class Pairs(NamedTuple):
    """The pairs of one question, the best first, and its null score.

    Attributes:
        number: of the question.
        ids: int [rows of the question, S].
        is_context: bool [rows, S].
        window: which of the rows each pair is in, int [P]; −1 for the null.
        span: positions of the first and the last token, int [P, 2].
        characters: the first character that the pair stands for, and that
            behind its last, int [P, 2].
        start_logit: float64 [P].
        end_logit: float64 [P].
        null: (null score, start logit, end logit), if wanted.
    """

    number: int
    ids: np.ndarray
    is_context: np.ndarray
    window: np.ndarray
    span: np.ndarray
    characters: np.ndarray
    start_logit: np.ndarray
    end_logit: np.ndarray
    null: tuple[float, float, float] | None


def pairs_of_questions(
    scores: WindowScores, settings: AnswerSettings
) -> Iterator[Pairs]:
    """Yields the pairs of each question that has rows."""
    store, rows = scores.store, np.asarray(scores.rows, np.int64)
    lengths = store.lengths[rows]
    numbers = store.examples[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # Where questions begin among the rows, and the end.
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    firsts.append(len(rows))
    begin = 0
    while begin < len(firsts) - 1:
        end = begin + 1
        while (
            end < len(firsts) - 1
            and firsts[end + 1] - firsts[begin] <= _WINDOWS_AT_A_TIME
        ):
            end += 1
        stretch = slice(firsts[begin], firsts[end])
        logits = [
            _padded_logits(array, stretch, lengths, offsets)
            for array in (scores.start_logits, scores.end_logits)
        ]
        bounds = np.array(firsts[begin : end + 1]) - firsts[begin]
        yield from _pairs(
            _Block(store, rows[stretch], *logits), bounds, settings
        )
        begin = end


class _Block:
    """Some rows, padded to [W, S]."""

    def __init__(
        self,
        store: FeatureStore,
        rows: np.ndarray,
        start_logits: np.ndarray,
        end_logits: np.ndarray,
    ) -> None:
        self.start_logits, self.end_logits = start_logits, end_logits
        self.numbers = store.examples[rows]
        lengths = store.lengths[rows]
        length = start_logits.shape[1]
        is_token = np.arange(length) < lengths[:, None]
        tokens = ranges(store.offsets[rows], lengths)

        def padded(name: str) -> np.ndarray:
            values = store.arrays[name]
            result = np.zeros((len(rows), length), values.dtype)
            result[is_token] = values[tokens]
            return result

        self.ids = padded("input_ids")
        self.text_start = padded("text_start")
        self.text_end = padded("text_end")
        self.can_end = self.text_end > 0
        self.can_start = self.can_end & (padded("is_max_context") != 0)


def _padded_logits(
    logits: np.ndarray,
    stretch: slice,
    lengths: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Returns float32 [W, S] of some rows, −inf behind each."""
    if logits.ndim == 2:
        return np.asarray(logits[stretch], np.float32)
    lengths = lengths[stretch]
    is_token = np.arange(lengths.max(initial=0)) < lengths[:, None]
    padded = np.full(is_token.shape, -np.inf, np.float32)
    first = int(offsets[stretch.start])
    padded[is_token] = logits[first : int(offsets[stretch.stop])]
    return padded


def greatest(logits: np.ndarray, count: int) -> np.ndarray:
    """Returns where the greatest values of each row stand, best first.

    Of equal values the first comes first, as Python's stable sort has it.

    Args:
        logits: float32 [W, S], no NaN.
        count: how many.

    Returns:
        int64 [W, min(count, S)].
    """
    size = logits.shape[1]
    # −0 and 0 are equal; bits of floats are ordered as integers, but those
    # of negative ones the other way round.
    bits = (logits + np.float32(0)).view(np.int32).astype(np.int64)
    bits = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    # Unequal numbers for unequal places: a partial sort is as good as a
    # stable one.
    keys = (bits << 32) - np.arange(size)
    count = min(count, size)
    if count < size:
        keys = np.partition(keys, size - count, axis=1)[:, size - count :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    return -keys & 0xFFFFFFFF


def _pairs(
    block: _Block, bounds: np.ndarray, settings: AnswerSettings
) -> Iterator[Pairs]:
    """Yields the sorted pairs of each question of a block.

    Args:
        block: W rows.
        bounds: int [Q + 1], where the questions' rows begin, and W.
        settings: how answers are chosen.
    """
    num_questions = len(bounds) - 1
    places = _n_best_places(block, settings)
    question = np.searchsorted(bounds, places[0], "right") - 1
    if settings.version_2_with_negative or settings.always_answer:
        for number in np.setdiff1d(np.arange(num_questions), question):
            rows = slice(bounds[number], bounds[number + 1])
            found = _best_of_all(block, rows, settings)
            if found is not None:
                question = np.append(question, number)
                places = np.append(places, np.array([found]).T, axis=1)
    window, start, end = places
    # [2, P]
    logits = np.stack(
        [block.start_logits[window, start], block.end_logits[window, end]]
    ).astype(np.float64)
    nulls = None
    if settings.version_2_with_negative:
        nulls = _null_scores(block, bounds)
        # Behind all others, so that they come last of equal ones.
        question = np.append(question, np.arange(num_questions))
        logits = np.append(logits, nulls[:, 1:].T, axis=1)
        window = np.append(window, np.full(num_questions, -1))
        start = np.append(start, np.zeros(num_questions, np.int64))
        end = np.append(end, np.zeros(num_questions, np.int64))
    order = np.lexsort((-logits.sum(axis=0), question))
    span = np.stack([start, end], axis=1)
    characters = np.stack(
        [block.text_start[window, start], block.text_end[window, end]], axis=1
    )
    firsts = np.searchsorted(question[order], np.arange(num_questions + 1))
    for number in range(num_questions):
        rows = slice(int(bounds[number]), int(bounds[number + 1]))
        chosen = order[firsts[number] : firsts[number + 1]]
        of_row = window[chosen]
        yield Pairs(
            int(block.numbers[rows.start]),
            block.ids[rows],
            block.can_end[rows],
            np.where(of_row < 0, -1, of_row - rows.start),
            span[chosen],
            characters[chosen],
            logits[0, chosen],
            logits[1, chosen],
            None if nulls is None else tuple(nulls[number].tolist()),
        )


def _n_best_places(block: _Block, settings: AnswerSettings) -> np.ndarray:
    """Returns window, start and end, int [3, P], of the pairs that count.

    They are in the order of windows, of starts and of ends, the best first.
    """
    starts = greatest(block.start_logits, settings.n_best_size)
    ends = greatest(block.end_logits, settings.n_best_size)
    row = np.arange(len(starts))[:, None]
    # [W, n best starts, n best ends]
    length = ends[:, None, :] - starts[:, :, None]
    counts = (
        block.can_start[row, starts][:, :, None]
        & block.can_end[row, ends][:, None, :]
        & (length >= 0)
        & (length < settings.max_answer_length)
    )
    window, n_start, n_end = np.nonzero(counts)
    return np.stack([window, starts[window, n_start], ends[window, n_end]])


def _null_scores(block: _Block, bounds: np.ndarray) -> np.ndarray:
    """Returns [Q, 3]: the lowest null score of each question, its logits."""
    logits = np.stack(
        [block.start_logits[:, 0], block.end_logits[:, 0]], axis=1
    ).astype(np.float64)
    totals = logits.sum(axis=1)
    # The first window of those with the lowest.
    question = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    order = np.lexsort((totals, question))
    lowest = order[bounds[:-1]]
    return np.concatenate([totals[lowest, None], logits[lowest]], axis=1)


def _best_of_all(
    block: _Block, rows: slice, settings: AnswerSettings
) -> tuple[int, int, int] | None:
    """Returns (row, start, end) of the best of all pairs that count."""
    nothing = np.float64(-np.inf)
    starts = np.where(block.can_start[rows], block.start_logits[rows], nothing)
    ends = np.where(block.can_end[rows], block.end_logits[rows], nothing)
    best, place = nothing, None
    length = starts.shape[1]
    for shift in range(min(settings.max_answer_length, length)):
        totals = starts[:, : length - shift] + ends[:, shift:]
        row, start = np.unravel_index(totals.argmax(), totals.shape)
        if totals[row, start] > best:
            best = totals[row, start]
            place = (rows.start + int(row), int(start), int(start) + shift)
    return place
