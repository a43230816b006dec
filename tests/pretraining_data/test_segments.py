"""Which sentences make an instance."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence

import pytest

from bert_keras3.pretraining_data import segments


@dataclasses.dataclass
class Lengths:
    """Documents of sentences of these lengths."""

    documents: Sequence[Sequence[int]]

    @property
    def num_documents(self) -> int:
        return len(self.documents)

    @property
    def offsets(self) -> list[int]:
        flat = itertools.chain.from_iterable(self.documents)
        return list(itertools.accumulate(flat, initial=0))

    def bounds(self, document: int) -> tuple[int, int]:
        first = sum(map(len, self.documents[:document]))
        return first, first + len(self.documents[document])


def draw(
    objective: str,
    documents: Sequence[Sequence[int]],
    max_seq_length: int,
    seed: int,
    document: int = 0,
    short_seq_prob: float = 0.0,
) -> list[segments.Segments]:
    return list(
        segments.OBJECTIVES[objective](
            Lengths(documents),
            document,
            random.Random(seed),
            max_seq_length,
            short_seq_prob,
        )
    )


@pytest.mark.parametrize(
    ("objective", "possible"),
    [
        ("nsp", [(0, 3, 3, 9, 0), (0, 7, 7, 9, 0), (0, 3, 14, 20, 1)]),
        (
            "sop",
            [
                (0, 3, 3, 9, 0),
                (0, 7, 7, 9, 0),
                (3, 9, 0, 3, 1),
                (7, 9, 0, 7, 1),
            ],
        ),
        ("none", [(0, 9, 9, 9, 0)]),
    ],
)
def test_the_example_of_the_file(
    objective: str, possible: list[tuple[int, ...]]
) -> None:
    documents = [[3, 4, 2, 5], [6, 4]]
    first = {draw(objective, documents, 12, seed)[0] for seed in range(100)}
    assert first >= set(possible)
    if objective == "none":
        assert draw("none", documents, 12, 0)[1][:2] == (9, 14)


def test_a_and_b_fill_an_instance() -> None:
    documents = [[4, 3, 3, 4, 3, 3], [2, 2]]
    seen = set()
    for seed in range(50):
        for found in draw("nsp", documents, 13, seed):
            assert found.a_end - found.a_start > 0
            assert found.b_end - found.b_start > 0
            length = found.a_end - found.a_start + found.b_end - found.b_start
            assert length <= 10
            # A is always of the document, B only if it is the next.
            assert found.a_end <= 20
            if found.label:
                assert found.b_start >= 20
            else:
                assert found.b_start == found.a_end
                seen.add((found.a_start, found.a_end, found.b_end))
    # Two or three sentences make ten tokens; the cut lies between sentences.
    assert {(0, 4, 10), (0, 7, 10), (10, 14, 20), (10, 17, 20)} <= seen


def test_half_of_the_pairs_have_a_random_b() -> None:
    documents = [[1] * 10000, [1] * 100]
    labels = [found.label for found in draw("nsp", documents, 23, 0)]
    assert len(labels) > 500
    assert 0.45 < sum(labels) / len(labels) < 0.55


def test_sentences_that_were_not_used_begin_the_next_pair() -> None:
    # Every token of the document is in some A or in a B that follows it.
    documents = [[3, 2, 4, 1, 5, 2, 3], [30]]
    for seed in range(30):
        used: set[int] = set()
        for found in draw("nsp", documents, 100, seed):
            used |= set(range(found.a_start, found.a_end))
            if not found.label:
                used |= set(range(found.b_start, found.b_end))
        assert used == set(range(20))


def test_the_other_document_is_another() -> None:
    rng = random.Random(0)
    drawn = [segments.other_document(rng, 1, 3) for _ in range(1000)]
    assert set(drawn) == {0, 2}
    assert 400 < drawn.count(0) < 600


def test_sentence_order_swaps_half() -> None:
    documents = [[2] * 1000]
    found = draw("sop", documents, 13, 0)
    swapped = [item for item in found if item.label]
    assert 0.4 < len(swapped) / len(found) < 0.6
    for item in found:
        first, second = (item.a_start, item.a_end), (item.b_start, item.b_end)
        if item.label:
            first, second = second, first
        assert first[1] == second[0]
    # Ten tokens each, one after the other, nothing left out.
    starts = sorted(min(item.a_start, item.b_start) for item in found)
    assert starts == list(range(0, 2000, 10))


def test_sentence_order_of_a_single_sentence() -> None:
    (found,) = draw("sop", [[6]], 20, 0)
    assert sorted([found.a_start, found.a_end, found.b_start, found.b_end]) in (
        [0, middle, middle, 6] for middle in range(1, 6)
    )
    assert draw("sop", [[1]], 20, 0) == []


def test_full_sentences() -> None:
    documents = [[9], [3, 4, 2, 5, 25, 1, 1]]
    found = draw("none", documents, 12, 0, document=1)
    runs = [(item.a_start - 9, item.a_end - 9) for item in found]
    # 3+4+2; 5, since 25 is too long; that one in pieces, its rest with more.
    assert runs == [(0, 9), (9, 14), (14, 24), (24, 34), (34, 41)]
    assert all(item.b_start == item.b_end for item in found)
    assert not any(item.label for item in found)


@pytest.mark.parametrize("objective", segments.OBJECTIVES)
def test_short_instances(objective: str) -> None:
    documents = [[1] * 50, [1] * 50]
    lengths = set()
    for seed in range(100):
        found = draw(objective, documents, 23, seed, 0, 1.0)
        lengths.add(
            found[0].a_end
            - found[0].a_start
            + found[0].b_end
            - found[0].b_start
        )
    most = 20 if objective != "none" else 21
    assert lengths == set(range(2, most + 1))


def test_truncation_takes_from_both_ends_of_the_longer() -> None:
    fronts = 0
    for seed in range(200):
        a_start, a_end, b_start, b_end = segments._truncated(
            random.Random(seed), 0, 30, 100, 104, 10
        )
        assert (a_end - a_start, b_start, b_end) == (6, 100, 104)
        fronts += a_start
    # 24 tokens are taken, half of them in front.
    assert 11 < fronts / 200 < 13
    found = segments._truncated(random.Random(0), 0, 8, 8, 20, 9)
    assert (found[1] - found[0], found[3] - found[2]) == (5, 4)
