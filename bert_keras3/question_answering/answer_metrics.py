"""How good answers are: exact match and F1 by the official rules.

    gold "the Steve Smith"   said "Steve Smith's"
    compared                 steve smith | steve smiths
    exact match 0            F1: one word of two in common, 0.5

- SQuAD 1.1 (`squad_1`): case, ASCII punctuation and English articles do not
  count; F1 over words; of several gold answers the best counts.
- SQuAD 2.0 (`squad_2`): a question without an answer is right if nothing is
  said; from the null odds that threshold is found above which saying nothing
  would have been best.
- CMRC 2018 (`cmrc_2018`): each ideograph is a word, Chinese punctuation does
  not count, and F1 is over the longest stretch in common.

Original: `evaluate-v1.1.py`, `evaluate-v2.0.py`, `cmrc2018_evaluate.py`;
equal to their figures (tests/reference/README.md).
"""

from __future__ import annotations

import collections
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Gold = Iterable[tuple[str, Sequence[str]]]
"""(id, texts of the gold answers) of each question; no texts: no answer."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

# What CMRC's script leaves out. ASCII signs that are not among these count.
_CMRC_SIGNS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_WITHOUT_SIGNS = str.maketrans("", "", "".join(_CMRC_SIGNS))
_CMRC_IDEOGRAPH = re.compile("[\u4e00-\u9fa5]")

# Text that is not Chinese is cut by CMRC's script with NLTK's word tokenizer,
# which goes by the conventions of the Penn Treebank: points stay within words
# and leave the last, commas stay within numbers, quotes have a direction.
_TREEBANK_STEPS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'(^|[ (\[{<])"', r"\1 `` "),
        (r"[;@#$%&?!()\[\]{}<>«»„“”‘’]", r" \g<0> "),
        (r"\.{2,}", r" \g<0> "),
        (r",(?!\d)", r" , "),
        (r"(?<!\.)\.(?=[\])}>\"'»”’ ]*$)", r" . "),
        (r'"', " '' "),
        (r"(?<=[^' ])('(?:s|m|d|ll|re|ve)?|n't)(?= |$)", r" \1 "),
    )
)


def normalized(text: str) -> str:
    """Returns a text as SQuAD's scripts compare it."""
    text = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def f1_of_words(gold: str, said: str) -> float:
    """Returns the F1 of the words that two texts have, by SQuAD's rules.

    If either has none it is 1 if both have none, else 0, as in SQuAD 2.0.
    """
    gold_words, words = normalized(gold).split(), normalized(said).split()
    if not gold_words or not words:
        return float(gold_words == words)
    common = collections.Counter(gold_words) & collections.Counter(words)
    return _f1(common.total(), len(gold_words), len(words))


def squad_1(gold: Gold, predictions: Mapping[str, str]) -> dict[str, float]:
    """SQuAD 1.1: exact match and F1 in percent.

    Args:
        gold: of all questions; each has an answer.
        predictions: {id: text}; a question without one counts 0.

    Returns:
        `exact_match` and `f1`.
    """
    exact = f1 = 0.0
    total = 0
    for question_id, answers in gold:
        total += 1
        said = predictions.get(question_id)
        if said is None or not answers:
            continue
        exact += max(normalized(one) == normalized(said) for one in answers)
        # In SQuAD 1.1 two texts without words have nothing in common.
        if normalized(said):
            f1 += max(f1_of_words(one, said) for one in answers)
    return {
        "exact_match": 100.0 * exact / max(1, total),
        "f1": 100.0 * f1 / max(1, total),
    }


def squad_2(
    gold: Gold,
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """SQuAD 2.0: exact match and F1 in percent, by whether there is an answer.

    Args:
        gold: of the questions; those without a prediction are left out.
        predictions: {id: text}, empty for "no answer".
        null_odds: {id: how sure "no answer" is}, if there are any.
        threshold: odds above it count as "no answer" whatever is said, as the
            script's `--na-prob-thresh`.

    Returns:
        `exact`, `f1`, `total`; the same with `HasAns_` and `NoAns_` before, if
        there are such questions; with odds, `best_exact`, `best_f1` and
        `best_exact_thresh`, `best_f1_thresh`: what would have been reached if
        nothing had been said above that threshold.
    """
    exact, f1, has_answer, says, odds = [], [], [], [], []
    for question_id, texts in gold:
        said = predictions.get(question_id)
        if said is None:
            continue
        answers = [one for one in texts if normalized(one)] or [""]
        exact.append(
            float(max(normalized(one) == normalized(said) for one in answers))
        )
        f1.append(max(f1_of_words(one, said) for one in answers))
        has_answer.append(any(answers))
        says.append(bool(said))
        odds.append(0.0 if null_odds is None else null_odds[question_id])
    kinds = np.array(has_answer, bool)
    is_above = np.array(odds) > threshold
    values: dict[str, float] = {}
    raw = {"exact": np.array(exact), "f1": np.array(f1)}
    scores = {
        name: np.where(is_above, ~kinds, array) for name, array in raw.items()
    }
    _add_means(values, scores, np.ones(len(kinds), bool), "")
    _add_means(values, scores, kinds, "HasAns_")
    _add_means(values, scores, ~kinds, "NoAns_")
    if null_odds is not None:
        for name, array in raw.items():
            # Below the threshold an answer counts, above it that there is
            # none; from the surest answer to the least sure.
            gains = np.where(kinds, array, -np.array(says, float))
            best, place = _best_threshold(
                gains, np.array(odds), float((~kinds).sum())
            )
            values[f"best_{name}"] = 100.0 * best / max(1, len(kinds))
            values[f"best_{name}_thresh"] = place
    return values


def cmrc_2018(gold: Gold, predictions: Mapping[str, str]) -> dict[str, float]:
    """CMRC 2018: exact match and F1 in percent.

    Args:
        gold: of all questions.
        predictions: {id: text}; a question without one counts 0.

    Returns:
        `average` of both, `f1`, `em`, `total`, and `skip`, the number of
        questions without a prediction.
    """
    exact = f1 = 0.0
    total = skipped = 0
    for question_id, answers in gold:
        total += 1
        said = predictions.get(question_id)
        if said is None:
            skipped += 1
            continue
        exact += any(cmrc_plain(one) == cmrc_plain(said) for one in answers)
        f1 += max((cmrc_f1(one, said) for one in answers), default=0.0)
    em, f1 = 100.0 * exact / max(1, total), 100.0 * f1 / max(1, total)
    return {
        "average": (em + f1) * 0.5,
        "f1": f1,
        "em": em,
        "total": total,
        "skip": skipped,
    }


def cmrc_plain(text: str) -> str:
    """Returns a text as CMRC's exact match compares it."""
    return text.lower().strip().translate(_CMRC_WITHOUT_SIGNS)


def cmrc_words(text: str) -> list[str]:
    """Cuts a text into ideographs and what other words there are."""
    words: list[str] = []
    rest = 0
    text = cmrc_plain(text)
    for match in _CMRC_IDEOGRAPH.finditer(text):
        words += _treebank_words(text[rest : match.start()])
        words.append(match.group())
        rest = match.end()
    return words + _treebank_words(text[rest:])


def _treebank_words(text: str) -> list[str]:
    for pattern, replacement in _TREEBANK_STEPS:
        text = pattern.sub(replacement, text)
    return text.split()


def cmrc_f1(gold: str, said: str) -> float:
    """Returns the F1 of the longest stretch that two texts have in common."""
    gold_words, words = cmrc_words(gold), cmrc_words(said)
    return _f1(
        _longest_in_common(gold_words, words), len(gold_words), len(words)
    )


def _f1(common: int, gold: int, said: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / said, common / gold
    return (2 * precision * recall) / (precision + recall)


def _longest_in_common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest stretch that stands in both."""
    longest = 0
    before = [0] * (len(second) + 1)
    for word in first:
        lengths = [0]
        for place, other in enumerate(second):
            lengths.append(before[place] + 1 if word == other else 0)
        longest = max(longest, *lengths)
        before = lengths
    return longest


def _add_means(
    values: dict[str, Any],
    scores: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    prefix: str,
) -> None:
    total = int(chosen.sum())
    if total or not prefix:
        for name, array in scores.items():
            # Python's sum, whose order is the scripts'.
            mean = 100.0 * sum(array[chosen].tolist()) / max(1, total)
            values[prefix + name] = mean
        values[f"{prefix}total"] = total


def _best_threshold(
    gains: np.ndarray, odds: np.ndarray, none_said: float
) -> tuple[float, float]:
    """Returns the highest sum of scores, and the odds up to which it counts.

    Args:
        gains: [N], what each question adds if its answer is let stand.
        odds: [N].
        none_said: the sum if nothing is said to any question.
    """
    order = np.argsort(odds, kind="stable")
    totals = np.cumsum(np.concatenate([[none_said], gains[order]]))
    best = int(totals.argmax())
    # The threshold 0 stands for letting none stand.
    return float(totals[best]), float(odds[order[best - 1]]) if best else 0.0
