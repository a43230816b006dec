"""Batches of records, and masks drawn while training."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.inputs.records import encode_examples
from bert_keras3.pretraining import batches
from bert_keras3.pretraining.batches import TrainingMasks
from bert_keras3.pretraining_data.masking import STRATEGIES, Vocabulary
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.errors import UserError

VOCABULARY = Vocabulary(2, 3, 4, np.arange(500, dtype=np.int32))


def write(path: pathlib.Path, columns: dict[str, np.ndarray]) -> str:
    with records.open_writer(path) as append:
        for record in encode_examples(columns):
            append(record)
    return str(path)


def masked_rows(first: int, last: int, length: int = 8) -> dict[str, Any]:
    """Records that can be told by their first id."""
    rows = last - first
    columns = {
        key: np.ones((rows, column.length), column.dtype)
        for key, column in records.masked_columns(length, 2).items()
    }
    columns[records.INPUT_IDS][:, 0] = np.arange(first, last)
    return columns


def unmasked_rows(rows: int) -> dict[str, Any]:
    """`[CLS] a b [SEP] c [SEP]`: 3 words of 2 pieces, 4 words of 1."""
    length = 128
    ids = np.zeros((rows, length), np.int64)
    ids[:, :123] = [2, *range(100, 160), 3, *range(200, 260), 3]
    starts = (ids >= 100) & ~((ids < 160) & (ids % 2 == 1))
    return {
        records.INPUT_IDS: ids,
        records.INPUT_MASK: ids > 0,
        records.SEGMENT_IDS: np.arange(length)[None] * (ids > 0) > 61,
        records.WORD_STARTS: starts,
        records.ENTITY_STARTS: starts & (ids % 6 != 4),
        records.NEXT_SENTENCE_LABELS: np.arange(rows)[:, None] % 2,
    }


def first_ids(dataset: Any, number: int) -> list[list[int]]:
    return [
        batch["input_ids"][:, 0].tolist()
        for batch in dataset.take(number).as_numpy_iterator()
    ]


def open_and_read(path: str, **how: Any) -> Any:
    form: dict[str, Any] = {"max_seq_length": 8, "max_predictions_per_seq": 2}
    form |= {name: how.pop(name) for name in [*how] if name in (*form, "masks")}
    return batches.dataset(
        records.open_records(path),
        batches.RecordForm(**form),
        batches.BatchOrder(**how),
    )


def test_one_pass_in_the_order_of_the_files(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a", masked_rows(0, 3))
    write(tmp_path / "b", masked_rows(3, 5))
    found = open_and_read(str(tmp_path / "*"), batch_size=2, repeat=False)
    assert first_ids(found, 9) == [[0, 1], [2, 3], [4]]
    (batch,) = found.take(1).as_numpy_iterator()
    assert {key: (str(v.dtype), v.shape) for key, v in batch.items()} == {
        "input_ids": ("int32", (2, 8)),
        "input_mask": ("int32", (2, 8)),
        "segment_ids": ("int32", (2, 8)),
        "masked_lm_positions": ("int32", (2, 2)),
        "masked_lm_ids": ("int32", (2, 2)),
        "masked_lm_weights": ("float32", (2, 2)),
        "next_sentence_labels": ("int32", (2, 1)),
    }
    assert {key: spec.shape[1] for key, spec in found.element_spec.items()} == {
        key: column.length
        for key, column in records.masked_columns(8, 2).items()
    }


def test_every_pass_is_shuffled_and_can_be_resumed(
    tmp_path: pathlib.Path,
) -> None:
    path = write(tmp_path / "a", masked_rows(0, 10))
    how = {"batch_size": 4, "seed": 3}
    whole = first_ids(open_and_read(path, **how), 10)
    flat = [index for batch in whole for index in batch]
    for start in range(0, 40, 10):
        assert sorted(flat[start : start + 10]) == list(range(10))
    assert flat[:10] != flat[10:20]
    assert flat[:10] != list(range(10))
    assert first_ids(open_and_read(path, first_step=7, **how), 3) == whole[7:]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_masks_of_training(tmp_path: pathlib.Path, strategy: str) -> None:
    rows = 850
    path = write(tmp_path / "a", unmasked_rows(rows))
    how = MaskingSettings(strategy, 0.15, 20)

    def read(**more: Any) -> list[dict[str, np.ndarray]]:
        found = batches.dataset(
            records.open_records(path),
            batches.RecordForm(128, 20, TrainingMasks(how, VOCABULARY)),
            batches.BatchOrder(100, repeat=False, **more),
        )
        return list(found.as_numpy_iterator())

    original = unmasked_rows(rows)
    drawn = read(mask_seed=1)
    ids, positions, labels, weights = (
        np.concatenate([batch[key] for batch in drawn])
        for key in (
            "input_ids",
            "masked_lm_positions",
            "masked_lm_ids",
            "masked_lm_weights",
        )
    )
    # 850 times 123 tokens are over 100,000.
    present = weights > 0
    assert 0.14 < present.sum() / (rows * 123) <= 0.15
    where = np.nonzero(present)[0], positions[present]
    np.testing.assert_array_equal(
        original[records.INPUT_IDS][where], labels[present]
    )
    new = ids[where]
    assert abs((new == 4).mean() - 0.8) < 0.013
    assert abs((new == labels[present]).mean() - 0.1) < 0.01
    np.put_along_axis(
        ids,
        positions,
        np.where(present, labels, np.take_along_axis(ids, positions, 1)),
        1,
    )
    np.testing.assert_array_equal(ids, original[records.INPUT_IDS])
    if strategy != "token":
        # Both pieces of a word of A, or none.
        hidden = np.zeros(ids.shape, bool)
        hidden[where] = True
        np.testing.assert_array_equal(hidden[:, 1:61:2], hidden[:, 2:61:2])
    # Others each time, the same for the same seed and step.
    again, other = read(mask_seed=1), read(mask_seed=2)
    later = read(mask_seed=1, first_step=5)
    for left, right in ((drawn[0], again[0]), (drawn[5], later[0])):
        for key in left:
            np.testing.assert_array_equal(left[key], right[key])
    assert (drawn[0]["input_ids"] != other[0]["input_ids"]).any()
    assert (positions[:100] != positions[100:200]).any()


def test_records_of_another_kind(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a", masked_rows(0, 3))
    with pytest.raises(
        UserError,
        match=r"a: its records were made with --max_seq_length=8, here "
        r"--max_seq_length is 16",
    ):
        open_and_read(path, batch_size=1, max_seq_length=16)
    with pytest.raises(UserError, match="--max_predictions_per_seq=2"):
        open_and_read(path, batch_size=1, max_predictions_per_seq=3)
    how = MaskingSettings(max_predictions_per_seq=2)
    with pytest.raises(UserError, match=r"lack word_starts .*--masking"):
        open_and_read(path, batch_size=1, masks=TrainingMasks(how, VOCABULARY))
    # Also if it is the second file.
    write(tmp_path / "b", masked_rows(0, 3, 9))
    with pytest.raises(UserError, match=r"b: .*--max_seq_length=9"):
        open_and_read(str(tmp_path / "*"), batch_size=1)
    with records.open_writer(tmp_path / "c") as append:
        append(b"\xff\xff\xff no example")
    with pytest.raises(UserError, match=r"c: .*no tf\.train\.Example"):
        open_and_read(str(tmp_path / "c"), batch_size=1)
