"""Describes a checkpoint from names and shapes alone.

No weights are read, so it works without the data files too: of Google's
`bert_model.ckpt.index` it finds sizes, heads, and which tasks it can start.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bert_keras3.checkpointing import google, names
from bert_keras3.checkpointing.architectures import TASKS
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.checkpoint import Checkpoint, read_vocabulary
from bert_keras3.checkpointing.conversion import parameters
from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.checkpointing.google import as_albert
from bert_keras3.checkpointing.loading import compare
from bert_keras3.checkpointing.opening import Location, config_at, locate
from bert_keras3.checkpointing.sentence_pooling import (
    SentencePooling,
    read_sentence_pooling,
)
from bert_keras3.checkpointing.sizes import sizes_of
from bert_keras3.checkpointing.sources import Path
from bert_keras3.checkpointing.tokenizer_files import (
    note_on_added_tokens,
    with_added_tokens,
)
from bert_keras3.checkpointing.variants import check_computable
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.tokenizer_options import options_that_differ
from tokenization.vocab import (
    MAX_VOCAB_SIZE,
    guess_do_lower_case,
    keeps_accents,
)


@dataclasses.dataclass(frozen=True)
class TaskFit:
    """Which weights a task needs and a checkpoint has.

    Attributes:
        task: one of TASKS.
        missing: weights that the checkpoint lacks; they would start random.
        unused: weights that the task does not use.
        wrong_shape: weights that do not fit the configuration.
    """

    task: str
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    wrong_shape: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The description of a checkpoint.

    Attributes:
        path: its prefix or file.
        format: one of `formats.FORMATS`.
        family: one of `names.FAMILIES`.
        what: what it is, in words.
        sizes: sizes from the shapes, under the configuration's names; the
            number of attention heads is the configuration's.
        parameters: number of parameters, without optimizer slots.
        dtypes: number of weights of each dtype.
        heads: its heads, of `names.HEADS`.
        architecture: Hugging Face's class for it.
        trained_for: what it was trained for, a key of
            `architectures.FINE_TUNED`, if anything says so.
        labels: names of its outputs, if they have some.
        sentence_pooling: how a sentence-transformers folder makes vectors, or
            None.
        slots: number of optimizer slots.
        slot_parameters: number of values in them.
        vocabulary: number of lines of the vocabulary beside it, or None.
        config: the configuration beside it, or None.
        fits: which weights each task needs and finds.
        notes: remarks for the user.
    """

    path: str
    format: str
    family: str
    what: str
    sizes: Mapping[str, int]
    parameters: int
    dtypes: Mapping[str, int]
    heads: tuple[str, ...]
    architecture: str
    trained_for: str | None
    labels: tuple[str, ...]
    sentence_pooling: SentencePooling | None
    slots: int
    slot_parameters: int
    vocabulary: int | None
    config: Mapping[str, Any] | None
    fits: tuple[TaskFit, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON values."""
        return dataclasses.asdict(self)


def inspect(path: Path) -> Inspection:
    """Describes a checkpoint.

    Args:
        path: see `opening.locate`; of a Google checkpoint the index alone
            is enough.

    Returns:
        The description.

    Raises:
        UserError: there is no checkpoint, or its index or header is damaged.
    """
    location = locate(path)
    arrays, notes = _open(location)
    notes += [*location.notes, *arrays.notes]
    config = None
    try:
        config = config_at(location, arrays)
    except UserError as error:
        notes.append(str(error))
    try:
        check_computable(as_albert(arrays), config, str(location.weights))
    except UserError as error:
        notes.append(str(error))
    says = FORMATS[location.format].describe(location.weights)
    pooling = says.pooling
    try:
        pooling = pooling or read_sentence_pooling(location.weights.parent)
    except UserError as error:
        notes.append(str(error))
    family = names.family(arrays)
    described = Checkpoint(as_albert(arrays), config or BertConfig(None))
    notes += (*says.assumed, *says.notes)
    sizes = _sizes(arrays, config)
    vocab_file = says.vocab_file or location.vocab_file
    vocabulary = None
    if vocab_file is not None:
        tokens, about = _vocabulary(
            vocab_file, location.weights, sizes.get("vocab_size")
        )
        vocabulary = len(tokens)
        notes += about
    if family == "albert_zh":
        # Its configuration is that of the ALBERT which computes the same.
        shown = {**sizes}
        shown.pop("embedding_size", None)
        notes += _disagreements(shown, config)
    else:
        notes += _disagreements(sizes, config)
    notes += _about_vocabulary(sizes.get("vocab_size"), vocabulary)
    slots = {n: e for n, e in arrays.entries.items() if n in arrays.slots}
    weights = {n: e for n, e in arrays.entries.items() if n not in slots}
    return Inspection(
        path=str(location.weights),
        format=location.format,
        family=family,
        what=says.what or _in_words(family, location.format),
        sizes=sizes,
        parameters=parameters(arrays),
        dtypes=dict(
            collections.Counter(str(e.dtype) for e in weights.values())
        ),
        heads=described.heads,
        architecture=described.architecture,
        trained_for=described.task,
        labels=described.named_labels,
        sentence_pooling=pooling,
        slots=len(slots),
        slot_parameters=parameters(arrays, slots=True),
        vocabulary=vocabulary,
        config=config.to_dict() if config else None,
        fits=tuple(_fit(task, arrays, sizes, family) for task in TASKS),
        notes=tuple(notes),
    )


def _in_words(family: str, format_name: str) -> str:
    """Says what the model is and whose file it is."""
    words = names.FAMILIES[family]
    if family == "unknown":
        return words
    return f"{words}, {FORMATS[format_name].words}"


def _open(location: Location) -> tuple[Arrays, list[str]]:
    """Opens a checkpoint; one of Google's also without its data files."""
    if location.format != "google":
        return FORMATS[location.format].read(location.weights), []
    try:
        return google.read(location.weights), []
    except UserError as error:
        arrays = google.read_index(location.weights)
        return arrays, [f"names and shapes only: {error}"]


def _sizes(arrays: Arrays, config: BertConfig | None) -> dict[str, int]:
    sizes = sizes_of(arrays)
    if config is not None:
        # Weights shared by layers do not show the number of layers.
        sizes.setdefault("num_hidden_layers", config.num_hidden_layers)
        sizes["num_attention_heads"] = config.num_attention_heads
    return sizes


def _disagreements(
    sizes: Mapping[str, int], config: BertConfig | None
) -> list[str]:
    said = vars(config) if config is not None else {}
    return [
        f"the configuration says {field} {said[field]}, the weights {size}"
        for field, size in sizes.items()
        if said.get(field, size) != size
    ]


def _vocabulary(
    vocab_file: pathlib.Path, weights: pathlib.Path, rows: int | None
) -> tuple[Sequence[str], list[str]]:
    """Returns the tokens, and what is unusual about their tokenizer."""
    folder = vocab_file.parent
    tokens: Sequence[str] = read_vocabulary(vocab_file)
    ids = {token: number for number, token in enumerate(tokens)}
    case, _ = guess_do_lower_case(weights, ids)
    notes: list[str] = []
    try:
        tokens, added = with_added_tokens(
            tokens, vocab_file, rows or MAX_VOCAB_SIZE
        )
        notes += note_on_added_tokens(added, folder)
    except UserError as error:
        notes.append(str(error))
    options = options_that_differ(folder, case, keeps_accents(tokens))
    if options:
        notes.append(
            f"its tokenizer has {', '.join(options)}, which Google's do not "
            "have, so that texts are refused; conversions keep it"
        )
    return tokens, notes


def _about_vocabulary(rows: int | None, lines: int | None) -> list[str]:
    if rows is None or lines is None or lines == rows:
        return []
    if lines < rows:
        note = "the rest of them have no word"
    else:
        note = "the two do not belong together"
    return [f"{lines} lines of vocabulary for {rows} rows of words: {note}"]


def _fit(
    task: str, arrays: Arrays, sizes: Mapping[str, int], family: str
) -> TaskFit:
    """Compares the weights with those that a task needs.

    Of families that are not modelled only the heads are compared.
    """
    heads = TASKS[task]
    if family == "albert_zh":
        arrays, family = as_albert(arrays), "albert"
        one_group = {"num_hidden_groups": 1, "inner_group_num": 1}
        sizes = {**sizes, "embedding_size": sizes["hidden_size"], **one_group}
    expected = {}
    if names.is_modelled(family):
        expected = _expected(arrays, sizes, heads)
    if expected:
        report = compare(expected, arrays, task)
        return TaskFit(
            task,
            report.missing,
            report.unused,
            tuple(str(mismatch) for mismatch in report.wrong_shape),
        )
    there = names.heads_in(arrays)
    return TaskFit(
        task,
        tuple(f"{names.HEADS[h]}…" for h in heads if h not in there),
        tuple(f"{names.HEADS[h]}…" for h in there if h not in heads),
        (),
    )


def _expected(
    arrays: Arrays, sizes: Mapping[str, int], heads: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    try:
        config = BertConfig.from_dict(
            {
                **sizes,
                # No shape depends on it.
                "num_attention_heads": 1,
            }
        )
        config.validate()
    except UserError:
        return {}
    return names.shapes(config, heads, sizes.get("num_labels", 0))
