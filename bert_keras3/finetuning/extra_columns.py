"""What the tasks over texts do with extra columns, such as a price.

    concat  their numbers and categories stand in the row, and the model joins
            their vector to that of the text
    text    they are written before the text

What is known of them is an option of the task, and so in run folders and
exports.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_keras3.finetuning.task import MODEL_INPUTS, Task, TaskDefaults
from bert_keras3.inputs.examples import example_of, is_missing
from bert_keras3.inputs.extra_columns import (
    CATEGORIES,
    NUMBERS,
    ExtraColumns,
)
from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from bert_keras3.inputs.examples import InputExample
    from bert_keras3.inputs.feature_store import Column

CONCAT, TEXT = "concat", "text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithExtraColumns(TaskDefaults):
    """A task over texts that may have extra columns.

    Attributes:
        feature_columns: `ExtraColumns.to_json`; None: there are none.
        features: `CONCAT` or `TEXT`.
    """

    feature_columns: list[dict[str, Any]] | None = None
    features: str = CONCAT

    @functools.cached_property
    def extra(self) -> ExtraColumns:
        """The extra columns."""
        return ExtraColumns.from_json(self.feature_columns or [])

    @property
    def _is_joined(self) -> bool:
        return self.feature_columns is not None and self.features == CONCAT

    @property
    def inputs(self) -> tuple[str, ...]:
        """See `Task`."""
        return (*MODEL_INPUTS, *self.extra_inputs)

    @property
    def extra_inputs(self) -> Mapping[str, Column]:
        """See `Task`."""
        from bert_keras3.inputs.feature_store import Column

        found = {}
        if self._is_joined and self.extra.num_numbers:
            found[NUMBERS] = Column("float32", shape=(self.extra.num_numbers,))
        if self._is_joined and self.extra.num_categories:
            shape = (self.extra.num_categories,)
            found[CATEGORIES] = Column("int32", shape=shape)
        return found

    @property
    def row_columns(self) -> Mapping[str, Column]:
        """The features of a row that the model reads."""
        from bert_keras3.inputs.feature_store import INPUT_COLUMNS

        return {**INPUT_COLUMNS, **self.extra_inputs}

    @property
    def column_sizes(self) -> tuple[int, int, int] | None:
        """See `Task`."""
        if not self._is_joined:
            return None
        extra = self.extra
        return extra.num_numbers, extra.num_codes, len(extra.columns)

    def features_of(self, example: InputExample) -> dict[str, np.ndarray]:
        """Returns the features of an example beside its tokens."""
        if not self._is_joined:
            return {}
        return self.extra.encode(example.columns)

    def with_columns_written(self, example: InputExample) -> InputExample:
        """Returns an example with its columns in its text, if they belong."""
        if self.feature_columns is None or self.features != TEXT:
            return example
        written = self.extra.written(example.columns)
        if not written:
            return example
        return dataclasses.replace(
            example, text_a=f"{written}. {example.text_a}"
        )

    def example_of(self, given: Any) -> InputExample:
        """Returns what an exported model is given as an example.

        Args:
            given: a text, or a list or tuple of one or two; with extra
                columns a mapping of their names to values at the end of it.

        Raises:
            ValueError: it is none of these.
        """
        if self.feature_columns is None:
            return example_of(given)
        names = self.extra.names
        if not (
            isinstance(given, (tuple, list))
            and len(given) in (2, 3)
            and isinstance(given[-1], Mapping)
        ):
            raise ValueError(
                "it must be (text, columns), with columns a mapping of "
                f"{', '.join(names)} to values"
            )
        *texts, columns = given
        unknown = [name for name in columns if name not in names]
        if unknown:
            raise ValueError(
                f"the model has no column {unknown[0]!r}; its columns are "
                f"{', '.join(names)}"
            )
        cells = tuple(cell_of(columns.get(name)) for name in names)
        return dataclasses.replace(example_of(texts), columns=cells)


def cell_of(value: Any) -> str:
    """Returns a value as a file would have it; "" if it is missing.

    Raises:
        ValueError: it is a list, an array or the like.
    """
    if is_missing(value):
        return ""
    if not isinstance(value, str | bytes) and hasattr(value, "__len__"):
        raise ValueError(
            f"a column beside the text has {value!r:.60} in a row; it must be "
            "one number, word, truth value or date"
        )
    if isinstance(value, bytes):
        return value.decode("utf-8", "ignore")
    return str(value)


def with_extra_columns(
    task: Task, extra: ExtraColumns, features: str | None
) -> Task:
    """Returns a task that reads extra columns.

    Args:
        task: of the file.
        extra: of the training file.
        features: the flag.

    Raises:
        UserError: it is no task over texts.
    """
    if not isinstance(task, WithExtraColumns):
        raise UserError(
            f"--feature_columns={','.join(extra.names)} is for texts with "
            f"labels or values, and this problem is {task.name}. Leave it out"
        )
    return dataclasses.replace(
        task, feature_columns=extra.to_json(), features=features or CONCAT
    )
