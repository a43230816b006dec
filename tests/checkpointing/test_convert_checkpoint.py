"""The script itself, as it is typed."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bert_keras3.checkpointing.formats import WRITTEN
from bert_keras3.commands.convert_checkpoint import Conversion
from bert_keras3.safekeeping.settings import flag_of

Writer = Callable[[dict[str, Any]], pathlib.Path]


def run(root: pathlib.Path, *arguments: str) -> Any:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--input, --output, --format: missing"),
        (("--input=a", "--format=keras"), "--output: missing"),
        (("--inspect=a", "--input=b"), "--inspect stands alone"),
    ],
)
def test_flags_that_make_no_sense(
    root: pathlib.Path, flags: tuple[str, ...], message: str
) -> None:
    answer = run(root, "convert_checkpoint.py", *flags)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert message in answer.stderr


@pytest.mark.slow
def test_inspect_and_convert(
    root: pathlib.Path,
    tmp_path: pathlib.Path,
    encoder_arrays: dict[str, Any],
    google_folder: Writer,
) -> None:
    folder = google_folder(encoder_arrays)
    answer = run(root, "convert_checkpoint.py", f"--inspect={folder}", "--json")
    assert json.loads(answer.stdout)["sizes"]["hidden_size"] == 8
    answer = run(
        root,
        "convert_checkpoint.py",
        f"--inspect={folder}",
        "--task=classification",
    )
    assert "missing: output_weights" in answer.stdout
    command = (
        "convert_checkpoint.py",
        f"--input={folder}",
        f"--output={tmp_path / 'out'}",
        "--format=huggingface",
        "--verify",
    )
    answer = run(root, *command)
    assert "BertModel with 1,384 parameters" in answer.stdout
    assert "largest difference of any output: 0" in answer.stdout
    assert run(root, *command).returncode == 2  # it exists now


def test_the_flag_format_offers_what_the_table_has() -> None:
    field = Conversion.__dataclass_fields__["format"]
    flag = flag_of(field)
    assert flag is not None
    assert tuple(flag.choices) == WRITTEN
