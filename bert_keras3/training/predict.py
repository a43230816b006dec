"""A model's outputs for many rows, batch by batch, by their names.

Which rows make a batch, and what the outputs mean, is decided by the caller.
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

# Positions [B] of a batch's rows, and the batch.
_Numbered = tuple[np.ndarray, Batch]

# What a model returns: outputs by name, or one alone.
Outputs: TypeAlias = "Mapping[str, Tensor] | Tensor"

# What an output is called that a model returns alone, not in a mapping.
ONLY_OUTPUT = "logits"


class Predictor:
    """Calls a function of a model without dropout, as one graph.

    The graph is kept between calls, so that evaluating again costs no
    tracing; it reads the model's present weights.
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
                which is called `logits`; by default the model's own outputs.
            per_token: names of the outputs that are [B, S, …], one value for
                each token.
            concurrency: how many batches are computed at the same time.
            jit_compile: let XLA compile the graph, once for each shape that
                a batch has.
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
        """Computes every row's outputs.

        Args:
            batches: (positions [B], features) in any order; each position
                from 0 to N − 1 comes once.
            lengths: int [N], number of tokens of each row, padding excluded;
                or N, if no output is per token.
            folder: an existing folder for outputs that are too large for the
                memory; they are then mapped from files in it.

        Returns:
            {name: [N, …] or, per token, [sum of the lengths, …]}, in the
            order of the positions; floats as float32.

        Raises:
            ValueError: there are no batches, or there is no such output.
        """
        if isinstance(lengths, int):
            lengths = np.ones(lengths, np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        results: dict[str, np.ndarray] = {}
        for positions, outputs in in_flight(
            self._compute, self._ready(batches), self._concurrency
        ):
            if not results:
                results = self._places(outputs, offsets, folder)
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

    def _places(
        self,
        outputs: Mapping[str, np.ndarray],
        offsets: np.ndarray,
        folder: str | os.PathLike[str] | None,
    ) -> dict[str, np.ndarray]:
        """Makes arrays for all rows, given the outputs of some."""
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
            # Whole numbers and truth values stay what they are.
            is_float = values.dtype.kind not in "iub"
            dtype = np.dtype(np.float32) if is_float else values.dtype
            if folder is None:
                places[name] = np.zeros(shape, dtype)
            else:
                path = pathlib.Path(folder) / f"{name}.{dtype.name}"
                places[name] = np.memmap(path, dtype, "w+", shape=shape)
        return places

    def _ready(self, batches: Iterable[_Numbered]) -> Iterator[_Numbered]:
        """Passes batches on once there is a graph for them."""
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
