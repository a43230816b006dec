"""Exports a model with its tokenizer as a SavedModel: strings to scores.

strings ─ tokenization.in_graph ─▶ token ids ─ model ─▶ outputs
─ Task.scores, Task.decisions ─▶ probabilities, label
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, cast

import tensorflow as tf

from bert_keras3.finetuning.exported_tasks import TextTask
from bert_keras3.finetuning.extra_columns import TEXT, WithExtraColumns
from bert_keras3.finetuning.task import Task
from bert_keras3.inputs.extra_columns import CATEGORIES
from bert_keras3.serving.columns_in_graph import (
    encode_in_graph,
    write_in_graph,
)
from bert_keras3.serving.description import (
    Description,
    exported_inputs,
    exported_outputs,
)
from bert_keras3.serving.exported_model import ExportedModel
from bert_keras3.serving.formats import ID_INPUTS
from bert_keras3.serving.warm_up import write_warm_up
from modeling import BertConfig
from tokenization.in_graph import GraphTokenizer, clean_in_graph

Tensors = dict[str, tf.Tensor]

STRINGS = "serving_default"
IDS = "tokenized"
PACKED = "packed"
DESCRIPTION = "metadata"
COLUMNS = "columns"

# The inputs of the first signature, by whether the model takes pairs.
TEXT_INPUTS = {False: ("text",), True: ("text_a", "text_b")}


def write_saved_model(
    folder: str | os.PathLike[str],
    model: ExportedModel,
    tokenizer: GraphTokenizer | None,
    description: Description,
) -> None:
    """Writes a SavedModel.

    Its signatures are `serving_default` (`text`, or `text_a` and `text_b`:
    string [N]) and `tokenized` (`input_ids`, `input_mask`, `segment_ids`:
    int32 [N, S]), whose outputs are the task's scores and decisions; `packed`,
    from the inputs of the first to those of the second; and `metadata`, which
    has no input and returns the fields of `Description`.

    Of a task that makes rows itself, `serving_default` is `tokenized`, its
    outputs are the model's, and there is no `packed`. With extra columns
    `tokenized` also takes `numbers` float32 [N, M] and `categories` int32
    [N, K], of those that there are; if a graph can make them,
    `serving_default` takes the texts and `columns` string [N, columns], in
    the order in which `metadata`'s options have them, and gives scores and
    decisions.

    Args:
        folder: an empty folder, or one that does not exist.
        model: the trained model.
        tokenizer: has the vocabulary that the model was trained with; None
            for a task whose rows no graph makes.
        description: description of the model.

    Raises:
        UserError: `max_seq_length` leaves no room for the texts.
    """
    task = description.task
    root = tf.Module()
    # The bare variables: with a Keras model, all its functions would be saved,
    # and Keras would be needed to load it.
    root.weights = [weight.value for weight in model.weights]

    def answer(inputs: Tensors) -> Tensors:
        inputs = {
            name: _at_least_one_column(ids) if name in ID_INPUTS else ids
            for name, ids in inputs.items()
        }
        outputs = model(inputs, training=False)
        if task.own_rows:
            return {name: outputs[name] for name in exported_outputs(task)}
        return answers_of(outputs)

    def answers_of(outputs: Tensors) -> Tensors:
        text_task = cast(TextTask, task)
        scores = text_task.scores(outputs)
        return {**text_task.decisions(scores), text_task.score_name: scores}

    def packed(**texts: tf.Tensor) -> Tensors:
        assert tokenizer is not None
        cleaned = [
            clean_in_graph(text, description.clean)
            for text in _checked_texts(texts).values()
        ]
        ids = [tokenizer(text) for text in cleaned]
        return tokenizer.pack(*ids, max_seq_length=description.max_seq_length)

    def answer_strings(**texts: tf.Tensor) -> Tensors:
        return answer(packed(**texts))

    def answer_with_columns(columns: tf.Tensor, **texts: tf.Tensor) -> Tensors:
        extra_task = cast(WithExtraColumns, task)
        extra, (first, *second) = extra_task.extra, texts
        number = len(extra.columns)
        columns = tf.ensure_shape(columns, [None, number])
        features = {}
        if extra_task.features == TEXT:
            text = write_in_graph(extra, columns, texts[first])
            texts = {first: text, **{name: texts[name] for name in second}}
        else:
            features = encode_in_graph(extra, columns)
        inputs = {
            name: _at_least_one_column(ids)
            for name, ids in packed(**texts).items()
        }
        return answers_of(model({**inputs, **features}, training=False))

    def answer_ids(**inputs: tf.Tensor) -> Tensors:
        return answer(_checked_ids(inputs, model.bert.config, task))

    def describe() -> Tensors:
        fields = dataclasses.asdict(description)
        fields["options"] = json.dumps(fields["options"])
        # Without a type, TensorFlow takes an empty list for numbers.
        for name in ("labels", "clean"):
            fields[name] = tf.constant([*fields[name]], tf.string)
        return {
            name: tf.convert_to_tensor(value) for name, value in fields.items()
        }

    strings = {
        name: tf.TensorSpec([None], tf.string, name)
        for name in TEXT_INPUTS[description.takes_pairs]
    }
    ids = {
        name: tf.TensorSpec(shape, dtype, name)
        for name, (shape, dtype) in exported_inputs(task).items()
    }

    def traced(function: Any, **specs: tf.TensorSpec) -> Any:
        # They need no AutoGraph, which would take most of the time.
        graph = tf.function(function, autograph=False)
        return graph.get_concrete_function(**specs)

    signatures = {IDS: traced(answer_ids, **ids), DESCRIPTION: traced(describe)}
    inputs = strings
    if tokenizer is None:
        signatures[STRINGS] = signatures[IDS]
        inputs = ids
    elif task.own_rows:
        names = cast(WithExtraColumns, task).extra.names
        cells = tf.TensorSpec([None, len(names)], tf.string, COLUMNS)
        inputs = {**strings, COLUMNS: cells}
        signatures[STRINGS] = traced(answer_with_columns, **inputs)
    else:
        signatures[STRINGS] = traced(answer_strings, **strings)
        signatures[PACKED] = traced(packed, **strings)
    # As attributes of `root`, the functions would be traced once more.
    tf.saved_model.save(root, os.fspath(folder), signatures=signatures)
    write_warm_up(folder, inputs, STRINGS)


def read_description(loaded: Any) -> Description:
    """Returns the description inside a SavedModel.

    Args:
        loaded: returned by `tf.saved_model.load`.
    """
    fields = {
        name: tensor.numpy()
        for name, tensor in loaded.signatures[DESCRIPTION]().items()
    }
    return Description(
        problem=fields["problem"].decode(),
        labels=tuple(label.decode() for label in fields["labels"]),
        max_seq_length=int(fields["max_seq_length"]),
        do_lower_case=bool(fields["do_lower_case"]),
        takes_pairs=bool(fields["takes_pairs"]),
        options=json.loads(fields.get("options", b"{}")),
        clean=tuple(rule.decode() for rule in fields.get("clean", ())),
    )


def _checked_texts(texts: Tensors) -> Tensors:
    """Checks that texts have one axis, and pairs equally many of each."""
    # Signatures do not check the rank of their inputs.
    texts = {
        name: tf.ensure_shape(text, [None]) for name, text in texts.items()
    }
    first, *rest = texts.values()
    message = f"{' and '.join(texts)} must be equally many"
    return _after(
        texts,
        [
            tf.debugging.assert_equal(tf.size(other), tf.size(first), message)
            for other in rest
        ],
    )


def _checked_ids(inputs: Tensors, config: BertConfig, task: Task) -> Tensors:
    """Checks the ranges and shapes of token ids."""
    rows = {
        "input_ids": config.vocab_size,
        "input_mask": 2,
        "segment_ids": config.type_vocab_size,
    }
    shape = tf.shape(inputs["input_ids"])
    longest = config.max_position_embeddings
    checks = [
        tf.debugging.assert_less_equal(
            shape[1], longest, f"an input may have {longest} ids at most"
        )
    ]
    for name, number in rows.items():
        ids = inputs[name]
        message = f"{name} must be from 0 to {number - 1}"
        checks += [
            tf.debugging.assert_non_negative(ids, message),
            tf.debugging.assert_less(ids, number, message),
            tf.debugging.assert_equal(
                tf.shape(ids),
                shape,
                f"{name} and input_ids must have the same shape",
            ),
        ]
    for name in task.extra_inputs:
        checks.append(
            tf.debugging.assert_equal(
                tf.shape(inputs[name])[0],
                shape[0],
                f"{name} and input_ids must have equally many rows",
            )
        )
    if CATEGORIES in task.extra_inputs:
        assert task.column_sizes is not None
        codes, number = inputs[CATEGORIES], task.column_sizes[1]
        message = f"{CATEGORIES} must be from 0 to {number - 1}"
        checks += [
            tf.debugging.assert_non_negative(codes, message),
            tf.debugging.assert_less(codes, number, message),
        ]
    return _after(inputs, checks)


def _after(tensors: Tensors, checks: list[tf.Operation]) -> Tensors:
    """Returns the tensors with a dependency on the checks.

    Otherwise an operation may fail, with its own message, before the checks.
    """
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in tensors.items()}


def _at_least_one_column(ids: tf.Tensor) -> tf.Tensor:
    """[0, 0] → [0, 1]: a batch of no texts has a first token too."""
    rows, columns = tf.unstack(tf.shape(ids))
    missing = tf.cast((rows == 0) & (columns == 0), tf.int32)
    return tf.pad(ids, [[0, 0], [0, missing]])
