"""Tagging: a tag for each token, which says where entities are.

    labels = ("O", "B-PER", "I-PER")
    tokens   Steve   Smith   sang      →  Steve Smith, PER
    tags     B-PER   I-PER   O

What is not of this program is in `tagging/`: schemes, windows, decoding and
figures. Files are read and written in `tagged_data`.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.evaluation import Evaluation, Table
from bert_keras3.finetuning.task import LabelSource, TaskDefaults, Tensors
from bert_keras3.inputs.feature_store import Column, FeatureStore
from bert_keras3.inputs.tagged_text import ENDINGS, PREDICTIONS, Found
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.answering import Tagger, found_entities
from bert_keras3.tagging.decoding import decode
from bert_keras3.tagging.examples import TaggedExample
from bert_keras3.tagging.metrics import (
    Counts,
    confusion_of_types,
    matching,
)
from bert_keras3.tagging.schemes import (
    BEGIN,
    SINGLE,
    Entity,
    TagSet,
    entities_of,
    strict_entities_of,
)
from bert_keras3.tagging.windows import (
    NO_TAG,
    TAG_COLUMN,
    TAGS,
    WINDOW_COLUMNS,
    TrustedPieces,
    WindowMaker,
)
from bert_keras3.tagging.words import WORDS

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.finetuning.encoding import TextEncoder
    from modeling.shapes import Tensor
    from tokenization.tokenizers import Tokenizer

TAGS_PER_ROW = "tags_per_row"
"""Column with the mean number of tags in a row of the file, the same in each.
The loss is divided by it, and not by the tags of a batch, so that a tag
weighs the same in whatever batch or part of one it is."""

NONE = "none"
"""In the confusion of types: no entity with these tokens."""
_MOST_MISTAKES = 20


@dataclasses.dataclass(frozen=True)
class Tagging(TaskDefaults):
    """Each token has one tag.

    Attributes:
        labels: names of the tags; see `schemes.TagSet`.
        decode: how tags are chosen, `viterbi` or `argmax`.
        window_overlap: how many pieces two windows of a long text share;
            None: a quarter of a window.
        split: how texts are split into tokens, see `tagging.words`.
    """

    name: ClassVar[str] = "tagging"
    default_metric: ClassVar[str] = "f1"
    heads: ClassVar[tuple[str, ...]] = ("token_labels",)
    targets: ClassVar[tuple[str, ...]] = (TAGS, TAGS_PER_ROW)
    per_token: ClassVar[tuple[str, ...]] = ("logits",)
    result_files: ClassVar[tuple[str, ...]] = tuple(
        f"{PREDICTIONS}{ending}" for ending in ENDINGS
    )
    exported: ClassVar[tuple[str, ...]] = ("logits",)
    epochs_of_rows: ClassVar[bool] = True

    labels: tuple[str, ...] = ()
    decode: str = "viterbi"
    window_overlap: int | None = None
    split: str = WORDS

    @functools.cached_property
    def tags(self) -> TagSet:
        """The tags by number."""
        return TagSet(self.labels)

    def windows(self, tokenizer: Tokenizer, max_seq_length: int) -> WindowMaker:
        """Returns what makes the rows of a text.

        Raises:
            UserError: the overlap is too large.
        """
        overlap = self.window_overlap
        if overlap is None:
            overlap = max_seq_length // 4
        return WindowMaker(tokenizer, max_seq_length, overlap)

    @property
    def own_rows(self) -> bool:
        """See `Task`."""
        return True

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> TagReader:
        """See `Task`."""
        return TagReader(self, encoder, labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        return (
            *("loss", "token_accuracy", "precision", "recall", "f1"),
            *("macro_f1", "strict_precision", "strict_recall", "strict_f1"),
        )

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Mean cross-entropy of the tags, of `logits` [B, S, C]."""
        from modeling.losses import token_classification_loss

        return token_classification_loss(
            outputs["logits"], features[TAGS], features[TAGS_PER_ROW]
        )

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """See `Task`: every token counts."""
        from modeling.losses import soft_token_loss

        return soft_token_loss(
            outputs["logits"],
            teacher["logits"],
            temperature,
            features["input_mask"],
        )

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns how many entities of each type there are."""
        tags = examples.store.arrays[TAGS]
        counts = np.bincount(
            tags[tags != NO_TAG], minlength=len(self.labels)
        ) * np.isin(self.tags.roles, (BEGIN, SINGLE))
        types = self.tags.type_ids
        return {
            name: int(counts[types == number].sum())
            for number, name in enumerate(self.tags.types)
        }

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Figures of entities, lenient and strict, and of tokens.

        Lenient is what conlleval and seqeval count by default; strict leaves
        out predicted entities whose tags break the scheme. With
        `decode="viterbi"` none does.
        """
        import scipy.special

        tags = self.tags
        tokens = TrustedPieces.of(
            examples.store, examples.rows, examples.numbers
        )
        logits = outputs["logits"][tokens.places]
        true_ids = examples.store.arrays[TAGS][tokens.in_store]
        found_ids = decode(logits, tokens.offsets, tags, self.decode)
        log_probs = scipy.special.log_softmax(logits.astype(np.float64), -1)
        true, found = (
            entities_of(tags.roles[ids], tags.type_ids[ids], tokens.offsets)
            for ids in (true_ids, found_ids)
        )
        strict = strict_entities_of(
            tags.roles[found_ids],
            tags.type_ids[found_ids],
            tokens.offsets,
            has_ends=tags.has_ends,
        )
        num_types = len(tags.types)
        counts = Counts.of(true, found, num_types)
        of_strict = Counts.of(true, strict, num_types)
        scalars = {
            "loss": float(
                -log_probs[np.arange(len(true_ids)), true_ids].mean()
            ),
            "token_accuracy": float((true_ids == found_ids).mean()),
            **counts.total(),
            "macro_f1": counts.macro_f1(),
            **{f"strict_{k}": v for k, v in of_strict.total().items()},
        }
        confusion = confusion_of_types(true, found, num_types)
        mistakes = _mistakes(true, found, tokens, examples, tags)
        names = (*tags.types, NONE)
        details = {
            "per_label": counts.per_type(tags.types),
            "strict_per_label": of_strict.per_type(tags.types),
            "mistakes": mistakes,
        }
        tables = (
            Table(
                "types of entities with the same tokens",
                ("true \\ predicted", *names),
                [
                    (name, *row)
                    for name, row in zip(names, confusion.tolist(), strict=True)
                ],
            ),
            Table(
                "most frequent mistakes",
                ("entity", "true", "predicted", "times"),
                [tuple(mistake.values()) for mistake in mistakes],
            ),
        )
        return Evaluation(
            scalars,
            details,
            confusion,
            names,
            tables[: 1 + bool(mistakes)],
            rows=lambda: (
                {"expected": one, "predicted": other}
                for one, other in zip(
                    _by_text(true, tokens.offsets, tags),
                    _by_text(found, tokens.offsets, tags),
                    strict=True,
                )
            ),
        )

    def answers(
        self, outputs: Outputs, examples: Examples
    ) -> Iterator[list[Found]]:
        """The entities of each text, by tokens."""
        tokens = TrustedPieces.of(
            examples.store, examples.rows, examples.numbers
        )
        logits = outputs["logits"][tokens.places]
        return found_entities(logits, tokens.offsets, self.tags, self.decode)

    def write_answers(
        self,
        folder: pathlib.Path,
        source: Source,
        answers: Iterable[list[Found]],
    ) -> pathlib.Path:
        """Writes the file again, in its own form, with what was found."""
        file: Any = source  # a `tagged_data.TaggedSource`
        path: pathlib.Path = file.write_found(answers, folder)
        return path

    def answering(self, tokenizer: Tokenizer, max_seq_length: int) -> Tagger:
        """See `RowTask`."""
        windows = self.windows(tokenizer, max_seq_length)
        return Tagger(windows, self.tags, self.decode, self.split)


class TagReader:
    """Converts texts into windows, and entities into tags."""

    def __init__(
        self, task: Tagging, encoder: TextEncoder, labels: LabelSource | None
    ) -> None:
        """Makes a reader.

        Args:
            task: with its options.
            encoder: of the texts.
            labels: the tags; None for a test file.
        """
        self._task = task
        self._labels = labels
        self._survey = encoder.survey
        self._windows = task.windows(encoder.tokenizer, encoder.max_seq_length)
        special = encoder.tokenizer.special_tokens[0]
        self._unknown = encoder.tokenizer.vocab[special]
        self._num_long = self._num_rows = 0
        self._path = ""
        if labels is not None:
            self._task = dataclasses.replace(task, labels=labels.labels or ())

    @property
    def columns(self) -> Mapping[str, Column]:
        """What the model reads, which pieces count, and their tags."""
        if self._labels is None:
            return WINDOW_COLUMNS
        return {**WINDOW_COLUMNS, TAGS: TAG_COLUMN}

    def rows(self, example: TaggedExample) -> Iterator[Mapping[str, Any]]:
        """Yields the windows of a text.

        Raises:
            UserError: an entity has a type that the training data has not.
        """
        self._path = example.path
        ids, first = self._windows.pieces(example.tokens)
        self._survey.add_tokens(len(ids), ids.count(self._unknown), False)
        tags = None
        if self._labels is not None:
            tags = self._tags(example)
        number = 0
        for row in self._windows.rows(ids, first, tags):
            number += 1
            yield row
        if number > 1:
            self._num_long += 1
            self._num_rows += number

    def _tags(self, example: TaggedExample) -> np.ndarray:
        entities = example.entities or ()
        try:
            return self._task.tags.encode(entities, len(example.tokens))
        except KeyError:
            known = self._task.tags.types
            wrong = next(one for one in entities if one.type not in known)
            raise UserError(
                f"{example.path}, line {example.line_of(wrong.first)}: the "
                f"type {wrong.type!r} is not among those of the training "
                f"data: {', '.join(known)}. Correct it, or train on data that "
                "has this type."
            ) from None

    def finish(self, store: FeatureStore) -> tuple[Tagging, FeatureStore]:
        """Returns the task, and the store with what the loss needs.

        Raises:
            UserError: no text has a token.
        """
        if not len(store):
            raise UserError(
                f"{self._path}: no text of it has a token; is it the right "
                "file, and the right column of tokens?"
            )
        if self._labels is None:
            return self._task, store
        tags = store.arrays[TAGS]
        mean = np.count_nonzero(tags != NO_TAG) / max(1, len(store))
        column = Column("float32")
        values = np.full(len(store), mean, np.float32)
        return self._task, store.with_column(TAGS_PER_ROW, column, values)

    def notes(self) -> Sequence[str]:
        """Says how many texts have several windows."""
        if not self._num_long:
            return ()
        long, rows = self._num_long, self._num_rows
        return (f"texts longer than a row: {long}, read in {rows} windows",)


def _by_text(
    entities: np.ndarray, offsets: np.ndarray, tags: TagSet
) -> Iterator[list[tuple[int, int, str]]]:
    """Yields the entities of each text: (first token, behind its last, type).

    Args:
        entities: int [E, 3], by tokens of all texts, in order.
        offsets: int [N + 1], where each text's tokens begin.
        tags: with the types.
    """
    bounds = np.searchsorted(entities[:, 0], offsets)
    for start, first, behind in zip(
        offsets[:-1].tolist(), bounds[:-1], bounds[1:], strict=True
    ):
        yield [
            (a - start, b - start, tags.types[kind])
            for a, b, kind in entities[first:behind].tolist()
        ]


def _mistakes(
    true: np.ndarray,
    found: np.ndarray,
    tokens: TrustedPieces,
    examples: Examples,
    tags: TagSet,
) -> list[dict[str, Any]]:
    """Returns what was most often not found or wrongly so, with its text.

    The texts are read again from the file.
    """
    pairs = matching(true, found)
    # −1, where there is none, is the last number.
    of_true = np.append(true[:, 2], len(tags.types))[pairs[:, 0]]
    of_found = np.append(found[:, 2], len(tags.types))[pairs[:, 1]]
    is_wrong = of_true != of_found
    spans = np.concatenate([true[:, :2], [[0, 0]]])[pairs[:, 0]]
    spans[pairs[:, 0] < 0] = found[pairs[pairs[:, 0] < 0, 1], :2]
    names = (*tags.types, NONE)
    wrong: dict[int, list[tuple[int, int, str, str]]] = {}
    for (first, behind), one, other in zip(
        spans[is_wrong].tolist(),
        of_true[is_wrong].tolist(),
        of_found[is_wrong].tolist(),
        strict=True,
    ):
        number = int(np.searchsorted(tokens.offsets, first, "right")) - 1
        start = int(tokens.offsets[number])
        wrong.setdefault(int(examples.numbers[number]), []).append(
            (first - start, behind - start, names[one], names[other])
        )
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    if wrong:
        last = max(wrong)
        for number, example in enumerate(examples.source):
            for first, behind, one, other in wrong.get(number, ()):
                text = example.text_of(Entity(first, behind, ""))
                counts[text, one, other] += 1
            if number == last:
                break
    return [
        {"entity": text, "true": one, "predicted": other, "times": times}
        for (text, one, other), times in counts.most_common(_MOST_MISTAKES)
    ]
