"""The table of tasks by name; some are values of `--problem_type`."""

from __future__ import annotations

from collections.abc import Mapping

from bert_keras3.finetuning.choice import Choice
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.regression import Regression
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.span import Span
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.task import Task

TASKS: Mapping[str, type[Task]] = {
    task.name: task
    for task in (SingleLabel, MultiLabel, Regression, Choice, Span, Tagging)
}
