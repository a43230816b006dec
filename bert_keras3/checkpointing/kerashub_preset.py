"""The JSON files of a KerasHub preset: its class, sizes, task and tokenizer.

    config.json          {"class_name": "BertBackbone", "config": {…}, …}
    task.json            likewise a BertTextClassifier or a BertMaskedLM
    tokenizer.json, preprocessor.json, assets/tokenizer/vocabulary.txt
    metadata.json        what wrote it; here also the names of the classes

They are read as data: no class that they name is imported. The weights beside
them are the part of `kerashub`.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.checkpoint import Checkpoint, Description
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.sentence_pooling import SentencePooling
from bert_keras3.safekeeping.errors import UserError
from modeling.config import (
    CLASSIFIER_DROPOUT_PROB,
    LAYER_NORM_EPSILON,
    BertConfig,
)
from tokenization.vocab import UNKNOWN

CONFIG = "config.json"
TASK = "task.json"
TASK_WEIGHTS = "task.weights.h5"
TOKENIZER = "tokenizer.json"
PREPROCESSOR = "preprocessor.json"
METADATA = "metadata.json"
VOCABULARY = pathlib.PurePath("assets", "tokenizer", "vocabulary.txt")

BACKBONE = "BertBackbone"
CLASSIFIER = "BertTextClassifier"
MASKED_LM = "BertMaskedLM"
EMBEDDER = "BertTextEmbedder"
# Names of before KerasHub 0.17, when it was called KerasNLP.
_OLD_CLASSES = {"BertClassifier": CLASSIFIER}
_TASKS = (CLASSIFIER, MASKED_LM, EMBEDDER)

# KerasHub's names of sizes, and ours.
_SIZES: Mapping[str, str] = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
# Of `BertBackbone`'s arguments that a file may leave out.
_DEFAULTS: Mapping[str, Any] = {
    "max_sequence_length": 512,
    "num_segments": 2,
    "dropout": 0.1,
}
# What `BertBackbone` always has: the tanh form, which is "gelu" here.
_ACTIVATION = "gelu"
_INITIALIZER_RANGE = 0.02
_LONGEST_PREPROCESSED = 512

# What a classifier's activation says that its task is. A softmax of logits is
# what a prediction does here in any case.
_PROBLEM_TYPES: Mapping[str | None, str | None] = {
    None: None,
    "linear": None,
    "softmax": "single_label_classification",
    "sigmoid": "multi_label_classification",
}

# Values of the tokenizer's options that are Google's; None is the default.
_AS_GOOGLES: Mapping[str, tuple[Any, ...]] = {
    "split": (None, True),
    "split_on_cjk": (None, True),
    "suffix_indicator": (None, "##"),
    "oov_token": (None, UNKNOWN),
    "special_tokens_in_strings": (None, False),
    "sequence_length": (None,),
}
# Small letters with their accents; in metadata.json, that they are wanted.
_STRIP_ACCENTS = "strip_accents"
_ACCENTS_KEPT = "strip_accents: False beside do_lower_case: True"
_KEEPS_ACCENTS = "keeps_accents"
_POOLING_MODES = ("mean", "cls", "max")

# What `BertTokenizer` looks for when it is made.
_NEEDED_TOKENS = (UNKNOWN, "[CLS]", "[SEP]", "[PAD]", "[MASK]")

_MASKED_LM_NOTE = (
    "KerasHub computes the masked-LM head with the erf form of GELU and a "
    "LayerNorm epsilon of 1e-5, this program as Google's does, with the tanh "
    "form and 1e-12: the weights are the same, the logits differ by about 1e-3"
)


@dataclasses.dataclass(frozen=True)
class Saved:
    """An object as Keras saves it.

    Attributes:
        path: the file.
        name: of its class.
        arguments: of the class, by name.
    """

    path: pathlib.Path
    name: str
    arguments: Mapping[str, Any]


def is_preset(folder: pathlib.Path) -> bool:
    """Whether a folder's `config.json` is an object that Keras saved.

    One that is cut short counts: what reads it then says so.
    """
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return '"class_name"' in text


def _read(path: pathlib.Path) -> Saved:
    values = read_json(path)
    name, arguments = values.get("class_name"), values.get("config")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise UserError(
            f"{path}: describes no object of Keras: it lacks a `class_name` "
            "and its `config`"
        )
    return Saved(path, _OLD_CLASSES.get(name, name), arguments)


def _read_if_there(path: pathlib.Path) -> Saved | None:
    return _read(path) if path.is_file() else None


def read_backbone(folder: pathlib.Path) -> Saved:
    """Reads `config.json`.

    Raises:
        UserError: it is damaged, of another class than `BertBackbone`, or of
            one whose weights are quantized.
    """
    saved = _read(folder / CONFIG)
    if saved.name != BACKBONE:
        raise UserError(
            f"{saved.path}: is KerasHub's {saved.name}; of its models only "
            f"{BACKBONE} is read"
        )
    policy = saved.arguments.get("dtype")
    kind = policy.get("class_name") if isinstance(policy, dict) else None
    if kind not in (None, "DTypePolicy"):
        raise UserError(
            f"{saved.path}: its weights are stored under a {kind}, as "
            "quantized ones are; save the preset before it is quantized"
        )
    return saved


def read_task(folder: pathlib.Path) -> Saved | None:
    """Reads `task.json`, if it is of a task whose head is known here."""
    saved = _read_if_there(folder / TASK)
    return saved if saved is not None and saved.name in _TASKS else None


def from_json_file(path: pathlib.Path) -> BertConfig:
    """Reads a preset's `config.json`, and what `task.json` beside it says.

    Args:
        path: the file.

    Returns:
        The configuration; `architectures`, `problem_type` and `id2label` say
        what its task is.

    Raises:
        UserError: a file is damaged, or of what is not computed here.
    """
    folder = path.parent
    arguments = {**_DEFAULTS, **read_backbone(folder).arguments}
    missing = [name for name in _SIZES if name not in arguments]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}")
    config = BertConfig.from_dict(
        {
            **{ours: arguments[theirs] for theirs, ours in _SIZES.items()},
            "hidden_act": _ACTIVATION,
            "hidden_dropout_prob": arguments["dropout"],
            "attention_probs_dropout_prob": arguments["dropout"],
            "initializer_range": _INITIALIZER_RANGE,
            **_task_values(folder),
        }
    )
    config.validate(path)
    return config


def _task_values(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the keys of a configuration that are about the task."""
    task = read_task(folder)
    if task is None or task.name == EMBEDDER:
        return {}
    if task.name == MASKED_LM:
        return {"architectures": ["BertForMaskedLM"]}
    values: dict[str, Any] = {
        "architectures": ["BertForSequenceClassification"]
    }
    activation = task.arguments.get("activation")
    if activation not in _PROBLEM_TYPES:
        raise UserError(
            f"{task.path}: its activation is {activation!r}; known are linear, "
            "softmax and sigmoid"
        )
    noted = _read_metadata(folder)
    problem = _PROBLEM_TYPES[activation] or noted.get("problem_type")
    if problem is not None:
        values["problem_type"] = problem
    labels = noted.get("labels")
    if isinstance(labels, list):
        values["id2label"] = {str(n): str(one) for n, one in enumerate(labels)}
    return values


def _read_metadata(folder: pathlib.Path) -> Mapping[str, Any]:
    path = folder / METADATA
    return read_json(path) if path.is_file() else {}


def absent_weights(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns weights that are in the file for KerasHub alone.

    Those that the checkpoint which it was written from lacks: they are random.
    """
    noted = _read_metadata(folder).get("absent_weights")
    return tuple(map(str, noted)) if isinstance(noted, list) else ()


def _sequence_length(folder: pathlib.Path) -> int | None:
    """Returns how many tokens its preprocessor gives an input at most."""
    saved = _read_if_there(folder / PREPROCESSOR)
    found = saved.arguments.get("sequence_length") if saved else None
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return found if is_number else None


def _pooling(folder: pathlib.Path, task: Saved) -> SentencePooling:
    """Reads how a `BertTextEmbedder` makes one vector of a text's tokens."""
    mode = task.arguments.get("pooling_mode", "mean")
    if mode not in _POOLING_MODES:
        raise UserError(
            f"{task.path}: its pooling_mode is {mode!r}; known are "
            f"{', '.join(_POOLING_MODES)}"
        )
    normalize = bool(task.arguments.get("normalize", True))
    return SentencePooling((mode,), normalize, _sequence_length(folder))


def describe(weights: pathlib.Path) -> Description:
    """Says what a preset is, and reads the options of its tokenizer.

    Args:
        weights: a file of the preset.

    Raises:
        UserError: a file is damaged.
    """
    folder = weights.parent
    what, notes = _task_in_words(folder)
    length = _sequence_length(folder)
    if length is not None:
        notes.append(
            f"its preprocessor cuts inputs at {length} tokens, as "
            f"--max_seq_length={length} does"
        )
    task = read_task(folder)
    embeds = task is not None and task.name == EMBEDDER
    found = Description(
        what=what,
        notes=tuple(notes),
        max_seq_length=length,
        pooling=_pooling(folder, task) if task and embeds else None,
    )
    tokenizer = _read_if_there(folder / TOKENIZER)
    if tokenizer is None:
        return found
    lowercase = bool(tokenizer.arguments.get("lowercase", False))
    strip_accents = bool(tokenizer.arguments.get("strip_accents", False))
    differing = [*_differing(tokenizer, lowercase, strip_accents)]
    options: dict[str, Any] = {}
    if lowercase and not strip_accents:
        options[_STRIP_ACCENTS] = False
        if _read_metadata(folder).get(_KEEPS_ACCENTS):
            differing.append(_ACCENTS_KEPT)
        else:
            # KerasHub's default, also of presets with Google's weights, which
            # were trained without accents.
            notes.append(
                f"{tokenizer.path} keeps accents (strip_accents: false), as "
                "conversions to huggingface and kerashub do; Google's "
                "tokenizer, which is used here, drops them: words with "
                "accents become other tokens than in KerasHub"
            )
    return dataclasses.replace(
        found,
        vocab_file=folder / VOCABULARY,
        do_lower_case=lowercase,
        notes=tuple(notes),
        other_options=tuple(differing),
        tokenizer_options=options,
    )


def _task_in_words(folder: pathlib.Path) -> tuple[str, list[str]]:
    """Returns what a preset is, and what is to be said about its task."""
    saved = _read_if_there(folder / TASK)
    if saved is None:
        return f"a KerasHub preset, {BACKBONE}", []
    notes = []
    if saved.name not in _TASKS:
        notes.append(f"{saved.path}: of a {saved.name} the backbone is read")
    elif saved.name == MASKED_LM:
        notes.append(_MASKED_LM_NOTE)
    if saved.name != EMBEDDER and not (folder / TASK_WEIGHTS).is_file():
        notes.append(f"{folder}: has no {TASK_WEIGHTS}, so no head")
    return f"a KerasHub preset, {saved.name}", notes


def _differing(
    tokenizer: Saved, lowercase: bool, strip_accents: bool
) -> Iterator[str]:
    """Yields options with which tokens would differ, each `name: value`."""
    if tokenizer.name != "BertTokenizer":
        yield f"class_name: {tokenizer.name}"
    for name, values in _AS_GOOGLES.items():
        if tokenizer.arguments.get(name) not in values:
            yield f"{name}: {tokenizer.arguments[name]}"
    if strip_accents and not lowercase:
        yield "strip_accents: True beside lowercase: False"


# Writing.


def check_expressible(checkpoint: Checkpoint) -> None:
    """Checks that KerasHub's classes can compute what a checkpoint does.

    Its weights are not looked at.

    Raises:
        UserError: names what they cannot.
    """
    config = checkpoint.config
    refuse = "format kerashub: KerasHub's "
    if names.family_of(config) != "bert":
        raise UserError(
            f"{refuse}{BACKBONE} is a BERT, the input an ALBERT; write "
            "google, huggingface or keras"
        )
    if config.embedding_width != config.hidden_size:
        raise UserError(
            f"{refuse}{BACKBONE} has no embedding_size, which is "
            f"{config.embedding_size} beside hidden_size {config.hidden_size}"
        )
    if config.hidden_act != _ACTIVATION:
        accept = ""
        if config.hidden_act == "gelu_erf":
            accept = (
                ". With that in a --bert_config_file (gelu_new in one of "
                "Hugging Face's) each activation may differ by up to 4.7e-4"
            )
        raise UserError(
            f"{refuse}{BACKBONE} computes the tanh form of GELU alone, "
            f"hidden_act gelu; the input has {config.hidden_act}{accept}"
        )
    if config.layer_norm_eps != LAYER_NORM_EPSILON:
        raise UserError(
            f"{refuse}{BACKBONE} computes LayerNorm with an epsilon of "
            f"{LAYER_NORM_EPSILON:g}, the input has layer_norm_eps "
            f"{config.layer_norm_eps:g}; write google, huggingface or keras"
        )
    rates = (config.hidden_dropout_prob, config.attention_probs_dropout_prob)
    if len(set(rates)) > 1:
        raise UserError(
            f"{refuse}{BACKBONE} has one dropout rate, the input has "
            f"hidden_dropout_prob {rates[0]} and attention_probs_dropout_prob "
            f"{rates[1]}; give a --bert_config_file with equal ones"
        )
    if checkpoint.sentence_pieces is not None:
        raise UserError(
            f"{refuse}BertTokenizer has WordPiece vocabularies, the input a "
            "SentencePiece model"
        )
    unusual = [one for one in checkpoint.other_options if one != _ACCENTS_KEPT]
    if unusual:
        raise UserError(
            "format kerashub: the input's tokenizer has "
            f"{', '.join(unusual)}, which is not written; a "
            "copy of the vocabulary in another folder, as --vocab_file, is "
            "written without it"
        )
    tokens = checkpoint.vocabulary
    missing = [one for one in _NEEDED_TOKENS if one not in (tokens or ())]
    if tokens is not None and missing:
        raise UserError(
            f"{refuse}BertTokenizer needs {', '.join(_NEEDED_TOKENS)}; the "
            f"vocabulary lacks {' and '.join(missing)}"
        )


def _keeps_accents(checkpoint: Checkpoint) -> bool:
    """Whether text is lower-cased and keeps accents, as in Korean models."""
    return (
        checkpoint.do_lower_case
        and checkpoint.tokenizer_options.get(_STRIP_ACCENTS) is False
    )


def task_of(checkpoint: Checkpoint) -> str | None:
    """Returns the class of KerasHub's whose head a checkpoint has, if any."""
    if checkpoint.architecture == "BertForSequenceClassification":
        return CLASSIFIER
    pooling = checkpoint.sentence_pooling
    if pooling is not None and len(pooling.modes) == 1:
        return EMBEDDER if pooling.modes[0] in _POOLING_MODES else None
    return MASKED_LM if "masked_lm" in checkpoint.heads else None


def write(
    folder: pathlib.Path, checkpoint: Checkpoint, absent: tuple[str, ...]
) -> None:
    """Writes the JSON files and the vocabulary.

    Args:
        folder: gets the files.
        checkpoint: one that `check_expressible` accepts.
        absent: weights that are written as random ones.
    """
    task = task_of(checkpoint)
    backbone = _backbone(checkpoint.config)
    preprocessor = None
    _write(folder / CONFIG, backbone)
    if checkpoint.vocabulary is not None:
        keeps_accents = _keeps_accents(checkpoint)
        tokenizer = _tokenizer(checkpoint.do_lower_case, keeps_accents)
        preprocessor = _preprocessor(checkpoint, tokenizer, task)
        _write(folder / TOKENIZER, tokenizer)
        _write(folder / PREPROCESSOR, preprocessor)
        vocabulary = folder / VOCABULARY
        vocabulary.parent.mkdir(parents=True)
        lines = "".join(f"{token}\n" for token in checkpoint.vocabulary)
        vocabulary.write_bytes(lines.encode("utf-8"))
    if task is not None:
        of_task = _task(checkpoint, task, backbone, preprocessor)
        _write(folder / TASK, of_task)
    noted: dict[str, Any] = {
        "keras_version": importlib.metadata.version("keras"),
        "parameter_count": sum(
            math.prod(shape)
            for shape in names.shapes(checkpoint.config, ["pooler"]).values()
        ),
        "tasks": ["MaskedLM", "TextClassifier", "TextEmbedder"],
    }
    if absent:
        noted["absent_weights"] = list(absent)
    if _ACCENTS_KEPT in checkpoint.other_options:
        noted[_KEEPS_ACCENTS] = True
    if task == CLASSIFIER:
        noted["labels"] = list(checkpoint.labels)
        problem = getattr(checkpoint.config, "problem_type", None)
        if problem is not None:
            noted["problem_type"] = problem
    _write(folder / METADATA, noted)


def _backbone(config: BertConfig) -> dict[str, Any]:
    arguments = {
        "name": "bert_backbone",
        "trainable": True,
        "dtype": _policy("float32"),
        **{theirs: getattr(config, ours) for theirs, ours in _SIZES.items()},
        "dropout": config.hidden_dropout_prob,
    }
    return _object("bert_backbone", BACKBONE, arguments)


def _tokenizer(do_lower_case: bool, keeps_accents: bool) -> dict[str, Any]:
    arguments = {
        "name": "bert_tokenizer",
        "trainable": True,
        "dtype": _policy("int32"),
        "config_file": TOKENIZER,
        "vocabulary": None,
        "sequence_length": None,
        "lowercase": do_lower_case,
        # As Google's, which drops them where it lower-cases.
        "strip_accents": do_lower_case and not keeps_accents,
        "split": True,
        "suffix_indicator": "##",
        "oov_token": UNKNOWN,
        "special_tokens": None,
        "special_tokens_in_strings": False,
    }
    return _object("bert_tokenizer", "BertTokenizer", arguments)


def _preprocessor(
    checkpoint: Checkpoint, tokenizer: dict[str, Any], task: str | None
) -> dict[str, Any]:
    modules = {
        MASKED_LM: "bert_masked_lm_preprocessor",
        EMBEDDER: "bert_text_embedder_preprocessor",
    }
    module = modules.get(task or "", "bert_text_classifier_preprocessor")
    arguments = {
        "name": module,
        "trainable": True,
        "dtype": _policy("float32"),
        "tokenizer": tokenizer,
        "config_file": PREPROCESSOR,
        "sequence_length": _longest_input(checkpoint),
        "truncate": "round_robin",
    }
    return _object(module, f"{task or CLASSIFIER}Preprocessor", arguments)


def _longest_input(checkpoint: Checkpoint) -> int:
    """Returns how many tokens an input may have, as far as it is known."""
    positions = checkpoint.config.max_position_embeddings
    found = checkpoint.max_seq_length or _LONGEST_PREPROCESSED
    return min(found, positions)


def _task(
    checkpoint: Checkpoint,
    name: str,
    backbone: dict[str, Any],
    preprocessor: dict[str, Any] | None,
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "backbone": backbone,
        "preprocessor": preprocessor,
    }
    if name == CLASSIFIER:
        arguments |= {
            "name": "bert_text_classifier",
            "num_classes": checkpoint.num_labels,
            "activation": "linear",
            "dropout": CLASSIFIER_DROPOUT_PROB,
        }
        return _object("bert_text_classifier", name, arguments)
    if name == MASKED_LM:
        arguments["name"] = "bert_masked_lm"
        return _object("bert_masked_lm", name, arguments)
    pooling = checkpoint.sentence_pooling
    assert pooling is not None
    arguments |= {
        "name": "bert_text_embedder",
        "pooling_mode": pooling.modes[0],
        "normalize": pooling.normalize,
    }
    return _object("bert_text_embedder", name, arguments)


def _object(
    module: str, name: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    return {
        "module": f"keras_hub.src.models.bert.{module}",
        "class_name": name,
        "config": arguments,
        "registered_name": f"keras_hub>{name}",
    }


def _policy(dtype: str) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": dtype},
        "registered_name": None,
    }


def _write(path: pathlib.Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=4, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
