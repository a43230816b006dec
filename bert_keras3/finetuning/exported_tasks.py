"""What an exported model asks of its task, beside what `Task` says.

Of a `TextTask` a graph makes the rows of texts; a `RowTask` makes rows itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bert_keras3.finetuning.encoded_examples import Outputs
from bert_keras3.finetuning.task import Task, Tensors

if TYPE_CHECKING:
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor
    from tokenization.tokenizers import Tokenizer


class TextTask(Task, Protocol):
    """A task whose exported model takes one text, or a pair, as one row."""

    @property
    def score_shape(self) -> tuple[int, ...]:
        """The shape of the scores of one text."""

    @property
    def score_name(self) -> str:
        """The name of the scores in the outputs."""

    def scores(self, outputs: Tensors) -> Tensor:
        """Named outputs of the model → scores [N, *score_shape]."""

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Scores → the further outputs, as tensors."""

    def predictions(self, scores: np.ndarray) -> list[Any]:
        """Scores [N, *score_shape] → N results of `serving.Predictor`."""


class RowTask(Task, Protocol):
    """A task whose exported model takes rows that the task makes itself.

    An input may have several rows, such as windows or choices, and outputs
    may have one value per token.
    """

    @property
    def exported(self) -> tuple[str, ...]:
        """Names of the model's outputs that an export has."""

    def answering(self, tokenizer: Tokenizer, max_seq_length: int) -> Answering:
        """Returns what answers the inputs of an exported model.

        Args:
            tokenizer: text → token ids.
            max_seq_length: most tokens of a row.
        """


class Answering(Protocol):
    """Inputs of an exported model → rows; their outputs → answers."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns that each row has, the model's inputs among them."""

    def item(self, given: Any) -> Any:
        """Returns an input, checked, as `rows` takes it.

        Raises:
            ValueError: it is no such input; the message says what is wanted.
        """

    def rows(self, item: Any) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of an input, each {column: value or values}.

        Raises:
            UserError: the input leaves no room for anything.
        """

    def answers(
        self, items: Sequence[Any], store: FeatureStore, outputs: Outputs
    ) -> list[Any]:
        """Returns an answer for each input.

        Args:
            items: N inputs.
            store: their rows; the numbers of the examples are those of the
                inputs, from 0.
            outputs: {name: [R, …] or, per token, [number of tokens, …]}.
        """
