"""A trained model that another one learns from.

Its outputs for a row are further columns of the row, `teacher/logits` beside
`input_ids`: computed once for each row of a store, without padding, or in the
training step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.task import MODEL_INPUTS, Tensors
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.feature_store import Column, FeatureStore
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder
from bert_keras3.training.predict import Predictor
from bert_keras3.training.state import checksum
from modeling import BertWithHeads
from modeling.bert import Encoded
from modeling.bert_with_heads import MASKED_LM_POSITIONS
from modeling.heads import HEADS
from modeling.shapes import Tensor

PREFIX = "teacher/"
# The tokens of a batch, padding included.
_BATCH_TOKENS = 4096
_BATCH_SIZE = 128


class Taught(Protocol):
    """What teacher and student do: a `Task`, or a part of one."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of both, keys of `modeling.heads.HEADS`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, if the head has some."""

    @property
    def per_token(self) -> tuple[str, ...]:
        """Names of outputs with one value per token."""

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """See `Task`."""

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """See `Task`."""


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained model with its task.

    Attributes:
        model: with its weights.
        task: with its labels.
        weights: a checksum of the weights.
    """

    model: BertWithHeads
    task: Taught
    weights: int

    @classmethod
    def load(cls, checkpoint: Checkpoint, task: Taught) -> Teacher:
        """Creates the model of a checkpoint.

        Args:
            checkpoint: of a trained model.
            task: that it was trained for.

        Raises:
            UserError: it lacks weights.
        """
        model = BertWithHeads(checkpoint.config, task.heads, task.labels)
        # Hugging Face's taggers and models of questions have no pooler.
        report = checkpoint.load_into(model, (".*",))
        pooler = f"{model.bert.name}/pooler/"
        lacking = [
            *(name for name in report.missing if not name.startswith(pooler)),
            *map(str, report.wrong_shape),
        ]
        if lacking:
            raise UserError(
                f"--teacher={checkpoint.source}: is no trained {task.name} "
                f"model: {report.line()}"
            )
        weights = checksum(*(checkpoint.arrays[one] for one in report.loaded))
        return cls(model, task, weights)

    @functools.cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that `answers` returns, one for each output."""
        columns = {}
        for head in self.task.heads:
            for name in HEADS[head].outputs:
                columns[PREFIX + name] = Column(
                    "float32",
                    name in self.task.per_token,
                    # Two outputs of one head are its last axis.
                    (len(self.task.labels),)
                    if len(HEADS[head].outputs) == 1
                    else (),
                    HEADS[head].padding,
                )
        return columns

    def encode(self, features: Tensors, outputs: Collection[str]) -> Encoded:
        """Computes what the heads read, and more, in a training step.

        Args:
            features: of a batch.
            outputs: as for `BertModel.encode`.
        """
        names = (*MODEL_INPUTS, MASKED_LM_POSITIONS)
        inputs = {one: features[one] for one in names if one in features}
        return self.model.encode(inputs, outputs, training=False)

    def answers(
        self, store: FeatureStore, folder: pathlib.Path, concurrency: int
    ) -> FeatureStore:
        """Computes the outputs for all rows, or opens those in the folder.

        Args:
            store: the rows.
            folder: has a folder for each teacher and set of rows whose outputs
                were computed; made if need be.
            concurrency: number of batches computed in parallel.

        Returns:
            The store with `columns`.
        """
        # Whatever is done with padding in training.
        plain = dataclasses.replace(store, fixed_length=None)
        shapes = {
            name: (
                int(store.offsets[-1]) if one.per_token else len(store),
                *one.shape,
            )
            for name, one in self.columns.items()
        }
        arrays = [store.arrays["input_ids"], store.arrays["segment_ids"]]
        rows = checksum(*arrays, store.offsets)
        place = folder / f"{self.weights:08x}-{rows:08x}"
        if not place.exists():
            # Another training may compute the same and be there first.
            with (
                contextlib.suppress(FileExistsError),
                atomic_folder(place) as temporary,
            ):
                self._compute(plain, temporary, concurrency)
        for name, column in self.columns.items():
            path = place / f"{name.removeprefix(PREFIX)}.float32"
            values = np.memmap(path, np.float32, "r", shape=shapes[name])
            # As a plain array: indexing a `memmap` runs code of its class.
            store = store.with_column(name, column, np.asarray(values))
        return store

    def _compute(
        self, store: FeatureStore, folder: pathlib.Path, concurrency: int
    ) -> None:
        predictor = Predictor(
            self.model,
            per_token=self.task.per_token,
            concurrency=concurrency,
        )
        outputs = predictor(
            batches_by_length(
                store,
                np.arange(len(store)),
                BatchLimit(_BATCH_SIZE, _BATCH_TOKENS),
                MODEL_INPUTS,
            ),
            store.lengths,
            folder,
        )
        for values in outputs.values():
            values.flush()  # type: ignore[attr-defined]
