"""Logits of windows → answers, as `write_predictions` of `run_squad.py`.

In each window the `n_best_size` greatest start logits and as many end logits
are paired. A pair counts if both stand in the context, the start in its best
window, the end not before it, and if it is no longer than
`max_answer_length` tokens. Pairs of all windows of a question are sorted by
the sum of their logits; of equal ones, and of equal logits, that of the
earlier window, then start, then end comes first. Texts that repeat are passed
over until `n_best_size` are found.

    start logits  [CLS] 0.1  who 0.2  [SEP] 0  steve 5  smith 1  [SEP] 0
    end logits          0.1      0.3        0        1        6        0
    pairs         steve smith 11, smith smith 7, steve steve 6
    n best        "Steve Smith" 0.976, "Smith" 0.018, "Steve" 0.007

Pairs are found with NumPy for hundreds of windows at a time; only the pairs
that may become answers are looked at one by one.

With `version_2_with_negative` the pair ([CLS], [CLS]) of the window where its
sum is lowest stands for "no answer".
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bert_keras3.finetuning.answer_texts import AnswerTexts
from bert_keras3.inputs.feature_store import FeatureStore, ranges
from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.safekeeping.errors import UserError
from tokenization.tokenizers import Tokenizer

NO_ANSWER = ""
EMPTY = "empty"
"""What the original answers in version 1 where no pair counts."""
NULL_SCORE_WITHOUT_WINDOWS = 1_000_000.0
"""The null odds of a question whose context has no token."""

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


class Candidate(NamedTuple):
    """One of the n best answers.

    Attributes:
        text: of the answer; empty for "no answer".
        probability: softmax over the n best.
        start_logit: of its first token.
        end_logit: of its last.
        start: its first character in the context; −1 if it has no place.
        end: the character behind its last; −1 if it has no place.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a question.

    Attributes:
        question_id: the id.
        text: the answer; empty for none.
        n_best: the best candidates, the best first; at least one. In version
            2 "no answer" is among them, as number n + 1 if need be.
        null_odds: version 2: null score less that of the best answer; None in
            version 1.
        best: the candidate that `text` is, of which it has the characters'
            places and the probability.
    """

    question_id: str
    text: str
    n_best: tuple[Candidate, ...]
    null_odds: float | None
    best: Candidate


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


def find_answers(
    questions: Iterable[QuestionExample],
    scores: WindowScores,
    tokenizer: Tokenizer,
    settings: AnswerSettings,
    numbers: Sequence[int] | np.ndarray | None = None,
) -> Iterator[Answer]:
    """Answers questions, in their order; memory does not grow with them.

    A question without rows gets the answer `empty`, in version 2 none.

    Args:
        questions: of the file, from the first on, as they were made windows.
        scores: of their windows.
        tokenizer: that made the windows.
        settings: how answers are chosen.
        numbers: which of the questions are asked, ascending; None: all.

    Yields:
        The answer of each question that is asked.
    """
    texts = AnswerTexts(tokenizer, settings.do_lower_case, settings.answers_by)
    blocks = _blocks(scores, settings)
    # Pairs of the next question that has any; questions without rows between.
    block = next(blocks, None)
    wanted = None if numbers is None else iter(np.asarray(numbers).tolist())
    following = None if wanted is None else next(wanted, None)
    for number, question in enumerate(questions):
        if wanted is not None:
            if number != following:
                continue
            following = next(wanted, None)
        while block is not None and block.number < number:
            block = next(blocks, None)
        if block is not None and block.number == number:
            yield _answer(question, block, texts, settings)
        else:
            yield _without_windows(question, settings)


class _Pairs(NamedTuple):
    """The pairs of one question, the best first, and its null score.

    Attributes:
        number: of the question.
        ids: int [rows of the question, S].
        text_start: int [rows, S].
        text_end: int [rows, S].
        window: which of the rows each pair is in, int [P]; −1 for the null.
        start: position of the first token, int [P].
        end: position of the last, int [P].
        start_logit: float64 [P].
        end_logit: float64 [P].
        null: (null score, start logit, end logit), if asked for.
    """

    number: int
    ids: np.ndarray
    text_start: np.ndarray
    text_end: np.ndarray
    window: np.ndarray
    start: np.ndarray
    end: np.ndarray
    start_logit: np.ndarray
    end_logit: np.ndarray
    null: tuple[float, float, float] | None


def _blocks(
    scores: WindowScores, settings: AnswerSettings
) -> Iterator[_Pairs]:
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
) -> Iterator[_Pairs]:
    """Yields the sorted pairs of each question of a block.

    Args:
        block: W rows.
        bounds: int [Q + 1], where the questions' rows begin, and W.
        settings: how answers are chosen.
    """
    n_best = settings.n_best_size
    starts = greatest(block.start_logits, n_best)
    ends = greatest(block.end_logits, n_best)
    row = np.arange(len(starts))[:, None]
    length = ends[:, None, :] - starts[:, :, None]
    counts = (
        block.can_start[row, starts][:, :, None]
        & block.can_end[row, ends][:, None, :]
        & (length >= 0)
        & (length < settings.max_answer_length)
    )
    window, n_start, n_end = np.nonzero(counts)
    start, end = starts[window, n_start], ends[window, n_end]
    start_logit = block.start_logits[window, start].astype(np.float64)
    end_logit = block.end_logits[window, end].astype(np.float64)
    question = np.searchsorted(bounds, window, "right") - 1
    nulls = None
    if settings.version_2_with_negative:
        nulls = _null_scores(block, bounds)
        lacking = np.setdiff1d(np.arange(len(bounds) - 1), question)
    elif settings.always_answer:
        lacking = np.setdiff1d(np.arange(len(bounds) - 1), question)
    else:
        lacking = np.zeros(0, np.int64)
    for number in lacking.tolist():
        found = _best_of_all(
            block, slice(bounds[number], bounds[number + 1]), settings
        )
        if found is not None:
            question = np.append(question, number)
            window = np.append(window, found[0])
            start, end = np.append(start, found[1]), np.append(end, found[2])
            start_logit = np.append(
                start_logit, np.float64(block.start_logits[found[0], found[1]])
            )
            end_logit = np.append(
                end_logit, np.float64(block.end_logits[found[0], found[2]])
            )
    if nulls is not None:
        # Behind all others, so that they come last of equal ones.
        question = np.append(question, np.arange(len(nulls)))
        window = np.append(window, np.full(len(nulls), -1))
        start = np.append(start, np.zeros(len(nulls), np.int64))
        end = np.append(end, np.zeros(len(nulls), np.int64))
        start_logit = np.append(start_logit, nulls[:, 1])
        end_logit = np.append(end_logit, nulls[:, 2])
    order = np.lexsort((-(start_logit + end_logit), question))
    places = np.searchsorted(question[order], np.arange(len(bounds)))
    for number in range(len(bounds) - 1):
        rows = slice(bounds[number], bounds[number + 1])
        chosen = order[places[number] : places[number + 1]]
        of_row = window[chosen]
        yield _Pairs(
            int(block.numbers[rows.start]),
            block.ids[rows],
            block.text_start[rows],
            block.text_end[rows],
            np.where(of_row < 0, -1, of_row - rows.start),
            start[chosen],
            end[chosen],
            start_logit[chosen],
            end_logit[chosen],
            None if nulls is None else tuple(nulls[number].tolist()),
        )


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


def _answer(
    question: QuestionExample,
    pairs: _Pairs,
    texts: AnswerTexts,
    settings: AnswerSettings,
) -> Answer:
    """Chooses among the pairs of a question."""
    context = texts.of(
        question.context, pairs.ids, pairs.text_start, pairs.text_end
    )
    # {text: (text, start, end) and logits}, in order.
    seen: dict[str, tuple[float, float, tuple[int, int]]] = {}
    found: list[tuple[str, float, float, tuple[int, int]]] = []
    for window, start, end, start_logit, end_logit in _one_by_one(pairs):
        if len(found) >= settings.n_best_size:
            break
        if window < 0:
            text, place = NO_ANSWER, (-1, -1)
        else:
            text, place = context.text(window, start, end)
            if text in seen:
                continue
        seen[text] = (start_logit, end_logit, place)
        found.append((text, start_logit, end_logit, place))
    if pairs.null is not None and NO_ANSWER not in seen:
        found.append((NO_ANSWER, pairs.null[1], pairs.null[2], (-1, -1)))
    if not found:
        found.append((EMPTY, 0.0, 0.0, (-1, -1)))
    n_best = _with_probabilities(found)
    best = next((one for one in n_best if one.text), None)
    if pairs.null is None:
        return Answer(question.question_id, n_best[0].text, n_best, None, n_best[0])
    null = next(one for one in n_best if not one.text)
    if best is None:
        odds = NULL_SCORE_WITHOUT_WINDOWS
    else:
        odds = pairs.null[0] - best.start_logit - best.end_logit
    if best is None or odds > settings.null_score_diff_threshold:
        best = null
    return Answer(question.question_id, best.text, n_best, odds, best)


def _one_by_one(
    pairs: _Pairs, at_a_time: int = 64
) -> Iterator[tuple[int, int, int, float, float]]:
    """Yields window, start, end and logits of pairs; most are never asked."""
    for first in range(0, len(pairs.window), at_a_time):
        some = slice(first, first + at_a_time)
        yield from zip(
            pairs.window[some].tolist(),
            pairs.start[some].tolist(),
            pairs.end[some].tolist(),
            pairs.start_logit[some].tolist(),
            pairs.end_logit[some].tolist(),
            strict=True,
        )


def _with_probabilities(
    found: Sequence[tuple[str, float, float, tuple[int, int]]],
) -> tuple[Candidate, ...]:
    """Adds softmax probabilities, with the original's sums in float64."""
    totals = [start + end for _, start, end, _ in found]
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = 0.0
    for power in powers:
        whole += power
    return tuple(
        Candidate(text, power / whole, start, end, *place)
        for (text, start, end, place), power in zip(found, powers, strict=True)
    )


def _without_windows(
    question: QuestionExample, settings: AnswerSettings
) -> Answer:
    is_version_2 = settings.version_2_with_negative
    text = NO_ANSWER if is_version_2 else EMPTY
    only = Candidate(text, 1.0, 0.0, 0.0, -1, -1)
    odds = NULL_SCORE_WITHOUT_WINDOWS if is_version_2 else None
    return Answer(question.question_id, text, (only,), odds, only)
