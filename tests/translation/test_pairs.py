"""Files of pairs, and the batches that are made of them."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.translation.pairs import (
    TextPairs,
    TrainingBatches,
    batches_of_pairs,
    encode_pairs,
    read_pairs,
)
from tokenization.tokenizers import FullTokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "x", "y"]
TOKENIZER = FullTokenizer.from_vocab(
    {token: number for number, token in enumerate(TOKENS)}
)


def encoded(pairs, folder, max_seq_length=16):
    texts = TextPairs(*zip(*pairs, strict=True))
    return encode_pairs(texts, TOKENIZER, TOKENIZER, max_seq_length, folder)


def test_line_n_is_the_translation_of_line_n(tmp_path):
    source, target = tmp_path / "s.gz", tmp_path / "t"
    source.write_bytes(gzip.compress(b"a\n\na b\r\n"))
    target.write_text("x\ny\nx y\n")
    pairs = read_pairs(str(source), str(target))
    assert pairs.sources == ("a", "a b")
    assert pairs.targets == ("x", "x y")
    assert "1 of 3 lines" in pairs.notes[0]


def test_files_that_are_not_parallel_are_refused(tmp_path):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_text("a\nb\n")
    target.write_text("x\n")
    with pytest.raises(UserError, match=r"2 lines and .*t has 1"):
        read_pairs(str(source), str(target))
    target.write_text(" \n\t\n")
    with pytest.raises(UserError, match="no line that has text in both"):
        read_pairs(str(source), str(target))
    with pytest.raises(UserError, match="no such file"):
        read_pairs(str(source), str(tmp_path / "missing"))


def test_the_decoder_reads_what_stands_before_each_label(tmp_path):
    pairs = encoded([("a b", "x y"), ("a", "x")], tmp_path)
    batch = pairs.batch(np.array([0, 1]))
    expected = {
        "input_ids": [[2, 5, 6, 3], [2, 5, 3, 0]],
        "input_mask": [[1, 1, 1, 1], [1, 1, 1, 0]],
        "target_ids": [[2, 7, 8], [2, 7, 0]],
        "target_mask": [[1, 1, 1], [1, 1, 0]],
        "label_ids": [[7, 8, 3], [7, 3, 0]],
        "labels_per_row": [2.5, 2.5],
    }
    assert batch.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(batch[name], values, name)


def test_pairs_that_are_too_long_are_left_out(tmp_path):
    pairs = encoded([("a b a", "x"), ("a", "x"), ("a", "x y x")], tmp_path, 4)
    assert len(pairs) == 1
    assert pairs.num_too_long == 2
    (tmp_path / "again").mkdir()
    with pytest.raises(UserError, match="all 1 pairs are longer"):
        encoded([("a b a", "x")], tmp_path / "again", 4)


@pytest.fixture
def many(tmp_path):
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 9, (100, 2))
    return encoded([("a " * m, "x " * n) for m, n in sizes], tmp_path)


def test_every_pair_comes_once_an_epoch_in_batches_of_similar_length(many):
    batches = TrainingBatches(many, tokens=40, seed=1)
    epochs = []
    for epoch in range(2):
        stream = batches(epoch * batches.in_an_epoch)
        rows = [next(stream) for _ in range(batches.in_an_epoch)]
        assert sum(len(one["input_ids"]) for one in rows) == 100
        for one in rows:
            longest = max(one["input_ids"].shape[1], one["target_ids"].shape[1])
            assert longest * len(one["input_ids"]) <= 40
        epochs.append([one["input_ids"].shape for one in rows])
    assert sorted(epochs[0]) != epochs[0]
    assert epochs[0] != epochs[1]
    assert batches.steps(2.5) == (
        -(-5 * batches.in_an_epoch // 2),
        (batches.in_an_epoch, 2 * batches.in_an_epoch),
    )


def test_batches_are_a_function_of_the_step(many):
    stream = TrainingBatches(many, tokens=40, seed=1)(0)
    ahead = [next(stream) for _ in range(60)]
    later = TrainingBatches(many, tokens=40, seed=1)(58)
    for name, values in next(later).items():
        np.testing.assert_array_equal(values, ahead[58][name])


def test_evaluation_has_every_pair_once(many):
    rows = [rows for rows, _ in batches_of_pairs(many, 64)]
    assert sorted(np.concatenate(rows)) == [*range(100)]
