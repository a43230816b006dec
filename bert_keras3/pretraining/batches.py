"""TFRecords → batches, with masks drawn during training if wanted.

Batch number i depends only on the seed and i, so that a training can resume at
any step.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.inputs.batches import epoch_order
from bert_keras3.inputs.records import Column, Records
from bert_keras3.pretraining_data import masking, random_streams
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError

# Number of batches that are read in parallel.
_PARALLEL = 2

# The flag that determines how many values a key has.
_FLAGS = {
    records.INPUT_IDS: "max_seq_length",
    records.MASKED_LM_POSITIONS: "max_predictions_per_seq",
}


@dataclasses.dataclass(frozen=True)
class TrainingMasks:
    """Draws new masks each time that a record is used.

    Attributes:
        settings: how masks are drawn.
        vocabulary: for the tokens that replace masked ones.
    """

    settings: MaskingSettings
    vocabulary: Vocabulary

    def columns(self, max_seq_length: int) -> dict[str, Column]:
        """Returns the columns that records must have."""
        return records.unmasked_columns(
            max_seq_length, entities=self.settings.strategy == "entity"
        )

    def __call__(
        self, batch: Mapping[str, np.ndarray], keys: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns a batch with the keys of `records.masked_columns`.

        Args:
            batch: B records without masks.
            keys: uint64 [B], the seed of each record's random numbers.
        """
        ids = batch[records.INPUT_IDS]
        lengths = batch[records.INPUT_MASK].sum(axis=1)
        # No text contains these two.
        maskable = (
            (batch[records.INPUT_MASK] > 0)
            & (ids != self.vocabulary.cls_id)
            & (ids != self.vocabulary.sep_id)
        )
        starts = WORD * (batch[records.WORD_STARTS] > 0)
        if records.ENTITY_STARTS in batch:
            starts |= ENTITY * (batch[records.ENTITY_STARTS] > 0)
        masked = masking.mask(
            masking.Inputs(ids, maskable, starts.astype(np.uint8), lengths),
            keys,
            self.settings,
            self.vocabulary,
        )
        return {
            records.INPUT_IDS: masked.input_ids.astype(np.int32),
            records.INPUT_MASK: batch[records.INPUT_MASK],
            records.SEGMENT_IDS: batch[records.SEGMENT_IDS],
            records.MASKED_LM_POSITIONS: masked.positions.astype(np.int32),
            records.MASKED_LM_IDS: masked.labels.astype(np.int32),
            records.MASKED_LM_WEIGHTS: masked.weights,
            records.NEXT_SENTENCE_LABELS: batch[records.NEXT_SENTENCE_LABELS],
        }


@dataclasses.dataclass(frozen=True)
class RecordForm:
    """The contents that each record must have.

    Attributes:
        max_seq_length: S, number of tokens with padding.
        max_predictions_per_seq: P, maximum number of masked tokens.
        masks: draws masks; None if the records have masks.

    Raises:
        ValueError: `masks` has another max_predictions_per_seq.
    """

    max_seq_length: int
    max_predictions_per_seq: int
    masks: TrainingMasks | None = None

    def __post_init__(self) -> None:
        """Checks that both have the same P."""
        if self.masks is not None and (
            self.masks.settings.max_predictions_per_seq
            != self.max_predictions_per_seq
        ):
            raise ValueError("two values of max_predictions_per_seq")

    @property
    def masked(self) -> dict[str, Column]:
        """The columns of a batch."""
        return records.masked_columns(
            self.max_seq_length, self.max_predictions_per_seq
        )

    @property
    def stored(self) -> dict[str, Column]:
        """The columns of a record on disk."""
        if self.masks is None:
            return self.masked
        return self.masks.columns(self.max_seq_length)


@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """The order in which records make batches.

    Attributes:
        batch_size: B; without `repeat` the last batch may be smaller.
        seed: of the order, which is shuffled for each epoch; None: the order
            of the files.
        mask_seed: of the masks; fixed in evaluations, so that they are
            comparable.
        first_step: number of the first batch.
        repeat: whether epochs follow each other without end, and a batch may
            have records of two; else there is one epoch.
    """

    batch_size: int
    seed: int | None = None
    mask_seed: int = 0
    first_step: int = 0
    repeat: bool = True


def dataset(found: Records, form: RecordForm, order: BatchOrder) -> Any:
    """Returns a `tf.data.Dataset` of batches for pretraining.

    Args:
        found: the result of `records.open_records`.
        form: the contents of the records.
        order: of the records.

    Returns:
        {key: int32 or float32 [B, length]} with the original's keys.

    Raises:
        UserError: the records have other columns or lengths.
    """
    import tensorflow as tf

    check_columns(found, form.stored)
    read = _reading(found, form.stored, order)
    masks = form.masks

    def make(step: Any) -> dict[str, Any]:
        batch = read(step)
        if masks is None:
            return batch
        return _with_masks(batch, step, masks, form.masked, order.mask_seed)

    last = np.iinfo(np.int64).max
    if not order.repeat:
        last = -(-len(found) // order.batch_size)
    steps = tf.data.Dataset.range(order.first_step, last)
    return steps.map(
        make, num_parallel_calls=_PARALLEL, deterministic=True
    ).prefetch(tf.data.AUTOTUNE)


def _reading(
    found: Records, columns: Mapping[str, Column], order: BatchOrder
) -> Callable[[Any], dict[str, Any]]:
    """Returns a function: number of a batch → its parsed records."""
    import tensorflow as tf

    spec = {
        key: tf.io.FixedLenFeature([column.length], column.dtype)
        for key, column in columns.items()
    }
    rows_of_step = _rows_of_step(len(found), order)

    def read(step: np.ndarray) -> np.ndarray:
        return np.array([found[row] for row in rows_of_step(int(step))], object)

    def parsed(step: tf.Tensor) -> dict[str, tf.Tensor]:
        serialized = tf.numpy_function(read, [step], tf.string)
        serialized.set_shape([None])
        batch = tf.io.parse_example(serialized, spec)
        return {
            key: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value
            for key, value in batch.items()
        }

    return parsed


def _with_masks(
    batch: dict[str, Any],
    step: Any,
    masks: TrainingMasks,
    columns: Mapping[str, Column],
    seed: int,
) -> dict[str, Any]:
    """Draws masks for a batch; they depend on the seed and the step."""
    import tensorflow as tf

    def draw(number: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
        key = random_streams.key(seed, int(number))
        keys = random_streams.bits(np.array([key], np.uint64), len(values[0]))
        drawn = masks(dict(zip(batch, values, strict=True)), keys[0])
        return [drawn[name] for name in columns]

    dtypes = [
        tf.float32 if column.dtype == np.float32 else tf.int32
        for column in columns.values()
    ]
    values = tf.numpy_function(draw, [step, *batch.values()], dtypes)
    for value, column in zip(values, columns.values(), strict=True):
        value.set_shape([None, column.length])
    return dict(zip(columns, values, strict=True))


def check_columns(found: Records, columns: Mapping[str, Column]) -> None:
    """Checks the columns of the first record of every file.

    Raises:
        UserError: a key is missing, or has another number of values, as in
            records made with another --max_seq_length.
    """
    for number, path in enumerate(found.paths):
        rows = np.flatnonzero(found.files == number)
        if not len(rows):
            continue
        lengths = _lengths(found[int(rows[0])], path)
        missing = [key for key in columns if key not in lengths]
        if missing:
            raise UserError(
                f"{path}: the records lack {', '.join(missing)} (they have "
                f"{', '.join(sorted(lengths)) or 'nothing'}); they were made "
                "for another purpose, or with another --masking"
            )
        for key, column in columns.items():
            has, expected = lengths[key], column.length
            if has == expected:
                continue
            flag = _FLAGS.get(key)
            if flag is None:
                raise UserError(
                    f"{path}: {key} has {has} values, not {expected}; make "
                    "the records again"
                )
            raise UserError(
                f"{path}: its records were made with --{flag}={has}, here "
                f"--{flag} is {expected}; use --{flag}={has}, or make the "
                "records again"
            )


def _lengths(record: bytes, path: str) -> dict[str, int]:
    """Returns {key: number of values} of a record."""
    import tensorflow as tf
    from google.protobuf.message import (  # type: ignore[import-untyped]
        DecodeError,
    )

    try:
        example = tf.train.Example.FromString(record)
    except DecodeError as error:
        raise UserError(
            f"{path}: its records are no tf.train.Example; make them with "
            "create_pretraining_data.py"
        ) from error
    return {
        key: len(getattr(feature, feature.WhichOneof("kind") or "").value)
        for key, feature in example.features.feature.items()
        if feature.WhichOneof("kind")
    }


def _rows_of_step(
    num_records: int, order: BatchOrder
) -> Callable[[int], list[int]]:
    """Returns a function: number of a batch → numbers of its records."""
    batch_size, seed = order.batch_size, order.seed
    # Batches read in parallel are from two epochs at most.
    shuffled = functools.lru_cache(maxsize=2)(
        lambda epoch: epoch_order(num_records, epoch, seed or 0)
    )

    def rows_of_step(step: int) -> list[int]:
        places = range(step * batch_size, (step + 1) * batch_size)
        if not order.repeat:
            places = range(places.start, min(places.stop, num_records))
        if seed is None:
            return [place % num_records for place in places]
        return [
            int(shuffled(place // num_records)[place % num_records])
            for place in places
        ]

    return rows_of_step
