"""Why a trained model answers as it does: the part of each token.

explainer = Explainer("out")  # the --output_dir of a fine-tuning
explainer.explain(["A fine film."])  # [[Explanation(label="positive", …)]]
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from bert_keras3.explaining.answers import BY_HEAD, Explained
from bert_keras3.explaining.attributions import (
    INTEGRATED_GRADIENTS,
    METHODS,
    AttributedInput,
    Beside,
)
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.exported_tasks import RowTask
from bert_keras3.finetuning.long_texts import LongTexts
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.inputs.examples import example_of
from bert_keras3.inputs.extra_columns import CATEGORIES, NUMBERS
from bert_keras3.safekeeping.errors import UserError
from tokenization.tokenizers import Tokenizer

# Token that says nothing.
_ABSENT = "[MASK]"
_KEPT = ("[CLS]", "[SEP]")
# Of the rows of an input, such as windows or choices, the one with the highest
# score is the answer; a tagger answers in all of them.
_ANSWERS_IN_ALL = ("token_labels",)

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why one answer was given.

    Attributes:
        label: what was predicted: a label, the type of an entity, `answer`.
        tokens: S tokens of the input, or of the part of it that was read; of
            windows that overlap each token once.
        segment_ids: S numbers, 1 for the second text.
        scores: the part of each token in the logit; above 0 it speaks for the
            answer.
        value: the logit; of several tokens their sum.
        absent_value: the same where every token but [CLS] and [SEP] is [MASK],
            and every column has its mean.
        places: numbers of the tokens that the answer is about; () for all.
        method: one of `attributions.METHODS`.
        error: by how much all scores miss value − absent_value, as a part of
            it; above `attributions.TOLERANCE`, they are not to be trusted.
        num_steps: points at which gradients were taken.
        columns: (name, value) of each column that the model reads beside the
            text.
        column_scores: the part of each.
    """

    label: str
    tokens: tuple[str, ...]
    segment_ids: tuple[int, ...]
    scores: tuple[float, ...]
    value: float
    absent_value: float
    places: tuple[int, ...]
    method: str
    error: float
    num_steps: int
    columns: tuple[tuple[str, str], ...] = ()
    column_scores: tuple[float, ...] = ()


class Explainer:
    """A trained model in memory, asked for reasons.

    Attributes:
        folder: where it is from.
        task: that it was trained for.
        takes_pairs: whether its inputs are pairs of texts.
    """

    def __init__(self, model_dir: str | os.PathLike[str]) -> None:
        """Loads the model of a fine-tuning.

        Args:
            model_dir: its `--output_dir`. Exported models have no gradients.

        Raises:
            UserError: there is no such model.
        """
        folder = FinetuningFolder(model_dir)
        self.folder = folder.path
        settings = folder.read_settings()
        self.task = settings.task
        self._find = BY_HEAD[self.task.heads[0]]
        self._answers_in_all = self.task.heads[0] in _ANSWERS_IN_ALL
        self._model = folder.load_model()
        tokenizer = folder.load_tokenizer()
        vocab = tokenizer.vocab
        self._tokens = {number: token for token, number in vocab.items()}
        self._absent_id = vocab.get(_ABSENT, vocab[tokenizer.special_tokens[0]])
        self._kept = [vocab[token] for token in _KEPT]
        self.takes_pairs = settings.takes_pairs
        self._encoder = TextEncoder(tokenizer, settings.max_seq_length)

    def explain(
        self,
        items: Sequence[Any],
        method: str = INTEGRATED_GRADIENTS,
        label: str | None = None,
    ) -> list[list[Explanation]]:
        """Explains the answers to some inputs.

        Args:
            items: N inputs, as `serving.Predictor.predict` takes them: texts,
                pairs, (text, columns), (question, context), (context,
                choices).
            method: `integrated_gradients`, whose scores sum to the difference
                of the logits; `gradient_x_input`, which is fast; or
                `leave_one_out`.
            label: explain this label and not the one predicted, or the
                entities of this type alone.

        Returns:
            For each input its explanations: one for each label that was
            predicted, or for each entity.

        Raises:
            UserError: the method or the label is none of those there are, or
                an input is not what the model takes.
        """
        if method not in METHODS:
            raise UserError(f"method={method}: there are {', '.join(METHODS)}")
        if isinstance(items, (str, bytes)):
            raise UserError(
                "explain takes a list of texts and was given one text; put it "
                "into a list"
            )
        task: Any = self.task
        convert: Callable[[Any], Any] = example_of
        rows_of: Callable[[Any], Iterator[Row]] = self._rows
        if isinstance(task, LongTexts):
            convert = task.example_of
        elif task.own_rows:
            answering = cast(RowTask, task).answering(
                self._encoder.tokenizer, self._encoder.max_seq_length
            )
            convert, rows_of = answering.item, answering.rows
        found = []
        for number, item in enumerate(items):
            try:
                example = convert(item)
                rows = list(rows_of(example))
            except ValueError as error:
                raise UserError(
                    f"input number {number} (from 0): {error}"
                ) from None
            found.append(self._explained(example, rows, method, label))
        return found

    def explain_examples(
        self, examples: Sequence[Any], method: str = INTEGRATED_GRADIENTS
    ) -> list[list[Explanation]]:
        """Explains the answers to examples of a file of the task's own kind.

        Args:
            examples: N of them, as a `dataset.Source` yields them.
            method: as for `explain`.

        Returns:
            As `explain`.
        """
        return [
            self._explained(example, list(self._rows(example)), method, None)
            for example in examples
        ]

    def _rows(self, example: Any) -> Iterator[Row]:
        """Yields the rows of an example, as in an evaluation."""
        return self.task.reader(self._encoder, None).rows(example)

    def _explained(
        self, example: Any, rows: Sequence[Row], method: str, label: str | None
    ) -> list[Explanation]:
        found: list[tuple[float, Callable[[], Explanation]]] = []
        groups = list(self._groups(example, rows))
        for group, places in groups:
            attributed = AttributedInput(
                self._model,
                group,
                places,
                self._kept,
                self._absent_id,
                self._beside(group[0]),
            )
            outputs = attributed.outputs()
            for explained in self._find(self.task, group, outputs, label):
                value = float(explained.score(outputs)[0])
                explanation = functools.partial(
                    self._explanation,
                    example,
                    method,
                    explained,
                    attributed,
                    group,
                    places,
                )
                found.append((value, explanation))
        if len(groups) > 1 and not self._answers_in_all:
            found = [max(found, key=lambda one: one[0])]
        return [explanation() for _, explanation in found]

    def _groups(
        self, example: Any, rows: Sequence[Row]
    ) -> Iterator[tuple[Sequence[Row], Sequence[np.ndarray]]]:
        """Yields rows with one answer, and which token stands where in them."""
        if not isinstance(self.task, LongTexts):
            for row in rows:
                yield [row], [np.arange(len(row["input_ids"]))]
            return
        numbering: Any = _Numbering(self._encoder.tokenizer)
        encoder = dataclasses.replace(self._encoder, tokenizer=numbering)
        yield rows, numbering.places(self.task.rows_of(encoder, example))

    def _beside(self, row: Row) -> dict[str, Beside]:
        """Returns the columns beside the text, which `row` has as features."""
        if not isinstance(self.task, LongTexts):
            return {}
        extra, beside = self.task.extra, {}
        columns = extra.columns_of()
        if NUMBERS in row:
            numbers = np.asarray(row[NUMBERS], np.float32)
            # The mean, as if known.
            absent = np.zeros_like(numbers)
            beside[NUMBERS] = Beside(numbers, absent, columns[NUMBERS])
        if CATEGORIES in row:
            table = np.asarray(self._model.extra.categories.embeddings)
            absent = np.stack(
                [table[codes].mean(0) for codes in extra.known_codes()]
            )
            beside[CATEGORIES] = Beside(
                table[row[CATEGORIES]], absent, columns[CATEGORIES]
            )
        return beside

    def _explanation(
        self,
        example: Any,
        method: str,
        explained: Explained,
        attributed: AttributedInput,
        rows: Sequence[Row],
        places: Sequence[np.ndarray],
    ) -> Explanation:
        found = attributed.attribute(explained.score, method)
        # Tokens that no window has have no place.
        shown, first = np.unique(np.concatenate(places), return_index=True)
        ids, segments = (
            np.concatenate([np.asarray(row[name], np.int64) for row in rows])
            for name in ("input_ids", "segment_ids")
        )
        columns: tuple[tuple[str, str], ...] = ()
        column_scores = found.scores[attributed.num_tokens :]
        if len(column_scores):
            names = self.task.extra.names  # type: ignore[attr-defined]
            columns = tuple(zip(names, example.columns, strict=True))
        return Explanation(
            label=explained.name,
            tokens=tuple(self._tokens[one] for one in ids[first].tolist()),
            segment_ids=tuple(segments[first].tolist()),
            scores=tuple(found.scores[shown].tolist()),
            value=found.value,
            absent_value=found.absent_value,
            places=explained.places,
            method=method,
            error=found.error,
            num_steps=found.num_steps,
            columns=columns,
            column_scores=tuple(column_scores.tolist()),
        )


class _Numbering:
    """Numbers the tokens of an example where a tokenizer has their ids.

    What packs them then says where each token stands in its rows:
    [CLS] 1 2 3 [SEP] and [CLS] 3 4 5 [SEP] are two windows of a text of five.
    """

    _SEP, _UNKNOWN = -1, -2

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._behind: list[int] = []
        self.special_tokens = tokenizer.special_tokens
        self.vocab = dict.fromkeys(tokenizer.special_tokens, self._UNKNOWN)
        self.vocab |= {"[CLS]": 0, "[SEP]": self._SEP}

    def encode(self, text: str) -> Sequence[int]:
        """Returns numbers from 1 on, those of a second text behind a [SEP]."""
        first = self._behind[-1] + 1 if self._behind else 1
        self._behind.append(first + len(self._tokenizer.encode(text)))
        return range(first, self._behind[-1])

    def places(self, rows: Sequence[Row]) -> list[np.ndarray]:
        """Returns the numbers of the tokens of each row."""
        found = []
        for row in rows:
            places = np.array(row["input_ids"])
            segments = np.array(row["segment_ids"])
            separators = np.array(self._behind)[segments]
            found.append(np.where(places == self._SEP, separators, places))
        return found
