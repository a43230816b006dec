"""How a model computes: in which numbers, compiled or not, keeping how much.

Keras' dtype policies do the work of mixed precision; here is which there are,
which one suits a device, and how float16 is kept from losing small gradients.
The step itself is in `step`, what is kept for the backward pass in
`modeling.rematerialization`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import keras
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError

OFF = "off"
# {name: Keras' policy}; weights, slots and losses are float32 in all of them.
PRECISIONS = {
    OFF: "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
# The first NVIDIA GPUs that multiply bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


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


def check_compiled(computing: Computing, *, lazy_embeddings: bool) -> None:
    """Checks that what is to be compiled can be.

    Args:
        computing: how to compute.
        lazy_embeddings: whether only the words of a batch are updated.

    Raises:
        UserError: both are wanted.
    """
    if computing.jit_compile and lazy_embeddings:
        raise UserError(
            "--lazy_embeddings and --jit_compile: how many words a batch has "
            "is not known when it is compiled; leave one of them out"
        )


def has_gpu() -> bool:
    """Returns whether there is a GPU to compute on."""
    return bool(tf.config.list_physical_devices("GPU"))


def default_precision() -> str:
    """Returns what suits the devices of this machine.

    Off without a GPU, where 16 bits are slower; bfloat16 if all GPUs multiply
    it. float16 has to be asked for, since its range is small.
    """
    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in gpus
    ]
    capable = all(one and one >= _BFLOAT16_CAPABILITY for one in capabilities)
    return "bfloat16" if gpus and capable else OFF


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Makes layers that are made meanwhile compute in this precision.

    Args:
        precision: a key of `PRECISIONS`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def guarded(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """Returns the optimiser for gradients of this precision.

    Those of float16 are multiplied with a factor before they are computed,
    and divided by it before they are clipped and applied; a step in which one
    is not finite is left out and halves the factor.

    Args:
        optimizer: applies the gradients.
        precision: a key of `PRECISIONS`.
    """
    if precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
