"""SavedModels of TensorFlow 2, as TensorFlow Hub and Kaggle publish BERTs.

    saved_model.pb  variables/variables.{index,data-…}  assets/vocab.txt

Nothing in one is executed. Variables are read by name, as those of the Model
Garden's checkpoints; `saved_model.pb` is parsed as data for what they do not
tell: the activation, which the operations of the saved functions show, and
which of the assets is the vocabulary. Whether text is lower-cased is a
variable.

An export of this program has `bert_config.json`, `vocab.txt` and
`classifier.json` beside it, and variables with Google's names.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
)

from bert_keras3.checkpointing import (
    google,
    model_garden,
    tensorflow_messages,
)
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.checkpoint import Description
from bert_keras3.checkpointing.model_garden import Contents
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

FILE = "saved_model.pb"
CONFIG = "bert_config.json"
# The attribute that exports of this program keep their variables in.
_OWN = re.compile(r"weights/\d+")
_METADATA = "keras_metadata.pb"
_LARGEST = 1 << 30  # of FILE, bytes; BERT-Large's is 20 MB
_LOWER_CASE = "do_lower_case"
# Attributes of the model that hold its vocabulary.
_VOCABULARIES = ("vocab_file", "sp_model_file")

# Operations that only one activation is made of; a GELU in the erf form has
# the first, the tanh form has the last two. The pooler has a Tanh too.
_ACTIVATIONS = (
    ("gelu_erf", ({"Erf"}, {"Erfc"})),
    ("relu", ({"Relu"},)),
    ("gelu", ({"Tanh", "Pow"},)),
)
_FORWARD_PASS = "Softmax"

# What Keras notes of layers that compute something else with such weights.
_OTHERS = re.compile(
    rb'"norm_first": true|"class_name": "[^"]*(?:BigBird|Funnel|Longformer'
    rb'|Linformer|Rezero|Reuse|TalkingHeads|KernelAttention|BlockSparse)[^"]*"'
)


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns a path if it is a SavedModel's file."""
    return path if path.name == FILE and path.is_file() else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the SavedModel's file of a folder."""
    return [path for path in (folder / FILE,) if path.is_file()]


def read(path: pathlib.Path) -> Arrays:
    """Opens the variables of a SavedModel for reading, tensor by tensor.

    Args:
        path: the file `saved_model.pb`.

    Returns:
        The arrays under Google's names.

    Raises:
        UserError: it has no variables, is damaged, or of another model.
    """
    own = _own_weights(path)
    if own is not None:
        return own
    found = _contents(path)
    if found is None:  # a module of TensorFlow Hub 1
        return google.read(_prefix(path))
    arrays = found.arrays()
    arrays.entries.pop(_LOWER_CASE, None)
    return arrays


def config(path: pathlib.Path) -> BertConfig | None:
    """Returns the configuration that variables and functions show.

    Args:
        path: the file `saved_model.pb`.

    Returns:
        The configuration; None of a module of TensorFlow Hub 1, whose
        variables do not show it.

    Raises:
        UserError: see `read`, or the activation is none that is known.
    """
    if _own_weights(path) is not None:
        return BertConfig.from_json_file(path.parent / CONFIG)
    found = _contents(path)
    if found is None:
        return None
    operations = _operations(_graph(path))
    activation = _activation(operations)
    if activation is None and _FORWARD_PASS in operations:
        raise UserError(
            f"{path}: its functions have an activation that is not known "
            "(neither GELU nor ReLU); name the right one in a file with "
            "--bert_config_file"
        )
    stated = {"hidden_act": activation} if activation else None
    return model_garden.config_of(found, path, stated)


def describe(path: pathlib.Path) -> Description:
    """Says what a SavedModel is, and reads its vocabulary's name and case.

    Args:
        path: the file `saved_model.pb`.

    Raises:
        UserError: see `config`.
    """
    if _own_weights(path) is not None:
        return Description(what="an export of this program")
    graph = _graph(path)
    found = _contents(path)
    vocab_file = _vocabulary(path.parent, graph)
    if found is None:
        return Description(what="a module of TF Hub 1", vocab_file=vocab_file)
    assumed: tuple[str, ...] = ()
    if _activation(_operations(graph)) is None:
        assumed = (model_garden.ASSUMED_ACTIVATION,)
    if found.heads_shown is None:
        assumed += (model_garden.ASSUMED_HEADS,)
    case = found.sources.get(_LOWER_CASE)
    return Description(
        what=f"a SavedModel of TF Hub or Kaggle ({found.layout})",
        vocab_file=vocab_file,
        do_lower_case=None if case is None else bool(case.read()),
        assumed=assumed,
    )


def _prefix(path: pathlib.Path) -> pathlib.Path:
    return path.parent / "variables" / "variables"


def _own_weights(path: pathlib.Path) -> Arrays | None:
    """Returns the variables of an export of this program.

    Returns:
        The arrays under Google's names; None if it is of another origin.

    Raises:
        UserError: it has no configuration beside it, or is quantized.
    """
    prefix = _prefix(path)
    if not (
        google.index_of(prefix).is_file() and google.is_object_based(prefix)
    ):
        return None
    tensors = google.read_tensors(prefix)
    graph = model_garden.object_graph_of(prefix)
    variables = {
        one.name: tensors.entries[one.key]
        for one in graph.variables
        if _OWN.fullmatch(one.path) and one.key in tensors.entries
    }
    if len(variables) != len(tensors.entries):
        return None
    if not (path.parent / CONFIG).is_file():
        raise UserError(
            f"{path}: is an export of this program without {CONFIG} beside "
            "it, as those in int8 and those of earlier revisions are; give the "
            "folder of the run that was exported, or export it anew"
        )
    return Arrays(variables)


def _contents(path: pathlib.Path) -> Contents | None:
    """Returns what the variables are; None if they have Google's names."""
    prefix = _prefix(path)
    index = google.index_of(prefix)
    if not index.is_file():
        raise UserError(
            f"{path}: its weights, {index.relative_to(path.parent)}, are not "
            "beside it; fetch the whole folder"
        )
    for file in (path, path.with_name(_METADATA)):
        other = _OTHERS.search(_bytes(file)) if file.is_file() else None
        if other is not None:
            raise UserError(
                f"{file}: says {other[0].decode()}, which is not a BERT's and "
                "not computed here"
            )
    tensors = google.read_tensors(prefix)
    if all(len(tensors.shape(name)) == 0 for name in tensors):
        raise UserError(
            f"{path}: is a SavedModel without weights, such as one that makes "
            "ids of texts; name the encoder that belongs to it"
        )
    if not google.is_object_based(prefix):
        return None
    return model_garden.contents(prefix)


def _bytes(path: pathlib.Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise UserError(
            f"{path}: has {path.stat().st_size} bytes, more than the graph of "
            "any BERT; refused"
        )
    return path.read_bytes()


def _graph(path: pathlib.Path) -> Any:
    """Parses the file; returns its first meta graph."""
    try:
        saved = tensorflow_messages.SavedModel.FromString(_bytes(path))
    except DecodeError as error:
        raise UserError(
            f"{path}: is not a SavedModel, or is cut short: {error}; fetch it "
            "again"
        ) from error
    if not saved.meta_graphs:
        raise UserError(f"{path}: is a SavedModel without a graph")
    return saved.meta_graphs[0]


def _activation(operations: set[str]) -> str | None:
    """Returns the activation that a forward pass of these has, if known."""
    for name, signs in _ACTIVATIONS:
        if any(sign <= operations for sign in signs):
            return name
    return None


def _operations(graph: Any) -> set[str]:
    """Returns the kinds of operations of all functions."""
    functions = graph.graph_def.library.function
    return {node.op for node in graph.graph_def.node} | {
        node.op for function in functions for node in function.node_def
    }


def _vocabulary(folder: pathlib.Path, graph: Any) -> pathlib.Path | None:
    """Returns the vocabulary among the assets, if it is there."""
    assets = folder / "assets"
    nodes = graph.object_graph_def.nodes
    found = [
        graph.asset_file_def[number].filename
        for child in (nodes[0].children if nodes else ())
        if child.local_name in _VOCABULARIES and child.node_id < len(nodes)
        for number in [nodes[child.node_id].asset.asset_file_def_index]
        if 0 <= number < len(graph.asset_file_def)
    ]
    # A path in a file must not lead elsewhere.
    files = [assets / re.split(r"[/\\]", name)[-1] for name in found]
    if not files and assets.is_dir():
        files = sorted(assets.glob("*vocab*.txt"))
    there = [file for file in files if file.is_file()]
    return there[0] if len(there) == 1 else None
