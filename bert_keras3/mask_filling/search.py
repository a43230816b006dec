"""Searches for the words of masks, given a model of one mask at a time.

A search is a generator. It yields queries, of each the ids of a text, the
position of a mask in it, and what is to be read from the logarithms of the
probabilities of all pieces there; it is sent what was read. So one batch has
the queries of many searches, few probabilities are in memory at a time, and a
test can answer by hand.

A word of n pieces stands for n masks, filled from left to right:

    query                    P(piece)      hypothesis
    a [MASK] [MASK] idea     un: 0.2       un
    a un [MASK] idea         ##wise: 0.5   unwise, 0.2 · 0.5 = 0.1

The model is given the number of pieces, so that probabilities of words with
different numbers are not comparable; their geometric means for each piece
(0.1 ** (1/2)) are compared instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from bert_keras3.mask_filling.masked_text import MaskedText
from bert_keras3.mask_filling.pieces import Pieces

_T = TypeVar("_T")
_U = TypeVar("_U")

# Words of several pieces that are cut otherwise are left out; so many times
# the width of the beam are looked at.
_SPARE = 8


class Query(NamedTuple):
    """A mask that is asked for.

    Attributes:
        ids: of the text, without [CLS] and [SEP].
        position: of the mask among them.
        read: float32 [V], ln P of all pieces there → what is wanted of it.
    """

    ids: tuple[int, ...]
    position: int
    read: Callable[[np.ndarray], Any]


class Found(NamedTuple):
    """A word for a mask.

    Attributes:
        ids: its pieces.
        log_probability: Σ ln P(piece), of each given those before it.
    """

    ids: tuple[int, ...]
    log_probability: float

    @property
    def log_score(self) -> float:
        """The mean of ln P(piece), by which words are compared."""
        return self.log_probability / len(self.ids)


Search: TypeAlias = Generator[list[Query], Sequence[Any], _T]
# ids of a text, position of a mask, whether it goes on with a word -> words.
Find: TypeAlias = Callable[[tuple[int, ...], int, bool], "Search[list[Found]]"]


def run(
    search: Search[_T],
    answer: Callable[[list[Query]], Sequence[Any]],
) -> _T:
    """Runs a search to its end.

    Args:
        search: the search.
        answer: queries → what each of them reads.
    """
    try:
        queries = next(search)
        while True:
            queries = search.send(answer(queries))
    except StopIteration as end:
        result: _T = end.value
        return result


def together(searches: Iterable[Search[_T]]) -> Search[list[_T]]:
    """Runs several searches at once, so that their queries come together.

    Returns:
        The result of each, in their order.
    """
    results: dict[int, _T] = {}
    waiting: dict[int, tuple[Search[_T], list[Query]]] = {}

    def step(number: int, search: Search[_T], answers: Any) -> None:
        try:
            waiting[number] = search, search.send(answers)
        except StopIteration as end:
            waiting.pop(number, None)
            results[number] = end.value

    for number, search in enumerate(searches):
        step(number, search, None)
    while waiting:
        asked = list(waiting.items())
        answers = yield [one for _, (_, queries) in asked for one in queries]
        start = 0
        for number, (search, queries) in asked:
            step(number, search, answers[start : start + len(queries)])
            start += len(queries)
    return [results[number] for number in sorted(results)]


def both(one: Search[_T], other: Search[_U]) -> Search[tuple[_T, _U]]:
    """Runs two searches with different results at once."""
    first, second = yield from together([_untyped(one), _untyped(other)])
    return first, second


def _untyped(search: Search[Any]) -> Search[Any]:
    return search


def best_words(
    ids: tuple[int, ...],
    position: int,
    within_word: bool,
    *,
    pieces: Pieces,
    width: int,
    max_pieces: int = 1,
) -> Search[list[Found]]:
    """Finds the best words for a mask, of 1 to `max_pieces` pieces.

    Words of one piece are found for certain; of words of several, those whose
    beginnings are among the `width` best of their length.

    Args:
        ids: of the text, without [CLS] and [SEP].
        position: of the mask.
        within_word: whether the mask goes on with the word before it.
        pieces: of the model.
        width: of the beam.
        max_pieces: the most pieces of a word.

    Returns:
        At most `width` words, the best first.
    """
    beginnings = pieces.continues if within_word else pieces.begins

    def next_pieces(beam: Found, length: int) -> Query:
        """Asks for the best pieces that may follow those of a hypothesis."""
        allowed = pieces.followers(beam.ids[-1]) if beam.ids else beginnings
        is_last = length == len(beam.ids) + 1
        count = width * (_SPARE if is_last and beam.ids else 1)
        read = functools.partial(_best_pieces, allowed=allowed, count=count)
        return _query(ids, position, beam.ids, length, pieces.mask_id, read)

    beams = {length: [Found((), 0.0)] for length in range(1, max_pieces + 1)}
    words: list[Found] = []
    for step in range(max_pieces):
        lengths = [n for n in beams if n > step and beams[n]]
        answers = iter(
            (
                yield [
                    next_pieces(beam, length)
                    for length in lengths
                    for beam in beams[length]
                ]
            )
        )
        for length in lengths:
            is_last = step == length - 1
            found = [
                Found((*beam.ids, piece), beam.log_probability + value)
                for beam in beams[length]
                for piece, value in next(answers)
            ]
            if is_last and step:
                found = [
                    one for one in found if pieces.is_how_it_is_cut(one.ids)
                ]
            beams[length] = _best(found, width)
            if is_last:
                words += beams.pop(length)
    return _best(words, width)


def scored_candidates(
    ids: tuple[int, ...],
    position: int,
    within_word: bool,
    *,
    candidates: Sequence[tuple[int, ...]],
    mask_id: int,
) -> Search[list[Found]]:
    """Finds the probabilities of given words for a mask.

    Args:
        ids: of the text, without [CLS] and [SEP].
        position: of the mask.
        within_word: makes no difference: the user knows what fits there.
        candidates: the pieces of each word.
        mask_id: id of [MASK].

    Returns:
        All of them, the best first.
    """
    del within_word
    answers = iter(
        (
            yield [
                _query(
                    *(ids, position, word[:step], len(word), mask_id),
                    read=functools.partial(_value, piece=piece),
                )
                for word in candidates
                for step, piece in enumerate(word)
            ]
        )
    )
    return _best(
        [
            Found(word, math.fsum(next(answers) for _ in word))
            for word in candidates
        ],
        len(candidates),
    )


def joint_fillings(
    text: MaskedText, find: Find, width: int
) -> Search[list[tuple[Found, ...]]]:
    """Finds the words that fit all masks of a text together, by a beam.

    The masks are filled from left to right; each word is given those before
    it, and masks in the place of those behind it.

    Args:
        text: with at least one mask.
        find: the search for one mask.
        width: of the beam.

    Returns:
        At most `width` fillings, the best first: a word for each mask. They
        are compared by the product of their words' scores.
    """
    beam: list[tuple[Found, ...]] = [()]
    for position, within_word in zip(
        text.positions, text.within_word, strict=True
    ):
        searches = []
        for words in beam:
            ids, shift = _with_words(text, words)
            searches.append(find(ids, position + shift, within_word))
        found = yield from together(searches)
        longer = [
            (*words, word)
            for words, some in zip(beam, found, strict=True)
            for word in some
        ]
        beam = sorted(longer, key=joint_log_score, reverse=True)[:width]
    return beam


def joint_log_score(words: Iterable[Found]) -> float:
    """Returns the sum of the words' log scores."""
    return math.fsum(word.log_score for word in words)


def _with_words(
    text: MaskedText, words: Sequence[Found]
) -> tuple[tuple[int, ...], int]:
    """Puts words in the place of the first masks.

    Returns:
        (ids, by how much the other masks have moved).
    """
    ids, shift = text.ids, 0
    for word, position in zip(words, text.positions, strict=False):
        start = position + shift
        ids = (*ids[:start], *word.ids, *ids[start + 1 :])
        shift += len(word.ids) - 1
    return ids, shift


def _query(
    ids: tuple[int, ...],
    position: int,
    filled: tuple[int, ...],
    length: int,
    mask_id: int,
    read: Callable[[np.ndarray], Any],
) -> Query:
    """Asks for the next piece of a word of some length."""
    masks = (mask_id,) * (length - len(filled))
    return Query(
        (*ids[:position], *filled, *masks, *ids[position + 1 :]),
        position + len(filled),
        read,
    )


def _value(log_probabilities: np.ndarray, *, piece: int) -> float:
    return float(log_probabilities[piece])


def _best_pieces(
    log_probabilities: np.ndarray, *, allowed: np.ndarray, count: int
) -> list[tuple[int, float]]:
    """Returns the best of the allowed pieces, in any order, with ln P."""
    (choices,) = np.nonzero(allowed)
    values = log_probabilities[choices]
    if count < len(choices):
        kept = np.argpartition(-values, count - 1)[:count]
        choices, values = choices[kept], values[kept]
    return [*zip(choices.tolist(), values.tolist(), strict=True)]


def _best(words: list[Found], count: int) -> list[Found]:
    """Returns the best words, of equal ones the one with the lower ids."""
    return sorted(words, key=lambda word: (-word.log_score, word.ids))[:count]
