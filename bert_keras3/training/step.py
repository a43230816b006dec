"""One training step: forward, backward, clip, update, as one graph.

A batch can be split in three ways, with the same result up to rounding: into
micro-batches one after the other (less memory), into parts computed in
parallel on one device (speed), into shards, one for each device.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.concurrency import (
    Batch,
    consecutive_parts,
    num_examples,
    split,
)
from bert_keras3.training.devices import ONE_DEVICE, Devices, Part
from modeling.keras_layers import Dropout
from modeling.keras_private import flatten_layers
from modeling.shapes import Tensor

# (model, features, training) → float32 scalar, a mean over the examples.
LossFunction = Callable[[keras.Model, Mapping[str, Tensor], bool], Tensor]

GraphGradient: TypeAlias = "tf.Tensor | tuple[tf.Tensor, tf.Tensor] | None"
"""Of one weight: a tensor, or slices as (values, indices), since arguments of a
graph must be tensors; None if the loss does not depend on the weight."""


def any_length_spec(batch: Batch) -> dict[str, tf.TensorSpec]:
    """Returns specs of a batch's arrays with all dimensions unknown.

    One graph then serves batches of all sizes and lengths.
    """
    return {
        name: tf.TensorSpec([None] * np.ndim(array), array.dtype)
        for name, array in batch.items()
    }


def check_micro_batches(micro_batches: int, batch_size: int) -> None:
    """Checks that a batch has enough examples for the micro-batches.

    Raises:
        UserError: it has fewer.
    """
    if micro_batches > batch_size:
        raise UserError(
            f"--gradient_accumulation_steps={micro_batches}: a batch of "
            f"--train_batch_size={batch_size} examples cannot be cut into "
            f"{micro_batches} micro-batches; give at most {batch_size}"
        )


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """How a batch is computed; the result is the same up to rounding."""

    micro_batches: int = 1
    """Number of micro-batches of a batch (gradient accumulation). They are
    computed one after the other and update the weights once; the memory needed
    is that of one micro-batch."""
    concurrency: int = 1
    """Number of parts of a batch, or of a micro-batch, that one device computes
    in parallel."""
    jit_compile: bool = False
    """Compile the step with XLA, once for each batch shape; only on one
    device."""
    per_token: tuple[str, ...] = ()
    """Names of the arrays of a batch with one value per token."""


class TrainStep:
    """Computes the loss and its gradients and applies the optimizer."""

    def __init__(
        self,
        model: keras.Model,
        loss: LossFunction,
        optimizer: keras.optimizers.Optimizer,
        settings: StepSettings | None = None,
        devices: Devices = ONE_DEVICE,
    ) -> None:
        """Creates the optimizer's slots; graphs are traced at the first call.

        Args:
            model: built.
            loss: see `LossFunction`.
            optimizer: not yet built, or built on this model's weights.
            settings: how a batch is computed; by default as a whole.
            devices: in whose scope model and optimizer were created.
        """
        self._model = model
        self._loss = loss
        self._optimizer = optimizer
        self._settings = settings or StepSettings()
        if self._settings.jit_compile:
            for layer in flatten_layers(model):
                if isinstance(layer, Dropout):
                    layer.compiled = True
        self._devices = devices
        with devices.scope():
            optimizer.build(model.trainable_variables)
        self._distributed: Any = None
        self._graphs: dict[tuple[str, int], Any] = {}
        self._apply: Any = None

    def __call__(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the weights with one batch.

        Args:
            batch: {name: array}, rows along the first axis.

        Returns:
            `loss` of the batch before the step and the `learning_rate` of
            the step, float32 scalars.
        """
        if self._devices.strategy is not None:
            return self._step_on_devices(batch)
        if self._settings.micro_batches > 1:
            return self._accumulate(batch)
        logs: dict[str, tf.Tensor] = self._run(self._step, batch)
        return logs

    def _run(self, function: Any, batch: Batch, share: float = 1.0) -> Any:
        """Runs a function of parts on a batch, as one graph.

        There is one graph for each number of parts, since a batch of one
        example has only one part.
        """
        size = num_examples(batch)
        parts = [
            (dict(part), np.float32(share * num_examples(part) / size))
            for part in split(
                batch, self._settings.concurrency, self._settings.per_token
            )
        ]
        key = function.__name__, len(parts)
        if key not in self._graphs:
            spec = any_length_spec(batch), tf.TensorSpec([], tf.float32)
            self._graphs[key] = tf.function(
                function,
                input_signature=[[spec] * len(parts)],
                jit_compile=self._settings.jit_compile,
            )
        return self._graphs[key](parts)

    def _step(self, parts: Sequence[Part]) -> dict[str, tf.Tensor]:
        loss, gradients = self._differentiate_all(parts)
        return {"loss": loss, "learning_rate": self._update(gradients)}

    def _differentiate_all(
        self, parts: Sequence[Part]
    ) -> tuple[tf.Tensor, list[GraphGradient]]:
        """The parts do not depend on each other, so they run in parallel."""
        losses, gradients = zip(
            *(self._differentiate(*part) for part in parts), strict=True
        )
        return sum(losses[1:], losses[0]), _summed(gradients)

    def _step_on_devices(self, batch: Batch) -> dict[str, tf.Tensor]:
        if self._distributed is None:
            self._distributed = self._devices.graph(
                self._step_of_device,
                any_length_spec(batch),
                self._settings.micro_batches,
            )
        loss, learning_rate = self._distributed(batch)
        return {"loss": loss, "learning_rate": learning_rate}

    def _step_of_device(
        self, parts: Sequence[Part]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes a step with the micro-batches of one device."""
        total_loss: tf.Tensor | float = 0.0
        total: list[GraphGradient] = []
        for features, share in parts:
            # In sequence; in parallel, all would be in memory at once.
            done = [one for one in tf.nest.flatten(total) if one is not None]
            with tf.control_dependencies(done):
                features = tf.nest.map_structure(tf.identity, features)
                loss, gradients = self._differentiate(features, share)
                total_loss += loss
                total = _summed([total, gradients] if total else [gradients])
        return total_loss, self._update(total)

    def _differentiate(
        self, features: Mapping[str, tf.Tensor], share: tf.Tensor
    ) -> tuple[tf.Tensor, list[GraphGradient]]:
        with tf.GradientTape() as tape:
            loss = self._loss(self._model, features, True) * share
            # Multiplied by the optimizer's loss scale, which is 1 in float32.
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return loss, [_as_tensors(gradient) for gradient in gradients]

    def _update(self, gradients: Sequence[GraphGradient]) -> tf.Tensor:
        # The loss need not depend on every weight: heads that read all tokens
        # leave the pooler as it is, as in the original. Keras would warn.
        updated = [
            (gradient, variable)
            for gradient, variable in zip(
                gradients, self._model.trainable_variables, strict=True
            )
            if gradient is not None
        ]
        if not updated:
            raise ValueError("the loss depends on no weight of the model")
        whole = [
            tf.IndexedSlices(*gradient, tf.constant([*variable.shape]))
            if isinstance(gradient, tuple)
            else gradient
            for gradient, variable in updated
        ]
        learning_rate = tf.identity(self._optimizer.learning_rate)
        self._optimizer.apply(whole, [variable for _, variable in updated])
        return learning_rate

    def _accumulate(self, batch: Batch) -> dict[str, tf.Tensor]:
        size = num_examples(batch)
        total_loss: tf.Tensor | float = 0.0
        total: list[GraphGradient] = []
        for part in consecutive_parts(batch, self._settings.micro_batches):
            loss, gradients = self._run(
                self._differentiate_all, part, num_examples(part) / size
            )
            total_loss += loss
            total = _summed([total, gradients] if total else [gradients])
        # None is no argument of a graph.
        is_there = [gradient is not None for gradient in total]
        found = [gradient for gradient in total if gradient is not None]
        if self._apply is None:

            def apply(found: Sequence[GraphGradient]) -> tf.Tensor:
                rest = iter(found)
                return self._update(
                    [next(rest) if there else None for there in is_there]
                )

            self._apply = tf.function(
                apply, input_signature=[[_spec(one) for one in found]]
            )
        return {"loss": total_loss, "learning_rate": self._apply(found)}


def _spec(gradient: GraphGradient) -> Any:
    """Returns a spec with any number of slices: one graph for all steps."""
    if isinstance(gradient, tuple):
        return tuple(
            tf.TensorSpec([None, *part.shape[1:]], part.dtype)
            for part in gradient
        )
    return tf.TensorSpec.from_tensor(gradient)


def _as_tensors(gradient: Any) -> GraphGradient:
    """Returns a gradient with its slices as (values, indices)."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient.values, gradient.indices
    return gradient


def _summed(
    gradients: Sequence[Sequence[GraphGradient]],
) -> list[GraphGradient]:
    """Sums the gradients of the parts of a batch, weight by weight."""
    return [
        functools.reduce(_sum, of_weight)
        for of_weight in zip(*gradients, strict=True)
    ]


def _sum(a: GraphGradient, b: GraphGradient) -> GraphGradient:
    """Adds two gradients; slices are concatenated, as in one whole batch.

    The norm for clipping is then that of the whole batch, too.
    """
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, tuple):
        return tuple(tf.concat([x, y], 0) for x, y in zip(a, b, strict=True))
    return a + b
