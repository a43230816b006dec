"""One trained model on its way between formats: arrays, sizes, vocabulary.

`formats` reads and writes these; what they are called elsewhere is decided
in the format modules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

# What a checkpoint is for, by the name that Hugging Face has for it, and the
# heads it then has to have; the first that fits is taken.
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "BertForQuestionAnswering": ("span",),
    "BertForSequenceClassification": ("pooler", "labels"),
    "BertForTokenClassification": ("labels",),
    "BertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "BertForMaskedLM": ("masked_lm",),
    "BertForNextSentencePrediction": ("pooler", "next_sentence"),
    "BertModel": (),
    "AlbertForQuestionAnswering": ("span",),
    "AlbertForSequenceClassification": ("pooler", "labels"),
    "AlbertForTokenClassification": ("labels",),
    "AlbertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "AlbertForMaskedLM": ("masked_lm",),
    "AlbertModel": (),
}
_BEGINNINGS = {"bert": "Bert", "albert": "Albert"}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that belongs to one checkpoint.

    Attributes:
        arrays: the weights under Google's names.
        config: the sizes; may carry `architectures` and `id2label`.
        vocabulary: the tokens in the order of their ids, or None.
        do_lower_case: whether text is lower-cased before it is tokenized.
        sentence_pieces: the SentencePiece model that the vocabulary is of,
            or None if it is WordPiece's.
    """

    arrays: Arrays
    config: BertConfig
    vocabulary: tuple[str, ...] | None = None
    do_lower_case: bool = True
    sentence_pieces: bytes | None = None

    @property
    def family(self) -> str:
        """Whose names the weights have, one of `names.FAMILIES`."""
        return names.family(self.arrays)

    @property
    def heads(self) -> tuple[str, ...]:
        """What stands on top of the layers: some of `names.HEADS`."""
        return names.heads_in(self.arrays)

    @property
    def num_labels(self) -> int:
        """Classes of the head `labels`; 0 without one."""
        if "output_bias" not in self.arrays:
            return 0
        return self.arrays.shape("output_bias")[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, from the configuration; else LABEL_0, LABEL_1."""
        named = getattr(self.config, "id2label", None) or {}
        # A configuration may have been handed on to another task.
        if len(named) != self.num_labels:
            named = {}
        return tuple(
            str(named.get(str(number), f"LABEL_{number}"))
            for number in range(self.num_labels)
        )

    @property
    def architecture(self) -> str:
        """What it is for, one of ARCHITECTURES.

        The configuration's word is taken where the heads agree with it: a
        classifier of tokens and one of sequences have the same weights.
        """
        told = (getattr(self.config, "architectures", None) or [None])[0]
        fitting = [
            name
            for name, heads in ARCHITECTURES.items()
            if name.startswith(_BEGINNINGS.get(self.family, "Bert"))
            and set(heads) <= set(self.heads)
        ]
        return told if told in fitting else fitting[0]


def refuse_unless_modelled(arrays: Arrays, source: str, purpose: str) -> None:
    """Checks that there is a model for these layers.

    Args:
        arrays: a checkpoint's.
        source: what to call it.
        purpose: what they are needed for, in words.

    Raises:
        UserError: the layers have other names.
    """
    family = names.family(arrays)
    if not names.is_modelled(family):
        raise UserError(
            f"{source}: is {names.FAMILIES[family]}; {purpose} needs the "
            "weights of a BERT or an ALBERT"
        )
