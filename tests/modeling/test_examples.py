"""The examples at the heads of the files are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import modeling

NAMES = ["modeling"] + [
    f"modeling.{module.name}"
    for module in pkgutil.iter_modules(modeling.__path__)
]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_begins_with_an_example_that_is_true(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=False)
    (example,) = (one for one in finder.find(module) if one.name == name)
    assert example.examples
    runner = doctest.DocTestRunner(verbose=False)
    assert not runner.run(example).failed
