"""The output folder of a run: the files that every kind of training writes.

Fine-tuning and pretraining declare their further files as `RunFiles`. A file
is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

STATE = "training_state/state.safetensors"
LOG = "training_log.jsonl"
TENSORBOARD = "tensorboard"
EVAL_TEXT = "eval_results.txt"
EVAL_JSON = "eval_results.json"

_SHARED = (STATE, LOG, EVAL_TEXT, EVAL_JSON)


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The further files of one kind of training, relative to its folder."""

    signs: tuple[str, ...]
    """A folder with one of these, or with a saved state, holds a run."""
    written: tuple[str, ...] = ()
    """Other files that a run writes."""
    kept: tuple[str, ...] = ()
    """Glob patterns of files that a run writes and `clear` does not delete:
    checkpoints."""
    scratch: tuple[str, ...] = ()
    """Temporary folders, needed only during the run."""

    @property
    def all(self) -> tuple[str, ...]:
        """All files that `clear` deletes."""
        return (*self.signs, *_SHARED, *self.written)


class RunFolder:
    """The files of one run."""

    def __init__(self, path: str | os.PathLike[str], files: RunFiles) -> None:
        """Does not touch the folder, which need not exist yet.

        Args:
            path: of the folder.
            files: the further files of this kind of training.
        """
        self.path = pathlib.Path(path)
        self.files = files

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of a file in the folder."""
        return self.path / name

    @property
    def holds_a_run(self) -> bool:
        """Whether a run was started in this folder."""
        return any(
            (self / name).exists() for name in (*self.files.signs, STATE)
        )

    def check_is_folder(self) -> None:
        """Checks that the path is a folder or does not exist.

        Raises:
            UserError: it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(
                f"--output_dir={self.path}: is a file; give a folder, which "
                "need not exist yet"
            )

    def refuse_foreign_files(self) -> None:
        """Checks that a new run would not overwrite files of other origin.

        Raises:
            UserError: it would.
        """
        if self.holds_a_run:
            return
        for pattern in (*self.files.all, *self.files.kept):
            for path in self.path.glob(pattern):
                raise UserError(
                    f"{path}: is there already, and of no run of this "
                    "program. Give another --output_dir, or "
                    "--overwrite_output_dir to replace it."
                )

    def clear(self) -> None:
        """Deletes the files of a run, except those that are `kept`."""
        for name in self.files.all:
            (self / name).unlink(missing_ok=True)
        for name in (TENSORBOARD, *self.files.scratch):
            shutil.rmtree(self / name, ignore_errors=True)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Writes a mapping as a JSON file; creates the folder if needed."""
        with atomic_write(self / name) as file:
            json.dump(values, file, ensure_ascii=False, indent=2, default=str)
            file.write("\n")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Returns what `write_json` wrote; None if there is no such file.

        Raises:
            UserError: the file is damaged.
        """
        path = self / name
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(f"{path}: is damaged: {error}") from error
        if not isinstance(found, dict):
            raise UserError(f"{path}: is damaged: it holds no mapping")
        return found

    def write_evaluation(
        self, lines: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Writes the results of an evaluation.

        Args:
            lines: for the text file, which has sorted lines `key = value` as
                in the original.
            values: for the JSON file.
        """
        with atomic_write(self / EVAL_TEXT) as file:
            for name in sorted(lines):
                file.write(f"{name} = {lines[name]}\n")
        self.write_json(EVAL_JSON, values)
