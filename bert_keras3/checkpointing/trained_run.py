"""The task of a trained model, as the folder around its weights says it.

    classifier.json   {"problem": "tagging", "labels": ["O", "B-PER"], …}
      ─▶  architectures: ["BertForTokenClassification"], id2label: {…}

So every format carries the task in the keys that Hugging Face gave it. The
folder is a run's, written by `finetuning`, or an export of one by `serving`.
"""

from __future__ import annotations

import pathlib
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.architectures import FINE_TUNED, architecture_of
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

MODEL = "model.keras"
EXPORTED = "saved_model.pb"
SETTINGS = "classifier.json"
UNFINISHED = "training_state"
"""Folder with the state of a training, beside the model once that is there."""


def run_settings(weights: pathlib.Path) -> dict[str, Any] | None:
    """Reads the settings of the run that a file of weights belongs to.

    Args:
        weights: the file.

    Returns:
        The content of `classifier.json`, with a `problem` of `FINE_TUNED`,
        `labels` and `do_lower_case`; None if the file is not the model of a
        run folder or exported from one.

    Raises:
        UserError: the settings are damaged.
    """
    path = weights.parent / SETTINGS
    if weights.name not in (MODEL, EXPORTED) or not path.is_file():
        return None
    values = read_json(path)
    problem, labels = values.get("problem"), values.get("labels")
    if problem not in tuple(FINE_TUNED):
        raise UserError(
            f"{path}: is damaged: its `problem` is {problem!r}; known are "
            f"{', '.join(FINE_TUNED)}"
        )
    if not isinstance(labels, list) or not all(
        isinstance(label, str) for label in labels
    ):
        raise UserError(
            f"{path}: is damaged: its `labels` are no list of names"
        )
    if not isinstance(values.get("do_lower_case"), bool):
        raise UserError(
            f"{path}: is damaged: its `do_lower_case` is neither true nor false"
        )
    return values


def with_task(config: BertConfig, weights: pathlib.Path) -> BertConfig:
    """Adds the task of the run folder to the configuration beside it.

    Args:
        config: what may be left of the checkpoint that the training started
            from: its architecture and labels are replaced.
        weights: see `run_settings`.

    Raises:
        UserError: see `run_settings`.
    """
    settings = run_settings(weights)
    if settings is None:
        return config
    values = config.to_dict()
    for key in ("problem_type", "id2label", "label2id"):
        values.pop(key, None)
    problem, labels = settings["problem"], settings["labels"]
    values["architectures"] = [
        architecture_of(problem, names.family_of(config))
    ]
    if FINE_TUNED[problem].problem_type is not None:
        values["problem_type"] = FINE_TUNED[problem].problem_type
    if labels and FINE_TUNED[problem].has_labels:
        values["id2label"] = {str(n): label for n, label in enumerate(labels)}
    return BertConfig.from_dict(values)
