"""The table of the kinds of data sets; the key is the class of the settings.

A kind is loaded when it is asked for, as tasks are.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_keras3.finetuning.dataset import Kind, OwnFiles
from bert_keras3.finetuning.settings import CSV, DataChoices
from bert_keras3.inputs.choice_names import CHOICE_NAMES, looks_like_choices

if TYPE_CHECKING:
    from bert_keras3.finetuning.run_folder import RunSettings

# {name of the class of the settings: file of the kind, with its `KIND`}
_FILES: Mapping[str, str] = {
    "DataChoices": "labelled_data",
    "QuestionFiles": "question_data",
    "TaggedFiles": "tagged_data",
    "TextsInMemory": "memory_data",
}
# Choices have the settings of texts with labels: their files tell.
_CHOICES = "choice_data"
_CHOICE = "choice"


def kind_of(data: Any, trained: RunSettings | None = None) -> Kind:
    """Returns the functions for some settings.

    Args:
        data: given by the user.
        trained: settings of the trained model to use, if there is one.
    """
    if type(data) is DataChoices and _has_choices(data, trained):
        return _load(_CHOICES)
    return _load(_FILES[type(data).__name__])


def settings_class(name: str) -> Any:
    """Returns the class of the settings of a kind; a KeyError for others."""
    module = f"bert_keras3.finetuning.{_FILES[name]}"
    return getattr(importlib.import_module(module), name)


def script_for(problem: str) -> str:
    """Returns the script that trains models of a task."""
    kinds = map(_load, (*_FILES.values(), _CHOICES))
    return next(kind.script for kind in kinds if problem in kind.problems)


def _has_choices(data: DataChoices, trained: RunSettings | None) -> bool:
    """Whether the model, flags or the header of a file say so."""
    if trained is not None:
        return trained.problem == _CHOICE
    if data.task_name.lower() != CSV:
        return data.task_name.lower() in map(str.lower, CHOICE_NAMES)
    if data.problem_type is not None:
        return data.problem_type == _CHOICE
    if data.choice_columns or data.choice_labels:
        return True
    file = data.file
    of_labels = data.label_separator or data.labels_file
    if file.text or file.text_pair or file.label or of_labels:
        return False
    files = OwnFiles(data)
    for split in ("train", "dev", "test"):
        if files.has(split):
            return looks_like_choices(files.paths(split)[0], file)
    return False


def _load(file: str) -> Kind:
    module = importlib.import_module(f"bert_keras3.finetuning.{file}")
    kind: Kind = module.KIND
    return kind
