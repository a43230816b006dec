"""A checkpoint: its weights on demand, configuration, vocabulary and case.

`opening` makes one of the files that a user names.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.architectures import ARCHITECTURES
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.loading import (
    Report,
    assign,
    check_loadable,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.tokenizers import Tokenizer, open_tokenizer

_BEGINNINGS = {"bert": "Bert", "albert": "Albert"}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that belongs to one checkpoint.

    Attributes:
        arrays: the weights under Google's names, read when they are asked
            for; none where a model starts from random weights.
        config: the sizes; may carry `architectures` and `id2label`.
        vocabulary: the tokens in the order of their ids, or None.
        do_lower_case: whether text is lower-cased before it is tokenized.
        sentence_pieces: the SentencePiece model that the vocabulary is of,
            or None if it is WordPiece's.
        source: what the user called it, for messages; "" for none.
        weights_file: the prefix or file of the weights, if it was opened.
        vocab_file: where the vocabulary was read from, if it was.
        why_lower_case: why case is folded or not, in words.
    """

    arrays: Arrays
    config: BertConfig
    vocabulary: tuple[str, ...] | None = None
    do_lower_case: bool = True
    sentence_pieces: bytes | None = None
    source: str = ""
    weights_file: pathlib.Path | None = None
    vocab_file: pathlib.Path | None = None
    why_lower_case: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether there is anything to load."""
        return bool(self.source)

    def tokenizer(self) -> Tokenizer:
        """Makes the tokenizer of the vocabulary.

        Raises:
            UserError: there is no vocabulary.
        """
        if self.vocab_file is None:
            where = "give an --init_checkpoint with one beside it, or "
            if self.weights_file is not None:
                where = (
                    f"{self.weights_file.parent} has no vocab.txt and no "
                    "SentencePiece model; name one with "
                )
            raise UserError(f"there is no vocabulary: {where}--vocab_file")
        return open_tokenizer(self.vocab_file, self.do_lower_case)

    def load_into(
        self, model: Any, allow_missing: Iterable[str] = ()
    ) -> Report:
        """Gives a model these weights; see `loading.assign`.

        Raises:
            UserError: a weight is missing or of another shape, and may not.
        """
        return assign(
            model, self.arrays, self.source, allow_missing=allow_missing
        )

    def check_encoder(self, allow_missing: Iterable[str] = ()) -> None:
        """Checks that the encoder's weights fit, before long work is done.

        Raises:
            UserError: a weight of the encoder is missing or has another
                shape, and may not.
        """
        if self.has_weights:
            shapes = names.shapes(self.config)
            check_loadable(shapes, self.arrays, self.source, allow_missing)

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
