"""Writes the checkpoints of a pretraining run.

In Google's format these are `model.ckpt-1000`, `model.ckpt-2000`, …, of which
the newest are kept, and the file `checkpoint` with their names, as in the
original. In other formats there is one checkpoint, which is replaced.
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

GOOGLE = "google"

CHECKPOINTS = (
    "checkpoint",
    "model.ckpt-*",
    "bert_config.json",
    "albert_config.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer_config.json",
    "bert_model.keras",
    "model.safetensors",
    "config.json",
    "special_tokens_map.json",
    "model.weights.h5",
    "task.weights.h5",
    "task.json",
    "tokenizer.json",
    "preprocessor.json",
    "metadata.json",
    "assets/tokenizer/vocabulary.txt",
)
"""Glob patterns of the files of a checkpoint, in all formats."""

_PREFIX = "model.ckpt"
_INDEX = re.compile(re.escape(_PREFIX) + r"-(\d+)\.index")
_LIST = "checkpoint"
# In the same folder, so that its files can be moved without copying.
_UNFINISHED = ".checkpoint.tmp"


@dataclasses.dataclass(frozen=True)
class CheckpointFiles:
    """Writes checkpoints into a folder.

    Attributes:
        folder: of the run.
        start: what the training starts from. What belongs to it, the
            configuration and all of its tokenizer, is written beside the
            weights.
        format: one of `checkpointing.formats.FORMATS`.
        with_optimizer: also write the optimizer's slots and `global_step`, as
            the original does; only in Google's format.
        keep: how many checkpoints of Google's format are kept.
    """

    folder: pathlib.Path
    start: Checkpoint
    format: str = GOOGLE
    with_optimizer: bool = False
    keep: int = 5

    def save(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> None:
        """Writes the current weights.

        Args:
            model: its weight paths are Google's names.
            optimizer: its number of steps is the number of the checkpoint.

        Raises:
            OSError: the disk is full or the folder cannot be written; earlier
                checkpoints are intact.
        """
        arrays = {
            weight.path: keras.ops.convert_to_numpy(weight)
            for weight in model.weights
            # Not the states of random number generators, which are integers.
            if "float" in str(weight.dtype)
        }
        step = int(optimizer.iterations.numpy())
        if self.with_optimizer:
            arrays |= slots(model, optimizer)
            arrays["global_step"] = np.array(step, np.int64)
        # Vectors of texts may have been made another way before.
        checkpoint = dataclasses.replace(
            self.start,
            arrays=in_memory(arrays),
            weights_file=None,
            pooling=None,
        )
        with self._unfinished() as unfinished:
            if self.format == GOOGLE:
                google.write_sidecars(unfinished, checkpoint)
                tensor_bundle.write(
                    unfinished / f"{_PREFIX}-{step}", checkpoint.arrays
                )
            else:
                FORMATS[self.format].write(unfinished, checkpoint)
            # Sorted, so that the index is moved after the data.
            files = [one for one in unfinished.rglob("*") if one.is_file()]
            for path in sorted(files):
                target = self.folder / path.relative_to(unfinished)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
        if self.format == GOOGLE:
            self._update_list(step)

    @contextlib.contextmanager
    def _unfinished(self) -> Iterator[pathlib.Path]:
        """Yields a temporary folder; deletes that of a killed run first."""
        folder = self.folder / _UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            with naming(self.folder):
                yield folder
        finally:
            shutil.rmtree(folder)

    def _update_list(self, step: int) -> None:
        """Writes the list of checkpoints and deletes the oldest ones."""
        # A run that was started again may have left later ones.
        steps = [one for one in self._steps() if one <= step]
        kept = steps[-self.keep :]
        with atomic_write(self.folder / _LIST) as file:
            file.write(f'model_checkpoint_path: "{_PREFIX}-{step}"\n')
            for one in kept:
                file.write(f'all_model_checkpoint_paths: "{_PREFIX}-{one}"\n')
        self._remove(set(steps) - set(kept))

    def remove_all(self) -> None:
        """Deletes the numbered checkpoints of an earlier run."""
        (self.folder / _LIST).unlink(missing_ok=True)
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
    """Returns the optimizer's slots under the original's names.

    Args:
        model: trained by the optimizer.
        optimizer: built on the model.

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
