"""A `BertModel` and the heads that a checkpoint has, as one Keras model.

What converted `.keras` files hold; training has models of its own, with
losses, in `finetuning` and `pretraining`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from modeling.bert import BertModel
from modeling.config import BertConfig
from modeling.heads import (
    MaskedLanguageModel,
    NextSentence,
    SequenceClassifier,
)


class _Heads(keras.layers.Layer):
    """The container `cls`: the heads whose weights stand in that scope."""

    def __init__(
        self, config: BertConfig, heads: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(**{"name": "cls", **kwargs})
        self.masked_lm: Any = None
        self.next_sentence: Any = None
        self.span: Any = None
        if "masked_lm" in heads:
            self.masked_lm = MaskedLanguageModel(config, name="predictions")
        if "next_sentence" in heads:
            self.next_sentence = NextSentence(config, name="seq_relationship")
        if "span" in heads:
            # Two outputs for each token, made like the two for a sequence.
            self.span = NextSentence(config, name="squad")

    def build(self, input_shape: Any = None) -> None:
        for head in (self.masked_lm, self.next_sentence, self.span):
            if head is not None:
                head.build()

    def call(
        self, outputs: dict[str, Any], embedding_table: Any
    ) -> dict[str, Any]:
        logits = {}
        if self.masked_lm is not None:
            logits["masked_lm_logits"] = self.masked_lm(
                outputs["sequence_output"], embedding_table
            )
        if self.next_sentence is not None:
            logits["next_sentence_logits"] = self.next_sentence(
                outputs["pooled_output"]
            )
        if self.span is not None:
            logits["span_logits"] = self.span(outputs["sequence_output"])
        return logits


@keras.saving.register_keras_serializable(package="bert")
class BertWithHeads(keras.Model):
    """The encoder and some of the heads that BERT checkpoints come with.

    The masked-LM head uses the word table itself, so the tie survives saving
    and loading.
    """

    def __init__(
        self,
        config: BertConfig,
        heads: Sequence[str] = (),
        num_labels: int = 0,
        labels_per_token: bool = False,
        **kwargs: Any,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            heads: some of "masked_lm", "next_sentence", "span", "labels".
            num_labels: classes of the head "labels", C.
            labels_per_token: whether it answers for every token instead of
                once for the sequence.
            **kwargs: of `keras.Model`.
        """
        super().__init__(**{"name": "bert_with_heads", **kwargs})
        self.settings = {
            "heads": list(heads),
            "num_labels": num_labels,
            "labels_per_token": labels_per_token,
        }
        self.bert = BertModel(config)
        self.cls = _Heads(config, heads)
        self.cls.build()
        self.classifier: Any = None
        if "labels" in heads:
            self.classifier = SequenceClassifier(
                num_labels, config.hidden_size, name="classifier"
            )
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes all there is.

        Args:
            inputs: as for `BertModel`.
            training: whether dropout is on.

        Returns:
            `sequence_output` [B, S, D] and `pooled_output` [B, D], and with
            the heads `masked_lm_logits` [B, S, V], `next_sentence_logits`
            [B, 2], `start_logits` and `end_logits` [B, S], `logits` [B, C]
            or [B, S, C].
        """
        outputs = self.bert(inputs, training=training)
        return self._answers(
            {
                name: outputs[name]
                for name in ("sequence_output", "pooled_output")
            },
            lambda per_token: per_token,
            training,
        )

    def real_outputs(
        self, inputs: Any, training: bool | None = None
    ) -> dict[str, Any]:
        """Computes all there is of real tokens, and nothing for padding.

        Args:
            inputs: as for `BertModel`.
            training: whether dropout is on.

        Returns:
            As `call`; what is said of tokens is 0 where there is padding.
        """
        matrix, rows = self.bert.sequence_rows(inputs, training=training)
        return self._answers(
            {
                "sequence_output": matrix,
                "pooled_output": self.bert.pool_rows(matrix, rows),
            },
            rows.spread,
            training,
        )

    def _answers(
        self,
        outputs: dict[str, Any],
        place: Callable[[Any], Any],
        training: bool | None,
    ) -> dict[str, Any]:
        """Adds what the heads say; `place` puts tokens' numbers into [B, S]."""
        answer = outputs | self.cls(outputs, self.bert.get_embedding_table())
        if self.classifier is not None:
            answer["logits"] = self.classifier(
                outputs[self._classified()], training=training
            )
        per_token = {"sequence_output", "masked_lm_logits", "span_logits"}
        if self._classified() == "sequence_output":
            per_token.add("logits")
        for name in per_token & answer.keys():
            answer[name] = place(answer[name])
        if (span := answer.pop("span_logits", None)) is not None:
            answer["start_logits"] = span[..., 0]
            answer["end_logits"] = span[..., 1]
        return answer

    def _classified(self) -> str:
        per_token = self.settings["labels_per_token"]
        return "sequence_output" if per_token else "pooled_output"

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.bert.config.to_dict(),
            **self.settings,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertWithHeads:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)
