"""What of a model's outputs is explained, for each kind of head.

labels        the logit of the label that was predicted, or of another; of a
              long text, that of its windows together
span          the logits of the answer's first and last token, summed
token_labels  for each entity, the logits of its tokens' tags, summed
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from bert_keras3.explaining.attributions import Score
from bert_keras3.finetuning.task import Task
from bert_keras3.inputs.batches import EXAMPLE
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.decoding import decode
from bert_keras3.tagging.schemes import entities_of
from bert_keras3.tagging.windows import IS_TRUSTED

Row = Mapping[str, Any]
# The W rows of an input: several are windows whose answers become one.
Rows = Sequence[Row]
# float [W, …] by name.
Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Explained:
    """A number that a model computes of an input.

    Attributes:
        name: the label, the type of the entity, or what else was predicted.
        score: computes it.
        places: the tokens of the one row that it is about; () for all.
    """

    name: str
    score: Score
    places: tuple[int, ...] = ()


def _logits(task: Any, outputs: Mapping[str, Any], num_rows: int) -> Any:
    """Logits of B·W rows → of B inputs, [B, C], as the task pools them."""
    if num_rows == 1:
        return outputs["logits"]
    rows = ops.arange(len(outputs["logits"]), dtype="int32")
    pooled, _ = task.in_batch(outputs, {EXAMPLE: rows // num_rows})
    return pooled["logits"][::num_rows]


def _logit(task: Task, num_rows: int, number: int) -> Score:
    return lambda outputs: _logits(task, outputs, num_rows)[:, number]


def labels_explained(
    task: Task, rows: Rows, outputs: Outputs, label: str | None
) -> list[Explained]:
    """Explains the label that was predicted, all of several, or the one given.

    Raises:
        UserError: there is no such label.
    """
    logits = np.asarray(_logits(task, outputs, len(rows))[0])
    if label is not None:
        if label not in task.labels:
            raise UserError(
                f"label {label!r}: the model has {', '.join(task.labels)}"
            )
        chosen = [task.labels.index(label)]
    elif task.has_classes or len(logits) == 1:
        chosen = [int(logits.argmax())]
    else:
        # Of several labels those more probable than not, or the likeliest.
        chosen = np.flatnonzero(logits > 0).tolist()
        chosen = chosen or [int(logits.argmax())]
    names = task.labels or ("score",)
    return [
        Explained(names[one], _logit(task, len(rows), one)) for one in chosen
    ]


def span_explained(
    task: Any, rows: Rows, outputs: Outputs, label: str | None
) -> list[Explained]:
    """Explains the best answer of a row, in the context's tokens."""
    (row,) = rows
    start, end = (outputs[name][0] for name in ("start_logits", "end_logits"))
    first = int(row["first_context_token"])
    behind = len(row["input_ids"]) - 1
    sums = start[first:behind, None] + end[None, first:behind]
    size = behind - first
    lengths = np.arange(size)[None] - np.arange(size)[:, None]
    allowed = (lengths >= 0) & (lengths < task.max_answer_length)
    sums = np.where(allowed, sums, -np.inf)
    a, b = (int(one) + first for one in divmod(int(sums.argmax()), size))
    return [
        Explained(
            "answer",
            lambda outputs: (
                outputs["start_logits"][:, a] + outputs["end_logits"][:, b]
            ),
            tuple(range(a, b + 1)),
        )
    ]


def entities_explained(
    task: Any, rows: Rows, outputs: Outputs, label: str | None
) -> list[Explained]:
    """Explains every entity of the tags that the task chooses in a row."""
    (row,) = rows
    places = np.flatnonzero(row[IS_TRUSTED])
    offsets = np.array([0, len(places)])
    logits = outputs["logits"][0][places]
    tags = decode(logits, offsets, task.tags, task.decode)
    roles, types = task.tags.roles[tags], task.tags.type_ids[tags]
    found = []
    for first, behind, kind in entities_of(roles, types, offsets).tolist():
        name = task.tags.types[kind]
        if label in (None, name):
            chosen = np.stack([places[first:behind], tags[first:behind]])
            found.append(
                Explained(
                    name, _sum_of_logits(chosen), tuple(chosen[0].tolist())
                )
            )
    return found


def _sum_of_logits(chosen: np.ndarray) -> Score:
    """Returns the sum over (place, tag) pairs, int [2, T]."""

    def score(outputs: Mapping[str, Any]) -> Any:
        logits = outputs["logits"]
        return ops.sum(
            ops.stack(
                [logits[:, place, tag] for place, tag in chosen.T.tolist()]
            ),
            axis=0,
        )

    return score


BY_HEAD: Mapping[
    str,
    Callable[[Any, Rows, Outputs, str | None], Sequence[Explained]],
] = {
    "labels": labels_explained,
    "span": span_explained,
    "token_labels": entities_explained,
}
