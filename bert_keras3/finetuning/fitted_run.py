"""The run folder behind an estimator, and the model in it."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bert_keras3.finetuning.opened_model import OpenedModel
    from bert_keras3.training.predict import Predictor


class FittedRun:
    """A run folder, and the model in it once it has been asked.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Takes a folder."""
        self.path = path
        self._opened: tuple[OpenedModel, Predictor] | None = None
        # Callers such as `cross_val_predict` may use threads.
        self._lock = threading.Lock()

    @classmethod
    def temporary(cls) -> FittedRun:
        """Makes a folder that is deleted with the object."""
        run = cls(pathlib.Path(tempfile.mkdtemp(prefix="bert_estimator_")))
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
        return run

    @property
    def settings(self) -> Any:
        """The settings that the folder keeps."""
        from bert_keras3.finetuning.run_folder import FinetuningFolder

        return FinetuningFolder(self.path).read_settings()

    def files(self) -> dict[str, bytes]:
        """Returns {name: content} of what predictions need."""
        from bert_keras3.finetuning.run_folder import KEPT_FILES

        return {
            name: (self.path / name).read_bytes()
            for name in KEPT_FILES
            if (self.path / name).exists()
        }

    def scores(self, job: Any, takes_pairs: bool) -> np.ndarray:
        """Computes the scores of the texts of a job, [N, *score_shape]."""
        from bert_keras3.finetuning.datasets import kind_of
        from bert_keras3.finetuning.encoding import encode
        from bert_keras3.finetuning.opened_model import (
            open_model,
            padded_as,
            predictor_of,
        )
        from bert_keras3.finetuning.run_folder import FinetuningFolder
        from bert_keras3.inputs.batches import BatchLimit

        with self._lock:
            if self._opened is None:
                opened = open_model(job, FinetuningFolder(self.path))
                self._opened = (
                    opened,
                    predictor_of(job, opened.model, opened.settings.task),
                )
            opened, predictor = self._opened
        settings, source = opened.settings, job.data.splits["test"]
        if source and takes_pairs != settings.takes_pairs:
            wanted = (
                "pairs of texts" if settings.takes_pairs else "single texts"
            )
            raise ValueError(f"the model was fitted on {wanted}")
        if not source:
            raise ValueError("X has no texts")
        task: Any = settings.task
        with tempfile.TemporaryDirectory(prefix="bert_estimator_") as folder:
            file = encode(
                kind_of(job.data).find(job.data).source("test"),
                opened.encoder,
                pathlib.Path(folder),
                task,
                None,
            )
            store = padded_as(job, file.store, task, settings.max_seq_length)
            examples = dataclasses.replace(file, store=store).examples
            outputs = examples.outputs(
                predictor, BatchLimit(job.predict_batch_size), task.inputs
            )
            scores: np.ndarray = task.scores_of(
                task.logits_of(outputs, examples)
            )
        return scores


class PlainScreen:
    """The screen of `verbose=1`."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)

    def say(self, line: str) -> None:
        """Prints a line."""
        self._console.print(line, markup=False, soft_wrap=True)

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Prints the cells of each row, with | between."""
        for row in ([title] if title else [], headers, *rows):
            self.say(" | ".join(map(str, row)))
