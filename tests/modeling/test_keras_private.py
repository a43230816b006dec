"""Private parts of Keras: used in two files alone, and there in this Keras."""

from __future__ import annotations

import ast

import keras
import pytest

from modeling.keras_private import flatten_layers

FILES = (
    "modeling/keras_private.py",
    "bert_keras3/optimization/keras_private.py",
)


@pytest.fixture(scope="module")
def private_names():
    dense = keras.layers.Dense(2)
    dense.build((None, 2))
    optimizer = keras.optimizers.SGD()
    optimizer.build(dense.trainable_variables)
    model = keras.Sequential([dense])
    return {
        name
        for part in (dense, dense.kernel, model, optimizer)
        for name in dir(part)
        if name.startswith("_") and not name.startswith("__")
    }


def used_names(path):
    """Private names that a file reads, without those that it also sets."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    read, own = (
        {node.attr for node in attributes if isinstance(node.ctx, kind)}
        for kind in (ast.Load, ast.Store)
    )
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {node.name for node in nodes if isinstance(node, functions)}
    return read - own - defined


def test_no_other_file_uses_them(root, private_names):
    places = ("modeling", "tokenization", "bert_keras3", "tests", "benchmarks")
    found = {
        str(path.relative_to(root)): used_names(path) & private_names
        for place in places
        for path in sorted((root / place).rglob("*.py"))
    }
    found = {path: names for path, names in found.items() if names}
    assert found.pop(FILES[0]) == {"_flatten_layers"}
    assert found.pop(FILES[1]) == {
        "_get_variable_index",
        "_trainable_variables",
    }
    assert not found


def test_keras_has_the_method_that_the_optimizers_override(private_names):
    assert "_all_reduce_sum_gradients" in private_names


def test_flatten_layers_finds_each_layer_once_at_every_depth():
    shared = keras.layers.Dense(2, name="shared")
    inner = keras.Sequential([shared], name="inner")
    outer = keras.Sequential([inner, shared], name="outer")
    assert [layer.name for layer in flatten_layers(outer)] == [
        "outer",
        "inner",
        "shared",
    ]
