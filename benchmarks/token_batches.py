"""Batches of the tasks with an output for each token: spans and tags.

The rows are those that the scripts train on: windows of a file of questions,
or of tagged texts.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.contender_inputs import LENGTHS, SPAN, TAG, Batch
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.span_settings import QuestionFiles
from bert_keras3.finetuning.tagging_settings import TaggedFiles
from bert_keras3.finetuning.task import LabelSource
from bert_keras3.inputs.feature_store import store_in_memory
from tokenization.tokenizers import FullTokenizer

_SETTINGS: Mapping[str, Any] = {SPAN: QuestionFiles, TAG: TaggedFiles}


def make_token_batches(
    kind: str,
    file: pathlib.Path,
    vocab_file: pathlib.Path,
    *,
    order: str,
    batch_size: int,
    num_batches: int,
) -> list[Batch]:
    """Makes batches of the rows of a file.

    Args:
        kind: `SPAN` or `TAG`.
        file: as `run_squad.py` or `run_tagger.py` takes it.
        vocab_file: an uncased vocabulary.
        order: "random", or "sorted" by number of tokens.
        batch_size: B.
        num_batches: how many at most; drawn from the whole file.

    Returns:
        `input_ids`, `input_mask`, `segment_ids`, int32 [B, S], and what the
        task's loss reads.
    """
    settings = _SETTINGS[kind](train_file=str(file))
    dataset = kind_of(settings).find(settings)
    source = dataset.source("train")
    task, _ = dataset.task(source)
    reader = task.reader(
        TextEncoder(FullTokenizer(vocab_file), LENGTHS[kind]),
        LabelSource(source.path, dataset.labels, is_training=True),
    )
    rows = (
        (number, row)
        for number, example in enumerate(source)
        for row in reader.rows(example)
    )
    task, store = reader.finish(store_in_memory(rows, reader.columns))
    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(store))[: batch_size * num_batches]
    if order == "sorted":
        chosen = chosen[np.argsort(store.lengths[chosen], kind="stable")]
    columns = [*task.inputs, *task.targets]
    return [
        store.padded(part, columns)
        for part in np.split(chosen, range(batch_size, len(chosen), batch_size))
        if len(part) == batch_size
    ]
