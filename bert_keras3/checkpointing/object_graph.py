"""Reads the object graph of a TensorFlow 2 checkpoint: which variable is what.

An object-based checkpoint has a tensor under the path by which Python code
reached the variable (`encoder/layer_with_weights-0/embeddings`), which differs
from release to release. The graph beside the tensors also has the name that
each variable was created with (`word_embeddings/embeddings`), which hardly
does; `model_garden` translates those.

The graph is a string tensor. It is read in Python, since lengths in a forged
one can end TensorFlow's reader and the process with it; parsing it executes
nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
)

from bert_keras3.checkpointing import tensor_bundle, tensorflow_messages
from bert_keras3.checkpointing.tensor_bundle import IndexEntry, read_varint

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/"
_CHECKSUM = 4  # bytes, of the lengths of the strings in a tensor


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of the graph.

    Attributes:
        key: name of its tensor in the index.
        name: the name that it was created with; may be empty.
        node: number of its node.
    """

    key: str
    name: str
    node: int

    @property
    def path(self) -> str:
        """The path of attributes to it, without TensorFlow's ending."""
        return self.key.removesuffix(_VALUE)

    @property
    def slot_of(self) -> tuple[str, str] | None:
        """(path of the variable, name of the slot) of an optimizer's slot."""
        path, mark, slot = self.path.partition(_SLOT)
        return (path, slot.rpartition("/")[2]) if mark else None


class ObjectGraph:
    """The variables of a checkpoint and the objects that hold them."""

    def __init__(self, graph: Any) -> None:
        self._nodes = graph.nodes
        self.variables = tuple(
            Variable(attribute.checkpoint_key, attribute.full_name, number)
            for number, node in enumerate(graph.nodes)
            for attribute in node.attributes
        )

    @functools.cached_property
    def _owners(self) -> Mapping[int, list[tuple[int, str]]]:
        owners = collections.defaultdict(list)
        for number, node in enumerate(self._nodes):
            for child in node.children:
                owners[child.node_id].append((number, child.local_name))
        return owners

    def attributes_above(self, variable: Variable) -> frozenset[str]:
        """Returns the names of all attributes on any way to a variable."""
        found: set[str] = set()
        seen, waiting = {variable.node}, [variable.node]
        while waiting:
            for owner, attribute in self._owners.get(waiting.pop(), ()):
                found.add(attribute)
                if owner not in seen:
                    seen.add(owner)
                    waiting.append(owner)
        return frozenset(found)

    def attributes_of_holder(self, variable: Variable) -> frozenset[str]:
        """Returns the attributes that lead to the object with a variable."""
        holders = [owner for owner, _ in self._owners.get(variable.node, ())]
        return frozenset(
            attribute
            for holder in holders
            for _, attribute in self._owners.get(holder, ())
        )


def read(prefix: pathlib.Path, shards: int, entry: IndexEntry) -> ObjectGraph:
    """Reads the graph out of a data file.

    Args:
        prefix: path without an ending; the index was checked against the
            sizes of its data files.
        shards: number of data files.
        entry: where the tensor OBJECT_GRAPH lies.

    Raises:
        ValueError: it is damaged.
    """
    path = tensor_bundle.data_files(prefix, shards)[entry.shard]
    with open(path, "rb") as file:
        file.seek(entry.end - entry.size)
        raw = file.read(entry.size)
    length, start = read_varint(raw, 0)
    text = raw[start + _CHECKSUM :]
    if entry.shape != () or len(text) != length:
        raise ValueError("its object graph is no text of the length it says")
    try:
        graph = tensorflow_messages.ObjectGraph.FromString(text)
    except DecodeError as error:
        raise ValueError(f"its object graph is damaged: {error}") from error
    return ObjectGraph(graph)
