"""What the door of several workers refuses before it starts any."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from bert_keras3.commands import start_workers

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([], "there is nothing to start"),
        (["nowhere.py", "--do_train"], "nowhere.py: there is no such script"),
        (
            ["run_pretraining.py", "--do_train", "--distribution=mirrored"],
            "without --distribution=multi_worker every worker would do",
        ),
    ],
)
def test_commands_that_share_no_training(command, told):
    ended = subprocess.run(
        [sys.executable, "start_workers.py", "--num_workers=2", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_installed_command_is_found_by_its_name(tmp_path, monkeypatch):
    script = tmp_path / "run_classifier.py"
    script.touch()
    installed = tmp_path / "run_classifier_of_mine"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = start_workers.find_script
    assert found(str(script)) == [sys.executable, str(script)]
    assert found("run_classifier_of_mine") == [str(installed)]
