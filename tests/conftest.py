"""What the tests share: the reference material, scripts without their door."""

from __future__ import annotations

import importlib
import pathlib
import sys

import pytest
from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of reference arrays, checkpoints and data sets.

    It is not part of the project; the tests that want it are skipped, with
    the reason shown, where it is absent.
    """
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {folder}")
    return folder


@pytest.fixture
def load_script():
    """A function that imports a script by name; its flags end with the test.

    Flags belong to the process, so those of two scripts would collide.
    """
    loaded = []

    def load(name):
        before = set(flags.FLAGS)
        script = importlib.import_module(name)
        loaded.append((name, set(flags.FLAGS) - before))
        return script

    yield load
    for name, added in loaded:
        for flag in added:
            delattr(flags.FLAGS, flag)
        sys.modules.pop(name, None)
