"""The folder of unfinished work: found again by the same job, and by no other.

What lies in it is written by `corpus` and `record_files`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

from bert_keras3.pretraining_data.settings import Settings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

_JOB = "job.json"


def work_folder(settings: Settings, streams: str) -> pathlib.Path:
    """Returns the folder of unfinished work, empty if it was of another job.

    Args:
        settings: of the job.
        streams: `ORIGINAL` or `INDEPENDENT` of `settings`.

    Raises:
        UserError: the folder holds something else.
    """
    folder = pathlib.Path(settings.output_files[0] + ".work")
    identity = _identity(settings, streams)
    job_file = folder / _JOB
    try:
        if json.loads(job_file.read_text("utf-8")) == identity:
            return folder
    except (OSError, ValueError):
        pass
    if folder.exists() and not job_file.exists() and any(folder.iterdir()):
        raise UserError(
            f"{folder}: this folder is wanted for unfinished work, and holds "
            "something else; give another --output_file"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with atomic_write(job_file) as file:
        json.dump(identity, file, indent=1)
    return folder


def _identity(settings: Settings, streams: str) -> dict[str, Any]:
    """Returns all that the output depends on, as JSON gives it back."""
    content = dataclasses.asdict(settings) | {"random_streams": streams}
    for name in ("num_workers", "runner", "runner_options"):
        del content[name]
    content["input_files"] = [
        [path, os.stat(path).st_size, os.stat(path).st_mtime_ns]
        for path in settings.input_files
    ]
    lists = (
        settings.vocab_file,
        settings.words.word_list,
        settings.words.entity_list,
    )
    content["contents"] = [_digest(path) for path in lists if path]
    return json.loads(json.dumps(content))


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
