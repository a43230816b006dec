"""Computes the named outputs of a model for many rows, batch by batch.

The batches may come in any order, such as by length; the results are in the
order of the rows.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from bert_keras3.training.concurrency import Batch, in_flight
from bert_keras3.training.step import any_length_spec
from modeling.shapes import Tensor

# The row numbers [B] of a batch, and the batch.
_Numbered = tuple[np.ndarray, Batch]

# What a model returns: {name: tensor}, or a single tensor.
Outputs: TypeAlias = "Mapping[str, Tensor] | Tensor"

# The name given to a single tensor.
ONLY_OUTPUT = "logits"


class Predictor:
    """Runs a model without dropout, as one graph.

    The graph is kept between calls and reads the current weights, so that
    repeated evaluations trace it once.
    """

    def __init__(
        self,
        model: keras.Model,
        outputs: Callable[[keras.Model, Mapping[str, Tensor]], Outputs]
        | None = None,
        *,
        per_token: Collection[str] = (),
        concurrency: int = 1,
        jit_compile: bool = False,
    ) -> None:
        """Makes a predictor.

        Args:
            model: built.
            outputs: (model, features) → {name: tensor [B, …]}, or one tensor,
                which is named `logits`; by default the model's own outputs.
            per_token: names of the outputs [B, S, …] with one value per token.
            concurrency: number of batches computed in parallel.
            jit_compile: compile the graph with XLA, once for each batch
                shape.
        """
        self._model = model
        self._per_token = per_token
        self._concurrency = concurrency
        self._jit_compile = jit_compile
        self._outputs = outputs or (
            lambda model, features: model(features, training=False)
        )
        self._graph: Any = None

    def __call__(
        self,
        batches: Iterable[_Numbered],
        lengths: np.ndarray | int,
        folder: str | os.PathLike[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Computes the outputs of all rows.

        Args:
            batches: (row numbers [B], features) in any order; each row
                from 0 to N − 1 comes once.
            lengths: int [N], number of tokens of each row without padding;
                or N, if no output is per token.
            folder: an existing folder; the outputs are then memory-mapped
                files in it instead of arrays in memory.

        Returns:
            {name: [N, …] or, per token, [sum of lengths, …]}, in the order of
            the rows; floats as float32.

        Raises:
            ValueError: there are no batches, or an output of `per_token` does
                not exist.
        """
        if isinstance(lengths, int):
            lengths = np.ones(lengths, np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        results: dict[str, np.ndarray] = {}
        for positions, outputs in in_flight(
            self._compute, self._with_graph(batches), self._concurrency
        ):
            if not results:
                results = self._allocate(outputs, offsets, folder)
            for name, values in outputs.items():
                if name not in self._per_token:
                    results[name][positions] = values
                    continue
                place = np.arange(values.shape[1])
                is_token = place < lengths[positions, None]
                tokens = (offsets[positions, None] + place)[is_token]
                results[name][tokens] = values[is_token]
        if not results:
            raise ValueError("there is nothing to predict: no batch came")
        return results

    def _allocate(
        self,
        outputs: Mapping[str, np.ndarray],
        offsets: np.ndarray,
        folder: str | os.PathLike[str] | None,
    ) -> dict[str, np.ndarray]:
        """Allocates the arrays for all rows, given the outputs of a batch."""
        if not set(self._per_token) <= set(outputs):
            raise ValueError(
                f"of the outputs {', '.join(self._per_token)} the model has "
                f"{', '.join(outputs)}"
            )
        places = {}
        for name, values in outputs.items():
            shape = (len(offsets) - 1, *values.shape[1:])
            if name in self._per_token:
                shape = (int(offsets[-1]), *values.shape[2:])
            # Integers and booleans keep their type.
            is_float = values.dtype.kind not in "iub"
            dtype = np.dtype(np.float32) if is_float else values.dtype
            if folder is None:
                places[name] = np.zeros(shape, dtype)
            else:
                path = pathlib.Path(folder) / f"{name}.{dtype.name}"
                places[name] = np.memmap(path, dtype, "w+", shape=shape)
        return places

    def _with_graph(self, batches: Iterable[_Numbered]) -> Iterator[_Numbered]:
        """Passes the batches on; makes the graph for the first one."""
        for positions, batch in batches:
            if self._graph is None:
                self._graph = tf.function(
                    lambda features: _named(
                        self._outputs(self._model, features)
                    ),
                    input_signature=[any_length_spec(batch)],
                    jit_compile=self._jit_compile,
                )
            yield positions, batch

    def _compute(
        self, numbered: _Numbered
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        positions, batch = numbered
        outputs = self._graph(dict(batch))
        return positions, {
            name: tensor.numpy() for name, tensor in outputs.items()
        }


def _named(outputs: Outputs) -> dict[str, Tensor]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    return {ONLY_OUTPUT: outputs}
