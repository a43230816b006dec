"""What `pip install .` puts into somebody's environment."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = {"bert_keras3", "modeling", "tokenization"}
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built of a copy: building leaves folders behind."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(
                path,
                source / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        else:
            shutil.copy(path, source)
    code = (
        "from setuptools import build_meta\n"
        f"print(build_meta.build_wheel({str(folder)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    return zipfile.ZipFile(folder / done.stdout.splitlines()[-1])


def test_only_names_of_ones_own_are_installed(wheel):
    names = {name.partition("/")[0] for name in wheel.namelist()}
    (information,) = names - PACKAGES
    assert information.endswith(".dist-info")


def test_every_file_of_the_packages_is_there(wheel):
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert files <= {*wheel.namelist()}


def test_the_scripts_are_commands(wheel):
    (entry_points,) = (
        name for name in wheel.namelist() if name.endswith("entry_points.txt")
    )
    assert wheel.read(entry_points).decode().split("\n")[1:] == [
        *(f"{name} = bert_keras3.commands.{name}:command" for name in SCRIPTS),
        "",
    ]


def test_a_command_runs_from_any_folder(wheel, tmp_path):
    """As the file that pip writes: its usage names the command alone."""
    wheel.extractall(tmp_path / "site")
    door = tmp_path / "create_vocab"
    door.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from bert_keras3.commands.create_vocab import command\n"
        "sys.exit(command())\n"
    )
    done = subprocess.run(
        [sys.executable, str(door), "--help"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "\n    create_vocab --input_file=" in done.stdout
    assert ".py" not in done.stdout
