"""Numbered folders of one model, as TensorFlow Serving watches them.

`export_dir/1`, `export_dir/2` and so on; the server loads the highest.
"""

from __future__ import annotations

import os
import pathlib

from bert_keras3.safekeeping.errors import UserError


def versions(export_dir: str | os.PathLike[str]) -> dict[int, pathlib.Path]:
    """Returns the numbered folders in `export_dir`, lowest number first."""
    folder = pathlib.Path(export_dir)
    if not folder.is_dir():
        return {}
    found = {
        int(path.name): path
        for path in folder.iterdir()
        # The server accepts 007, but only ASCII digits.
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    }
    return dict(sorted(found.items()))


def new_version(
    export_dir: str | os.PathLike[str], version: int | None = None
) -> pathlib.Path:
    """Returns a folder that does not exist yet.

    Args:
        export_dir: need not exist.
        version: the number; None for the one after the highest.

    Raises:
        UserError: the number is taken, or no number of a version, or
            `export_dir` is a file.
    """
    folder = pathlib.Path(export_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"--export_dir={folder}: is a file; name a folder, new or old"
        )
    taken = versions(folder)
    next_free = max(taken, default=0) + 1
    if version is None:
        version = next_free
    if version < 1:
        raise UserError(
            f"--version={version}: versions are numbered from 1; "
            f"{next_free} is free"
        )
    path = taken.get(version, folder / str(version))
    if path.exists():
        raise UserError(
            f"{path}: is there already, and a server may be using it; leave "
            f"--version out for the next free number, {next_free}, or remove "
            "the folder"
        )
    return path


def latest_version(export_dir: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the folder with the highest number.

    Raises:
        UserError: there is none.
    """
    found = versions(export_dir)
    if not found:
        raise UserError(
            f"{os.fspath(export_dir)}: holds no exported model; give the "
            "--export_dir of export_saved_model.py, or one numbered folder "
            "in it"
        )
    return found[max(found)]
