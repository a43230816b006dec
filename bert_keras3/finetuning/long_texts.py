"""Texts that are longer than a row: cut, or read in windows.

    truncate    [CLS] the first tokens [SEP]
    head_tail   [CLS] the first tokens, the last tokens [SEP]
    windows     [CLS] the first tokens [SEP], [CLS] tokens further on [SEP], …

With windows a text has several rows. Their logits are pooled to one answer, in
the loss as in evaluations, predictions and exports. The mean of the logits is
the logit of the mean of the windows' vectors, since the head is linear.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.extra_columns import TEXT, WithExtraColumns
from bert_keras3.finetuning.task import (
    EXAMPLE_WEIGHTS,
    TARGETS,
    LabelSource,
    Task,
    Tensors,
)
from bert_keras3.finetuning.texts import Targets, TextReader
from bert_keras3.inputs.row_groups import RowGroups
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import pack_head_tail, pack_windows

if TYPE_CHECKING:
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.finetuning.settings import DataFiles
    from bert_keras3.inputs.examples import InputExample
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor
    from tokenization.tokenizers import Tokenizer

TRUNCATE, HEAD_TAIL, WINDOWS = "truncate", "head_tail", "windows"
MEAN, MAX, ATTENTION = "mean", "max", "attention"

_LOGITS = "logits"
# How much each window counts, before the softmax over those of a text.
_WINDOW_LOGITS = "window_logits"
_FLAGS = ("long_text", "window_stride", "window_pooling", "max_windows")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTexts(WithExtraColumns, abc.ABC):
    """What the tasks over one text, or a pair, do with long ones.

    Attributes:
        long_text: `TRUNCATE`, `HEAD_TAIL` or `WINDOWS`.
        window_stride: see `packing.pack_windows`.
        window_pooling: `MEAN`; `MAX`, for each label; or `ATTENTION`, a mean
            with learnt weights.
        max_windows: see `packing.pack_windows`.
    """

    long_text: str = TRUNCATE
    window_stride: int | None = None
    window_pooling: str = MEAN
    max_windows: int = 16

    @property
    def grouped(self) -> bool:
        """See `Task`."""
        return self.long_text == WINDOWS

    @property
    def _attends(self) -> bool:
        return self.grouped and self.window_pooling == ATTENTION

    @property
    def further_heads(self) -> tuple[str, ...]:
        """See `Task`."""
        return ("windows",) if self._attends else ()

    @property
    def exported(self) -> tuple[str, ...]:
        """See `RowTask`."""
        return (_LOGITS, _WINDOW_LOGITS) if self._attends else (_LOGITS,)

    @property
    def own_rows(self) -> bool:
        """See `Task`: only what is cut at its end is packed in the graph."""
        return self.long_text != TRUNCATE or self.feature_columns is not None

    @property
    def packs_in_graph(self) -> bool:
        """See `Task`: what is cut at its end, with columns but dates."""
        return self.long_text == TRUNCATE and (
            self.features == TEXT or not self.extra.has_dates
        )

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> TextReader:
        """See `Task`."""
        targets = None if labels is None else self.label_reader(labels)
        return TextReader(encoder, targets, self)

    @abc.abstractmethod
    def label_reader(self, labels: LabelSource) -> Targets:
        """Returns what reads the labels of a file."""

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """See `Task`: the mean over the examples of a batch."""
        outputs, features = self.in_batch(outputs, features)
        return self.loss_of(
            outputs[_LOGITS], features[TARGETS], features.get(EXAMPLE_WEIGHTS)
        )

    @abc.abstractmethod
    def loss_of(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        """Returns the loss of logits [B, C], a scalar.

        Args:
            logits: of each row.
            targets: of each row, as `label_reader` gives them.
            weights: of each row, [B], or None.
        """

    def rows_of(
        self, encoder: TextEncoder, example: InputExample
    ) -> list[dict[str, Any]]:
        """Returns the rows of an example.

        Raises:
            UserError: there is no room for its texts.
        """
        features = self.features_of(example)
        rows = self._text_rows(encoder, self.with_columns_written(example))
        return [{**row, **features} for row in rows]

    def _text_rows(
        self, encoder: TextEncoder, example: InputExample
    ) -> list[dict[str, Any]]:
        if self.long_text == WINDOWS:
            packer = functools.partial(
                pack_windows, stride=self.window_stride, most=self.max_windows
            )
            return encoder.pack_with(packer, example)
        if self.long_text == HEAD_TAIL:
            return encoder.pack_with(
                lambda *ids, **to: [pack_head_tail(*ids, **to)], example
            )
        return [encoder.pack(example)]

    # From rows to examples.

    def logits_of(self, outputs: Outputs, examples: Examples) -> np.ndarray:
        """Returns the logits of examples, [E, C], given those of rows."""
        return self._pooled(outputs, examples.groups)

    def _pooled(self, outputs: Outputs, groups: RowGroups) -> np.ndarray:
        """Logits of rows [R, C] → of examples, [E, C]."""
        logits = outputs[_LOGITS]
        if not self.grouped or not len(logits):
            return logits
        if self.window_pooling == ATTENTION:
            shares = groups.softmax(outputs[_WINDOW_LOGITS])
            return groups.sum(shares[:, None] * logits).astype(logits.dtype)
        if self.window_pooling == MAX:
            return groups.max(logits)
        return groups.mean(logits).astype(logits.dtype)

    def in_batch(
        self, outputs: Tensors, features: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Gives every row of a batch the logits of its example.

        Each row then weighs as a part of its example, so that the mean over
        rows is the mean over examples.

        Args:
            outputs: `logits` [R, C], and with `ATTENTION` `window_logits`
                [R].
            features: of the rows, with the column `batches.EXAMPLE`.

        Returns:
            The same with other logits and weights; without windows, unchanged.
        """
        if not self.grouped:
            return outputs, features
        from keras import ops

        from bert_keras3.inputs.batches import EXAMPLE

        example = features[EXAMPLE]
        logits = ops.cast(outputs[_LOGITS], "float32")
        # There are no more examples than rows; XLA needs the number at once.
        number = ops.shape(logits)[0]
        ones = ops.ones_like(logits[:, 0])
        # [R], the number of windows of each row's example.
        sizes = ops.take(ops.segment_sum(ones, example, number), example)
        if self.window_pooling == MAX:
            pooled = ops.segment_max(logits, example, number)
            pooled = ops.take(pooled, example, axis=0)
        elif self.window_pooling == ATTENTION:
            shares = _softmax_within(outputs[_WINDOW_LOGITS], example, number)
            sums = ops.segment_sum(shares[:, None] * logits, example, number)
            pooled = ops.take(sums, example, axis=0)
        else:
            sums = ops.segment_sum(logits, example, number)
            pooled = ops.take(sums, example, axis=0) / sizes[:, None]
        num_examples = ops.cast(example[-1] + 1, "float32")
        weights = ops.sum(ones) / num_examples / sizes
        given = features.get(EXAMPLE_WEIGHTS)
        if given is not None:
            weights = weights * given
        return (
            {**outputs, _LOGITS: pooled},
            {**features, EXAMPLE_WEIGHTS: weights},
        )

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """See `Task`: of examples, however many rows they have."""
        teacher, _ = self.in_batch(teacher, features)
        outputs, features = self.in_batch(outputs, features)
        return self.divergence(
            outputs[_LOGITS],
            teacher[_LOGITS],
            temperature,
            features.get(EXAMPLE_WEIGHTS),
        )

    @abc.abstractmethod
    def divergence(
        self,
        logits: Tensor,
        of_teacher: Tensor,
        temperature: float,
        weights: Tensor | None,
    ) -> Tensor:
        """Returns how far logits [B, C] are from a teacher's, a scalar.

        Args:
            logits: of the student.
            of_teacher: the teacher's.
            temperature: that both are divided by.
            weights: of each row, [B], or None.
        """

    # Exports.

    @abc.abstractmethod
    def scores_of(self, logits: np.ndarray) -> np.ndarray:
        """Logits [N, C] → the scores that `predictions` takes."""

    @abc.abstractmethod
    def predictions(self, scores: np.ndarray) -> list[Any]:
        """See `TextTask`."""

    def answering(
        self, tokenizer: Tokenizer, max_seq_length: int
    ) -> LongTextAnswering:
        """See `RowTask`."""
        return LongTextAnswering(self, tokenizer, max_seq_length)

    def pooled_predictions(
        self, outputs: Outputs, groups: RowGroups
    ) -> list[Any]:
        """Outputs of rows → a prediction for each example."""
        return self.predictions(self.scores_of(self._pooled(outputs, groups)))


class LongTextAnswering:
    """Texts or pairs → rows; their logits → predictions; `task.Answering`."""

    def __init__(
        self, task: LongTexts, tokenizer: Tokenizer, max_seq_length: int
    ) -> None:
        """Takes the task, the tokenizer of the model, and a row's length."""
        from bert_keras3.finetuning.encoding import TextEncoder

        self._task = task
        self._encoder = TextEncoder(tokenizer, max_seq_length)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The inputs of the model."""
        return self._task.row_columns

    def item(self, given: Any) -> InputExample:
        """Takes a text or a pair of texts, as strings or UTF-8.

        With extra columns, a mapping of their names to values stands behind
        the texts.

        Raises:
            ValueError: it is neither.
        """
        return self._task.example_of(given)

    def rows(self, item: InputExample) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of a text or a pair."""
        yield from self._task.rows_of(self._encoder, item)

    def answers(
        self, items: Sequence[Any], store: FeatureStore, outputs: Outputs
    ) -> list[Any]:
        """Returns the prediction for each input."""
        return self._task.pooled_predictions(
            outputs, RowGroups.of(store.examples)
        )


def _softmax_within(logits: Tensor, example: Tensor, number: Any) -> Tensor:
    """Returns the softmax over the rows of each example, float32 [R].

    Args:
        logits: [R].
        example: int [R], the example of each row, not decreasing.
        number: at least that of the examples.
    """
    from keras import ops

    logits = ops.cast(logits, "float32")
    most = ops.segment_max(logits, example, number)
    powers = ops.exp(logits - ops.take(most, example))
    sums = ops.segment_sum(powers, example, number)
    return powers / ops.take(sums, example)


# Flags.


def with_long_texts(task: Task, data: DataFiles) -> Task:
    """Returns a task with what flags say of long texts.

    Raises:
        UserError: it is no task over texts.
    """
    given = given_flags(data)
    if not given:
        return task
    if not isinstance(task, LongTexts):
        name, value = next(iter(given.items()))
        raise UserError(
            f"--{name}={value} is for texts with labels or values, and this "
            f"problem is {task.name}. Leave it out"
        )
    return dataclasses.replace(task, **given)


def given_flags(data: DataFiles) -> dict[str, Any]:
    """Returns {flag: value} of those about long texts that were given.

    Args:
        data: settings of data, perhaps of a kind without such flags.
    """
    values = {name: getattr(data, name, None) for name in _FLAGS}
    return {name: one for name, one in values.items() if one is not None}
