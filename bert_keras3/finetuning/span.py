"""Answers that are a span of a text: its first and its last token.

    question  who sang ?                 start logits  … steve 5  smith 1
    context   Steve Smith sang.          end logits    … steve 1  smith 6
    row       [CLS] who sang ? [SEP] steve smith sang . [SEP]
    answer    "Steve Smith", characters 0 to 11

A long context becomes several rows, its windows. Windows, decoding, files and
official metrics are in `question_answering/`.

Original: `run_squad.py`.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.task import LabelSource, TaskDefaults, Tensors
from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.question_answering import answer_metrics
from bert_keras3.question_answering.answer_files import (
    N_BEST,
    NULL_ODDS,
    PREDICTIONS,
    write_answers,
)
from bert_keras3.question_answering.answers import (
    Answer,
    AnswerSettings,
    WindowScores,
    find_answers,
)
from bert_keras3.question_answering.windows import (
    END_POSITION,
    START_POSITION,
    Purpose,
    WindowMaker,
    WindowSettings,
)
from tokenization.tokenizers import FullTokenizer, Tokenizer

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor

START, END = "start_logits", "end_logits"
SQUAD, CMRC = "squad", "cmrc"


@dataclasses.dataclass(frozen=True)
class SpanPrediction:
    """The answer to a question.

    Attributes:
        text: a stretch of the context; empty for "no answer".
        start: its first character in the context, from 0; −1 if there is no
            answer.
        end: the character behind its last; −1 if there is no answer.
        probability: softmax over the n best answers.
        null_odds: score of "no answer" less that of the best answer; None for
            a model whose questions all have one.
        n_best: (text, probability) of the n best answers.
    """

    text: str
    start: int
    end: int
    probability: float
    null_odds: float | None
    n_best: tuple[tuple[str, float], ...]


@dataclasses.dataclass(frozen=True)
class Span(TaskDefaults):
    """Each question is answered by a span of its context, or by nothing.

    The options are flags of `span_settings.QuestionFiles`.
    """

    name: ClassVar[str] = "span"
    default_metric: ClassVar[str] = "f1"
    repeats_labels: ClassVar[bool] = False
    heads: ClassVar[tuple[str, ...]] = ("span",)
    targets: ClassVar[tuple[str, ...]] = (START_POSITION, END_POSITION)
    per_token: ClassVar[tuple[str, ...]] = (START, END)
    reads_padding: ClassVar[bool] = True
    result_files: ClassVar[tuple[str, ...]] = (PREDICTIONS, N_BEST, NULL_ODDS)
    exported: ClassVar[tuple[str, ...]] = (START, END)

    labels: tuple[str, ...] = ()
    doc_stride: int = 128
    max_query_length: int = 64
    version_2_with_negative: bool = False
    answers_by: str = "words"
    n_best_size: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float = 0.0
    always_answer: bool = False
    answer_metrics: str = SQUAD

    @property
    def own_rows(self) -> bool:
        """See `Task`."""
        return True

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> SpanReader:
        """See `Task`."""
        purpose: Purpose = "predict"
        if labels is not None:
            purpose = "train" if labels.is_training else "evaluate"
        return SpanReader(self, encoder, purpose)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        always = ("loss", "exact_match", "f1")
        if not self.version_2_with_negative:
            return always
        return (*always, "best_exact", "best_f1")

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Mean cross-entropy of the first and the last token, [B, S] each."""
        from modeling.losses import span_loss

        return span_loss(
            outputs[START],
            outputs[END],
            features[START_POSITION],
            features[END_POSITION],
        )

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """See `Task`: as `loss`, the mean of both ends."""
        from modeling.losses import soft_classification_loss

        start, end = (
            soft_classification_loss(outputs[name], teacher[name], temperature)
            for name in (START, END)
        )
        return (start + end) / 2.0

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns how many questions have an answer, and how many none."""
        examples = examples.with_rows()
        first = np.searchsorted(examples.store.examples, examples.numbers)
        impossible = examples.store.arrays["is_impossible"][first]
        num_impossible = int(np.count_nonzero(impossible))
        return {
            "with an answer": len(examples) - num_impossible,
            "without an answer": num_impossible,
        }

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Exact match and F1 by the official rules, in percent, and loss."""
        gold: list[tuple[str, list[str]]] = []
        said: dict[str, str] = {}
        odds: dict[str, float] = {}
        found: list[Answer] = []
        for answer in self._answers(outputs, examples, gold):
            found.append(dataclasses.replace(answer, n_best=()))
            said[answer.question_id] = answer.text
            if answer.null_odds is not None:
                odds[answer.question_id] = answer.null_odds
        loss = _loss(outputs, examples)
        if self.version_2_with_negative:
            figures = answer_metrics.squad_2(
                gold, said, odds, max(1.0, self.null_score_diff_threshold)
            )
            scalars = {
                "loss": loss,
                "exact_match": figures["exact"],
                "f1": figures["f1"],
                "best_exact": figures["best_exact"],
                "best_f1": figures["best_f1"],
            }
        elif self.answer_metrics == CMRC:
            figures = answer_metrics.cmrc_2018(gold, said)
            scalars = {
                "loss": loss,
                "exact_match": figures["em"],
                "f1": figures["f1"],
            }
        else:
            figures = answer_metrics.squad_1(gold, said)
            scalars = {"loss": loss, **figures}
        return Evaluation(
            scalars,
            {"official": figures},
            rows=lambda: itertools.starmap(
                self._row, zip(found, gold, strict=True)
            ),
        )

    def _row(
        self, answer: Answer, gold: tuple[str, list[str]]
    ) -> dict[str, Any]:
        """Returns the answer to a question, and how good it is, from 0 to 1."""
        metric: Callable[..., dict[str, float]] = answer_metrics.squad_1
        exact = "exact_match"
        if self.version_2_with_negative:
            metric, exact = answer_metrics.squad_2, "exact"
        elif self.answer_metrics == CMRC:
            metric, exact = answer_metrics.cmrc_2018, "em"
        figures = metric([gold], {gold[0]: answer.text})
        return {
            "answers": list(dict.fromkeys(gold[1])),
            "predicted": answer.text,
            "start": answer.best.start,
            "end": answer.best.end,
            "probability": round(answer.best.probability, 5),
            "exact": figures[exact] / 100.0,
            "f1": round(figures["f1"] / 100.0, 5),
        }

    def answers(self, outputs: Outputs, examples: Examples) -> Iterator[Answer]:
        """The answer to each question."""
        return self._answers(outputs, examples)

    def write_answers(
        self, folder: pathlib.Path, source: Source, answers: Iterable[Answer]
    ) -> pathlib.Path:
        """Writes the original's files."""
        return write_answers(answers, folder, self.version_2_with_negative)

    def answering(
        self, tokenizer: Tokenizer, max_seq_length: int
    ) -> SpanAnswering:
        """See `RowTask`."""
        return SpanAnswering(self, tokenizer, max_seq_length)

    def window_settings(
        self, tokenizer: Tokenizer, max_seq_length: int
    ) -> WindowSettings:
        """Returns how questions become rows."""
        return WindowSettings(
            max_seq_length,
            self.doc_stride,
            self.max_query_length,
            self.version_2_with_negative,
            self._answers_by(tokenizer),
        )

    def answer_settings(self, tokenizer: Tokenizer) -> AnswerSettings:
        """Returns how answers are chosen."""
        return AnswerSettings(
            self.n_best_size,
            self.max_answer_length,
            self.version_2_with_negative,
            self.null_score_diff_threshold,
            tokenizer.do_lower_case,
            self._answers_by(tokenizer),
            self.always_answer,
        )

    def _answers_by(self, tokenizer: Tokenizer) -> str:
        # The original's comparison of texts is made for WordPiece.
        is_word_piece = isinstance(tokenizer, FullTokenizer)
        return self.answers_by if is_word_piece else "characters"

    def _answers(
        self,
        outputs: Outputs,
        examples: Examples,
        gold: list[tuple[str, list[str]]] | None = None,
    ) -> Iterator[Answer]:
        """Yields the answer to each question of the examples.

        Args:
            outputs: of their rows.
            examples: the questions.
            gold: gets (id, texts of the right answers) of each question.
        """

        def questions() -> Iterator[QuestionExample]:
            wanted = iter(examples.numbers.tolist())
            following = next(wanted, None)
            for number, question in enumerate(examples.source):
                if number == following:
                    following = next(wanted, None)
                    if gold is not None:
                        gold.append(_gold_of(question))
                yield question

        return find_answers(
            questions(),
            WindowScores(
                examples.store,
                examples.rows,
                *(_by_row(outputs[name], examples) for name in (START, END)),
            ),
            examples.tokenizer,
            self.answer_settings(examples.tokenizer),
            examples.numbers,
        )


def _gold_of(question: QuestionExample) -> tuple[str, list[str]]:
    texts = [] if question.is_impossible else question.answers
    return question.question_id, [text for text, _ in texts]


def _by_row(logits: np.ndarray, examples: Examples) -> np.ndarray:
    """Returns logits as `WindowScores` takes them: flat, or [R, S]."""
    if examples.store.fixed_length is None:
        return logits
    return logits.reshape(len(examples.rows), examples.store.fixed_length)


def _loss(outputs: Outputs, examples: Examples) -> float:
    """Returns the mean cross-entropy over rows whose answer was found."""
    store, rows = examples.store, examples.rows
    chosen = store.arrays["is_aligned"][rows].astype(bool)
    if not chosen.any():
        return 0.0
    lengths = store.output_lengths(rows)
    offsets = np.cumsum(lengths) - lengths
    total = 0.0
    for logits_of, position in ((START, START_POSITION), (END, END_POSITION)):
        logits = outputs[logits_of].astype(np.float64)
        right = logits[offsets + store.arrays[position][rows]]
        highest = np.maximum.reduceat(logits, offsets)
        powers = np.exp(logits - np.repeat(highest, lengths))
        losses = np.log(np.add.reduceat(powers, offsets)) + highest - right
        total += float(losses[chosen].mean())
    return total / 2.0


class SpanReader:
    """Converts questions into windows."""

    def __init__(
        self, task: Span, encoder: TextEncoder, purpose: Purpose
    ) -> None:
        """Makes a reader.

        Args:
            task: with its options.
            encoder: of the texts.
            purpose: of the rows.
        """
        tokenizer = encoder.tokenizer
        self._task = task
        self._survey = encoder.survey
        self._unknown_id = tokenizer.vocab[tokenizer.special_tokens[0]]
        self._windows = WindowMaker(
            tokenizer,
            task.window_settings(tokenizer, encoder.max_seq_length),
            purpose,
        )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of `question_answering.windows`."""
        return self._windows.columns

    def rows(self, example: QuestionExample) -> Iterator[Mapping[str, Any]]:
        """Yields the windows of a question; none if it is left out.

        Raises:
            UserError: the question leaves no room for the context.
        """
        for row in self._windows.rows(example):
            ids = row["input_ids"]
            self._survey.add_tokens(
                len(ids), ids.count(self._unknown_id), truncated=False
            )
            yield row

    def finish(self, store: FeatureStore) -> tuple[Span, FeatureStore]:
        """Returns the task and the store."""
        return self._task, store

    def notes(self) -> Sequence[str]:
        """Returns what became of the questions."""
        return self._windows.report.lines()


class SpanAnswering:
    """Answers pairs of question and context."""

    def __init__(
        self, task: Span, tokenizer: Tokenizer, max_seq_length: int
    ) -> None:
        """Prepares.

        Args:
            task: with its options.
            tokenizer: text → token ids.
            max_seq_length: most tokens of a row.
        """
        self._tokenizer = tokenizer
        self._settings = task.answer_settings(tokenizer)
        self._window_settings = task.window_settings(tokenizer, max_seq_length)
        self.columns = self._windows().columns

    def item(self, given: Any) -> QuestionExample:
        """Returns (question, context), as strings or UTF-8, as an example.

        Raises:
            ValueError: it is no such pair.
        """
        if (
            not isinstance(given, (tuple, list))
            or len(given) != 2
            or not all(isinstance(text, (str, bytes)) for text in given)
        ):
            raise ValueError("it must be a pair of strings, question and text")
        question, context = (
            text.decode("utf-8", "ignore") if isinstance(text, bytes) else text
            for text in given
        )
        return QuestionExample("", question, context)

    def rows(self, item: QuestionExample) -> Iterator[Mapping[str, Any]]:
        """Yields the windows of a question.

        Raises:
            UserError: the question leaves no room for the context.
        """
        return self._windows().rows(item)

    def answers(
        self,
        items: Sequence[QuestionExample],
        store: FeatureStore,
        outputs: Outputs,
    ) -> list[SpanPrediction]:
        """Returns an answer to each question."""
        scores = WindowScores(
            store, np.arange(len(store)), outputs[START], outputs[END]
        )
        return [
            SpanPrediction(
                answer.text,
                answer.best.start,
                answer.best.end,
                answer.best.probability,
                answer.null_odds,
                tuple((one.text, one.probability) for one in answer.n_best),
            )
            for answer in find_answers(
                items, scores, self._tokenizer, self._settings
            )
        ]

    def _windows(self) -> WindowMaker:
        # It counts what it sees, so several threads cannot share one.
        return WindowMaker(self._tokenizer, self._window_settings, "predict")
