"""The output folder of a pretraining: which file is what.

A checkpoint lies at the top, so that the folder itself can be given as
--init_checkpoint to any script; how checkpoints are written is
`checkpoint_files`' matter.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

SETTINGS = "pretraining.json"
STATE = "training_state/state.safetensors"
LOG = "training_log.jsonl"
TENSORBOARD = "tensorboard"
EVAL_TEXT = "eval_results.txt"
EVAL_JSON = "eval_results.json"

# What checkpoints of the various formats bring, and the results: not to be
# replaced if they are somebody else's.
WOULD_BE_REPLACED = (
    "checkpoint",
    "model.ckpt-*",
    "bert_config.json",
    "albert_config.json",
    "vocab.txt",
    "spiece.model",
    "bert_model.keras",
    "model.safetensors",
    "config.json",
    EVAL_TEXT,
)

# What makes a folder the folder of a run.
_OF_A_RUN = (SETTINGS, STATE)


class RunFolder:
    """The files of one pretraining."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Points at a folder, which need not exist yet."""
        self.path = pathlib.Path(path)

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of a file in the folder."""
        return self.path / name

    @property
    def holds_a_run(self) -> bool:
        """Whether a pretraining has begun here."""
        return any((self / name).exists() for name in _OF_A_RUN)

    def foreign_file(self) -> pathlib.Path | None:
        """Returns a file that a run would replace and did not write."""
        if self.holds_a_run:
            return None
        for pattern in WOULD_BE_REPLACED:
            for path in self.path.glob(pattern):
                return path
        return None

    def clear(self) -> None:
        """Removes what a run wrote, but for its checkpoints."""
        for name in (*_OF_A_RUN, LOG, EVAL_TEXT, EVAL_JSON):
            (self / name).unlink(missing_ok=True)
        shutil.rmtree(self / TENSORBOARD, ignore_errors=True)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Records what the run was told, for whoever finds the folder."""
        _write_json(self / SETTINGS, settings)

    def read_evaluation(self) -> dict[str, Any]:
        """Returns what `write_evaluation` wrote; nothing if it did not.

        Raises:
            UserError: the file is damaged.
        """
        path = self / EVAL_JSON
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UserError(f"{path}: is damaged: {error}") from error
        return found

    def write_before(self, before: Mapping[str, float]) -> None:
        """Keeps the figures of the first weights until there are others."""
        _write_json(self / EVAL_JSON, {"before": dict(before)})

    def write_evaluation(
        self, metrics: Mapping[str, float], context: Mapping[str, Any]
    ) -> None:
        """Writes the figures of an evaluation.

        The text file has the original's names and form, `key = value`.

        Args:
            metrics: the figures.
            context: more for the JSON file; `global_step` also goes into the
                text file.
        """
        lines = {**metrics, "global_step": context["global_step"]}
        with atomic_write(self / EVAL_TEXT) as file:
            for name in sorted(lines):
                file.write(f"{name} = {lines[name]}\n")
        _write_json(self / EVAL_JSON, {**metrics, **context})


def _write_json(path: pathlib.Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(values, file, ensure_ascii=False, indent=2, default=str)
        file.write("\n")
