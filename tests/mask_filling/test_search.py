"""Searches over a model whose answers are written down by hand."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from bert_keras3.mask_filling import search
from bert_keras3.mask_filling.masked_text import read_masked, window_around
from bert_keras3.mask_filling.pieces import Pieces
from bert_keras3.mask_filling.search import Query
from tests.mask_filling.conftest import IDS, TOKENS, ids_of
from tokenization import FullTokenizer
from tokenization.tokenizers import open_tokenizer


def answering(table):
    """Returns answers from {"text with [MASK]s, the one asked for as ?": P}.

    The second result collects the batches of queries.
    """
    batches = []

    def answer(queries: list[Query]) -> list:
        batches.append(len(queries))
        answers = []
        for ids, position, read in queries:
            tokens = [TOKENS[number] for number in ids]
            assert tokens[position] == "[MASK]"
            tokens[position] = "?"
            values = np.full(len(TOKENS), 1e-9, np.float32)
            for token, probability in table[" ".join(tokens)].items():
                values[IDS[token]] = probability
            answers.append(read(np.log(values)))
        return answers

    return answer, batches


def shown(found, pieces):
    return [
        (pieces.text(one.ids), round(math.exp(one.log_probability), 4))
        for one in found
    ]


def test_words_of_one_piece_are_those_that_the_vocabulary_has(pieces):
    """Special tokens and pieces that continue a word are no answers."""
    answer, _ = answering(
        {"a ? idea": {"[SEP]": 0.4, "##s": 0.3, "bad": 0.2, "un": 0.1}}
    )
    found = search.run(
        search.best_words(
            ids_of("a", "[MASK]", "idea"), 1, False, pieces=pieces, width=2
        ),
        answer,
    )
    assert shown(found, pieces) == [("bad", 0.2), ("un", 0.1)]


def test_a_mask_at_a_word_goes_on_with_it(pieces):
    answer, _ = answering({"bad ? idea": {"bad": 0.6, "##s": 0.3}})
    text = read_masked("bad[MASK] idea", pieces)
    assert text.within_word == (True,)
    found = search.run(
        search.best_words(text.ids, 1, True, pieces=pieces, width=1), answer
    )
    assert shown(found, pieces) == [("##s", 0.3)]
    assert text.filled(["##s"]) == "bads idea"


def test_words_of_several_pieces_are_compared_by_their_geometric_mean(pieces):
    """unwise: (0.2 · 0.5) ** (1/2) = 0.316, before bad: 0.3.

    `un ##s` (0.02) is the fourth; `我` is never followed by `##们`,
    which no text has, but by `们`.
    """
    answer, batches = answering(
        {
            "a ? idea": {"bad": 0.3, "un": 0.05},
            "a ? [MASK] idea": {"un": 0.2, "我": 0.1, ".": 0.6},
            "a un ? idea": {"##wise": 0.5, "##s": 0.1},
            "a 我 ? idea": {"##们": 0.9, "们": 0.4},
            "a . ? idea": {"##s": 0.9},
        }
    )
    found = search.run(
        search.best_words(
            ids_of("a", "[MASK]", "idea"),
            1,
            False,
            pieces=pieces,
            width=3,
            max_pieces=2,
        ),
        answer,
    )
    assert shown(found, pieces) == [
        ("unwise", 0.1),
        ("bad", 0.3),
        ("我们", 0.04),
    ]
    assert found[0].log_score == pytest.approx(math.log(0.1) / 2, rel=1e-6)
    # Both lengths at once, then the second pieces of all beginnings.
    assert batches == [2, 3]


def test_a_word_that_the_tokenizer_cuts_otherwise_is_no_answer(pieces):
    """The vocabulary with `unwise` as a piece never has `un ##wise`."""
    more = Pieces(
        FullTokenizer.from_vocab({**IDS, "unwise": len(IDS)}), len(IDS) + 1
    )
    cut, whole = ids_of("un", "##wise"), (len(IDS),)
    assert pieces.is_how_it_is_cut(cut)
    assert not more.is_how_it_is_cut(cut)
    assert more.is_how_it_is_cut(whole)


def test_candidates_are_asked_for_in_one_batch(pieces):
    answer, batches = answering(
        {
            "a ? idea": {"bad": 0.3},
            "a ? [MASK] idea": {"un": 0.2},
            "a un ? idea": {"##wise": 0.5},
        }
    )
    found = search.run(
        search.scored_candidates(
            ids_of("a", "[MASK]", "idea"),
            1,
            False,
            candidates=[ids_of("bad"), ids_of("un", "##wise")],
            mask_id=IDS["[MASK]"],
        ),
        answer,
    )
    assert shown(found, pieces) == [("unwise", 0.1), ("bad", 0.3)]
    assert batches == [3]


def test_masks_are_filled_together(pieces):
    """Alone, the best words are `bad` and `idea`; together `un` and `a`."""
    answer, _ = answering(
        {
            "? [MASK]": {"bad": 0.5, "un": 0.4},
            "bad ?": {"idea": 0.3, "a": 0.2},
            "un ?": {"a": 0.9},
        }
    )
    text = read_masked("[MASK] [MASK]", pieces)
    find = functools.partial(search.best_words, pieces=pieces, width=2)
    found = search.run(search.joint_fillings(text, find, 2), answer)
    words = [[pieces.text(word.ids) for word in one] for one in found]
    assert words == [["un", "a"], ["bad", "idea"]]
    assert math.exp(search.joint_log_score(found[0])) == pytest.approx(0.36)


def test_the_next_masks_move_behind_words_of_several_pieces(pieces):
    answer, _ = answering(
        {
            "a ? . [MASK]": {"bad": 0.1},
            "a ? [MASK] . [MASK]": {"un": 0.9},
            "a un ? . [MASK]": {"##wise": 0.9},
            "a un ##wise . ?": {"bad": 0.8},
            "a un ##wise . ? [MASK]": {"un": 0.1},
            "a un ##wise . un ?": {"##s": 0.1},
        }
    )
    text = read_masked("a [MASK]. [MASK]", pieces)
    find = functools.partial(
        search.best_words, pieces=pieces, width=1, max_pieces=2
    )
    (found,) = search.run(search.joint_fillings(text, find, 1), answer)
    words = [pieces.text(word.ids) for word in found]
    assert text.filled(words) == "a unwise. bad"


def test_of_long_texts_what_is_around_the_mask_is_read(pieces):
    """Five tokens at a time: [CLS], three of the text, [SEP]."""
    ids = ids_of("a", "a", "a", "[MASK]", "bad", "bad")
    for position, window, place in (
        (3, ("a", "[MASK]", "bad"), 2),
        (0, ("a", "a", "a"), 1),
        (5, ("[MASK]", "bad", "bad"), 3),
    ):
        packed, found = window_around(ids, position, pieces, 5)
        assert packed.input_ids == list(ids_of("[CLS]", *window, "[SEP]"))
        assert (found, packed.num_dropped) == (place, 3)


@pytest.mark.parametrize(
    ("text", "tokens", "within_word"),
    [
        ("[MASK]", ["[MASK]"], (False,)),
        ("A [MASK]. Bad[MASK]", ["a", "[MASK]", ".", "bad", "[MASK]"], (0, 1)),
        ("我[MASK][MASK].", ["我", "[MASK]", "[MASK]", "."], (False, False)),
        ("a [mask]", ["a", "[UNK]", "[UNK]", "[UNK]"], ()),
    ],
)
def test_masks_of_a_text(pieces, text, tokens, within_word):
    masked = read_masked(text, pieces)
    assert pieces.tokenizer.convert_ids_to_tokens(masked.ids) == tokens
    assert masked.within_word == within_word
    assert all(masked.ids[at] == IDS["[MASK]"] for at in masked.positions)


def test_sentence_pieces(root):
    """ALBERT: no space before what follows a mask without one."""
    tokenizer = open_tokenizer(
        root / "tests/reference/tokenization/spiece.model", False
    )
    some = Pieces(tokenizer, len(tokenizer.vocab))
    masked = read_masked("the [MASK]. the", some)
    tokens = tokenizer.convert_ids_to_tokens(masked.ids)
    assert tokens == ["▁the", "[MASK]", ".", "▁the"]
    assert some.text(tokenizer.encode("the the")) == "the the"
    the = tokenizer.vocab["▁the"]
    assert some.begins[the]
    assert not some.continues[the]
    assert not some.begins[some.mask_id]
