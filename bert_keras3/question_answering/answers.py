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
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.question_answering.answer_pairs import (
    AnswerSettings,
    Pairs,
    WindowScores,
    pairs_of_questions,
)
from bert_keras3.question_answering.answer_texts import AnswerTexts
from tokenization.tokenizers import Tokenizer

__all__ = [
    "EMPTY",
    "NO_ANSWER",
    "Answer",
    "AnswerSettings",
    "Candidate",
    "WindowScores",
    "find_answers",
]

NO_ANSWER = ""
EMPTY = "empty"
"""What the original answers in version 1 where no pair counts."""
NULL_SCORE_WITHOUT_WINDOWS = 1_000_000.0
"""The null odds of a question whose context has no token."""


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
    blocks = pairs_of_questions(scores, settings)
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


def _answer(
    question: QuestionExample,
    pairs: Pairs,
    texts: AnswerTexts,
    settings: AnswerSettings,
) -> Answer:
    """Chooses among the pairs of a question."""
    texts.read(question.context, pairs.ids, pairs.is_context)
    seen: set[str] = set()
    found: list[tuple[str, float, float, tuple[int, int]]] = []
    for window, span, characters, start_logit, end_logit in _one_by_one(pairs):
        if len(found) >= settings.n_best_size:
            break
        if window < 0:
            text, place = NO_ANSWER, (-1, -1)
        else:
            text, place = texts.text(window, span, characters)
            if text in seen:
                continue
        seen.add(text)
        found.append((text, start_logit, end_logit, place))
    if pairs.null is not None and NO_ANSWER not in seen:
        found.append((NO_ANSWER, pairs.null[1], pairs.null[2], (-1, -1)))
    if not found:
        found.append((EMPTY, 0.0, 0.0, (-1, -1)))
    n_best = _with_probabilities(found)
    best = next((one for one in n_best if one.text), None)
    if pairs.null is None:
        return Answer(
            question.question_id, n_best[0].text, n_best, None, n_best[0]
        )
    null = next(one for one in n_best if not one.text)
    if best is None:
        odds = NULL_SCORE_WITHOUT_WINDOWS
    else:
        odds = pairs.null[0] - best.start_logit - best.end_logit
    if best is None or odds > settings.null_score_diff_threshold:
        best = null
    return Answer(question.question_id, best.text, n_best, odds, best)


def _one_by_one(
    pairs: Pairs, at_a_time: int = 64
) -> Iterator[tuple[int, tuple[int, int], tuple[int, int], float, float]]:
    """Yields pairs from the best on; most are never asked for.

    Yields:
        (window, first and last position, first character and that behind the
        last, start logit, end logit).
    """
    for first in range(0, len(pairs.window), at_a_time):
        some = slice(first, first + at_a_time)
        yield from zip(
            pairs.window[some].tolist(),
            pairs.span[some].tolist(),
            pairs.characters[some].tolist(),
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
