"""Columns beside a text → a vector beside its pooled output.

>>> import numpy as np
>>> layer = ExtraColumns(num_numbers=2, num_codes=5, num_columns=2, width=6)
>>> vector = layer(
...     {
...         "numbers": np.zeros((3, 2), "float32"),  # B=3
...         "categories": np.array([[0], [4], [1]]),
...     }
... )
>>> tuple(vector.shape)
(3, 6)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from modeling.keras_layers import create_initializer
from modeling.shapes import Shape, Tensor

NUMBERS, CATEGORIES = "numbers", "categories"


class ExtraColumns(keras.layers.Layer):
    """tanh(numbers · W + Σ embeddings of the categories + b).

    The original has no such layer. Its vector has the range of the pooled
    output's values and is wider: Adam moves every weight of the head by about
    as much, whatever it reads, so that a head learns the faster from a vector
    the more values it has, and columns should be learnt within an epoch.

    Its weights are `numbers/kernel` [M, width], `categories/embeddings`
    [codes, width], of those that there are, and `bias` [width].
    """

    def __init__(
        self,
        num_numbers: int,
        num_codes: int,
        num_columns: int,
        width: int,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            num_numbers: how many numbers a row has, M.
            num_codes: rows of the table of categories.
            num_columns: how many values of mean square 1 a row has in all;
                it sets the size of the first weights.
            width: of the vector.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**{"name": "extra_columns", **kwargs})
        self._width = width
        self._num_numbers = num_numbers
        deviation = max(1, num_columns) ** -0.5
        self.numbers: keras.layers.Dense | None = None
        self.categories: keras.layers.Embedding | None = None
        if num_numbers:
            self.numbers = keras.layers.Dense(
                width,
                use_bias=False,
                kernel_initializer=create_initializer(deviation),
                name=NUMBERS,
            )
        if num_codes:
            self.categories = keras.layers.Embedding(
                num_codes,
                width,
                embeddings_initializer=create_initializer(deviation),
                name=CATEGORIES,
            )

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the weights."""
        if self.numbers is not None:
            self.numbers.build((None, self._num_numbers))
        if self.categories is not None:
            self.categories.build()
        self.bias = self.add_weight(
            shape=(self._width,), initializer="zeros", name="bias"
        )

    def call(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns the vectors, [B, width].

        Args:
            inputs: `numbers` float [B, M] and `categories` int [B, K], of
                those that there are; further entries are ignored. Of
                categories there may be the embeddings, float [B, K, width],
                for gradients with respect to them.
        """
        total = ops.convert_to_tensor(self.bias)
        if self.numbers is not None:
            # [B, M] x [M, width]
            total = self.numbers(inputs[NUMBERS]) + total
        if self.categories is not None:
            codes = inputs[CATEGORIES]
            # [B, K] -> [B, K, width] -> [B, width]
            vectors = codes if len(codes.shape) == 3 else self.categories(codes)
            total = ops.sum(vectors, axis=1) + total
        return ops.tanh(total)
