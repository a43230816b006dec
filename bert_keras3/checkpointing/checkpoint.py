"""A checkpoint and what belongs to it: configuration, vocabulary, case, labels.

`opening` makes one of the files that a user names. In the files of a
vocabulary and of labels the line is the id; unlike `tokenization.vocab`, which
reads {token: id} for tokenizing, tokens that occur twice are kept here.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence
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
from tokenization.tokenizers import Tokenizer, open_tokenizer, read_tokens
from tokenization.vocab import is_sentence_pieces, load_vocab, tokens_in_order

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


SENTENCE_PIECES = "spiece.model"


def read_vocabulary(path: pathlib.Path) -> tuple[str, ...]:
    """Reads `vocab.txt`, a `tokenizer.json` or a SentencePiece model.

    Args:
        path: the file.

    Returns:
        The tokens in the order of their ids; ids that a `tokenizer.json`
        leaves out are filled with `[missingN]`.

    Raises:
        UserError: the file cannot be read or is no vocabulary.
    """
    if is_sentence_pieces(path):
        return tuple(read_tokens(path))
    ids = load_vocab(path)
    if path.suffix == ".json":
        return tokens_in_order(ids)
    # Universal newlines would also cut at U+2028, a token of the Chinese
    # vocabulary.
    lines = path.read_bytes().decode("utf-8").removeprefix("\ufeff").split("\n")
    if not lines[-1]:
        lines.pop()
    return tuple(line.strip() for line in lines)


def write_vocabulary(
    folder: pathlib.Path,
    tokens: Sequence[str] | None,
    sentence_pieces: bytes | None = None,
) -> None:
    """Writes a vocabulary as Google and Hugging Face do.

    Args:
        folder: gets `vocab.txt`, one token a line, or `spiece.model`.
        tokens: in the order of their ids; None if there is no vocabulary.
        sentence_pieces: the SentencePiece model that they are of.
    """
    if sentence_pieces is not None:
        (folder / SENTENCE_PIECES).write_bytes(sentence_pieces)
    elif tokens is not None:
        text = "".join(f"{token}\n" for token in tokens)
        (folder / "vocab.txt").write_bytes(text.encode("utf-8"))


def read_labels(
    labels_file: str | os.PathLike[str], count: int
) -> tuple[str, ...]:
    """Reads the names of a classifier's labels.

    Args:
        labels_file: one name a line, after a header or not; UTF-8.
        count: rows of the classifier's `output_weights`.

    Raises:
        UserError: the file cannot be read, or does not fit the classifier.
    """
    path = pathlib.Path(labels_file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"--labels_file={path}: cannot be read ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--labels_file={path}: the byte at offset {error.start} is "
            "not UTF-8; save the file as UTF-8"
        ) from error
    labels = [line.strip() for line in text.split("\n") if line.strip()]
    if len(labels) == count + 1:
        del labels[0]  # a header
    if len(labels) != count:
        raise UserError(
            f"--labels_file={path}: has {len(labels)} lines, the "
            f"checkpoint's `output_weights` have {count} rows; name "
            "every label once, in the order of the rows"
        )
    times = collections.Counter(labels)
    twice = [label for label, number in times.items() if number > 1]
    if twice:
        raise UserError(
            f"--labels_file={path}: names {twice[0]!r} twice; every row "
            "of `output_weights` needs a name of its own"
        )
    return tuple(labels)
