"""The output folder of a training: what every one of them has in it.

Which further files there are is declared by the kind of training. Files are
written whole or not at all.
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
    """The files of one kind of training, beside those of every kind."""

    signs: tuple[str, ...]
    """Each of them makes a folder the folder of a run, as a state does."""
    written: tuple[str, ...] = ()
    """Further files that a run writes."""
    kept: tuple[str, ...] = ()
    """Patterns of files that a run writes and `clear` leaves where they are:
    checkpoints."""
    scratch: tuple[str, ...] = ()
    """Folders that a run needs only while it lasts."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every file that `clear` removes."""
        return (*self.signs, *_SHARED, *self.written)


class RunFolder:
    """The files of one run."""

    def __init__(self, path: str | os.PathLike[str], files: RunFiles) -> None:
        """Points at a folder, which need not exist yet.

        Args:
            path: the folder.
            files: what may lie in it.
        """
        self.path = pathlib.Path(path)
        self.files = files

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of a file in the folder."""
        return self.path / name

    @property
    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return any(
            (self / name).exists() for name in (*self.files.signs, STATE)
        )

    def check_is_folder(self) -> None:
        """Checks that there is a folder or nothing.

        Raises:
            UserError: there is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(
                f"--output_dir={self.path}: is a file; give a folder, which "
                "need not exist yet"
            )

    def refuse_foreign_files(self) -> None:
        """Checks that a run here would replace no file but a run's.

        Raises:
            UserError: there is such a file, and no run.
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
        """Removes the files of a run but those that are kept."""
        for name in self.files.all:
            (self / name).unlink(missing_ok=True)
        for name in (TENSORBOARD, *self.files.scratch):
            shutil.rmtree(self / name, ignore_errors=True)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Writes a mapping as a file, making the folder if need be."""
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
        """Writes the figures of an evaluation.

        Args:
            lines: of the text file, `key = value` as in the original, sorted.
            values: of the JSON file.
        """
        with atomic_write(self / EVAL_TEXT) as file:
            for name in sorted(lines):
                file.write(f"{name} = {lines[name]}\n")
        self.write_json(EVAL_JSON, values)
