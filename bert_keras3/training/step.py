"""One optimizer step: forward, backward, clip, update, as one graph.

Which batches it is run on, and what happens between them, is in `fit`.
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
"""Of one weight: whole, or slices as (values, indices), since the arguments of
a graph are tensors; None where the loss does not depend on the weight."""


def any_length_spec(batch: Batch) -> dict[str, tf.TensorSpec]:
    """Returns specs of a batch's arrays with every dimension free.

    One graph then serves all batches, whatever their lengths.
    """
    return {
        name: tf.TensorSpec([None] * np.ndim(array), array.dtype)
        for name, array in batch.items()
    }


def check_micro_batches(micro_batches: int, batch_size: int) -> None:
    """Checks that a batch can be cut into so many micro-batches.

    Raises:
        UserError: it has fewer examples.
    """
    if micro_batches > batch_size:
        raise UserError(
            f"--gradient_accumulation_steps={micro_batches}: a batch of "
            f"--train_batch_size={batch_size} examples cannot be cut into "
            f"{micro_batches} micro-batches; give at most {batch_size}"
        )


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """How one batch is computed; the result is the same to rounding."""

    micro_batches: int = 1
    """Into how many each batch is cut; they are passed through one after the
    other and update the weights once, so that the memory is that of a
    micro-batch."""
    concurrency: int = 1
    """Into how many parts a batch, or a micro-batch, is cut to compute them
    at the same time on one device."""
    jit_compile: bool = False
    """Let XLA compile the step, once for each shape that a batch has; on one
    device alone."""
    per_token: tuple[str, ...] = ()
    """Names of the arrays of a batch that have a value for each token; see
    `concurrency.split`."""


class TrainStep:
    """Calls a loss, differentiates it and applies the optimizer.

    Of several devices each takes a share of every batch.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: LossFunction,
        optimizer: keras.optimizers.Optimizer,
        settings: StepSettings | None = None,
        devices: Devices = ONE_DEVICE,
    ) -> None:
        """Makes the optimizer's slots; graphs are traced at the first call.

        Args:
            model: built.
            loss: see `LossFunction`.
            optimizer: not yet built, or built on this model's weights.
            settings: how a batch is computed; by default as a whole.
            devices: in whose scope model and optimizer were made.
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
        self._on_all: Any = None
        self._graphs: dict[tuple[str, int], Any] = {}
        self._apply: Any = None

    def __call__(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Takes one step.

        Args:
            batch: features, one array each, rows along the first axis.

        Returns:
            `loss` of the batch before the step and the `learning_rate` of
            the step, float32 scalars.
        """
        if self._devices.strategy is not None:
            return self._on_several(batch)
        if self._settings.micro_batches > 1:
            return self._accumulate(batch)
        logs: dict[str, tf.Tensor] = self._run(self._take_step, batch)
        return logs

    def _run(self, function: Any, batch: Batch, share: float = 1.0) -> Any:
        """Calls a function of `Part`s with those of a batch, as one graph.

        There is a graph for each number of parts, since a batch of one
        example has but one.
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

    def _take_step(self, parts: Sequence[Part]) -> dict[str, tf.Tensor]:
        loss, gradients = self._differentiate_all(parts)
        return {"loss": loss, "learning_rate": self._update(gradients)}

    def _differentiate_all(
        self, parts: Sequence[Part]
    ) -> tuple[tf.Tensor, list[GraphGradient]]:
        """Nothing says which comes first, so they run at the same time."""
        losses, gradients = zip(
            *(self._differentiate(*part) for part in parts), strict=True
        )
        return sum(losses[1:], losses[0]), _sums(gradients)

    def _on_several(self, batch: Batch) -> dict[str, tf.Tensor]:
        if self._on_all is None:
            self._on_all = self._devices.graph(
                self._take_parts,
                any_length_spec(batch),
                self._settings.micro_batches,
            )
        loss, learning_rate = self._on_all(batch)
        return {"loss": loss, "learning_rate": learning_rate}

    def _take_parts(self, parts: Sequence[Part]) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes a step with one device's parts of a batch."""
        total_loss: tf.Tensor | float = 0.0
        total: list[GraphGradient] = []
        for features, share in parts:
            # One after the other, or all would be in memory together.
            done = [one for one in tf.nest.flatten(total) if one is not None]
            with tf.control_dependencies(done):
                features = tf.nest.map_structure(tf.identity, features)
                loss, gradients = self._differentiate(features, share)
                total_loss += loss
                total = _sums([total, gradients] if total else [gradients])
        return total_loss, self._update(total)

    def _differentiate(
        self, features: Mapping[str, tf.Tensor], share: tf.Tensor
    ) -> tuple[tf.Tensor, list[GraphGradient]]:
        with tf.GradientTape() as tape:
            loss = self._loss(self._model, features, True) * share
            # By the factor that the optimizer divides by, mostly 1.
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return loss, [_taken_apart(gradient) for gradient in gradients]

    def _update(self, gradients: Sequence[GraphGradient]) -> tf.Tensor:
        variables = self._model.trainable_variables
        whole = [
            tf.IndexedSlices(*gradient, tf.constant([*variable.shape]))
            if isinstance(gradient, tuple)
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        learning_rate = tf.identity(self._optimizer.learning_rate)
        self._optimizer.apply(whole, variables)
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
            total = _sums([total, gradients] if total else [gradients])
        if self._apply is None:
            self._apply = tf.function(
                self._update, input_signature=[[_spec(g) for g in total]]
            )
        return {"loss": total_loss, "learning_rate": self._apply(total)}


def _spec(gradient: GraphGradient) -> Any:
    """Lets the number of slices vary, so that one graph serves all steps."""
    if isinstance(gradient, tuple):
        return tuple(
            tf.TensorSpec([None, *part.shape[1:]], part.dtype)
            for part in gradient
        )
    return None if gradient is None else tf.TensorSpec.from_tensor(gradient)


def _taken_apart(gradient: Any) -> GraphGradient:
    """Returns a gradient of the tape, its slices as (values, indices)."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient.values, gradient.indices
    return gradient


def _sums(gradients: Sequence[Sequence[GraphGradient]]) -> list[GraphGradient]:
    """Adds up the gradients of several parts of a batch, weight by weight."""
    return [
        functools.reduce(_sum, of_weight)
        for of_weight in zip(*gradients, strict=True)
    ]


def _sum(a: GraphGradient, b: GraphGradient) -> GraphGradient:
    """Adds gradients; slices are put side by side, as in one whole batch.

    (So the clipping norm is that of the whole batch, too.)
    """
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, tuple):
        return tuple(tf.concat([x, y], 0) for x, y in zip(a, b, strict=True))
    return a + b
