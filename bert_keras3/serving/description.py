"""The description of an exported model: task, labels, and how text is read.

It has the fields of a run's settings that a prediction needs, and no paths of
the training machine. A SavedModel has it as a signature, a folder with a LiteRT
or ONNX model as the file `classifier.json`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bert_keras3.finetuning.exported_tasks import RowTask, TextTask
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.formats import ID_INPUTS
from bert_keras3.vectors.exported import TEXT_VECTORS, TextVectors
from tokenization.cleaning import expressions

if TYPE_CHECKING:  # the runtimes load without Keras
    from bert_keras3.finetuning.run_folder import RunSettings


@dataclasses.dataclass(frozen=True)
class Description:
    """How an exported classifier reads text, and what it predicts."""

    problem: str
    """The task, a name that `task_called` knows."""
    labels: tuple[str, ...]
    """Names of the C labels, in the order of the probabilities."""
    max_seq_length: int
    """Maximum number of tokens, special tokens included."""
    do_lower_case: bool
    """Whether text is lower-cased and loses its accents."""
    takes_pairs: bool
    """Whether the input is a pair of texts."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Further settings of the task, JSON values."""
    clean: tuple[str, ...] = ()
    """Rules of `tokenization.cleaning` that texts go through."""

    @property
    def task(self) -> Task:
        """The task with its labels."""
        return task_called(self.problem)(self.labels, **self.options)

    @classmethod
    def of(cls, settings: RunSettings) -> Description:
        """Takes the fields from a run's settings."""
        return cls(
            **{
                field.name: getattr(settings, field.name)
                for field in dataclasses.fields(cls)
            }
        )

    def to_json(self) -> str:
        """Returns the fields as a JSON object, over several lines."""
        fields = dataclasses.asdict(self)
        return json.dumps(fields, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Description:
        """Reads a file that `to_json` was written to.

        Raises:
            UserError: there is no such file, or it is damaged.
        """
        try:
            text = pathlib.Path(path).read_text("utf-8")
        except FileNotFoundError:
            raise UserError(
                f"{os.fspath(path)}: is missing; it holds the labels and "
                "how text is read; copy it from the folder that "
                "export_saved_model.py wrote, or export again"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise _damaged(path, error) from error
        try:
            description = cls(**json.loads(text))
            description._check()
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, error) from error
        return dataclasses.replace(
            description,
            labels=tuple(description.labels),
            clean=tuple(description.clean),
        )

    def _check(self) -> None:
        """Refuses values that no export has.

        Raises:
            ValueError: one is found.
        """
        if self.problem not in (*TASKS, TEXT_VECTORS):
            raise ValueError(
                f"problem is {self.problem!r}; known are {', '.join(TASKS)}"
            )
        if (
            not isinstance(self.labels, (tuple, list))
            or (needs_labels(task_called(self.problem)) and not self.labels)
            or not all(isinstance(label, str) for label in self.labels)
        ):
            raise ValueError("labels are no list of names")
        if type(self.max_seq_length) is not int:
            raise ValueError(f"max_seq_length is {self.max_seq_length!r}")
        for name in ("do_lower_case", "takes_pairs"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is neither true nor false")
        expressions(self.clean)
        _ = self.task


def task_called(name: str) -> type[Task]:
    """Returns the class of a task: one of `TASKS`, or the one of vectors."""
    if name == TEXT_VECTORS:
        return cast(type[Task], TextVectors)
    return TASKS[name]


def exported_inputs(
    task: Task,
) -> dict[str, tuple[tuple[int | None, ...], str]]:
    """Returns {name: (shape, dtype)} of the inputs that every export takes.

    Of token ids the shape is [N, S], with None for both; extra columns follow.
    """
    inputs: dict[str, tuple[tuple[int | None, ...], str]]
    inputs = dict.fromkeys(ID_INPUTS, ((None, None), "int32"))
    for name, column in task.extra_inputs.items():
        inputs[name] = ((None, *column.shape), column.dtype)
    return inputs


def nothing_for(task: Task, num_rows: int = 1) -> dict[str, np.ndarray]:
    """Returns inputs of one padding token a row, for a first call."""
    return {
        name: np.zeros((num_rows, *(size or 1 for size in shape[1:])), dtype)
        for name, (shape, dtype) in exported_inputs(task).items()
    }


def exported_outputs(task: Task) -> tuple[str, ...]:
    """Returns the names of the outputs that every export of a task has."""
    if task.own_rows:
        return cast(RowTask, task).exported
    return (cast(TextTask, task).score_name,)


def exported_shapes(
    task: Task, num_rows: int, length: int
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of these outputs, by name.

    Args:
        task: with its labels.
        num_rows: N.
        length: S, of the rows.
    """
    if not task.own_rows:
        text_task = cast(TextTask, task)
        return {text_task.score_name: (num_rows, *text_task.score_shape)}
    classes = (len(task.labels),) if needs_labels(type(task)) else ()
    return {
        name: (
            num_rows,
            *((length,) * (name in task.per_token)),
            *(classes if name == "logits" else ()),
        )
        for name in cast(RowTask, task).exported
    }


def needs_labels(task: type[Task]) -> bool:
    """Whether the head of a task has one output for each of its labels."""
    return not {"labels", "token_labels"}.isdisjoint(task.heads)


def _damaged(path: str | os.PathLike[str], error: Exception) -> UserError:
    return UserError(
        f"{os.fspath(path)}: cannot be read, or is no description of an "
        f"exported model: {error}; export the model again"
    )
