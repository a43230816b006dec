"""Assigns a checkpoint's arrays to a model, and reports what did not fit.

The original leaves weights that it does not find random, without reporting
them; here they are reported and, unless the caller allows it, an error. The
jobs allow the weights of new heads (`_HEAD` in `finetuning/job.py`, `_HEADS`
in `pretraining/job.py`) and those of `--allow_missing`.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.safekeeping.errors import UserError

# Width of the embedding tables; an ALBERT's is `embedding_size`.
_WIDTH = "hidden_size or embedding_size"

# More names than this are shown as groups by their first part.
_SHOWN = 3
_LISTED_IN_ERRORS = 4

# The field of the configuration that gives each axis of a weight.
_FIELDS = {
    "/word_embeddings": ("vocab_size", _WIDTH),
    "predictions/output_bias": ("vocab_size",),
    "/position_embeddings": ("max_position_embeddings", _WIDTH),
    "/token_type_embeddings": ("type_vocab_size", _WIDTH),
    "/intermediate/dense/kernel": ("hidden_size", "intermediate_size"),
    "/intermediate/dense/bias": ("intermediate_size",),
    "/query/kernel": ("hidden_size", "hidden_size"),
    "output_weights": ("the number of labels", "hidden_size"),
    "output_bias": ("the number of labels",),
}


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """A weight with different shapes in checkpoint and model."""

    name: str
    in_checkpoint: tuple[int, ...]
    in_model: tuple[int, ...]

    def __str__(self) -> str:
        fields = next(
            (f for end, f in _FIELDS.items() if self.name.endswith(end)), ()
        )
        axes = zip(fields, self.in_checkpoint, self.in_model, strict=False)
        differ = dict.fromkeys(
            field for field, one, other in axes if one != other
        )
        return (
            f"{self.name} is {list(self.in_checkpoint)} in the checkpoint "
            f"and {list(self.in_model)} in the model"
            + (f" ({', '.join(differ)})" if differ else "")
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """Which weights of a checkpoint were assigned to a model.

    Attributes:
        source: the checkpoint's name, for messages.
        loaded: weights that have the checkpoint's values.
        missing: weights of the model that the checkpoint lacks.
        unused: arrays of the checkpoint that the model lacks.
        wrong_shape: weights that both have, of different shapes.
        slots: the checkpoint's optimizer state, which is not loaded.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    wrong_shape: tuple[Mismatch, ...]
    slots: tuple[str, ...]

    def line(self) -> str:
        """Returns all of it in one line."""
        wanted = len(self.loaded) + len(self.missing) + len(self.wrong_shape)
        parts = [
            f"loaded {len(self.loaded)} of {wanted} weights from {self.source}",
            f"missing: {_shown(self.missing)}",
            f"unused: {_shown(self.unused)}",
            f"wrong shape: {_shown([one.name for one in self.wrong_shape])}",
        ]
        if self.slots:
            parts.append(
                f"left aside: {len(self.slots)} values of the optimizer"
            )
        return "; ".join(parts)


def assign(
    model: Any,
    arrays: Arrays,
    source: str,
    *,
    allow_missing: Iterable[str] = (),
) -> Report:
    """Assigns the weights of a checkpoint to a model.

    A weight gets the array whose name equals its path. Everything is checked
    before anything is assigned.

    Args:
        model: a built Keras model.
        arrays: under Google's names.
        source: the checkpoint's name, for messages.
        allow_missing: regular expressions, matched against the beginning of
            a weight's path. Weights that one of them matches may be missing
            or of another shape; they stay as they are.

    Returns:
        What was loaded and what was not.

    Raises:
        UserError: another weight is missing or of another shape. The model
            is unchanged then.
    """
    weights = {
        variable.path: variable
        for variable in model.weights
        if _is_weight(variable)
    }
    shapes = {name: tuple(v.shape) for name, v in weights.items()}
    report = check_loadable(shapes, arrays, source, allow_missing)
    for name in report.loaded:
        weights[name].assign(arrays[name])
    return report


def check_loadable(
    shapes: dict[str, tuple[int, ...]],
    arrays: Arrays,
    source: str,
    allow_missing: Iterable[str] = (),
) -> Report:
    """Checks that arrays fit a model that does not exist yet.

    Args:
        shapes: shapes of the model's weights, by Google's names.
        arrays: the checkpoint's arrays; none is read.
        source: the checkpoint's name, for messages.
        allow_missing: see `assign`.

    Returns:
        The report; `loaded` are the weights that can be loaded.

    Raises:
        UserError: see `assign`.
    """
    report = compare(shapes, arrays, source)
    _refuse_unless_allowed(report, allow_missing)
    return report


def compare(
    shapes: dict[str, tuple[int, ...]], arrays: Arrays, source: str
) -> Report:
    """Compares a model's weights with a checkpoint by names and shapes.

    Args:
        shapes: shapes of the model's weights, by Google's names.
        arrays: the checkpoint's arrays; none is read.
        source: the checkpoint's name, for messages.

    Returns:
        The report; `loaded` are the weights that can be loaded.
    """
    slots = tuple(name for name in arrays if name in arrays.slots)
    mismatches = tuple(
        Mismatch(name, arrays.shape(name), shape)
        for name, shape in shapes.items()
        if name in arrays and arrays.shape(name) != shape
    )
    wrong = {mismatch.name for mismatch in mismatches}
    return Report(
        source=source,
        loaded=tuple(n for n in shapes if n in arrays and n not in wrong),
        missing=tuple(n for n in shapes if n not in arrays),
        unused=tuple(
            n for n in arrays if n not in shapes and n not in arrays.slots
        ),
        wrong_shape=mismatches,
        slots=slots,
    )


def _is_weight(variable: Any) -> bool:
    """Whether it is a weight, not a random generator's state (integers)."""
    return "float" in str(variable.dtype)


def _refuse_unless_allowed(
    report: Report, allow_missing: Iterable[str]
) -> None:
    patterns = [_compiled(pattern) for pattern in allow_missing]

    def refused(name: str) -> bool:
        return not any(pattern.match(name) for pattern in patterns)

    wrong = [one for one in report.wrong_shape if refused(one.name)]
    if wrong:
        raise UserError(
            f"{report.source}: does not fit the model: "
            f"{_listed([str(one) for one in wrong], '; ')}. Use the "
            "configuration that belongs to the checkpoint, or name with "
            "--allow_missing what may stay random"
        )
    missing = [name for name in report.missing if refused(name)]
    if missing:
        raise UserError(
            f"{report.source}: lacks {len(missing)} of the "
            f"{len(report.loaded) + len(report.missing)} weights of the "
            f"model: {_listed(missing, ', ')}. Is it the right checkpoint "
            "for this configuration? --allow_missing names what may stay "
            "random"
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"--allow_missing: {pattern!r} is not a regular expression: {error}"
        ) from None


def _listed(items: Sequence[str], separator: str) -> str:
    shown = list(items[:_LISTED_IN_ERRORS])
    if len(items) > len(shown):
        shown.append(f"and {len(items) - len(shown)} more")
    return separator.join(shown)


def _shown(found: Sequence[str]) -> str:
    if not found:
        return "none"
    if len(found) <= _SHOWN:
        return ", ".join(found)
    groups = collections.Counter(
        f"{name.split('/')[0]}/…" if "/" in name else name for name in found
    )
    return ", ".join(
        f"{group} ({count})" if group.endswith("…") else group
        for group, count in groups.items()
    )
