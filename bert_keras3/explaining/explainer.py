"""Why a trained model answers as it does: the part of each token.

explainer = Explainer("out")  # the --output_dir of a fine-tuning
explainer.explain(["A fine film."])  # [[Explanation(label="positive", …)]]
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from bert_keras3.explaining.answers import BY_HEAD, Explained
from bert_keras3.explaining.attributions import (
    INTEGRATED_GRADIENTS,
    METHODS,
    AttributedRow,
)
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.exported_tasks import RowTask
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.task import MODEL_INPUTS
from bert_keras3.inputs.examples import example_of
from bert_keras3.safekeeping.errors import UserError

# Token that says nothing.
_ABSENT = "[MASK]"
_KEPT = ("[CLS]", "[SEP]")
# Of the rows of an input, such as windows or choices, the one with the highest
# score is the answer; a tagger answers in all of them.
_ANSWERS_IN_ALL = ("token_labels",)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why one answer was given.

    Attributes:
        label: what was predicted: a label, the type of an entity, `answer`.
        tokens: S tokens of the input, or of the part of it that was read.
        segment_ids: S numbers, 1 for the second text.
        scores: the part of each token in the logit; above 0 it speaks for the
            answer.
        value: the logit; of several tokens their sum.
        absent_value: the same where every token but [CLS] and [SEP] is [MASK].
        places: numbers of the tokens that the answer is about; () for all.
        method: one of `attributions.METHODS`.
        error: by how much the scores miss value − absent_value, as a part of
            it; above `attributions.TOLERANCE`, they are not to be trusted.
        num_steps: points at which gradients were taken.
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
            UserError: there is no such model, or it reads more than texts.
        """
        folder = FinetuningFolder(model_dir)
        self.folder = folder.path
        settings = folder.read_settings()
        self.task = settings.task
        further = set(self.task.inputs) - set(MODEL_INPUTS)
        if further:
            raise UserError(
                f"{os.fspath(model_dir)}: reads {', '.join(sorted(further))} "
                "beside texts, which cannot be explained"
            )
        if self.task.grouped and self.task.name != "choice":
            raise UserError(
                f"{os.fspath(model_dir)}: reads long texts in windows, whose "
                "pooled answers cannot be explained; train with "
                "--long_text=truncate or head_tail"
            )
        self._find = BY_HEAD[self.task.heads[0]]
        self._answers_in_all = self.task.heads[0] in _ANSWERS_IN_ALL
        self._model = folder.load_model()
        tokenizer = folder.load_tokenizer()
        vocab = tokenizer.vocab
        self._tokens = {number: token for token, number in vocab.items()}
        self._absent_id = vocab.get(_ABSENT, vocab[tokenizer.special_tokens[0]])
        self._kept = {vocab[token] for token in _KEPT}
        self._rows: Callable[[Any], list[Mapping[str, Any]]]
        self.takes_pairs = settings.takes_pairs
        length = settings.max_seq_length
        if self.task.own_rows:
            answering = cast(RowTask, self.task).answering(tokenizer, length)
            self._rows = lambda item: list(answering.rows(answering.item(item)))
        else:
            encoder = TextEncoder(tokenizer, length)
            self._rows = lambda item: [encoder.pack(example_of(item))]

    def explain(
        self,
        items: Sequence[Any],
        method: str = INTEGRATED_GRADIENTS,
        label: str | None = None,
    ) -> list[list[Explanation]]:
        """Explains the answers to some inputs.

        Args:
            items: N inputs, as `serving.Predictor.predict` takes them: texts,
                pairs, (question, context), (context, choices).
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
        return [
            self._explained(number, item, method, label)
            for number, item in enumerate(items)
        ]

    def _explained(
        self, number: int, item: Any, method: str, label: str | None
    ) -> list[Explanation]:
        try:
            rows = self._rows(item)
        except ValueError as error:
            raise UserError(
                f"input number {number} (from 0): {error}"
            ) from None
        found: list[
            tuple[float, AttributedRow, Mapping[str, Any], Explained]
        ] = []
        for row in rows:
            ids = row["input_ids"]
            attributed = AttributedRow(
                self._model,
                row,
                [one not in self._kept for one in ids],
                self._absent_id,
            )
            outputs = attributed.outputs()
            for explained in self._find(self.task, row, outputs, label):
                value = float(explained.score(outputs)[0])
                found.append((value, attributed, row, explained))
        if len(rows) > 1 and not self._answers_in_all:
            found = [max(found, key=lambda one: one[0])]
        return [
            self._explanation(attributed, row, explained, method)
            for _, attributed, row, explained in found
        ]

    def _explanation(
        self,
        attributed: AttributedRow,
        row: Mapping[str, Any],
        explained: Explained,
        method: str,
    ) -> Explanation:
        found = attributed.attribute(explained.score, method)
        return Explanation(
            label=explained.name,
            tokens=tuple(self._tokens[int(one)] for one in row["input_ids"]),
            segment_ids=tuple(int(one) for one in row["segment_ids"]),
            scores=tuple(found.scores.tolist()),
            value=found.value,
            absent_value=found.absent_value,
            places=explained.places,
            method=method,
            error=found.error,
            num_steps=found.num_steps,
        )
