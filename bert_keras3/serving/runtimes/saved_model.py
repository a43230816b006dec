"""Runs a SavedModel on TensorFlow; its graph includes the tokenizer.

The signatures are described in `serving/saved_model.py`, which writes them.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Registers the operations of the tokenizer.
import tensorflow_text  # noqa: F401

from bert_keras3.finetuning.encoded_examples import Outputs
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.description import exported_outputs
from bert_keras3.serving.runtimes.runtime import Ids, Row, Runtime
from bert_keras3.serving.runtimes.token_id_runtime import (
    open_exported_tokenizer,
)
from bert_keras3.serving.saved_model import (
    DESCRIPTION,
    IDS,
    PACKED,
    STRINGS,
    TEXT_INPUTS,
    read_description,
)
from bert_keras3.training.concurrency import suitable_concurrency
from tokenization.tokenizers import Tokenizer


class SavedModelRuntime(Runtime):
    """Calls the signatures of a SavedModel."""

    def __init__(self, loaded: Any, folder: pathlib.Path) -> None:
        """Takes the object that `tf.saved_model.load` returned.

        Args:
            loaded: that object.
            folder: of the SavedModel; it has the vocabulary of a task that
                makes rows itself.
        """
        self._loaded = loaded  # the signatures live as long as it does
        self._folder = folder
        self.description = read_description(loaded)
        self._names = exported_outputs(self.description.task)
        # Unlike the other libraries, TensorFlow leaves cores idle.
        self.concurrency = suitable_concurrency()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the vocabulary in the folder."""
        return open_exported_tokenizer(self._folder, self.description)

    def token_ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes in the graph."""
        outputs = self._loaded.signatures[PACKED](**self._texts(rows))
        return {name: ids.numpy() for name, ids in outputs.items()}

    def outputs(self, ids: Ids) -> Outputs:
        """Computes outputs from token ids."""
        tensors = {name: tf.constant(array) for name, array in ids.items()}
        return self._arrays(self._loaded.signatures[IDS](**tensors))

    def outputs_of_texts(self, rows: Sequence[Row]) -> Outputs:
        """Computes outputs from strings, in one call instead of two."""
        return self._arrays(
            self._loaded.signatures[STRINGS](**self._texts(rows))
        )

    def _arrays(self, outputs: Mapping[str, tf.Tensor]) -> Outputs:
        return {name: np.asarray(outputs[name]) for name in self._names}

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
        name
        for name in (STRINGS, IDS, DESCRIPTION)
        if name not in loaded.signatures
    ]
    if missing:
        raise UserError(
            f"{folder}: the SavedModel has no signature "
            f"{' and no '.join(missing)}; it was not written by this "
            "version's export_saved_model.py. Export the model again."
        )
    return SavedModelRuntime(loaded, folder)
