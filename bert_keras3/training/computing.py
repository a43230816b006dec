"""How a model computes: repeatably, in which precision, compiled or not.

Keras' dtype policies do the work of mixed precision; here is which one suits
a device, and how float16 is kept from losing small gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.settings import OFF, PRECISIONS, Computing

# The first NVIDIA GPUs that multiply bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


def check_compiled(computing: Computing, *, lazy_embeddings: bool) -> None:
    """Checks that what is to be compiled can be.

    Args:
        computing: how to compute.
        lazy_embeddings: whether only embeddings of a batch's tokens are
            updated.

    Raises:
        UserError: both are wanted.
    """
    if computing.jit_compile and lazy_embeddings:
        raise UserError(
            "--lazy_embeddings and --jit_compile: how many different tokens a "
            "batch has is not known when it is compiled; leave one of them out"
        )


def has_gpu() -> bool:
    """Returns whether there is a GPU to compute on."""
    return bool(tf.config.list_physical_devices("GPU"))


def default_precision() -> str:
    """Returns what suits the devices of this machine.

    Off without a GPU, where 16 bits are slower; bfloat16 if all GPUs multiply
    it. Never float16, whose range is small.
    """
    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in gpus
    ]
    capable = all(one and one >= _BFLOAT16_CAPABILITY for one in capabilities)
    return "bfloat16" if gpus and capable else OFF


def make_deterministic(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow and chooses repeatable kernels.

    Two runs on one machine then give the same bits. To be called before a
    model is made.

    Args:
        seed: any whole number from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


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


def loss_scaled(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """Returns the optimizer for gradients of this precision.

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
