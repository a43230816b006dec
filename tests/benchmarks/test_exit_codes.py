"""How the benchmarks end: a mistake is one line, a table says where it is."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

import pytest

from benchmarks import tables
from benchmarks.exit_codes import exit_after


@pytest.fixture
def end(monkeypatch, capsys):
    """A function of a benchmark and arguments → (exit code, last line)."""

    def ended(name, *arguments):
        module = f"benchmarks.{name}"
        # As if nothing had imported it.
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module(module, run_name="__main__")
        shown = capsys.readouterr().err
        assert "Traceback" not in shown
        return caught.value.code, shown.splitlines()[-1]

    return ended


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("tokenizers", ("--vocab_file", "--text_file")),
        ("serving", ("--model_dir", "--text_file")),
        ("equal_answers", ("--model_dir", "--test_file")),
    ],
)
def test_a_file_that_is_not_there(end, tmp_path, name, flags):
    pytest.importorskip("tensorflow_text")
    missing = tmp_path / "no.txt"
    code, shown = end(name, *(f"{flag}={missing}" for flag in flags))
    assert (code, shown) == (2, f"error: {missing}: there is no such file")


@pytest.mark.parametrize(
    "name",
    [
        *("contest", "serving", "tokenizers"),
        *("pretraining_data", "pretraining_step"),
    ],
)
def test_a_flag_that_does_not_exist(end, name):
    code, shown = end(name, "--vocab=a")
    assert code == 2
    assert "error: " in shown


def test_a_mistake_that_a_child_has_shown_is_not_shown_again(capsys):
    def main():
        code = "import sys; sys.exit(2)"
        subprocess.run([sys.executable, "-c", code], check=True)

    with pytest.raises(SystemExit) as caught:
        exit_after(main)
    assert caught.value.code == 2
    assert capsys.readouterr().err == ""


def test_a_fault_of_a_child_keeps_its_traceback():
    def main():
        subprocess.run([sys.executable, "-c", "1 / 0"], check=True)

    with pytest.raises(subprocess.CalledProcessError):
        exit_after(main)


def test_tables_say_what_they_wrote(monkeypatch, tmp_path, capsys):
    line = {"benchmark": "unknown", "contender": "ours"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    readme = tmp_path / "README.md"
    readme.write_text("Figures\n", "utf-8")
    monkeypatch.setattr(tables, "README", readme)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    tables.main()
    assert readme.read_text("utf-8") == "Figures\n"
    assert capsys.readouterr().out == (
        f"written: {readme}, from 1 measurements in {tmp_path}\n"
    )
