"""`MaskedLM` beside a plain computation, the original and transformers."""

from __future__ import annotations

import itertools
import json
import math
import shutil

import numpy as np
import pytest

from bert_keras3 import checkpointing, serving
from bert_keras3.mask_filling.masked_lm import MaskedLM
from bert_keras3.mask_filling.pretrained_heads import PretrainedHeads, Row
from bert_keras3.safekeeping.errors import UserError
from modeling import BertConfig, BertWithHeads
from tests.mask_filling.conftest import IDS, TOKENS, ids_of
from tokenization.packing import Packed

CLOSE = {"rtol": 0, "atol": 5e-6}


def plain_rows(model, rows):
    """ln P at a position of each row, [N, V].

    All rows padded to the end, every position computed, softmax in NumPy.

    Args:
        model: the model.
        rows: (token ids, position) of each.
    """
    ids = np.zeros((len(rows), 10), np.int32)
    mask = np.zeros_like(ids)
    for row, (tokens, _) in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    model.unpad = False
    logits = model({"input_ids": ids, "input_mask": mask})["masked_lm_logits"]
    model.unpad = True
    positions = [position for _, position in rows]
    logits = np.asarray(logits, np.float64)[np.arange(len(rows)), positions]
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def plain(model, tokens, position):
    return plain_rows(model, [(tokens, position)])[0]


def log_probabilities(words):
    return [word.log_probability for word in words]


def test_words_are_those_of_the_plain_computation(checkpoint, model):
    texts = ["a [MASK] idea.", "[MASK]", "bad [MASK]", "un[MASK] 我 a idea ."]
    _, plain_model = checkpoint
    for text, filling in zip(texts, model.fill(texts, 3), strict=True):
        tokens = {
            "a [MASK] idea.": ("a", "[MASK]", "idea", "."),
            "[MASK]": ("[MASK]",),
            "bad [MASK]": ("bad", "[MASK]"),
            "un[MASK] 我 a idea .": ("un", "[MASK]", "我", "a", "idea", "."),
        }[text]
        tokens = ("[CLS]", *tokens, "[SEP]")
        at = tokens.index("[MASK]")
        values = plain(plain_model, ids_of(*tokens), at)
        possible = [
            token
            for token in TOKENS
            if token[0] != "["
            and token != "##们"
            and token.startswith("##") == text.startswith("un")
        ]
        best = sorted(possible, key=lambda token: -values[IDS[token]])[:3]
        (words,) = filling.words
        assert [word.text for word in words] == best
        expected = [values[IDS[token]] for token in best]
        np.testing.assert_allclose(log_probabilities(words), expected, **CLOSE)
        assert [one.words for one in filling.joint] == [(w,) for w in words]
        assert filling.num_unread == 0


def test_a_beam_that_is_wide_enough_finds_the_best_of_all(checkpoint, model):
    """Two masks, words of one or two pieces: all of them counted out."""
    _, plain_model = checkpoint
    pieces = model._pieces

    words = []
    for first in np.flatnonzero(pieces.begins).tolist():
        words.append((first,))
        followers = np.flatnonzero(pieces.followers(first)).tolist()
        words += [(first, second) for second in followers]
    cls, sep, mask = ids_of("[CLS]", "[SEP]", "[MASK]")

    def rows(before, word, after):
        """One row for each piece of a word, those before it filled in."""
        for step in range(len(word)):
            masks = (mask,) * (len(word) - step)
            tokens = (*before, *word[:step], *masks, *after)
            yield tokens, len(before) + step

    wanted = {}
    for first in words:
        wanted[first] = [*rows((cls,), first, (mask, sep))]
        for second in words:
            wanted[first, second] = [*rows((cls, *first), second, (sep,))]
    every = sorted({row for some in wanted.values() for row in some})
    values = dict(zip(every, plain_rows(plain_model, every), strict=True))

    def log_score(name, word):
        pairs = zip(wanted[name], word, strict=True)
        return np.mean([values[row][piece] for row, piece in pairs])

    best = sorted(
        (
            -log_score(first, first) - log_score((first, second), second),
            (*first, *second),
        )
        for first in words
        for second in words
    )
    (filling,) = model.fill(
        ["[MASK] [MASK]"], 4, max_pieces=2, beam_size=len(words)
    )
    joint = [
        (
            -math.log(one.score),
            ids_of(*itertools.chain(*(word.pieces for word in one.words))),
        )
        for one in filling.joint
    ]
    assert [ids for _, ids in joint] == [ids for _, ids in best[:4]]
    np.testing.assert_allclose(
        [score for score, _ in joint], [s for s, _ in best[:4]], atol=2e-5
    )


def test_candidates_have_the_probabilities_of_the_plain_computation(
    checkpoint, model
):
    (filling,) = model.fill(["a [MASK]."], candidates=["bad", "unwise", "我们"])
    found = {word.text: word for word in filling.words[0]}
    assert set(found) == {"bad", "unwise", "我们"}
    _, plain_model = checkpoint
    before, after = ids_of("[CLS]", "a"), ids_of(".", "[SEP]")
    mask, un, wise = ids_of("[MASK]", "un", "##wise")
    expected = (
        plain(plain_model, (*before, mask, mask, *after), 2)[un]
        + plain(plain_model, (*before, un, mask, *after), 3)[wise]
    )
    word = found["unwise"]
    assert word.pieces == ("un", "##wise")
    assert word.log_probability == pytest.approx(expected, abs=1e-5)
    assert word.score == pytest.approx(math.exp(expected / 2), rel=1e-5)
    scores = [one.score for one in filling.words[0]]
    assert scores == sorted(scores, reverse=True)


def test_texts_are_answered_as_if_alone(model):
    texts = ["a [MASK] idea.", "[MASK] [MASK]", "bad idea. [MASK] bad 我"]
    together = model.fill(texts, 2, max_pieces=2)
    for text, answer in zip(texts, together, strict=True):
        (alone,) = model.fill([text], 2, max_pieces=2)
        assert [[word.text for word in words] for words in alone.words] == [
            [word.text for word in words] for words in answer.words
        ]
        np.testing.assert_allclose(
            [one.score for one in alone.joint],
            [one.score for one in answer.joint],
            rtol=1e-5,
        )


def test_pseudo_log_likelihood_masks_each_token_in_turn(checkpoint, model):
    _, plain_model = checkpoint
    texts = ["Bad idea.", "a", "un? a a 们"]
    tokens = [
        ("bad", "idea", "."),
        ("a",),
        ("un", "[UNK]", "a", "a", "们"),
    ]
    scores = model.score(texts)
    for words, score in zip(tokens, scores, strict=True):
        assert score.tokens == words
        expected = []
        for at, word in enumerate(words):
            masked = (*words[:at], "[MASK]", *words[at + 1 :])
            row = ids_of("[CLS]", *masked, "[SEP]")
            expected.append(plain(plain_model, row, at + 1)[IDS[word]])
        np.testing.assert_allclose(score.log_probabilities, expected, **CLOSE)
        total = math.fsum(expected)
        assert score.pseudo_log_likelihood == pytest.approx(total, abs=2e-5)
        assert score.perplexity == pytest.approx(
            math.exp(-total / len(words)), rel=1e-5
        )
    assert [score.num_unknown for score in scores] == [0, 0, 1]


def test_the_model_reads_what_is_around_a_mask(checkpoint, model):
    """Ten positions: [CLS], eight tokens, [SEP]; the text has eleven."""
    _, plain_model = checkpoint
    text = "a " * 7 + "[MASK] bad bad bad"
    (filling,) = model.fill([text])
    assert filling.num_unread == 3
    window = ids_of(
        *("[CLS]", "a", "a", "a", "a", "[MASK]", "bad", "bad", "bad", "[SEP]")
    )
    values = plain(plain_model, window, 5)
    word = filling.words[0][0]
    assert word.log_probability == pytest.approx(
        values[IDS[word.text]], abs=5e-6
    )
    (score,) = model.score(["a " * 11])
    assert (len(score.tokens), score.num_unread) == (11, 3)
    assert len({*score.log_probabilities.round(4)}) > 1


def test_the_second_sentence(checkpoint, model):
    _, plain_model = checkpoint
    (probability,) = model.next_sentence([("Bad idea", "a.")])
    outputs = plain_model(
        {
            "input_ids": np.array(
                [ids_of("[CLS]", "bad", "idea", "[SEP]", "a", ".", "[SEP]")]
            ),
            "segment_ids": np.array([[0, 0, 0, 0, 1, 1, 1]]),
        }
    )
    logits = np.asarray(outputs["next_sentence_logits"])[0]
    expected = 1 / (1 + np.exp(logits[1] - logits[0]))
    assert probability == pytest.approx(expected, abs=1e-6)


def rows_of(ids, segments, positions):
    return [
        Row(Packed(list(row), list(types), 0), int(position))
        for row, types, some in zip(ids, segments, positions, strict=True)
        for position in some
    ]


def test_log_probabilities_are_the_originals(reference):
    """`get_masked_lm_output` and `get_next_sentence_output`.

    Without padding, which the model here is never given.
    """
    folder = reference / "small_bert"
    heads = PretrainedHeads(
        checkpointing.open(folder), batch_size=8, concurrency=1
    )
    for case in ("s1_pad0", "s33_none", "s128_pad0"):
        with np.load(folder / "forward_gelu.npz") as arrays:
            of = {
                name.removeprefix(f"{case}/"): arrays[name]
                for name in arrays
                if name.startswith(f"{case}/")
            }
        ids = of["input_ids"]
        segments = of.get("segment_ids", np.zeros_like(ids))
        lengths = of.get("input_mask", np.ones_like(ids)).sum(1)
        shape = (*of["masked_lm_positions"].shape, -1)
        expected = of["masked_lm_log_probs"].reshape(shape)
        for row, length in enumerate(lengths):
            packed = Packed(
                ids[row, :length].tolist(), segments[row, :length].tolist(), 0
            )
            places = of["masked_lm_positions"][row]
            real = np.flatnonzero(places < length)
            assert len(real)
            np.testing.assert_allclose(
                heads.masked([Row(packed, int(places[one])) for one in real]),
                expected[row, real],
                rtol=0,
                atol=1e-5,
            )
            np.testing.assert_allclose(
                heads.pairs([Row(packed)])[0],
                of["next_sentence_log_probs"][row],
                rtol=0,
                atol=1e-5,
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretraining", "masked_lm"])
def test_log_probabilities_are_those_of_transformers(reference, name):
    """Of `BertForPreTraining` and `BertForMaskedLM`."""
    folder = reference / "huggingface" / name
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    heads = PretrainedHeads(
        checkpointing.open(folder), batch_size=8, concurrency=1
    )
    for row in expected["rows"]:
        ids, types = [row["input_ids"]], [row["token_type_ids"]]
        positions = range(len(ids[0]))
        logits = np.array(row.get("prediction_logits", row.get("logits")))
        log_sums = np.log(np.exp(logits).sum(-1, keepdims=True))
        np.testing.assert_allclose(
            heads.masked(rows_of(ids, types, [positions])),
            logits - log_sums,
            **CLOSE,
        )
        if name == "pretraining":
            (pair,) = heads.pairs(rows_of(ids, types, [[0]]))
            logits = np.array(row["seq_relationship_logits"])
            np.testing.assert_allclose(
                pair, logits - np.log(np.exp(logits).sum()), **CLOSE
            )
    model = MaskedLM(folder)
    assert model.has_masked_lm
    assert model.has_next_sentence == (name == "pretraining")
    assert len(model.fill(["The [MASK] was late"], 3)[0].words[0]) == 3


@pytest.mark.slow
def test_an_albert(root, tmp_path):
    """Groups of layers, and a SentencePiece vocabulary of 400 pieces."""
    source = root / "tests" / "reference" / "tokenization" / "spiece.model"
    shutil.copy(source, tmp_path)
    config = BertConfig(
        vocab_size=400,
        embedding_size=4,
        hidden_size=8,
        num_hidden_layers=2,
        num_hidden_groups=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        initializer_range=0.8,
    )
    BertWithHeads(config, ["masked_lm", "next_sentence"]).save(
        tmp_path / "model.keras"
    )
    model = MaskedLM(tmp_path)
    (filling,) = model.fill(["It was the [MASK]. The."], 400 // 4, max_pieces=2)
    for word in filling.words[0]:
        # No sign of SentencePiece's is left, and a word is one word.
        assert word.text
        assert not {"▁", " "} & set(word.text)
    lengths = {len(word.pieces) for word in filling.words[0]}
    assert lengths == {1, 2}
    assert (
        filling.joint[0].text == f"It was the {filling.words[0][0].text}. The."
    )
    (score,) = model.score(["It was the."])
    assert np.isfinite(score.perplexity)


@pytest.mark.slow
def test_a_checkpoint_of_the_originals_run_pretraining(reference):
    model = MaskedLM(reference / "checkpointing" / "run_pretraining")
    text = "all work and no play makes jack a dull [MASK]"
    (filling,) = model.fill([text], 10)
    assert len({word.text for word in filling.words[0]}) == 10


@pytest.mark.parametrize(
    ("head", "methods", "missing"),
    [
        ("next_sentence", ("fill", "score"), "masked-LM"),
        ("masked_lm", ("next_sentence",), "next-sentence"),
    ],
)
def test_a_checkpoint_without_the_head(make_checkpoint, head, methods, missing):
    model = MaskedLM(make_checkpoint(head)[0])
    for method in methods:
        with pytest.raises(
            UserError, match=f"no {missing} head.*it has pooler"
        ):
            getattr(model, method)([])


def test_a_classifier_has_neither_head(make_checkpoint):
    folder, _ = make_checkpoint("labels")
    with pytest.raises(
        UserError, match=r"and no next-sen.*it has pooler, labels"
    ):
        MaskedLM(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a bad idea",), r"no \[MASK\] in 'a bad idea'"),
        (("",), r"no \[MASK\] in ''"),
        (("[MASK]", 0), "top_k=0: give a number from 1 to 7"),
        (("[MASK]", 8), "top_k=8: give a number from 1 to 7; the voc"),
        (("[MASK]", 1, ["bad", "good"]), "'good' is no word.*lacks g, o, d;"),
        (("[MASK]", 1, [""]), "candidate ''"),
        (("[MASK]", 1, ["[CLS]"]), r"candidate '\[CLS\]'"),
        (("[MASK]", 1, []), "at least one word"),
        (("[MASK]", 1, None, 9), "max_pieces=9: give a number from 1 to 8"),
        (("[MASK]", 1, None, 1, 0), "beam_size=0"),
    ],
)
def test_mistakes(model, arguments, message):
    text, *rest = arguments
    names = ("top_k", "candidates", "max_pieces", "beam_size")
    with pytest.raises(UserError, match=message):
        model.fill([text], **dict(zip(names, rest, strict=False)))


def test_mistakes_in_texts_to_be_scored(model):
    for texts, message in (
        ([" "], "' ' is empty"),
        (["a [MASK]"], "must be whole"),
        ("a", "was given one text"),
    ):
        with pytest.raises(UserError, match=message):
            model.score(texts)
    with pytest.raises(UserError, match="'' is empty"):
        model.next_sentence([("a", "")])


def test_it_is_served():
    assert serving.MaskedLM is MaskedLM


def test_other_mistakes(checkpoint):
    folder, _ = checkpoint
    for arguments, message in (
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_seq_length": 11}, "positions for 10 tokens"),
        ({"max_seq_length": 2}, "leaves no room"),
    ):
        with pytest.raises(UserError, match=message):
            MaskedLM(folder, **arguments)
    with pytest.raises(UserError, match="no such checkpoint"):
        MaskedLM(folder / "nowhere")
