"""Answers → the original's files: predictions, n best and null odds.

They are written as answers come, an entry each, and are laid out as the
original's. Of an id that occurs twice both answers are written, and a reader
of JSON takes the last, as the original does.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import IO

from bert_keras3.question_answering.answers import Answer
from bert_keras3.safekeeping.files import atomic_write

PREDICTIONS = "predictions.json"
N_BEST = "nbest_predictions.json"
NULL_ODDS = "null_odds.json"


def write_answers(
    answers: Iterable[Answer], folder: pathlib.Path, has_null_odds: bool
) -> pathlib.Path:
    """Writes the files; memory does not grow with the answers.

    Args:
        answers: of the questions, in order.
        folder: an existing one.
        has_null_odds: whether they are of version 2, which has a third file.

    Returns:
        The path of `predictions.json`.
    """
    with contextlib.ExitStack() as stack:

        def opened(name: str) -> _Object:
            file = stack.enter_context(atomic_write(folder / name))
            return stack.enter_context(contextlib.closing(_Object(file)))

        predictions, n_best = opened(PREDICTIONS), opened(N_BEST)
        null_odds = opened(NULL_ODDS) if has_null_odds else None
        for answer in answers:
            predictions.add(answer.question_id, json.dumps(answer.text))
            n_best.add(answer.question_id, _n_best(answer))
            if null_odds is not None:
                null_odds.add(answer.question_id, json.dumps(answer.null_odds))
    return folder / PREDICTIONS


class _Object:
    """A JSON object that is written member by member, indented by four."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._before = "{\n"

    def add(self, key: str, value: str) -> None:
        """Writes a member; the value is JSON already."""
        self._file.write(f"{self._before}    {json.dumps(key)}: {value}")
        self._before = ",\n"

    def close(self) -> None:
        """Ends the object."""
        self._file.write("{}\n" if self._before == "{\n" else "\n}\n")


def _n_best(answer: Answer) -> str:
    entries = [
        "        {\n"
        f'            "text": {encode_basestring_ascii(one.text)},\n'
        f'            "probability": {one.probability!r},\n'
        f'            "start_logit": {one.start_logit!r},\n'
        f'            "end_logit": {one.end_logit!r}\n'
        "        }"
        for one in answer.n_best
    ]
    return "[\n" + ",\n".join(entries) + "\n    ]"
