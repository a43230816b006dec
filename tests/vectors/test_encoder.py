"""`serving.Encoder`: beside one text at a time, padded, pooled by NumPy."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Encoder, Hit
from bert_keras3.vectors import search
from bert_keras3.vectors.pooling_names import POOLINGS

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_as_one_text_at_a_time(encoder, texts, plain, pooling):
    found = encoder.encode(texts, pooling=pooling, batch_size=4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain(texts, pooling), **CLOSE)


def test_a_vector_is_the_same_at_every_batch_size(encoder, texts):
    alone = encoder.encode(texts, batch_size=1)
    assert np.abs(alone).max() > 0.5
    for batch_size in (2, 3, 32, 1000):
        found = encoder.encode(texts, batch_size=batch_size)
        np.testing.assert_allclose(found, alone, **CLOSE)


def test_none_and_one(encoder, texts):
    assert encoder.encode([]).shape == (0, 64)
    assert encoder.encode([], pooling="max", normalize=True).shape == (0, 64)
    np.testing.assert_allclose(
        encoder.encode([texts[3].encode()]), encoder.encode(texts)[3:4], **CLOSE
    )


def test_normalized(encoder, texts):
    plain = encoder.encode(texts)
    found = encoder.encode(texts, normalize=True)
    np.testing.assert_allclose(
        found, plain / np.linalg.norm(plain, axis=1, keepdims=True), **CLOSE
    )


def test_windows_are_averaged_by_their_tokens(encoder, plain):
    # 14 tokens beside [CLS] and [SEP]: 14 + 14 + 2.
    text = "they sing . " * 10
    pieces = ["they sing . " * 4 + "they sing", ". they sing " * 4 + ". they"]
    pieces.append("sing .")
    wanted = np.average(plain(pieces, "mean"), axis=0, weights=[14, 14, 2])
    found = encoder.encode(["a", text, ""], long_text="windows")
    np.testing.assert_allclose(found[1], wanted, **CLOSE)
    np.testing.assert_allclose(
        found[[0, 2]], encoder.encode(["a", ""]), **CLOSE
    )


def test_progress_counts_every_text_once(encoder, texts, capsys):
    counts = []
    encoder.encode(
        texts, long_text="windows", batch_size=2, progress=counts.append
    )
    assert sum(counts) == len(texts)
    assert len(counts) > 2
    encoder.encode(texts, progress=True)
    assert "100%" in capsys.readouterr().err


def test_similarity_and_search(encoder):
    corpus = ["the birds fly", "a stone bridge", "birds sing"]
    cosines = encoder.similarity(["birds sing"], corpus)
    vectors = encoder.encode(["birds sing", *corpus], normalize=True)
    np.testing.assert_allclose(cosines, vectors[:1] @ vectors[1:].T, **CLOSE)
    hits = encoder.search("birds sing", corpus, k=2)
    assert [type(hit) for hit in hits] == [Hit, Hit]
    assert hits[0].number == 2
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    both = encoder.search(["birds sing", "a"], encoder.encode(corpus), k=9)
    assert [len(hits) for hits in both] == [3, 3]
    assert both[0][0].number == 2


def test_the_nearest_of_many(monkeypatch):
    generator = np.random.default_rng(7)
    corpus = generator.normal(size=(50, 8))
    corpus[30] = corpus[3]
    queries = generator.normal(size=(4, 8))
    cosines = search.similarity(queries, corpus)
    monkeypatch.setattr(search, "_AT_ONCE", 7)
    numbers, scores = search.nearest(queries, corpus, 5)
    wanted = np.argsort(-cosines, axis=1, kind="stable")[:, :5]
    assert numbers.tolist() == wanted.tolist()
    np.testing.assert_allclose(
        scores, np.take_along_axis(cosines, wanted, 1), atol=1e-6
    )
    numbers, _ = search.nearest(corpus[3:4], corpus, 2)
    assert numbers.tolist() == [[3, 30]]


def test_faiss_finds_the_same(monkeypatch):
    pytest.importorskip("faiss", reason="needs faiss")
    generator = np.random.default_rng(7)
    corpus, queries = (
        generator.normal(size=(50, 8)),
        generator.normal(size=(4, 8)),
    )
    numbers, scores = search.nearest(queries, corpus, 5)
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    plain_numbers, plain_scores = search.nearest(queries, corpus, 5)
    assert numbers.tolist() == plain_numbers.tolist()
    np.testing.assert_allclose(scores, plain_scores, atol=1e-6)


def test_whitening(encoder):
    words = ["the", "birds", "fly", "river", "sing", "over", "old", "bridge"]
    texts = [f"{a} {b}" for a in words for b in words]
    whiten = encoder.fit_whitening(texts, 5)
    vectors = encoder.encode(texts, whiten=whiten)
    assert vectors.shape == (64, 5)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(
        np.cov(vectors.T, bias=True), np.eye(5), atol=1e-3
    )
    with pytest.raises(UserError, match="fitted on 1 texts"):
        encoder.fit_whitening(["a"])
    with pytest.raises(UserError, match="all equal"):
        encoder.fit_whitening(["a", "a"])


def sentence_transformers(folder, path, modes, **settings):
    """A copy of the checkpoint that says how it makes vectors."""
    from bert_keras3.checkpointing import sentence_pooling

    shutil.copytree(folder, path)
    stored = sentence_pooling.SentencePooling(modes, **settings)
    sentence_pooling.write_sentence_pooling(path, stored, 64)
    return path


@pytest.mark.slow
def test_a_folder_of_sentence_transformers(folder, tmp_path, texts, plain):
    modes = ("cls", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
    path = sentence_transformers(
        folder,
        tmp_path / "st",
        modes,
        normalize=True,
        max_seq_length=9,
        prompt="birds ",
    )
    encoder = Encoder(path)
    assert (encoder.normalize, encoder.max_seq_length) == (True, 9)
    assert (encoder.prompt, encoder.width) == ("birds ", 256)
    before = [f"birds {text}" for text in texts]
    wanted = np.hstack([plain(before, mode, 9) for mode in modes])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(texts), wanted, **CLOSE)
    np.testing.assert_allclose(
        encoder.encode(texts, prompt="", pooling="mean", normalize=False),
        plain(texts, "mean", 9),
        **CLOSE,
    )


def test_what_sentence_transformers_computed(reference):
    """See tests/reference/README.md."""
    folder = reference / "huggingface" / "sentences"
    kept = json.loads((folder / "expected.json").read_text("utf-8"))
    found = Encoder(folder).encode(kept["texts"])
    np.testing.assert_allclose(found, kept["vectors"], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "sum"}, "pooling=sum: known are cls, mean"),
        ({"long_text": "split"}, "long_text=split: give truncate or windows"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
    ],
)
def test_a_wrong_argument(encoder, settings, message):
    with pytest.raises(UserError) as caught:
        encoder.encode(["a"], **settings)
    assert message in str(caught.value)


def test_what_is_no_list_of_texts(encoder):
    with pytest.raises(UserError, match="put it into a list"):
        encoder.encode("a text")
    with pytest.raises(UserError, match=r"text number 1 \(from 0\) must be"):
        encoder.encode(["a", None])
    with pytest.raises(UserError, match="k=0: give at least 1"):
        encoder.search("a", ["a"], k=0)


def test_what_is_no_model(folder, tmp_path):
    with pytest.raises(UserError, match="there is no such checkpoint"):
        Encoder(tmp_path / "absent")
    with pytest.raises(UserError, match="positions for 512 tokens"):
        Encoder(folder, max_seq_length=513)
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "vocab.txt").unlink()
    with pytest.raises(UserError, match=r"has no vocab\.txt"):
        Encoder(bare)
