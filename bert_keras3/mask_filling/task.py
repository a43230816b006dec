"""The interface of a question of `fill_mask.py`."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Any

from bert_keras3.inputs.examples import InputExample
from bert_keras3.mask_filling.masked_lm import MaskedLM
from bert_keras3.mask_filling.settings import Job
from bert_keras3.training.session import Screen


class Task(abc.ABC):
    """One question, with the flags that belong to it.

    Attributes:
        columns: of a CSV file of answers.
    """

    columns: tuple[str, ...]
    _when_too_long = "each token was predicted from those around it"

    def __init__(self, job: Job, model: MaskedLM) -> None:
        """Checks the flags against the model.

        Raises:
            UserError: the model lacks the head, or a flag does not fit it.
        """
        self._job = job
        self._model = model
        self._num_long = 0

    @abc.abstractmethod
    def check(self, example: InputExample) -> None:
        """Checks one example.

        Raises:
            UserError: the question cannot be answered for it.
        """

    @abc.abstractmethod
    def answers(self, examples: Sequence[InputExample]) -> list[Any]:
        """Returns an answer for each example."""

    @abc.abstractmethod
    def record(self, example: InputExample, answer: Any) -> dict[str, Any]:
        """Returns the JSON object for one answer."""

    @abc.abstractmethod
    def rows(self, example: InputExample, answer: Any) -> Iterator[list[Any]]:
        """Yields the rows of a CSV file for one answer; see `columns`."""

    @abc.abstractmethod
    def show(
        self,
        examples: Sequence[InputExample],
        answers: Sequence[Any],
        screen: Screen,
    ) -> None:
        """Prints some answers."""

    def summary(self) -> list[str]:
        """Returns lines about all answers, if there is something to say."""
        if not self._num_long:
            return []
        texts = "input is" if self._num_long == 1 else "inputs are"
        note = (
            f"note: {self._num_long} {texts} longer than the "
            f"{self._model.max_seq_length} tokens that the model reads; "
            f"{self._when_too_long}"
        )
        return [note]
