"""The table of tasks by name; some are values of `--problem_type`.

A task is loaded when it is asked for, so that a job runs the code of its own
task only.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from bert_keras3.finetuning.task import Task

# {name of a task, and of its file: name of its class}
_CLASSES: Mapping[str, str] = {
    "single_label": "SingleLabel",
    "multi_label": "MultiLabel",
    "regression": "Regression",
    "choice": "Choice",
    "span": "Span",
    "tagging": "Tagging",
}


class _Tasks(Mapping[str, type[Task]]):
    """{name: class} of all tasks."""

    def __getitem__(self, name: str) -> type[Task]:
        attribute = _CLASSES[name]
        module = importlib.import_module(f"bert_keras3.finetuning.{name}")
        task: type[Task] = getattr(module, attribute)
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


TASKS: Mapping[str, type[Task]] = _Tasks()
