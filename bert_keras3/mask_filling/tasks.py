"""The questions of `fill_mask.py`: what each checks, answers, prints, writes.

A task is one class and one row of `TASKS`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs.examples import InputExample
from bert_keras3.mask_filling.augmentation import Augment
from bert_keras3.mask_filling.masked_lm import (
    Filling,
    JointFilling,
    MaskedLM,
    TextScore,
    Word,
)
from bert_keras3.mask_filling.settings import (
    AUGMENT,
    FILL_MASK,
    NEXT_SENTENCE,
    PSEUDO_LIKELIHOOD,
    Job,
)
from bert_keras3.mask_filling.task import Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Screen

# The mask of a row that is about all masks together.
_ALL = "all"
# Texts with fewer tokens than this are printed token by token.
_FEW_TOKENS = 60


class FillMask(Task):
    """The words for masks."""

    columns = ("id", "mask", "rank", "word", "probability", "score", "pieces")

    def __init__(self, job: Job, model: MaskedLM) -> None:
        """Checks the flags against the model."""
        super().__init__(job, model)
        self._options: dict[str, Any] = {
            "top_k": job.top_k,
            "candidates": job.candidates or None,
            "max_pieces": job.max_pieces,
            "beam_size": job.beam_size,
        }
        options = model.options(**self._options)
        # With one piece each, both numbers are the same.
        self._has_scores = options.max_pieces > 1 or any(
            len(word) > 1 for word in options.candidates or ()
        )

    def check(self, example: InputExample) -> None:
        """Checks that there is a mask."""
        self._model.masked_text(example.text_a)

    def answers(self, examples: Sequence[InputExample]) -> list[Filling]:
        """Fills the masks."""
        found = self._model.fill(
            [example.text_a for example in examples], **self._options
        )
        self._num_long += sum(one.num_unread > 0 for one in found)
        return found

    def record(self, example: InputExample, answer: Filling) -> dict[str, Any]:
        """Returns the words of each mask, and those that fit together."""
        return {
            "id": example.guid,
            "text": answer.text,
            "masks": [
                [
                    {
                        "word": word.text,
                        **_numbers(word),
                        "pieces": list(word.pieces),
                    }
                    for word in words
                ]
                for words in answer.words
            ],
            "joint": [
                {
                    "words": [word.text for word in one.words],
                    **_numbers(one),
                    "text": one.text,
                }
                for one in answer.joint
            ],
            "num_unread": answer.num_unread,
        }

    def rows(
        self, example: InputExample, answer: Filling
    ) -> Iterator[list[Any]]:
        """Yields a row per word and, with several masks, per filling."""
        for mask, words in enumerate(answer.words, 1):
            for rank, word in enumerate(words, 1):
                yield [
                    example.guid,
                    mask,
                    rank,
                    word.text,
                    *_numbers(word).values(),
                    len(word.pieces),
                ]
        if len(answer.words) == 1:
            return
        for rank, one in enumerate(answer.joint, 1):
            yield [
                example.guid,
                _ALL,
                rank,
                " ".join(word.text for word in one.words),
                *_numbers(one).values(),
                sum(len(word.pieces) for word in one.words),
            ]

    def show(
        self,
        examples: Sequence[InputExample],
        answers: Sequence[Filling],
        screen: Screen,
    ) -> None:
        """Prints a table for each text, a column for each mask."""
        for answer in answers:
            if len(answer.words) == 1:
                headers, rows = self._of_one_mask(answer.words[0])
            else:
                headers, rows = _of_several_masks(answer)
            screen.table(headers, rows, title=" ".join(answer.text.split()))

    def _of_one_mask(
        self, words: Sequence[Word]
    ) -> tuple[list[str], list[tuple[str, ...]]]:
        shown = 3 if self._has_scores else 2
        rows = [
            (word.text, _shown(word.probability), _shown(word.score))
            for word in words
        ]
        headers = ["word", "probability", "score"]
        return headers[:shown], [row[:shown] for row in rows]


class PseudoLikelihood(Task):
    """How likely texts are."""

    columns = ("id", "pseudo_log_likelihood", "tokens", "perplexity")

    def __init__(self, job: Job, model: MaskedLM) -> None:
        """Checks that there is a masked-LM head."""
        super().__init__(job, model)
        model.score([])
        self._total = 0.0
        self._num_tokens = self._num_texts = self._num_unknown = 0

    def check(self, example: InputExample) -> None:
        """Checks that the text is whole."""
        self._model.tokens_to_score(example.text_a)

    def answers(self, examples: Sequence[InputExample]) -> list[TextScore]:
        """Computes the scores."""
        scores = self._model.score([example.text_a for example in examples])
        self._num_texts += len(scores)
        for score in scores:
            self._total += score.pseudo_log_likelihood
            self._num_tokens += len(score.tokens)
            self._num_unknown += score.num_unknown
            self._num_long += score.num_unread > 0
        return scores

    def record(
        self, example: InputExample, answer: TextScore
    ) -> dict[str, Any]:
        """Returns the numbers, also of each token."""
        return {
            "id": example.guid,
            "pseudo_log_likelihood": answer.pseudo_log_likelihood,
            "perplexity": answer.perplexity,
            "tokens": list(answer.tokens),
            "log_probabilities": answer.log_probabilities.tolist(),
            "num_unknown": answer.num_unknown,
            "num_unread": answer.num_unread,
        }

    def rows(
        self, example: InputExample, answer: TextScore
    ) -> Iterator[list[Any]]:
        """Yields a row per text."""
        yield [
            example.guid,
            answer.pseudo_log_likelihood,
            len(answer.tokens),
            answer.perplexity,
        ]

    def show(
        self,
        examples: Sequence[InputExample],
        answers: Sequence[TextScore],
        screen: Screen,
    ) -> None:
        """Prints a row per text; of a single short one, also its tokens."""
        if len(answers) == 1 and len(answers[0].tokens) < _FEW_TOKENS:
            only = answers[0]
            screen.table(
                ("token", "ln P"),
                [
                    (token, f"{value:.3f}")
                    for token, value in zip(
                        only.tokens, only.log_probabilities, strict=True
                    )
                ],
            )
        screen.table(
            ("id", "pseudo-log-likelihood", "tokens", "perplexity", "text"),
            [
                (
                    example.guid,
                    f"{answer.pseudo_log_likelihood:.3f}",
                    len(answer.tokens),
                    _shown(answer.perplexity),
                    example.text_a,
                )
                for example, answer in zip(examples, answers, strict=True)
            ],
        )

    def summary(self) -> list[str]:
        """Adds the perplexity over all texts."""
        unknown = ""
        if self._num_unknown:
            unknown = f", {self._num_unknown} of them unknown"
        perplexity = math.exp(-self._total / self._num_tokens)
        line = (
            f"perplexity {_shown(perplexity)} over {self._num_tokens} tokens "
            f"of {self._num_texts} "
            f"{'text' if self._num_texts == 1 else 'texts'}{unknown}"
        )
        return [*super().summary(), line]


class NextSentence(Task):
    """How likely B follows A."""

    columns = ("id", "probability")
    _when_too_long = "the ends of their longer texts were left out"

    def __init__(self, job: Job, model: MaskedLM) -> None:
        """Checks that there is a next-sentence head."""
        super().__init__(job, model)
        model.next_sentence([])

    def check(self, example: InputExample) -> None:
        """Checks that there are two texts."""
        packed = self._model.packed_pair(*_pair(example))
        self._num_long += packed.num_dropped > 0

    def answers(self, examples: Sequence[InputExample]) -> list[float]:
        """Computes the probabilities."""
        pairs = [_pair(example) for example in examples]
        return [*map(float, self._model.next_sentence(pairs))]

    def record(self, example: InputExample, answer: float) -> dict[str, Any]:
        """Returns the probability."""
        return {"id": example.guid, "probability": answer}

    def rows(self, example: InputExample, answer: float) -> Iterator[list[Any]]:
        """Yields a row per pair."""
        yield [example.guid, answer]

    def show(
        self,
        examples: Sequence[InputExample],
        answers: Sequence[float],
        screen: Screen,
    ) -> None:
        """Prints a row per pair."""
        screen.table(
            ("id", "probability", "first text", "second text"),
            [
                (example.guid, _shown(answer), *_pair(example))
                for example, answer in zip(examples, answers, strict=True)
            ],
        )


TASKS: Mapping[str, type[Task]] = {
    FILL_MASK: FillMask,
    PSEUDO_LIKELIHOOD: PseudoLikelihood,
    NEXT_SENTENCE: NextSentence,
    AUGMENT: Augment,
}


def _pair(example: InputExample) -> tuple[str, str]:
    if example.text_b is None:
        raise UserError(
            "there is one text where a pair is needed; give --text and "
            "--text_b, or a file with two columns of texts (--text_column, "
            "--text_pair_column)"
        )
    return example.text_a, example.text_b


def _of_several_masks(
    answer: Filling,
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Returns a column for each mask, and one for all of them together."""
    columns = [
        [f"{word.text}  {_shown(word.score)}" for word in words]
        for words in answer.words
    ]
    columns.append(
        [
            f"{' | '.join(word.text for word in one.words)}  "
            f"{_shown(one.score)}"
            for one in answer.joint
        ]
    )
    names = [f"mask {number}" for number in range(1, len(columns))]
    return [*names, "together"], [
        *itertools.zip_longest(*columns, fillvalue="")
    ]


def _numbers(found: Word | JointFilling) -> dict[str, float]:
    return {"probability": found.probability, "score": found.score}


def _shown(number: float) -> str:
    """Returns a number as it is printed, such as 0.0312 or 1.2e-07."""
    return f"{number:.3g}"
