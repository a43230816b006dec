"""Which sentences make an instance: two texts A and B, or one text.

A document of four sentences of 3, 4, 2 and 5 tokens, which are the tokens
0-3, 3-7, 7-9 and 9-14 of the corpus; another document is the tokens 14-24.
An instance of 12 tokens has room for 9 beside [CLS], [SEP] and [SEP].
Sentences are gathered until they fill it, here the first three:

    nsp   A 0-3  B 3-9    label 0: B follows A in the text
          or, as often,
          A 0-3  B 14-20  label 1: B is of another document; the two
                          sentences that were not used begin the next instance
    sop   A 0-3  B 3-9    label 0: in the order of the text
          or, as often,
          A 3-9  B 0-3    label 1: swapped
    none  A 0-9           whole sentences; the next instance is A 9-14

Where A ends is drawn too: after any sentence but the last that was gathered.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from tokenization.packing import NUM_SPECIAL_PAIR, NUM_SPECIAL_SINGLE


class Segments(NamedTuple):
    """One instance: two runs of tokens of the corpus.

    Attributes:
        a_start: number of the first token of A.
        a_end: one more than the number of its last.
        b_start: number of the first token of B.
        b_end: equal to `b_start` if there is no B.
        label: 1 if B does not follow A in the text, else 0.
    """

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    label: int


class Integers(Protocol):
    """A sequence of integers that may be too long for memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...


class Sentences(Protocol):
    """Documents as the tokens that each of their sentences spans."""

    @property
    def num_documents(self) -> int:
        """How many documents there are."""
        ...

    @property
    def offsets(self) -> Integers:
        """Sentence i is the tokens from offsets[i] to offsets[i + 1].

        The sentences of a document follow one another.
        """
        ...

    def bounds(self, document: int) -> tuple[int, int]:
        """Returns its first sentence, and one more than its last."""
        ...


DrawOther = Callable[[random.Random, int, int], int]


def other_document(rng: random.Random, document: int, number: int) -> int:
    """Draws one of `number` documents that is not `document`."""
    drawn = rng.randrange(number - 1)
    return drawn + (drawn >= document)


def next_sentence(
    sentences: Sentences,
    document: int,
    rng: random.Random,
    max_seq_length: int,
    short_seq_prob: float,
    draw_other: DrawOther = other_document,
) -> Iterator[Segments]:
    """Makes pairs for next sentence prediction (Devlin et al. 2019, 3.1).

    Makes the same random draws, in the same order, as the original's
    `create_instances_from_document`. Sentences are gathered until they fill
    an instance. A is the first few of them. B is the others or, with
    probability 0.5 and always if there is one sentence, a run from another
    document; the others then begin the next instance.

    Args:
        sentences: the documents.
        document: which of them to make instances of.
        rng: may be drawn from between two instances.
        max_seq_length: the three special tokens counted.
        short_seq_prob: probability that the instances of a document are
            shorter, of a length drawn from 2 to the greatest.
        draw_other: draws another document.

    Yields:
        Instances; label 1 means that B is from another document.
    """
    max_num_tokens = max_seq_length - NUM_SPECIAL_PAIR
    target = _target_length(rng, max_num_tokens, short_seq_prob)
    offsets = sentences.offsets
    first, last = sentences.bounds(document)
    start = current = first
    while current < last:
        if not _is_full(offsets, start, current, last, target):
            current += 1
            continue
        a_last = start + 1
        if current > start:
            a_last = start + rng.randint(1, current - start)
        a_start, a_end = offsets[start], offsets[a_last]
        is_random = current == start or rng.random() < 0.5
        if is_random:
            other = draw_other(rng, document, sentences.num_documents)
            other_first, other_last = sentences.bounds(other)
            b_first = rng.randint(other_first, other_last - 1)
            b_start = offsets[b_first]
            # Up to the sentence that makes it long enough.
            wanted = b_start + target - (a_end - a_start)
            b_last = bisect.bisect_left(
                offsets, wanted, b_first + 1, other_last
            )
            b_end = offsets[b_last]
            current = a_last
        else:
            b_start, b_end = offsets[a_last], offsets[current + 1]
            current += 1
        start = current
        yield Segments(
            *_truncated(rng, a_start, a_end, b_start, b_end, max_num_tokens),
            int(is_random),
        )


def sentence_order(
    sentences: Sentences,
    document: int,
    rng: random.Random,
    max_seq_length: int,
    short_seq_prob: float,
) -> Iterator[Segments]:
    """Makes pairs of which half are swapped (Lan et al. 2020, section 3.1).

    A single sentence, as the last of a document may be, is cut in two at a
    token; one of a single token makes no instance.

    The arguments are those of `next_sentence`.

    Yields:
        Instances; label 1 means that B comes before A in the text.
    """
    max_num_tokens = max_seq_length - NUM_SPECIAL_PAIR
    target = _target_length(rng, max_num_tokens, short_seq_prob)
    offsets = sentences.offsets
    start, last = sentences.bounds(document)
    for current in range(start, last):
        if not _is_full(offsets, start, current, last, target):
            continue
        a_start, b_end = offsets[start], offsets[current + 1]
        if current > start:
            middle = offsets[start + rng.randint(1, current - start)]
        elif b_end - a_start > 1:
            middle = a_start + rng.randint(1, b_end - a_start - 1)
        else:
            continue
        start = current + 1
        a_start, a_end, b_start, b_end = _truncated(
            rng, a_start, middle, middle, b_end, max_num_tokens
        )
        if rng.random() < 0.5:
            yield Segments(b_start, b_end, a_start, a_end, 1)
        else:
            yield Segments(a_start, a_end, b_start, b_end, 0)


def full_sentences(
    sentences: Sentences,
    document: int,
    rng: random.Random,
    max_seq_length: int,
    short_seq_prob: float,
) -> Iterator[Segments]:
    """Makes runs of whole sentences, as many as fit: RoBERTa's DOC-SENTENCES.

    Liu et al. 2019, section 4.2. A sentence that does not fit alone is cut,
    and what is cut off begins the next instance.

    The arguments are those of `next_sentence`, but that an instance has only
    two special tokens.

    Yields:
        Instances without B, of label 0.
    """
    target = _target_length(
        rng, max_seq_length - NUM_SPECIAL_SINGLE, short_seq_prob
    )
    offsets = sentences.offsets
    first, last = sentences.bounds(document)
    start, end = offsets[first], offsets[last]
    while start < end:
        # One more than the last sentence that ends within the target.
        fits = bisect.bisect_right(offsets, start + target, first, last + 1) - 1
        stop = offsets[fits]
        if stop <= start:
            stop = start + target
        yield Segments(start, stop, stop, stop, 0)
        start = stop


Objective = Callable[
    [Sentences, int, random.Random, int, float], Iterator[Segments]
]

# By the value of --sentence_objective.
OBJECTIVES: dict[str, Objective] = {
    "nsp": next_sentence,
    "sop": sentence_order,
    "none": full_sentences,
}


def _target_length(
    rng: random.Random, max_num_tokens: int, short_seq_prob: float
) -> int:
    if rng.random() < short_seq_prob:
        return rng.randint(2, max_num_tokens)
    return max_num_tokens


def _is_full(
    offsets: Integers, start: int, current: int, last: int, target: int
) -> bool:
    """Whether the sentences from `start` to `current` fill an instance."""
    return (
        current == last - 1 or offsets[current + 1] - offsets[start] >= target
    )


def _truncated(
    rng: random.Random,
    a_start: int,
    a_end: int,
    b_start: int,
    b_end: int,
    max_num_tokens: int,
) -> tuple[int, int, int, int]:
    """Drops tokens of the longer text until both fit.

    Each is the first or the last of it, with probability 0.5.
    """
    a_length, b_length = a_end - a_start, b_end - b_start
    while a_length + b_length > max_num_tokens:
        from_front = rng.random() < 0.5
        if a_length > b_length:
            a_length -= 1
            a_start += from_front
        else:
            b_length -= 1
            b_start += from_front
    return a_start, a_start + a_length, b_start, b_start + b_length
