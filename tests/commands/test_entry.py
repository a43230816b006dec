"""How scripts end: exit codes, and one line for a mistake."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.safekeeping.settings import flag

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Some:
    """Settings of one flag."""

    steps: int = flag(1, "How many.", group="Training")


@pytest.fixture
def command():
    """A command with one flag."""
    return flags.Command("Does nothing.", Some)


@pytest.fixture
def end(monkeypatch, capsys, command):
    """A function of a `main` and arguments → (exit code, stderr)."""

    def ended(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["script.py", *arguments])
        with pytest.raises(SystemExit) as caught:
            entry.run(main, command)
        return caught.value.code, capsys.readouterr().err

    return ended


def nothing():
    pass


def raising(error):
    def main():
        raise error

    return main


def test_success(end):
    assert end(nothing) == (0, "")


def test_a_reader_who_leaves_is_no_fault():
    """`--help | head` ends quietly, with the status of SIGPIPE."""
    done = subprocess.run(
        f"{sys.executable} run_classifier.py --help | head -1 >/dev/null; "
        "echo ${PIPESTATUS[0]}",
        cwd=ROOT,
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) in (0, 128 + signal.SIGPIPE)


def test_a_mistake(end):
    assert end(raising(UserError("a.csv, line 3: no"))) == (
        2,
        "error: a.csv, line 3: no\n",
    )


def test_an_interruption(end):
    code, shown = end(raising(KeyboardInterrupt()))
    assert code == 130
    assert "Traceback" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_kept_what_was_done(end, number):
    """130 and 143, as shells know them."""
    stopped = StoppedError(number, "stopped at step 3 of 9")
    assert end(raising(stopped)) == (128 + number, "stopped at step 3 of 9\n")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "larger than allowed"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EISDIR, "a folder where a file is wanted"),
        (errno.ENOTDIR, "a file where a folder is wanted"),
        (errno.EEXIST, "a file where a folder is wanted"),
        (errno.ENAMETOOLONG, "the name is too long"),
    ],
)
def test_troubles_of_the_disk(end, number, told):
    error = OSError(number, os.strerror(number), "out/model.keras")
    code, shown = end(raising(error))
    assert code == 2
    assert shown.startswith("error: out/model.keras: ")
    assert told in shown
    assert "untouched" in shown
    assert shown.count("\n") == 1
    code, shown = end(raising(OSError(number, os.strerror(number))))
    assert shown.startswith("error: the") or shown.startswith("error: there")


def test_a_renaming_is_told_by_the_name_that_was_asked_for(end):
    text = os.strerror(errno.EISDIR)
    error = OSError(errno.EISDIR, text, ".out.1.tmp", None, "out")
    assert end(raising(error))[1].startswith("error: out: there is a folder")


def test_faults_of_the_program_keep_their_traceback(monkeypatch, command):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(ZeroDivisionError):
        entry.run(raising(ZeroDivisionError()), command)
    with pytest.raises(OSError, match="odd"):
        entry.run(raising(OSError(errno.EIO, "odd")), command)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--steps=many", "steps"),
        ("--stesp=1", "stesp"),
        ("train.csv", "'train.csv' is not a flag"),
    ],
)
def test_flags_that_are_wrong(end, argument, told):
    code, shown = end(nothing, argument)
    assert code == 2
    assert told in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1


def test_flags_that_are_right(end):
    assert end(nothing, "--steps=3") == (0, "")
