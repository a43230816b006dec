"""The settings of every training, whatever it trains.

Each kind of training adds fields of its own. No library is loaded here, so
that flags can be defined from these fields at once.
"""

from __future__ import annotations

import dataclasses

OFF = "off"
# {name: Keras' policy}; weights, slots and losses are float32 in all of them.
PRECISIONS = {
    OFF: "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@dataclasses.dataclass(frozen=True)
class Computing:
    """How to compute; none of it changes what is computed, but to rounding."""

    mixed_precision: str = OFF
    """A key of `PRECISIONS`."""
    jit_compile: bool = False
    """Let XLA compile, once for each shape that a batch has."""
    remat: bool = False
    """Compute layers again in the backward pass, to save memory."""


PLAIN = Computing()


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How to train."""

    train_batch_size: int = 32
    """Examples of an optimizer step."""
    learning_rate: float = 5e-5
    """The highest, at the end of warm-up."""
    optimizer: str = "adam_weight_decay"
    """A key of `optimization.OPTIMIZERS`."""
    lazy_embeddings: bool = False
    """Leave the embeddings of tokens that are not in a batch as they are."""
    gradient_accumulation_steps: int = 1
    """Micro-batches that each batch is passed through in."""
    seed: int = 12345
    eval_steps: int | None = None
    """While training, also evaluate after every so many steps."""
    save_checkpoints_steps: int = 1000
    """Save the state after every so many steps."""
    tensorboard: bool = False
    """Write events for TensorBoard."""
    computing: Computing = PLAIN


WITHOUT_EFFECT = ("tensorboard", "save_checkpoints_steps")
"""Fields that change no number, and so may change between two runs."""
