"""A checkpoint and what belongs to it: configuration, vocabulary, case, labels.

In the files of a vocabulary and of labels the line number is the id; unlike
`tokenization.load_vocab`, which returns {token: id}, `read_vocabulary` keeps
tokens that occur twice.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.architectures import (
    ARCHITECTURES,
    BEGINNINGS,
    FINE_TUNED,
)
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.loading import (
    Report,
    assign,
    check_loadable,
)
from bert_keras3.checkpointing.sentence_pooling import (
    SentencePooling,
    read_sentence_pooling,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.added_tokens import AddedToken
from tokenization.cleaning import with_cleaning
from tokenization.tokenizers import Tokenizer, open_tokenizer
from tokenization.vocab import is_sentence_pieces, load_vocab, tokens_in_order

SENTENCE_PIECES = "spiece.model"


@dataclasses.dataclass(frozen=True)
class Description:
    """What a file of weights says of itself beside them.

    Attributes:
        what: what it is, in words; "" where its family says enough.
        vocab_file: the vocabulary that it names.
        do_lower_case: whether text is lower-cased, if it says so.
        assumed: what its configuration had to assume, for the user.
        notes: what else is to be said to the user.
        other_options: those of its tokenizer that Google's do not have, as in
            `Checkpoint`.
        tokenizer_options: those that it states, likewise.
        clean: rules of `tokenization.cleaning` that texts go through.
        max_seq_length: most tokens of an input, if it says so.
        pooling: how it makes vectors of texts, if it says so.
    """

    what: str = ""
    vocab_file: pathlib.Path | None = None
    do_lower_case: bool | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    other_options: tuple[str, ...] = ()
    tokenizer_options: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )
    max_seq_length: int | None = None
    pooling: SentencePooling | None = None


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that belongs to one checkpoint.

    Attributes:
        arrays: the weights under Google's names, read on access; none where
            a model starts from random weights.
        config: the configuration; `architectures`, `problem_type` and
            `id2label`, if it has them, say what a trained model was trained
            for.
        vocabulary: the tokens in the order of their ids, or None.
        do_lower_case: whether text is lower-cased before it is tokenized.
        sentence_pieces: bytes of the SentencePiece model, or None if the
            vocabulary is WordPiece's.
        source: path as the user gave it, for messages; "" for none.
        weights_file: the prefix or file of the weights, if it was opened.
        vocab_file: file that the vocabulary was read from, if any.
        why_lower_case: the reason for `do_lower_case`, in words.
        other_options: those of its tokenizer, `name: value`, that Google's
            tokenizers do not have, so that tokens would differ.
        tokenizer_options: those that its files state, under the names that
            Hugging Face's have, to be written again.
        added_tokens: those that a Hugging Face tokenizer adds to its
            vocabulary file; in `vocabulary` they have their places.
        notes: what was decided without the files' saying so, for the user.
        max_seq_length: most tokens of an input, [CLS] and [SEP] included, if
            a file says so.
        pooling: how it makes vectors of texts, if it says so itself.
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
    other_options: tuple[str, ...] = ()
    tokenizer_options: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )
    added_tokens: tuple[AddedToken, ...] = ()
    notes: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    max_seq_length: int | None = None
    pooling: SentencePooling | None = None

    @property
    def has_weights(self) -> bool:
        """Whether there are weights to load."""
        return bool(self.source)

    def tokenizer(self) -> Tokenizer:
        """Makes the tokenizer of the vocabulary.

        Raises:
            UserError: there is no vocabulary, or it is of a tokenizer that
                would give other tokens.
        """
        if self.vocab_file is None:
            where = "give an --init_checkpoint with one beside it, or "
            if self.weights_file is not None:
                where = (
                    f"{self.weights_file.parent} has no vocab.txt and no "
                    "SentencePiece model; name one with "
                )
            raise UserError(f"there is no vocabulary: {where}--vocab_file")
        if self.other_options:
            raise UserError(
                f"{self.vocab_file.parent}: its tokenizer has "
                f"{', '.join(self.other_options)}, which Google's tokenizers "
                "do not have, so the model would be given other tokens than "
                "it was trained with. A copy of the vocabulary in another "
                "folder, as --vocab_file, is read as theirs all the same"
            )
        plain = open_tokenizer(self.vocab_file, self.do_lower_case)
        return with_cleaning(plain, self.clean)

    def load_into(
        self, model: Any, allow_missing: Iterable[str] = ()
    ) -> Report:
        """Assigns these weights to a model; see `loading.assign`.

        Raises:
            UserError: a weight is missing or has another shape, and
                `allow_missing` does not match it.
        """
        return assign(
            model, self.arrays, self.source, allow_missing=allow_missing
        )

    @property
    def may_start_random(self) -> tuple[str, ...]:
        """How the names of weights begin that a training may do without.

        The pooler's, if the checkpoint has none at all: ELECTRA has none, and
        many are lost in conversions. It starts random then, as heads do.
        """
        return () if "pooler" in self.heads else (names.HEADS["pooler"],)

    def check_encoder(self, allow_missing: Iterable[str] = ()) -> None:
        """Checks that the encoder's weights fit, before long work is done.

        Raises:
            UserError: a weight of the encoder is missing or has another
                shape, and `allow_missing` does not match it.
        """
        if self.has_weights:
            shapes = names.shapes(self.config)
            check_loadable(shapes, self.arrays, self.source, allow_missing)

    @property
    def family(self) -> str:
        """The family of its weights' names, one of `names.FAMILIES`."""
        return names.family(self.arrays)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that it has weights of, some of `names.HEADS`."""
        return names.heads_in(self.arrays)

    @property
    def num_labels(self) -> int:
        """Number of classes of the head `labels`; 0 without one."""
        if "output_bias" not in self.arrays:
            return 0
        return self.arrays.shape("output_bias")[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, from the configuration; else LABEL_0, LABEL_1."""
        return self.named_labels or tuple(
            f"LABEL_{number}" for number in range(self.num_labels)
        )

    @property
    def named_labels(self) -> tuple[str, ...]:
        """The classes' names in the configuration; () if it has none."""
        named = getattr(self.config, "id2label", None)
        numbers = [str(number) for number in range(self.num_labels)]
        # A configuration may be left over from another task.
        if not isinstance(named, dict) or set(named) != set(numbers):
            return ()
        return tuple(str(named[number]) for number in numbers)

    @property
    def task(self) -> str | None:
        """What it was trained for, a key of `FINE_TUNED`.

        None where it was pretrained only, and where nothing says what the
        outputs at `output_weights` are.
        """
        architecture = self.architecture
        if "labels" in self.heads and architecture != self._stated:
            return None
        tasks = [
            task
            for task, row in FINE_TUNED.items()
            if architecture.endswith(row.ending)
        ]
        # Several where `problem_type` decides, or else the number of outputs.
        problem = getattr(self.config, "problem_type", None)
        for task in tasks:
            if FINE_TUNED[task].problem_type == problem:
                return task
        if len(tasks) > 1:
            return "regression" if self.num_labels == 1 else "single_label"
        return tasks[0] if tasks else None

    @property
    def sentence_pooling(self) -> SentencePooling | None:
        """How vectors of texts are made; None if nothing says so.

        A sentence-transformers folder does, and `pooling`.

        Raises:
            UserError: a file is damaged, or it has a module that is not
                computed here.
        """
        if self.pooling is not None or self.weights_file is None:
            return self.pooling
        return read_sentence_pooling(self.weights_file.parent)

    @property
    def architecture(self) -> str:
        """The architecture, one of ARCHITECTURES.

        The configuration's is taken where the heads agree with it: a
        classifier of tokens and one of sequences have the same weights.
        """
        fitting = [
            name
            for name, heads in ARCHITECTURES.items()
            if name.startswith(BEGINNINGS.get(self.family, "Bert"))
            and set(heads) <= set(self.heads)
        ]
        stated = self._stated
        return stated if stated in fitting else fitting[0]

    @property
    def _stated(self) -> str | None:
        """The architecture that the configuration names."""
        stated = getattr(self.config, "architectures", None)
        if not isinstance(stated, list) or not stated:
            return None
        return str(stated[0])


def check_modelled(arrays: Arrays, source: str, purpose: str) -> None:
    """Checks that a checkpoint is of a BERT or an ALBERT.

    Args:
        arrays: the checkpoint's arrays.
        source: the checkpoint's name, for messages.
        purpose: the flag that needs it, for messages.

    Raises:
        UserError: the weights have other names.
    """
    family = names.family(arrays)
    if not names.is_modelled(family):
        raise UserError(
            f"{source}: is {names.FAMILIES[family]}; {purpose} needs the "
            "weights of a BERT or an ALBERT"
        )


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
        from tokenization.sentence_pieces import SentencePieceTokenizer

        return tuple(SentencePieceTokenizer(path).vocab)
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
        sentence_pieces: bytes of the SentencePiece model, if it is one.
    """
    if sentence_pieces is not None:
        (folder / SENTENCE_PIECES).write_bytes(sentence_pieces)
    elif tokens is not None:
        text = "".join(f"{token}\n" for token in tokens)
        (folder / "vocab.txt").write_bytes(text.encode("utf-8"))


def read_labels(
    labels_file: str | os.PathLike[str], count: int | None = None
) -> tuple[str, ...]:
    """Reads the names of a classifier's labels.

    Args:
        labels_file: one name a line, after a header or not; UTF-8.
        count: rows of the classifier's `output_weights`; None for one that is
            to be trained, whose file has no header.

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
    if count is not None and len(labels) == count + 1:
        del labels[0]  # a header
    if count is not None and len(labels) != count:
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
