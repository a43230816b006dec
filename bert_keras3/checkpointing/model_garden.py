"""TensorFlow 2 checkpoints of the Model Garden (tf-models-official).

They are object-based. A variable is known by the name that it was created
with, which `_NAMES` translates: those hardly differ between BertEncoder,
BertEncoderV2 and the models of 2019, whether saved by `tf.train.Checkpoint`,
by `save_weights` or in a SavedModel. Where one name may mean several heads,
the attributes of the object graph tell.

The Garden keeps attention heads apart: query, key and value are kernels
[D, N, H] with biases [N, H], the output's kernel is [N, H, D]. Here and at
Google's they are joined, [D, N*H] and [N*H, D]. Heads of classifiers are
kernels [D, C] there and [C, D] here.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from bert_keras3.checkpointing import google, names, object_graph
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Description
from bert_keras3.checkpointing.json_file import read_json, read_yaml
from bert_keras3.checkpointing.object_graph import ObjectGraph, Variable
from bert_keras3.checkpointing.sizes import sizes_of
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

_DENSE, _NORM = r"(kernel|bias)", r"(gamma|beta)"
# Of the models of 2019, whose layers are below `encoder`.
_OLD = "embedding_postprocessor"
_LAYER = r"(?:transformer|encoder)/layer_(\d+)"
# The one layer of an AlbertEncoder.
_SHARED = "bert/encoder/transformer/group_0/inner_group_0"

# Ends of a variable's own name → Google's name, with its groups.
_NAMES = tuple(
    (re.compile(rf"(?:.*/)?(?:{there})"), here)
    for there, here in (
        (r"word_embeddings/embeddings", names.WORD_EMBEDDINGS),
        (
            rf"position_embedding/embeddings|{_OLD}/position_embeddings",
            "bert/embeddings/position_embeddings",
        ),
        (
            rf"type_embeddings/embeddings|{_OLD}/type_embeddings",
            "bert/embeddings/token_type_embeddings",
        ),
        (
            rf"(?:embeddings|{_OLD})/layer_norm/{_NORM}",
            r"bert/embeddings/LayerNorm/\1",
        ),
        (rf"embedding_projection/{_DENSE}", rf"{names.MAPPING}/\1"),
        (
            rf"{_LAYER}/self_attention/(query|key|value)/{_DENSE}",
            r"bert/encoder/layer_\1/attention/self/\2/\3",
        ),
        (
            rf"{_LAYER}/self_attention(?:/attention)?_output/{_DENSE}",
            r"bert/encoder/layer_\1/attention/output/dense/\2",
        ),
        (
            rf"{_LAYER}/self_attention_layer_norm/{_NORM}",
            r"bert/encoder/layer_\1/attention/output/LayerNorm/\2",
        ),
        (
            rf"{_LAYER}/intermediate/{_DENSE}",
            r"bert/encoder/layer_\1/intermediate/dense/\2",
        ),
        (
            rf"{_LAYER}/output/{_DENSE}",
            r"bert/encoder/layer_\1/output/dense/\2",
        ),
        (
            rf"{_LAYER}/output_layer_norm/{_NORM}",
            r"bert/encoder/layer_\1/output/LayerNorm/\2",
        ),
        (
            rf"transformer/self_attention/(query|key|value)/{_DENSE}",
            rf"{_SHARED}/attention_1/self/\1/\2",
        ),
        (
            rf"transformer/self_attention/attention_output/{_DENSE}",
            rf"{_SHARED}/attention_1/output/dense/\1",
        ),
        (
            rf"transformer/self_attention_layer_norm/{_NORM}",
            rf"{_SHARED}/LayerNorm/\1",
        ),
        (
            rf"transformer/intermediate/{_DENSE}",
            rf"{_SHARED}/ffn_1/intermediate/dense/\1",
        ),
        (
            rf"transformer/output/{_DENSE}",
            rf"{_SHARED}/ffn_1/intermediate/output/dense/\1",
        ),
        (
            rf"transformer/output_layer_norm/{_NORM}",
            rf"{_SHARED}/LayerNorm_1/\1",
        ),
        (rf"pooler_transform/{_DENSE}", r"bert/pooler/dense/\1"),
        (
            rf"cls/predictions/transform/dense/{_DENSE}",
            r"cls/predictions/transform/dense/\1",
        ),
        (
            rf"cls/predictions/transform/LayerNorm/{_NORM}",
            r"cls/predictions/transform/LayerNorm/\1",
        ),
        (r"cls/predictions/output_bias(?:/bias)?", names.MASKED_LM_BIAS),
    )
)

# The heads of classifiers: their last layer, and the pooler that some have
# in the place of the encoder's.
_LOGITS = re.compile(
    rf"(?:.*/)?(?:((?!transform/)\w+)|predictions/transform)/logits/{_DENSE}"
    rf"|(?:.*/)?output/{_DENSE}"
)
_HEAD_POOLER = re.compile(rf"(?:.*/)?\w+/pooler_dense/{_DENSE}")
_IN_A_LAYER = re.compile(r"(?:.*/)?(transformer|encoder)/")
_ATTENTION = re.compile(r"/attention(_1)?/")
_KERNELS = {"kernel": "output_weights", "bias": "output_bias"}
_SLOTS = {"m": "adam_m", "v": "adam_v"}
# Optimizers since TensorFlow 2.11 keep their moments in lists of their own.
_MOMENTS = re.compile(r"(.*/)?_(variables|momentums|velocities)/\d+")

# Other encoders of the Garden, by names that only theirs have.
_OTHERS = ((re.compile(r"(.*/)?mobile_bert_embedding/"), "a MobileBERT"),)

PARAMS, PARAMS_YAML = "params.json", "params.yaml"
_GIVEN = ("bert_config.json", "albert_config.json", PARAMS, PARAMS_YAML)
# The Garden's configurations → ours.
_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "hidden_activation": "hidden_act",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
    "embedding_size": "embedding_size",
    "embedding_width": "embedding_size",
}
_LAYERS = "num_hidden_layers"
# What the shapes have to show.
_SHOWN = (
    "vocab_size",
    "hidden_size",
    _LAYERS,
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
# Encoders that are computed here, with what their names say.
_KINDS: Mapping[str, Mapping[str, int]] = {
    "bert": {},
    "bert_v2": {},
    "albert": {"num_hidden_groups": 1, "inner_group_num": 1},
}
# The Garden's default for keys that a file leaves out.
_DEFAULTS = {"vocab_size": 30522, "type_vocab_size": 2}
ASSUMED_ACTIVATION = (
    'no file says which activation the model has; "gelu", the tanh form, is '
    "taken, the Model Garden's default"
)
_WIDTH_OF_A_HEAD = 64
ASSUMED_HEADS = (
    "the shapes do not show the number of attention heads; "
    f"hidden_size / {_WIDTH_OF_A_HEAD} is taken, as every published BERT has it"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """One of our arrays, and the tensor that it is read from.

    Attributes:
        key: name of the tensor in the index.
        raw: the tensor.
        shape: shape of our array.
        transposed: whether the two axes are exchanged.
    """

    key: str
    raw: Entry
    shape: tuple[int, ...]
    transposed: bool = False

    def entry(self) -> Entry:
        """Returns the array, not read yet."""
        return Entry(self.shape, self.raw.dtype, self.read)

    def read(self) -> Array:
        """Reads the array."""
        array = self.raw.read()
        return array.T if self.transposed else array.reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    Attributes:
        sources: our arrays by Google's names.
        heads_shown: number of attention heads, if the shapes show it.
        tags: whether the head of classes is a tagger's, for every token.
        layout: the class that wrote it, in words.
        notes: remarks for the user.
    """

    sources: Mapping[str, Source]
    heads_shown: int | None
    tags: bool
    layout: str
    notes: tuple[str, ...]

    def arrays(self) -> Arrays:
        """Returns our arrays, not read yet."""
        return Arrays(
            {name: source.entry() for name, source in self.sources.items()},
            self.notes,
        )


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the prefix of a path that is a prefix or one of its files."""
    prefix = google.find_prefix(path)
    return prefix if prefix and google.is_object_based(prefix) else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all prefixes, or the latest that the file `checkpoint` names."""
    return list(filter(google.is_object_based, google.prefixes_in(folder)))


def read(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint for reading, tensor by tensor.

    Args:
        prefix: path without the `.index` ending.

    Returns:
        The arrays under Google's names and in Google's shapes; an optimizer's
        below those (`…/adam_m`), what has no name of Google's under its path.

    Raises:
        UserError: it is damaged or of another model; later, on access, a
            tensor is damaged.
    """
    return contents(prefix).arrays()


def contents(prefix: pathlib.Path) -> Contents:
    """Reads names and shapes; see `read`."""
    tensors = google.read_tensors(prefix)
    return _Translation(prefix, tensors, object_graph_of(prefix)).contents()


def object_graph_of(prefix: pathlib.Path) -> ObjectGraph:
    """Reads the object graph of a checkpoint that has one.

    Raises:
        UserError: it is damaged.
    """
    shards, entries = google.read_entries(prefix)
    try:
        return object_graph.read(
            prefix, shards, entries[object_graph.OBJECT_GRAPH]
        )
    except ValueError as error:
        raise UserError(
            f"{prefix}: is damaged: {error}; fetch it again"
        ) from error


class _Translation:
    """Gives the tensors of one checkpoint their names."""

    def __init__(
        self, prefix: pathlib.Path, tensors: Arrays, graph: ObjectGraph
    ) -> None:
        self._prefix = prefix
        self._tensors = tensors
        self._graph = graph
        known = {variable.key: variable for variable in graph.variables}
        found = [known.get(key, Variable(key, "", 0)) for key in tensors]
        self._moments = [v for v in found if _MOMENTS.fullmatch(v.path)]
        self._variables = [v for v in found if v not in self._moments]
        self._pretrains = any(
            re.search(r"cls/predictions/", one.name) for one in self._variables
        )

    def contents(self) -> Contents:
        weights = [one for one in self._variables if one.slot_of is None]
        self._refuse_others(weights)
        named: dict[str, Variable] = {}
        for variable in weights:
            name = self._name(variable)
            if name in named:
                raise UserError(
                    f"{self._prefix}: holds {name} twice, as "
                    f"{named[name].path} and {variable.path}; a checkpoint "
                    "of one encoder is needed"
                )
            named[name] = variable
        notes = self._take_pooler_of_head(named)
        if names.family(named) not in ("bert", "albert"):
            shown = [one.path for one in weights if self._shape(one)]
            raise UserError(
                f"{self._prefix}: is an object-based TensorFlow 2 checkpoint, "
                "but not of a Model Garden BERT: its variables are "
                f"{', '.join(shown[:3]) or 'none'}"
                f"{' …' * (len(shown) > 3)}"
            )
        sources = {
            name: self._source(name, variable)
            for name, variable in named.items()
        }
        return Contents(
            {**sources, **self._slots(named)},
            self._heads(named),
            self._tags(named),
            self._layout(named),
            notes,
        )

    def _refuse_others(self, weights: list[Variable]) -> None:
        for mark, what in _OTHERS:
            for variable in weights:
                if mark.match(variable.name):
                    raise UserError(
                        f"{self._prefix}: is {what} of the Model Garden "
                        f"({variable.name}), whose layers are not a BERT's"
                    )

    def _name(self, variable: Variable) -> str:
        """Returns Google's name, or the path if there is none."""
        for there, here in _NAMES:
            match = there.fullmatch(variable.name)
            if match:
                return match.expand(here)
        head = self._head(variable)
        if head is not None:
            return head
        # A part of a layer that would not be computed.
        if self._shape(variable) and _IN_A_LAYER.match(variable.name):
            raise UserError(
                f"{self._prefix}: has {variable.name}, which a BERT does not "
                "have; its layers compute something else"
            )
        return variable.path

    def _head(self, variable: Variable) -> str | None:
        match = _LOGITS.fullmatch(variable.name)
        if match is None:
            return None
        layer, *kinds = match.groups()
        part = _KERNELS[next(filter(None, kinds))]
        above = self._graph.attributes_above(variable)
        if "span_labeling" in above:
            return f"cls/squad/{part}"
        if layer == "next_sentence" or (layer is None and self._pretrains):
            return f"cls/seq_relationship/{part}"
        return part

    def _take_pooler_of_head(
        self, named: dict[str, Variable]
    ) -> tuple[str, ...]:
        """Takes a head's own pooler, which is trained instead of the other."""
        heads = {}
        for variable in self._variables:
            match = _HEAD_POOLER.fullmatch(variable.name)
            if match and variable.slot_of is None:
                heads[f"bert/pooler/dense/{match[1]}"] = variable
        for name, variable in heads.items():
            named.pop(variable.path, None)
            named[name] = variable
        if not heads:
            return ()
        path = next(iter(heads.values())).path.rpartition("/")[0]
        note = (
            f"the pooler is {path}, of the head that was trained with it; the "
            "encoder's own is left aside"
        )
        return (note,)

    def _shape(self, variable: Variable) -> tuple[int, ...]:
        return self._tensors.shape(variable.key)

    def _source(self, name: str, variable: Variable) -> Source:
        shape = self._shape(variable)
        transposed = name.endswith("output_weights") and len(shape) == 2
        if transposed:
            shape = shape[::-1]
        elif len(shape) == 3 and name.endswith("/output/dense/kernel"):
            shape = (shape[0] * shape[1], shape[2])
        elif _ATTENTION.search(name) and len(shape) > 1:
            # A kernel [D, N, H]; a bias [N, H]; of the oldest a kernel [D, D].
            axes = shape[:1] if name.endswith("/kernel") else ()
            shape = (*axes, math.prod(shape[len(axes) :]))
        return Source(
            variable.key,
            self._tensors.entries[variable.key],
            shape,
            transposed,
        )

    def _slots(self, named: Mapping[str, Variable]) -> dict[str, Source]:
        by_path = {variable.path: name for name, variable in named.items()}
        slots = {
            f"optimizer/vars/{number}": self._source("", variable)
            for number, variable in enumerate(self._moments)
        }
        for variable in self._variables:
            if variable.slot_of is not None:
                path, slot = variable.slot_of
                name = by_path.get(path, path)
                slot_name = f"{name}/{_SLOTS.get(slot, slot)}"
                slots[slot_name] = self._source(name, variable)
        return slots

    def _heads(self, named: Mapping[str, Variable]) -> int | None:
        counts = {
            self._shape(variable)[1]
            for name, variable in named.items()
            if name.endswith("/query/kernel")
            and len(self._shape(variable)) == 3
        }
        if len(counts) > 1:
            raise UserError(
                f"{self._prefix}: its layers have "
                f"{' and '.join(map(str, sorted(counts)))} attention heads; "
                "a BERT's have the same number"
            )
        return counts.pop() if counts else None

    def _tags(self, named: Mapping[str, Variable]) -> bool:
        # Other classifiers hold a network that holds the layer.
        head = named.get("output_weights")
        return head is not None and (
            "predictions/transform/logits" in head.name
            and "classifier" in self._graph.attributes_of_holder(head)
        )

    def _layout(self, named: Mapping[str, Variable]) -> str:
        if names.family(named) == "albert":
            return "AlbertEncoder"
        layer = named[next(n for n in named if names.count_layers([n]))]
        if any(_OLD in variable.name for variable in named.values()):
            return "the BertModel of 2019"
        above = self._graph.attributes_above(layer)
        functional = any(one.startswith("layer_with_weights-") for one in above)
        return (
            "BertEncoder"
            if functional and "bert_encoder_v2" not in layer.name
            else "BertEncoderV2"
        )


def _sizes(found: Contents, source: pathlib.Path) -> dict[str, int]:
    """Returns the sizes of the configuration, which the shapes show."""
    shown = sizes_of(found.arrays())
    shown.pop("num_labels", None)
    absent = [
        field
        for field in _SHOWN
        if field not in shown
        # Layers that share their weights are not counted.
        and (field != _LAYERS or "num_hidden_groups" not in shown)
    ]
    if absent:
        raise UserError(
            f"{source}: lacks the weights that show its {absent[0]}; it holds "
            "no whole encoder"
        )
    if found.heads_shown:
        shown["num_attention_heads"] = found.heads_shown
    return shown


def config_of(
    found: Contents,
    source: pathlib.Path,
    stated: Mapping[str, Any] | None = None,
) -> BertConfig:
    """Makes the configuration of the shapes and of a file beside them.

    Args:
        found: the checkpoint's contents.
        source: the checkpoint; beside it there may be a `bert_config.json` or
            a `params.json`.
        stated: what is known from elsewhere, under our fields' names.

    Raises:
        UserError: the file cannot be read or belongs to another model, or
            the encoder is not whole.
    """
    shown = _sizes(found, source)
    values: dict[str, Any] = {**_DEFAULTS, **(stated or {})}
    if found.tags:
        values["architectures"] = ["BertForTokenClassification"]
    file = _file_in(source.parent)
    if file is not None:
        values |= from_json_file(file).to_dict()
        for field, size in shown.items():
            if values.get(field, size) != size:
                raise UserError(
                    f"{file}: says {field} is {values[field]}, the weights "
                    f"beside it have {size}; give the configuration that "
                    "belongs to them with --bert_config_file"
                )
    elif "num_attention_heads" not in shown:
        shown["num_attention_heads"] = max(
            1, shown["hidden_size"] // _WIDTH_OF_A_HEAD
        )
    if _LAYERS not in {**values, **shown}:
        raise UserError(
            f"{source}: is an ALBERT, whose layers share their weights, so "
            f"that no weight shows {_LAYERS}; put its params.yaml or "
            "albert_config.json beside it, or name one with "
            "--bert_config_file"
        )
    config = BertConfig.from_dict({**values, **shown})
    config.validate(file or source)
    return config


def _file_in(folder: pathlib.Path) -> pathlib.Path | None:
    return next(
        (folder / name for name in _GIVEN if (folder / name).is_file()), None
    )


def config(prefix: pathlib.Path) -> BertConfig:
    """Returns the configuration of a checkpoint; see `config_of`."""
    return config_of(contents(prefix), prefix)


def describe(prefix: pathlib.Path) -> Description:
    """Says what a checkpoint is.

    Raises:
        UserError: see `read`.
    """
    found = contents(prefix)
    assumed: tuple[str, ...] = ()
    if _file_in(prefix.parent) is None:
        assumed = (ASSUMED_ACTIVATION,)
        if found.heads_shown is None:
            assumed += (ASSUMED_HEADS,)
    return Description(
        what=f"a BERT of TensorFlow's Model Garden ({found.layout})",
        assumed=assumed,
    )


def from_json_file(path: pathlib.Path) -> BertConfig:
    """Reads a `params.yaml` of the Garden's, or a `bert_config.json`.

    Args:
        path: the file.

    Raises:
        UserError: it cannot be read, or is of an encoder that is not computed
            here.
    """
    is_yaml = path.suffix in (".yaml", ".yml")
    values = read_yaml(path) if is_yaml else read_json(path)
    for key in ("task", "model"):
        values = values[key] if isinstance(values.get(key), dict) else values
    encoder = values.get("encoder")
    if not isinstance(encoder, dict):
        if is_yaml:
            raise UserError(
                f"{path}: has no task.model.encoder, which describes the model"
            )
        return BertConfig.from_json_file(path)
    kind = encoder.get("type") or "bert"
    is_known = isinstance(kind, str) and kind in _KINDS
    fields = (encoder.get(kind) or {}) if is_known else None
    if not isinstance(fields, dict):
        raise UserError(
            f"{path}: is of an encoder of the type {kind!r:.80}; of the Model "
            f"Garden's only {' and '.join(_KINDS)} are computed here"
        )
    if fields.get("norm_first"):
        raise UserError(
            f"{path}: norm_first is true (LayerNorm before each part of a "
            "layer), which is not computed here"
        )
    ours = {
        _FIELDS[key]: value
        for key, value in fields.items()
        if key in _FIELDS and value is not None
    }
    config = BertConfig.from_dict({**_DEFAULTS, **ours, **_KINDS[kind]})
    config.validate(path)
    return config
