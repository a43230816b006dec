"""Which layers of a teacher, and a student that begins with some of them.

A student with 3 of 6 layers, counted from 1:

    uniform      2 4 6
    every_other  1 3 5
    first        1 2 3
    last, top    4 5 6
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.distillation.settings import (
    EVERY_OTHER,
    FIRST,
    LAST,
    TOP,
    UNIFORM,
)
from bert_keras3.safekeeping.errors import UserError
from modeling import BertConfig

# {name: (number of the student's layers, of the teacher's) → numbers from 1}
CHOICES: Mapping[str, Callable[[int, int], Sequence[int]]] = {
    UNIFORM: lambda m, n: [-(-number * n // m) for number in range(1, m + 1)],
    EVERY_OTHER: lambda m, n: range(1, 2 * m, 2),
    FIRST: lambda m, n: range(1, m + 1),
    LAST: lambda m, n: range(n - m + 1, n + 1),
    TOP: lambda m, n: range(n - m + 1, n + 1),
}

_LAYER = re.compile(r"(?<=bert/encoder/layer_)\d+(?=/)")


def layers_of(
    flag: str,
    given: Sequence[str],
    num_student_layers: int,
    num_teacher_layers: int,
    names: Sequence[str],
) -> tuple[int, ...]:
    """Returns a layer of the teacher for each of the student.

    Args:
        flag: for messages.
        given: its value, a name or numbers from 1.
        num_student_layers: how many there must be.
        num_teacher_layers: the highest number.
        names: keys of `CHOICES` that are allowed.

    Returns:
        Numbers from 0, rising.

    Raises:
        UserError: it is neither, or there are not so many layers.
    """
    value = f"--{flag}={','.join(given)}"
    if len(given) == 1 and given[0] in names:
        chosen = [*CHOICES[given[0]](num_student_layers, num_teacher_layers)]
    else:
        try:
            chosen = [int(one) for one in given]
        except ValueError:
            raise UserError(
                f"{value}: give {', '.join(names)}, or the numbers of layers "
                "from 1, with commas between them"
            ) from None
    if len(chosen) != num_student_layers:
        raise UserError(
            f"{value}: names {len(chosen)} layers, the student has "
            f"{num_student_layers}; give one of the teacher's for each"
        )
    if sorted({*chosen}) != chosen or not (
        chosen[0] >= 1 and chosen[-1] <= num_teacher_layers
    ):
        raise UserError(
            f"{value}: of {num_student_layers} layers, these would be "
            f"{', '.join(map(str, chosen))}; the teacher has layers 1 to "
            f"{num_teacher_layers}, and their numbers must rise"
        )
    return tuple(number - 1 for number in chosen)


def with_layers(teacher: Checkpoint, chosen: Sequence[int]) -> Checkpoint:
    """Returns a student: the teacher with some of its layers.

    Args:
        teacher: whose other weights, vocabulary and labels stay.
        chosen: numbers of layers from 0; the first becomes layer 0.

    Raises:
        UserError: its layers have several groups of weights.
    """
    config = teacher.config
    values = {**config.to_dict(), "num_hidden_layers": len(chosen)}
    if config.num_hidden_groups is not None:
        if config.num_hidden_groups > 1:
            raise UserError(
                f"{teacher.source}: its layers share {config.num_hidden_groups}"
                " groups of weights; a student cannot take some of them. Give "
                "an --init_checkpoint or a --bert_config_file in place of "
                "--num_student_layers"
            )
        # All layers have the same weights.
        return dataclasses.replace(teacher, config=BertConfig.from_dict(values))
    places = {str(number): str(new) for new, number in enumerate(chosen)}
    entries = {}
    for name, entry in teacher.arrays.entries.items():
        found = _LAYER.search(name)
        if found is None:
            entries[name] = entry
        elif found[0] in places:
            entries[_LAYER.sub(places[found[0]], name)] = entry
    return dataclasses.replace(
        teacher,
        arrays=Arrays(entries, teacher.arrays.notes),
        config=BertConfig.from_dict(values),
    )
