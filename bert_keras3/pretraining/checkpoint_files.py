"""Checkpoints of a pretraining, as the original names them or in one format.

What stands in a file is decided by `checkpointing`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

import keras
import numpy as np

from bert_keras3.checkpointing import google, tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.safekeeping.files import atomic_write, naming
from modeling.config import BertConfig

GOOGLE = "google"

CHECKPOINTS = (
    "checkpoint",
    "model.ckpt-*",
    "bert_config.json",
    "albert_config.json",
    "vocab.txt",
    "spiece.model",
    "bert_model.keras",
    "model.safetensors",
    "config.json",
)
"""Patterns of the files that checkpoints of all formats consist of."""

_PREFIX = "model.ckpt"
_INDEX = re.compile(re.escape(_PREFIX) + r"-(\d+)\.index")
_STATE = "checkpoint"
# Beside them, so that its files can be moved.
_UNFINISHED = ".checkpoint.tmp"


@dataclasses.dataclass(frozen=True)
class CheckpointFiles:
    """Writes checkpoints into a folder.

    Attributes:
        folder: where.
        config: is written beside the weights.
        tokens: the vocabulary, too, if it is known.
        sentence_pieces: the SentencePiece model that it is of, if it is.
        do_lower_case: whether the model is uncased, for formats that say so.
        format: one of `checkpointing.formats.FORMATS`. Google's are
            `model.ckpt-N`, N being the step; of others there is one, the
            latest.
        with_optimizer: add the optimizer's slots and `global_step`, as the
            original does; Google's format alone has a place for them.
        keep: how many of Google's are kept.
    """

    folder: pathlib.Path
    config: BertConfig
    tokens: tuple[str, ...] | None = None
    sentence_pieces: bytes | None = None
    do_lower_case: bool = True
    format: str = GOOGLE
    with_optimizer: bool = False
    keep: int = 5

    def save(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> None:
        """Writes the present weights.

        Args:
            model: whose weights have Google's names as paths.
            optimizer: its steps are the checkpoint's number.

        Raises:
            OSError: the disk is full or the folder cannot be written; the
                checkpoints that were there are whole.
        """
        arrays = {
            weight.path: keras.ops.convert_to_numpy(weight)
            for weight in model.weights
            # Random states are whole numbers.
            if "float" in str(weight.dtype)
        }
        step = int(optimizer.iterations.numpy())
        if self.with_optimizer:
            arrays |= slots(model, optimizer)
            arrays["global_step"] = np.array(step, np.int64)
        checkpoint = Checkpoint(
            in_memory(arrays),
            self.config,
            self.tokens,
            self.do_lower_case,
            self.sentence_pieces,
        )
        with self._unfinished() as unfinished:
            if self.format == GOOGLE:
                google.write_sidecars(unfinished, checkpoint)
                tensor_bundle.write(
                    unfinished / f"{_PREFIX}-{step}", checkpoint.arrays
                )
            else:
                FORMATS[self.format].write(unfinished, checkpoint)
            # A checkpoint's index comes behind its data.
            for path in sorted(unfinished.iterdir()):
                os.replace(path, self.folder / path.name)
        if self.format == GOOGLE:
            self._note(step)

    @contextlib.contextmanager
    def _unfinished(self) -> Iterator[pathlib.Path]:
        """Yields an empty folder, which is removed, as is a killed run's."""
        folder = self.folder / _UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            with naming(self.folder):
                yield folder
        finally:
            shutil.rmtree(folder)

    def _note(self, step: int) -> None:
        """Tells which checkpoint is the latest, and drops the oldest."""
        # Of a run that was begun anew there may be later ones.
        steps = [one for one in self._steps() if one <= step]
        kept = steps[-self.keep :]
        with atomic_write(self.folder / _STATE) as file:
            file.write(f'model_checkpoint_path: "{_PREFIX}-{step}"\n')
            for one in kept:
                file.write(f'all_model_checkpoint_paths: "{_PREFIX}-{one}"\n')
        self._remove(set(steps) - set(kept))

    def remove_all(self) -> None:
        """Removes the numbered checkpoints of an earlier run."""
        (self.folder / _STATE).unlink(missing_ok=True)
        self._remove(set(self._steps()))

    def _steps(self) -> list[int]:
        names = (path.name for path in self.folder.glob(f"{_PREFIX}-*"))
        matches = map(_INDEX.fullmatch, names)
        return sorted(int(match[1]) for match in matches if match)

    def _remove(self, steps: set[int]) -> None:
        for step in steps:
            for path in self.folder.glob(f"{_PREFIX}-{step}.*"):
                path.unlink()


def slots(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, np.ndarray]:
    """Returns the optimizer's moments under the original's names.

    Args:
        model: trained by the optimizer.
        optimizer: built.

    Returns:
        {`<weight>/adam_m`: array, `<weight>/adam_v`: array}.
    """
    by_name = {
        variable.path.split("/")[-1]: variable
        for variable in optimizer.variables
    }
    found = {}
    for weight in model.trainable_weights:
        for slot in ("adam_m", "adam_v"):
            variable = by_name.get(f"{weight.path.replace('/', '_')}_{slot}")
            if variable is not None:
                found[f"{weight.path}/{slot}"] = keras.ops.convert_to_numpy(
                    variable
                )
    return found
