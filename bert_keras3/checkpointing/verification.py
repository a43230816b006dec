"""Runs two checkpoints on the same inputs and compares what comes out.

The proof of a conversion: not that the files agree, but that the models do.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from bert_keras3.checkpointing import loading
from bert_keras3.checkpointing.arrays import Array
from bert_keras3.checkpointing.checkpoint import (
    Checkpoint,
    refuse_unless_modelled,
)
from bert_keras3.checkpointing.keras_outline import model_of

# How far logits and vectors may be apart: the noise of float32.
TOLERANCE = 1e-5

_SENTENCES = 4
_LONGEST = 64


def largest_difference(
    source: Checkpoint, result: Checkpoint, avoid: Collection[int] = ()
) -> float:
    """Runs both on fixed inputs.

    Args:
        source: the checkpoint that was converted.
        result: what became of it.
        avoid: ids that mean something else in the result.

    Returns:
        The largest difference of any number of any output; infinite where
        outputs differ in number or shape.

    Raises:
        UserError: one of the two is no BERT or ALBERT, or lacks weights.
    """
    inputs = fixed_inputs(source, avoid)
    before = outputs(source, inputs, "the input")
    after = outputs(result, inputs, "the result")
    vocabulary = min(source.config.vocab_size, result.config.vocab_size)
    for name in ("masked_lm_logits",):
        for answers in (before, after):
            if name in answers:
                kept = np.setdiff1d(np.arange(vocabulary), list(avoid))
                answers[name] = answers[name][..., kept]
    if {n: a.shape for n, a in before.items()} != {
        n: a.shape for n, a in after.items()
    }:
        return float("inf")
    return max(
        float(np.max(np.abs(before[name] - after[name]), initial=0.0))
        for name in before
    )


def fixed_inputs(
    checkpoint: Checkpoint, avoid: Collection[int] = ()
) -> dict[str, Array]:
    """Makes a batch that is the same every time.

    Args:
        checkpoint: for its sizes.
        avoid: ids not to use.

    Returns:
        `input_ids`, `input_mask` and `segment_ids`, int32 [4, S]; the first
        sentence is full, the others end in padding.
    """
    config = checkpoint.config
    rng = np.random.default_rng(0)
    length = min(_LONGEST, config.max_position_embeddings)
    usable = np.setdiff1d(np.arange(config.vocab_size), list(avoid))
    ids = rng.choice(usable, (_SENTENCES, length))
    lengths = rng.integers(1, length, _SENTENCES)
    lengths[0] = length
    places = np.arange(length)
    mask = places < lengths[:, None]
    second = (places >= lengths[:, None] // 2) & (config.type_vocab_size > 1)
    return {
        "input_ids": np.where(mask, ids, 0).astype(np.int32),
        "input_mask": mask.astype(np.int32),
        "segment_ids": (mask & second).astype(np.int32),
    }


def outputs(
    checkpoint: Checkpoint, inputs: dict[str, Array], source: str
) -> dict[str, Array]:
    """Runs a checkpoint.

    Args:
        checkpoint: of a BERT or an ALBERT.
        inputs: see `fixed_inputs`.
        source: what to call the checkpoint in messages.

    Returns:
        Every output that its weights make, by name. A checkpoint without a
        pooler has no `pooled_output`.

    Raises:
        UserError: see `largest_difference`.
    """
    refuse_unless_modelled(checkpoint.arrays, source, "--verify")
    model = model_of(checkpoint)
    pooled = "pooler" in checkpoint.heads
    loading.assign(
        model,
        checkpoint.arrays,
        source,
        allow_missing=() if pooled else ("bert/pooler",),
    )
    answers = model(inputs)
    wanted = {"sequence_output"} | ({"pooled_output"} if pooled else set())
    return {
        name: np.asarray(answer)
        for name, answer in answers.items()
        if name in wanted or name.endswith("logits")
    }
