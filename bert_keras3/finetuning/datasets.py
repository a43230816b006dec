"""The table of the kinds of data sets; the key is the class of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bert_keras3.finetuning import (
    labelled_data,
    question_data,
    tagged_data,
)
from bert_keras3.finetuning.choice import Choice
from bert_keras3.finetuning.dataset import Dataset
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.regression import Regression
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.span import Span
from bert_keras3.finetuning.span_settings import QuestionFiles
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.tagging_settings import TaggedFiles


@dataclasses.dataclass(frozen=True)
class Kind:
    """The functions for one kind of data set.

    Attributes:
        find: (settings, settings of the trained model or None) → data set.
        check: checks the settings before a file is opened.
        check_same: checks the settings against those of a trained model.
        problems: names of the tasks that such data can be for.
        script: that has such settings.
    """

    find: Callable[..., Dataset]
    check: Callable[..., None]
    check_same: Callable[..., None]
    problems: tuple[str, ...]
    script: str


DATASETS: Mapping[type, Kind] = {
    DataChoices: Kind(
        labelled_data.find_labelled_data,
        labelled_data.check_data,
        labelled_data.check_same_data,
        (SingleLabel.name, MultiLabel.name, Regression.name, Choice.name),
        "run_classifier",
    ),
    QuestionFiles: Kind(
        question_data.find_questions,
        question_data.check_questions,
        question_data.check_same_questions,
        (Span.name,),
        "run_squad",
    ),
    TaggedFiles: Kind(
        tagged_data.find_tagged_data,
        tagged_data.check_data,
        tagged_data.check_same_data,
        (Tagging.name,),
        "run_tagger",
    ),
}


def script_for(problem: str) -> str:
    """Returns the script that trains models of a task."""
    return next(
        kind.script for kind in DATASETS.values() if problem in kind.problems
    )


def kind_of(data: Any) -> Kind:
    """Returns the functions for some settings."""
    return DATASETS[type(data)]
