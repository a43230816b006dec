"""The original's records, one by one.

The digests below are of the records that the original's own script
(google-research/bert, commit eedf571, run under TensorFlow 2.21 by way of
`tensorflow.compat.v1`) wrote for the texts and flags given here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining_data import original_order, preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings

# Words of one and of several pieces, ideographs, and what the tokenizer drops.
VOCAB = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("the", "a", "sun", "moon", "ris", "sets", "##es", "over", "un"),
    *("##hap", "##py", "sea", "and", ",", "."),
    *("日", "月", "上", "在", "海"),
]

FIRST = (
    "The sun rises over the sea.\r\nThe moon sets, unhappy.\r\n\r\n"
    "日在海上,月在海上.\n  \n\x0b\nThe sea, the sea, the unhappy sea and "
    "the sun and the moon and a moon over a sea and a rising sun.\nA sun.\n"
    "\u200b\nThe sea sets over\u2028the sun\n\n\n\nMoon"
)
# Goes on with the last document of the first file.
SECOND = "and sun.\nUnhappy [MASK] moon\rrises.\n\nSea\n\nsun"

CASES = [
    (
        {"max_seq_length": 24, "max_predictions_per_seq": 4},
        "token",
        1,
        "46e074a64235ad55",
    ),
    (
        {
            "max_seq_length": 12,
            "max_predictions_per_seq": 3,
            "short_seq_prob": 0.5,
            "dupe_factor": 4,
            "random_seed": 1,
        },
        "whole_word",
        3,
        "b4d7129294f2c0e8",
    ),
    (
        {
            "max_seq_length": 5,
            "max_predictions_per_seq": 5,
            "short_seq_prob": 1.0,
            "dupe_factor": 3,
            "random_seed": 0,
            "do_lower_case": False,
        },
        "token",
        2,
        "070a81fdf4e27a03",
    ),
]


def write_inputs(folder: pathlib.Path) -> tuple[str, tuple[str, ...]]:
    vocab = folder / "vocab.txt"
    vocab.write_text("\n".join(VOCAB) + "\n", "utf-8")
    for name, text in (("first", FIRST), ("second", SECOND)):
        (folder / f"{name}.txt").write_bytes(text.encode())
    return str(vocab), (str(folder / "first.txt"), str(folder / "second.txt"))


def contents(path: str | pathlib.Path) -> list[dict[str, list[float]]]:
    import tensorflow as tf

    found = []
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        found.append(
            {
                key: list(
                    features[key].int64_list.value
                    or features[key].float_list.value
                )
                for key in sorted(features)
            }
        )
    return found


def digest(paths: Sequence[str]) -> str:
    text = repr([contents(path) for path in paths])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(("flags", "strategy", "num_files", "expected"), CASES)
def test_records_are_the_original_ones(
    tmp_path: pathlib.Path,
    flags: dict[str, float],
    strategy: str,
    num_files: int,
    expected: str,
) -> None:
    vocab, files = write_inputs(tmp_path)
    outputs = tuple(str(tmp_path / f"{n}.tfrecord") for n in range(num_files))
    flags = dict(flags)
    most = int(flags.pop("max_predictions_per_seq"))
    preparation.prepare(
        Settings(
            input_files=files,
            output_files=outputs,
            vocab_file=vocab,
            masking=MaskingSettings(strategy, max_predictions_per_seq=most),
            **flags,  # type: ignore[arg-type]
        ),
        Progress(),
        lambda line: None,
    )
    assert digest(outputs) == expected


@pytest.mark.parametrize(
    "strategy",
    ["token", "whole_word"],
)
def test_records_of_the_originals_sample_text(
    reference: pathlib.Path,
    tmp_path: pathlib.Path,
    write_vocabulary: Callable[..., str],
    strategy: str,
) -> None:
    folder = reference / "pretraining_data"
    file = folder / "vocabulary.json.gz"
    abridged = json.loads(gzip.decompress(file.read_bytes()))
    output = tmp_path / "out.tfrecord"
    preparation.prepare(
        Settings(
            input_files=(str(folder / "sample_text.txt"),),
            output_files=(str(output),),
            vocab_file=write_vocabulary(abridged, tmp_path / "vocab.txt"),
            masking=MaskingSettings(strategy),
            dupe_factor=5,
        ),
        Progress(),
        lambda line: None,
    )
    found = contents(output)
    with np.load(folder / f"{strategy}.npz") as expected:
        assert set(expected) == set(records.masked_columns(128, 20))
        for key in expected:
            rows = np.array([record[key] for record in found])
            np.testing.assert_array_equal(rows, expected[key])


@pytest.mark.parametrize("length", [0, 1, 2, 3, 64, 65, 1000])
def test_shuffling_is_that_of_python(length: int) -> None:
    ours, theirs = list(range(length)), list(range(length))
    rng, other = random.Random(3), random.Random(3)
    original_order._shuffle(ours, rng)
    other.shuffle(theirs)
    assert ours == theirs
    # And as much was drawn.
    assert rng.random() == other.random()
