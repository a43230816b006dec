"""A model's outputs for many examples, batch by batch.

Which batches, and what the numbers mean, is the callers' matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_keras3.training.concurrency import Batch, in_flight
from bert_keras3.training.step import any_length_spec

# Positions [B] of a batch's examples, and the batch.
_Numbered = tuple[np.ndarray, Batch]


class Predictor:
    """Calls a function of a model without dropout, as one graph.

    The graph is kept between calls, so that evaluating again costs no
    tracing; it reads the model's present weights.
    """

    def __init__(
        self,
        model: keras.Model,
        outputs: Callable[[keras.Model, Mapping[str, Any]], Any] | None = None,
        *,
        concurrency: int = 1,
        jit_compile: bool = False,
    ) -> None:
        """Makes a predictor.

        Args:
            model: built.
            outputs: (model, features) → [B, C]; by default the model's own
                output.
            concurrency: how many batches are computed at the same time.
            jit_compile: let XLA compile the graph, once for each shape that
                a batch has.
        """
        self._model = model
        self._concurrency = concurrency
        self._jit_compile = jit_compile
        self._outputs = outputs or (
            lambda model, features: model(features, training=False)
        )
        self._graph: Any = None

    def __call__(
        self, batches: Iterable[_Numbered], num_examples: int
    ) -> np.ndarray:
        """Computes every example's outputs.

        Args:
            batches: (positions [B], features) in any order; each position
                from 0 to `num_examples` − 1 comes once.
            num_examples: how many examples there are.

        Returns:
            float32 [num_examples, C], in the order of the positions.
        """
        results: np.ndarray | None = None
        for positions, values in in_flight(
            self._compute, self._ready(batches), self._concurrency
        ):
            if results is None:
                results = np.zeros(
                    (num_examples, *values.shape[1:]), np.float32
                )
            results[positions] = values
        if results is None:
            raise ValueError("there is nothing to predict: no batch came")
        return results

    def _ready(self, batches: Iterable[_Numbered]) -> Iterator[_Numbered]:
        """Passes batches on once there is a graph for them."""
        for positions, batch in batches:
            if self._graph is None:
                self._graph = tf.function(
                    lambda features: self._outputs(self._model, features),
                    input_signature=[any_length_spec(batch)],
                    jit_compile=self._jit_compile,
                )
            yield positions, batch

    def _compute(self, numbered: _Numbered) -> tuple[np.ndarray, np.ndarray]:
        positions, batch = numbered
        return positions, self._graph(dict(batch)).numpy()
