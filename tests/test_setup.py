"""The house's own rules: what is locked, what is enrolled, what imports what.

The arrows between packages are import-linter's (pyproject.toml); here is what
it cannot say: scripts, what an import loads, and that nobody is left out.
"""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
HEAVY = {"tensorflow", "keras", "tensorflow_text", "sklearn", "scipy"}
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def pyproject() -> dict[str, Any]:
    return tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(lock: str) -> list[Requirement]:
    """The lines of a lock file that name a package."""
    text = (ROOT / lock).read_text("utf-8")
    return [
        Requirement(line.rstrip(" \\"))
        for line in text.splitlines()
        if line[:1].isalpha()
    ]


def sources() -> Iterator[pathlib.Path]:
    """Every Python file of the tree, the tests among them."""
    yield from ROOT.glob("*.py")
    for folder in [*PACKAGES, "benchmarks", "examples", "tests"]:
        yield from (ROOT / folder).rglob("*.py")


def imported(path: pathlib.Path) -> set[str]:
    """The first names of all that a file imports, at whatever depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def loaded_by(statements: str) -> set[str]:
    """The top-level modules that a fresh Python has after `statements`."""
    code = f"import sys\n{statements}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(lock)) > 40
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.]+( ; .*)? \\\n", entry), entry
        assert re.search(r"    --hash=sha256:[0-9a-f]{64}\n", entry), entry
    assert not re.search(r"://|^ *-(?!-hash)|@|file:", text, re.MULTILINE)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_meets_the_requirements(lock: str, python: str) -> None:
    project = pyproject()
    wanted = list(project["project"]["dependencies"])
    if lock == "requirements-dev.lock":
        wanted += project["dependency-groups"]["dev"]
        extras = project["project"]["optional-dependencies"]
        for extra in (
            *("tensorboard", "vocabulary", "serving", "onnx", "beam"),
            *("spreadsheets", "parquet"),
        ):
            wanted += extras[extra]
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
    }

    def applies(requirement: Requirement) -> bool:
        marker = requirement.marker
        return marker is None or marker.evaluate(environment)

    locked = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in pins(lock)
        if applies(pin)
    }
    for requirement in map(Requirement, wanted):
        if applies(requirement):
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


def test_the_development_lock_has_the_programs_versions() -> None:
    program, development = (set(map(str, pins(lock))) for lock in LOCKS)
    assert program < development


def test_every_package_is_enrolled() -> None:
    tool = pyproject()["tool"]
    patterns = tool["setuptools"]["packages"]["find"]["include"]
    assert sorted(pattern.removesuffix("*") for pattern in patterns) == PACKAGES
    assert tool["ruff"]["lint"]["isort"]["known-first-party"] == PACKAGES
    assert tool["importlinter"]["root_packages"] == PACKAGES
    layers = " ".join(tool["importlinter"]["contracts"][0]["layers"])
    rooms = {path.parent.name for path in ROOT.glob("bert_keras3/*/*.py")}
    assert set(re.findall(r"bert_keras3\.(\w+)", layers)) == rooms


def test_every_script_is_a_command() -> None:
    commands = pyproject()["project"]["scripts"]
    assert commands == {
        script: f"bert_keras3.commands.{script}:command" for script in SCRIPTS
    }


def test_nothing_imports_a_script() -> None:
    for path in sources():
        assert not imported(path) & set(SCRIPTS), path


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_shows_its_help_without_tensorflow(script: str) -> None:
    assert not loaded_by(f"import bert_keras3.commands.{script}") & HEAVY


def test_tokenization_loads_no_tensorflow_but_in_graph() -> None:
    statements = "\n".join(
        f"import tokenization.{path.stem}"
        for path in sorted((ROOT / "tokenization").glob("*.py"))
        if path.stem != "__init__" and not path.stem.endswith("in_graph")
    )
    assert not loaded_by(statements) & HEAVY


def test_checkpoints_are_converted_without_tensorflow() -> None:
    statements = (
        "import bert_keras3.checkpointing.conversion\n"
        "import bert_keras3.checkpointing.inspection"
    )
    assert not loaded_by(statements) & HEAVY


def test_serving_loads_no_tensorflow_before_it_is_needed() -> None:
    statements = (
        "import bert_keras3.serving.runtimes.token_id_runtime\n"
        "from bert_keras3.serving import Encoder, Predictor"
    )
    assert not loaded_by(statements) & HEAVY


def test_names_say_what_is_inside() -> None:
    stems = {path.stem for path in sources()}
    assert not stems & {"utils", "util", "common", "core", "helpers", "misc"}


def test_no_folder_of_tests_shadows_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_commands_as_they_can_be_typed(script: str) -> None:
    """A backslash that is not raw joins the lines it is to part."""
    path = ROOT / f"bert_keras3/commands/{script}.py"
    tree = ast.parse(path.read_text("utf-8"))
    assert "         --" not in (ast.get_docstring(tree, clean=False) or "")


def test_the_reference_is_small_and_explained() -> None:
    folder = ROOT / "tests" / "reference"
    files = [
        path
        for path in folder.glob("*/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) < 1_000_000
    assert sum(sizes) < 3_000_000
    page = (folder / "README.md").read_text("utf-8")
    for path in files:
        area, name, *_ = path.relative_to(folder).parts
        assert f"`{area}/`" in page
        assert name.split(".")[0] in page, path
