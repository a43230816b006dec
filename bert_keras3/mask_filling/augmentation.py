"""More texts like some texts: words replaced by others that fit in.

    the film was good     each word is masked in turn, the best words are asked
    a   movie is  great   for, and a copy takes a random one of them for each
                          word that a random number chooses

Jiao et al. 2020 (TinyBERT), algorithm 1, with the masked-LM head for words of
several pieces as well, where the paper looks for neighbours in GloVe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.texts import open_texts
from bert_keras3.mask_filling.masked_lm import MaskedLM
from bert_keras3.mask_filling.settings import Job
from bert_keras3.mask_filling.task import Task
from bert_keras3.pretraining_data.masking import MASK
from bert_keras3.training.session import Screen
from tokenization import characters


class Augment(Task):
    """Copies of texts with other words."""

    def __init__(self, job: Job, model: MaskedLM) -> None:
        """Checks that there is a masked-LM head."""
        super().__init__(job, model)
        # One more than wanted: the word itself may be among them.
        self._options: dict[str, Any] = {
            "top_k": job.num_candidates + 1,
            "beam_size": job.num_candidates + 1,
        }
        model.options(**self._options)
        self._number = 0
        self._num_copies = 0
        # Named as in the input, so that both files are read alike.
        self.columns = ("id", "text", "text_b")
        if job.input_file is not None:
            found = open_texts(job.input_file, job.file).columns
            places = (found.text, found.text_pair)
            self.columns = (
                "id",
                *(found.names[one] for one in places if one is not None),
            )

    def check(self, example: InputExample) -> None:
        """Checks that each text has a word and no mask."""
        for text in example.texts:
            self._model.tokens_to_score(text)

    def answers(
        self, examples: Sequence[InputExample]
    ) -> list[list[tuple[str, ...]]]:
        """Returns the copies of each example: one text or two."""
        texts = [text for example in examples for text in example.texts]
        candidates = iter(self._candidates(texts))
        found = []
        for example in examples:
            # The same for an example whatever stands before it at once.
            rng = np.random.default_rng([self._job.seed, self._number])
            self._number += 1
            words = [(text, next(candidates)) for text in example.texts]
            copies = dict.fromkeys(
                tuple(self._copy(text, of_text, rng) for text, of_text in words)
                for _ in range(self._job.num_copies)
            )
            copies.pop(tuple(example.texts), None)
            found.append([*copies])
            self._num_copies += len(copies)
        return found

    def _candidates(
        self, texts: Sequence[str]
    ) -> Iterator[list[tuple[slice, list[str]]]]:
        """Yields for each text its words' places and what may stand there."""
        places = [word_places(text) for text in texts]
        masked = [
            f"{text[: place.start]}{MASK}{text[place.stop :]}"
            for text, of_text in zip(texts, places, strict=True)
            for place in of_text
        ]
        every = iter(self._model.fill(masked, **self._options))
        for text, of_text in zip(texts, places, strict=True):
            fillings = [next(every) for _ in of_text]
            self._num_long += any(one.num_unread > 0 for one in fillings)
            yield [
                (
                    place,
                    [
                        word.text
                        for word in filling.words[0]
                        if any(map(str.isalnum, word.text))
                        and word.text.lower() != text[place].lower()
                    ][: self._job.num_candidates],
                )
                for place, filling in zip(of_text, fillings, strict=True)
            ]

    def _copy(
        self,
        text: str,
        words: Sequence[tuple[slice, list[str]]],
        rng: np.random.Generator,
    ) -> str:
        """Returns the text with some words replaced."""
        parts, end = [], 0
        for place, candidates in words:
            replaced = rng.random() < self._job.replace_prob
            if not (replaced and candidates):
                continue
            chosen = candidates[rng.integers(len(candidates))]
            parts += [text[end : place.start], chosen.removeprefix("##")]
            end = place.stop
        return "".join([*parts, text[end:]])

    def record(
        self, example: InputExample, answer: Sequence[tuple[str, ...]]
    ) -> dict[str, Any]:
        """Returns the copies of an example."""
        return {"id": example.guid, "copies": [list(one) for one in answer]}

    def rows(
        self, example: InputExample, answer: Sequence[tuple[str, ...]]
    ) -> Iterator[list[Any]]:
        """Yields a row per copy; `5-1` is the first one of the example 5."""
        for number, texts in enumerate(answer, 1):
            # Without a file, a text alone has an empty second one.
            blank = [""] * (len(self.columns) - 1 - len(texts))
            yield [f"{example.guid}-{number}", *texts, *blank]

    def show(
        self,
        examples: Sequence[InputExample],
        answers: Sequence[Sequence[tuple[str, ...]]],
        screen: Screen,
    ) -> None:
        """Prints a row per copy."""
        for example, copies in zip(examples, answers, strict=True):
            screen.table(
                ("copy",),
                [(" | ".join(one),) for one in copies],
                title=" | ".join(example.texts),
            )

    def summary(self) -> list[str]:
        """Adds how many copies there are."""
        what = "that differ from their texts and from one another"
        return [*super().summary(), f"{self._num_copies} copies {what}"]


def word_places(text: str) -> list[slice]:
    """Returns where the words of a text are; an ideograph is one.

    "It's 3!" has It, s and 3.
    """

    def kind(place: int) -> int:
        character = text[place]
        if characters.is_ideograph(character):
            return place  # another one than its neighbours'
        is_gap = characters.is_whitespace(
            character
        ) or characters.is_punctuation(character)
        return -1 if is_gap else -2

    places = []
    for found, group in itertools.groupby(range(len(text)), kind):
        every = [*group]
        if found != -1:
            places.append(slice(every[0], every[-1] + 1))
    return places
