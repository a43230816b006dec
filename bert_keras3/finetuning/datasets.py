"""The table of the kinds of data sets; the key is the class of the settings.

A kind is loaded when it is asked for, as tasks are.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.finetuning.dataset import Kind

# {name of the class of the settings: file of the kind, with its `KIND`}
_FILES: Mapping[str, str] = {
    "DataChoices": "labelled_data",
    "QuestionFiles": "question_data",
    "TaggedFiles": "tagged_data",
}


def kind_of(data: Any) -> Kind:
    """Returns the functions for some settings."""
    return _load(_FILES[type(data).__name__])


def script_for(problem: str) -> str:
    """Returns the script that trains models of a task."""
    kinds = map(_load, _FILES.values())
    return next(kind.script for kind in kinds if problem in kind.problems)


def _load(file: str) -> Kind:
    module = importlib.import_module(f"bert_keras3.finetuning.{file}")
    kind: Kind = module.KIND
    return kind
