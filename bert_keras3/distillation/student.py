"""A model that is trained, with the maps from its vectors to its teacher's.

The maps are trained with it and saved in the state of the training, and are no
part of the model that is kept (Jiao et al. 2020, section 3.1).
"""

from __future__ import annotations

import keras

from modeling import BertConfig, BertWithHeads
from modeling.shapes import Tensor


class Student(keras.Model):
    """A model and two matrices.

    Attributes:
        model: the student itself.
        hidden_map: [D, D of the teacher], for the vectors of all layers.
        embedding_map: [E, E of the teacher].
    """

    def __init__(
        self, model: BertWithHeads, teacher: BertConfig, seed: int
    ) -> None:
        """Makes the maps: the identity where the widths are the same.

        Args:
            model: with its weights.
            teacher: the teacher's configuration.
            seed: of the maps between different widths.
        """
        super().__init__(name="student")
        self.model = model
        mine = model.bert.config
        self.hidden_map = _map(
            "hidden_map", mine.hidden_size, teacher.hidden_size, seed
        )
        self.embedding_map = _map(
            "embedding_map",
            mine.embedding_width,
            teacher.embedding_width,
            seed,
        )
        self.built = True

    def call(
        self, inputs: dict[str, Tensor], training: bool | None = None
    ) -> dict[str, Tensor]:
        """Computes what the model does."""
        return self.model(inputs, training=training)


def _map(name: str, mine: int, theirs: int, seed: int) -> keras.layers.Dense:
    initializer = keras.initializers.Orthogonal(seed=seed)
    if mine == theirs:
        initializer = keras.initializers.Identity()
    layer = keras.layers.Dense(
        theirs, use_bias=False, kernel_initializer=initializer, name=name
    )
    layer.build((None, mine))
    return layer
