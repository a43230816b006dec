"""Instances as arrays: `[CLS] a [SEP] b [SEP]` under the keys of a record.

With A "the sun", B "rises" and max_seq_length 8:

    input_ids    [CLS]  the  sun  [SEP]  rises  [SEP]  0  0
    input_mask     1     1    1     1      1      1    0  0
    segment_ids    0     0    0     0      1      1    0  0
    maskable       0     1    1     0      1      0    0  0

Many instances at once: the tokens of drawn `segments` are read from the corpus,
and after `masking` become the columns of the records.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import Inputs, Masked, Vocabulary
from bert_keras3.pretraining_data.words import ENTITY, WORD


@dataclasses.dataclass(frozen=True)
class Instances:
    """N instances without masks; S is max_seq_length.

    Attributes:
        inputs: the tokens, `input_ids` int32 [N, S], 0 for padding.
        input_mask: bool [N, S], false for padding.
        segment_ids: bool [N, S], true from B to the last [SEP].
        labels: int64 [N], as in `segments.Segments`.
    """

    inputs: Inputs
    input_mask: np.ndarray
    segment_ids: np.ndarray
    labels: np.ndarray


def look_up(
    corpus: Corpus,
    segments: np.ndarray,
    max_seq_length: int,
    vocabulary: Vocabulary,
) -> Instances:
    """Returns instances with the tokens of their segments.

    Args:
        corpus: the tokens.
        segments: int64 [N, 5], rows of `segments.Segments`.
        max_seq_length: S.
        vocabulary: has the ids of [CLS] and [SEP].
    """
    a_start, a_end, b_start, b_end, labels = segments.T[:, :, None]
    a_length, b_length = a_end - a_start, b_end - b_start
    column = np.arange(max_seq_length)
    first_sep = 1 + a_length
    # Without B there is no second [SEP].
    lengths = np.where(b_length > 0, first_sep + b_length + 2, first_sep + 1)
    in_a = (column >= 1) & (column < first_sep)
    in_b = (column > first_sep) & (column < lengths - 1)
    # In each row the positions of A, then of B: the order of `corpus.read`.
    maskable = in_a | in_b
    ids, begins = corpus.read(segments[:, :4].reshape(-1, 2).tolist())
    input_ids = np.zeros(maskable.shape, np.int32)
    input_ids[maskable] = ids
    input_ids[:, 0] = vocabulary.cls_id
    rows = np.arange(len(segments))
    input_ids[rows, first_sep[:, 0]] = vocabulary.sep_id
    input_ids[rows, lengths[:, 0] - 1] = vocabulary.sep_id
    starts = np.zeros(maskable.shape, np.uint8)
    starts[maskable] = begins
    input_mask = column < lengths
    return Instances(
        Inputs(input_ids, maskable, starts, lengths[:, 0]),
        input_mask,
        input_mask & (column > first_sep),
        labels[:, 0],
    )


def masked_features(
    instances: Instances, masked: Masked
) -> dict[str, np.ndarray]:
    """Returns [N, length] under each key of `records.masked_columns`."""
    return {
        records.INPUT_IDS: masked.input_ids,
        records.INPUT_MASK: instances.input_mask,
        records.SEGMENT_IDS: instances.segment_ids,
        records.MASKED_LM_POSITIONS: masked.positions,
        records.MASKED_LM_IDS: masked.labels,
        records.MASKED_LM_WEIGHTS: masked.weights,
        records.NEXT_SENTENCE_LABELS: instances.labels[:, None],
    }


def unmasked_features(
    instances: Instances, *, entities: bool
) -> dict[str, np.ndarray]:
    """Returns [N, length] under each key of `records.unmasked_columns`."""
    starts = instances.inputs.starts
    features = {
        records.INPUT_IDS: instances.inputs.input_ids,
        records.INPUT_MASK: instances.input_mask,
        records.SEGMENT_IDS: instances.segment_ids,
        records.WORD_STARTS: starts & WORD > 0,
        records.NEXT_SENTENCE_LABELS: instances.labels[:, None],
    }
    if entities:
        features[records.ENTITY_STARTS] = starts & ENTITY > 0
    return features
