"""Runs a SavedModel on TensorFlow; its graph includes the tokenizer.

The signatures are described in `serving/saved_model.py`, which writes them.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Registers the operations of the tokenizer.
import tensorflow_text  # noqa: F401

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.runtimes.runtime import Ids, Row, Runtime
from bert_keras3.serving.saved_model import (
    IDS,
    PACKED,
    STRINGS,
    TEXT_INPUTS,
    read_description,
)
from bert_keras3.training.concurrency import suitable_concurrency


class SavedModelRuntime(Runtime):
    """Calls the signatures of a SavedModel."""

    def __init__(self, loaded: Any) -> None:
        """Takes the object that `tf.saved_model.load` returned."""
        self._loaded = loaded  # the signatures live as long as it does
        self.description = read_description(loaded)
        self._output = self.description.task.score_name
        # Unlike the other libraries, TensorFlow leaves cores idle.
        self.concurrency = suitable_concurrency()

    def token_ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes in the graph."""
        outputs = self._loaded.signatures[PACKED](**self._texts(rows))
        return {name: ids.numpy() for name, ids in outputs.items()}

    def scores(self, ids: Ids) -> np.ndarray:
        """Computes scores from token ids."""
        tensors = {name: tf.constant(array) for name, array in ids.items()}
        outputs = self._loaded.signatures[IDS](**tensors)
        return np.asarray(outputs[self._output])

    def scores_of_texts(self, rows: Sequence[Row]) -> np.ndarray:
        """Computes scores from strings, in one call instead of two."""
        outputs = self._loaded.signatures[STRINGS](**self._texts(rows))
        return np.asarray(outputs[self._output])

    def _texts(self, rows: Sequence[Row]) -> dict[str, tf.Tensor]:
        names = TEXT_INPUTS[self.description.takes_pairs]
        return {
            name: tf.constant(texts, tf.string)
            for name, texts in zip(names, zip(*rows, strict=True), strict=True)
        }


def load(folder: pathlib.Path) -> Runtime:
    """Loads the SavedModel in a folder.

    Raises:
        UserError: it is damaged, or not one of this program's.
    """
    try:
        loaded = tf.saved_model.load(os.fspath(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"{folder}: the SavedModel cannot be loaded: {error}; export it "
            "again"
        ) from error
    missing = [
        name for name in (STRINGS, IDS, PACKED) if name not in loaded.signatures
    ]
    if missing:
        raise UserError(
            f"{folder}: the SavedModel has no signature "
            f"{' and no '.join(missing)}; it was not written by this "
            "version's export_saved_model.py. Export the model again."
        )
    return SavedModelRuntime(loaded)
