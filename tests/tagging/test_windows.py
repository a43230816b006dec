"""Windows: each token is trusted in exactly one, away from edges."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.windows import (
    IS_TRUSTED,
    NO_TAG,
    TAGS,
    WindowMaker,
    window_bounds,
)
from tokenization import FullTokenizer

# No-break and wide spaces, zero-width characters, a soft hyphen, the sign for
# what could not be decoded, and nothing at all.
VANISHING = ["\xa0", "\u3000", "\u200b\u200d", "\ufeff", "\xad", "\ufffd", ""]
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b", "c")


@pytest.fixture(scope="module")
def tokenizer():
    return FullTokenizer.from_vocab(
        {token: number for number, token in enumerate(TOKENS)}
    )


def test_the_example_in_the_docstring():
    assert window_bounds(8, 4, 2).tolist() == [
        [0, 4, 0, 3],
        [2, 6, 3, 5],
        [4, 8, 5, 8],
    ]


@pytest.mark.parametrize("overlap", [0, 1, 3, 9])
@pytest.mark.parametrize("num_pieces", [0, 1, 9, 10, 11, 12, 25, 99, 1000])
def test_every_piece_is_trusted_once(num_pieces, overlap):
    room = 10
    bounds = window_bounds(num_pieces, room, overlap)
    start, end, trusted_from, trusted_to = bounds.T
    covered = [n for a, b in bounds[:, 2:] for n in range(a, b)]
    assert covered == list(range(num_pieces))
    assert (end - start == min(room, num_pieces)).all()
    assert (start <= trusted_from).all()
    assert (trusted_to <= end).all()
    # But for the text's own edges, half the overlap lies beyond.
    assert (trusted_from[1:] - start[1:] >= overlap // 2).all()
    assert (end[:-1] - trusted_to[:-1] >= overlap // 2).all()


def test_first_pieces_have_the_tags(tokenizer):
    """a, abb = [UNK]… no: "bb" is b ##b; a control character is [UNK]."""
    windows = WindowMaker(tokenizer, max_seq_length=5, overlap=1)
    ids, first = windows.pieces(("a", "bb", "\x02", "c"))
    assert ids == [4, 5, 6, 1, 7]
    assert first.tolist() == [0, 1, 3, 4]
    rows = list(windows.rows(ids, first, np.array([10, 11, 12, 13])))
    assert [row["input_ids"] for row in rows] == [
        [2, 4, 5, 6, 3],
        [2, 6, 1, 7, 3],
    ]
    assert [row[IS_TRUSTED].tolist() for row in rows] == [
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
    ]
    none = NO_TAG
    assert [row[TAGS].tolist() for row in rows] == [
        [none, 10, 11, none, none],
        [none, none, 12, 13, none],
    ]


@pytest.mark.parametrize("token", VANISHING)
def test_a_token_of_which_nothing_is_left_has_a_tag(tokenizer, token):
    windows = WindowMaker(tokenizer, max_seq_length=8, overlap=1)
    ids, first = windows.pieces(("a", token, "c"))
    assert (ids, first.tolist()) == ([4, 1, 7], [0, 1, 2])
    (row,) = windows.rows(ids, first, np.array([10, 11, 12]))
    assert row[TAGS].tolist() == [NO_TAG, 10, 11, 12, NO_TAG]
    assert row[IS_TRUSTED].tolist() == [0, 1, 1, 1, 0]


def test_a_window_without_a_first_piece_is_left_out(tokenizer):
    windows = WindowMaker(tokenizer, max_seq_length=6, overlap=2)
    ids, first = windows.pieces(("b" * 40, "a"))
    rows = list(windows.rows(ids, first))
    assert sum(int(row[IS_TRUSTED].sum()) for row in rows) == 2
    assert len(rows) == 2
    assert list(windows.rows(*windows.pieces(()))) == []


def test_an_overlap_that_leaves_no_room(tokenizer):
    with pytest.raises(UserError, match="--window_overlap=4: windows of"):
        WindowMaker(tokenizer, max_seq_length=6, overlap=4)
