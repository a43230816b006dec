"""Converts checkpoints between formats: the steps of `convert_checkpoint.py`.

Opens a checkpoint, adds words to its vocabulary, writes it in another format
and, with `--verify`, runs both models on the same inputs and compares outputs.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from bert_keras3.checkpointing import added_tokens, kept_tokens, loading, names
from bert_keras3.checkpointing.added_tokens import AddedWords
from bert_keras3.checkpointing.architectures import ARCHITECTURES
from bert_keras3.checkpointing.arrays import Array, Arrays
from bert_keras3.checkpointing.checkpoint import (
    Checkpoint,
    check_modelled,
    read_labels,
)
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.kept_tokens import KeptTokens
from bert_keras3.checkpointing.keras_weights import model_of
from bert_keras3.checkpointing.loading import compare
from bert_keras3.checkpointing.opening import open_checkpoint
from bert_keras3.checkpointing.sources import Path
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

# Largest difference of outputs that `--verify` allows: float32 rounding.
TOLERANCE = 1e-5
# The batch of `--verify`.
_SENTENCES = 4
_LONGEST = 64

# Of the layer `modeling.extra_columns`.
_EXTRA_COLUMNS = "extra_columns/"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a conversion.

    Attributes:
        format: format of the result, one of `formats.FORMATS`.
        with_optimizer: keep the optimizer's slots and `global_step`.
        architecture: one of `architectures.ARCHITECTURES`, where the weights
            fit several.
        labels: names of the classes, in the order of their ids.
        labels_file: file of these names, one a line, instead.
        words: new words for the vocabulary.
        keep_tokens_of: text files whose tokens are kept; None: all tokens.
        verify: run source and result and compare.
        config_file: configuration, where it is not beside the source.
        vocab_file: vocabulary, likewise.
    """

    format: str
    with_optimizer: bool = False
    architecture: str | None = None
    labels: Sequence[str] = ()
    labels_file: Path | None = None
    words: Sequence[str] = ()
    keep_tokens_of: str | None = None
    verify: bool = False
    config_file: Path | None = None
    vocab_file: Path | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a conversion did.

    Attributes:
        source: the checkpoint that was read.
        result: the checkpoint that was written, without what was left out.
        bytes_dropped: bytes of optimizer state that was not written.
        left_out: weights that the format has no name for.
        added: the new words, if there are any.
        kept: the tokens that were kept, if some were left out.
        difference: largest difference of any output, with `--verify`.
    """

    source: Checkpoint
    result: Checkpoint
    bytes_dropped: int
    left_out: tuple[str, ...]
    added: AddedWords | None
    kept: KeptTokens | None
    difference: float | None


def convert(source_path: Path, target: Path, settings: Settings) -> Outcome:
    """Reads a checkpoint and writes it in another format.

    Args:
        source_path: see `opening.locate`.
        target: see `formats.write`.
        settings: the format, and what to change.

    Returns:
        What was done.

    Raises:
        UserError: the input cannot be read or the output not be written as
            wanted, or what was written does not compute the same; there is
            no output then.
    """
    _check_settings(settings)
    source = _with_heads_described(
        open_checkpoint(source_path, settings.config_file, settings.vocab_file),
        settings,
    )
    if any(name.startswith(_EXTRA_COLUMNS) for name in source.arrays):
        raise UserError(
            f"{source_path}: reads extra columns beside its texts, for which "
            "no other format has a place. Use the run folder itself, or "
            "export it with export_saved_model.py"
        )
    _check_config_fits(source, str(source_path))
    result, dropped = source, 0
    if not settings.with_optimizer:
        weights, dropped = without_slots(source.arrays)
        result = dataclasses.replace(source, arrays=weights)
    added = None
    if settings.words:
        result, added = added_tokens.add_tokens(result, settings.words)
    kept = None
    if settings.keep_tokens_of is not None:
        lines = kept_tokens.lines_of(settings.keep_tokens_of)
        result, kept = kept_tokens.keep_tokens(result, lines)
    left_out: list[str] = []
    differences: list[float] = []

    def check(path: pathlib.Path) -> None:
        written = open_checkpoint(path)
        left_out.extend(n for n in result.arrays if n not in written.arrays)
        if settings.verify:
            new = set(added.ids.values()) if added else set()
            ids = kept.ids if kept else None
            differences.append(_verified(source, written, new, ids))

    write(target, result, format=settings.format, check=check)
    entries = dict(result.arrays.entries)
    for name in left_out:
        del entries[name]
    return Outcome(
        source=source,
        result=dataclasses.replace(
            result, arrays=Arrays(entries, result.arrays.notes)
        ),
        bytes_dropped=dropped,
        left_out=tuple(left_out),
        added=added,
        kept=kept,
        difference=differences[0] if differences else None,
    )


def without_slots(arrays: Arrays) -> tuple[Arrays, int]:
    """Returns the weights without optimizer slots, and the slots' bytes."""
    kept = {
        name: entry
        for name, entry in arrays.entries.items()
        if name not in arrays.slots
    }
    dropped = sum(
        math.prod(entry.shape) * entry.dtype.itemsize
        for name, entry in arrays.entries.items()
        if name not in kept
    )
    return Arrays(kept), dropped


def parameters(arrays: Arrays, *, slots: bool = False) -> int:
    """Returns the number of parameters, or of values in optimizer slots."""
    return sum(
        math.prod(entry.shape)
        for name, entry in arrays.entries.items()
        if (name in arrays.slots) is slots
    )


def _with_heads_described(
    checkpoint: Checkpoint, settings: Settings
) -> Checkpoint:
    """Adds architecture and labels from the flags to the configuration."""
    extra: dict[str, object] = {}
    if settings.architecture:
        _check_architecture(
            settings.architecture, checkpoint.heads, checkpoint.num_labels
        )
        extra["architectures"] = [settings.architecture]
    labels = settings.labels
    if settings.labels_file is not None:
        labels = read_labels(settings.labels_file, checkpoint.num_labels)
    if labels:
        if len(labels) != checkpoint.num_labels:
            raise UserError(
                f"labels: {len(labels)} names, and the checkpoint has "
                f"{checkpoint.num_labels} classes"
            )
        extra["id2label"] = {
            str(number): label for number, label in enumerate(labels)
        }
    if not extra:
        return checkpoint
    config = BertConfig.from_dict({**checkpoint.config.to_dict(), **extra})
    return dataclasses.replace(checkpoint, config=config)


def _check_config_fits(checkpoint: Checkpoint, source: str) -> None:
    """Checks the configuration against the weights, before a model is made.

    Only for families that are modelled; others are converted unchecked.
    """
    family = checkpoint.family
    if not names.is_modelled(family):
        return
    config = checkpoint.config
    rows, tokens = config.vocab_size, checkpoint.vocabulary or ()
    if len(tokens) > rows:
        raise UserError(
            f"{checkpoint.vocab_file}: has {len(tokens)} tokens, and the word "
            f"embedding table {rows} rows; name the vocabulary that belongs "
            "to the model with --vocab_file"
        )
    found: dict[str, int | None] = {
        "num_hidden_groups": names.count_groups(checkpoint.arrays)[0] or None
    }
    if family == "bert":
        found["num_hidden_layers"] = names.count_layers(checkpoint.arrays)
    problems = [
        f"{field} is {getattr(config, field)} in the one and {size} in the "
        "other"
        for field, size in found.items()
        if getattr(config, field) != size
    ]
    if not problems:
        expected = names.shapes(config, checkpoint.heads, checkpoint.num_labels)
        report = compare(expected, checkpoint.arrays, source)
        problems = [str(mismatch) for mismatch in report.wrong_shape]
        problems += [f"{name} is missing" for name in report.missing]
        # A part of the encoder that would not be computed.
        problems += [
            f"{name} is too much"
            for name in report.unused
            if names.head_of(name) is None and name.startswith("bert/encoder/")
        ]
    if problems:
        raise UserError(
            f"{source}: its configuration and its weights do not belong "
            f"together: {'; '.join(problems[:4])}. Give the configuration "
            "that does with --bert_config_file"
        )


def _verified(
    source: Checkpoint,
    written: Checkpoint,
    new: set[int],
    kept: Sequence[int] | None,
) -> float:
    difference = largest_difference(source, written, new, kept)
    if not difference <= TOLERANCE:
        raise UserError(
            f"--verify: outputs of the input and of the result differ by up "
            f"to {difference:.3g}, more than {TOLERANCE:g}; "
            "nothing was written"
        )
    return difference


def _check_settings(settings: Settings) -> None:
    if settings.with_optimizer and settings.format != "google":
        raise UserError(
            f"--with_optimizer: --format={settings.format} has no place for "
            "the optimizer's slots; only --format=google has"
        )
    if settings.keep_tokens_of is not None:
        for flag, value in (
            ("with_optimizer", settings.with_optimizer),
            ("add_tokens", settings.words),
        ):
            if value:
                raise UserError(
                    f"--keep_tokens_of and --{flag} exclude each other; cut "
                    "the vocabulary with a command of its own"
                )
    if settings.with_optimizer and settings.words:
        raise UserError(
            "--with_optimizer and --add_tokens exclude each other: the new "
            "rows have no moments"
        )


def _check_architecture(
    architecture: str, heads: Iterable[str], num_labels: int
) -> None:
    absent = [h for h in ARCHITECTURES[architecture] if h not in heads]
    if absent:
        raise UserError(
            f"--architecture={architecture}: the checkpoint lacks "
            f"{' and '.join(absent)}"
        )
    if architecture.endswith("ForMultipleChoice") and num_labels != 1:
        raise UserError(
            f"--architecture={architecture}: the checkpoint has {num_labels} "
            "outputs, and a choice has one, its score"
        )


def largest_difference(
    source: Checkpoint,
    result: Checkpoint,
    avoid: Collection[int] = (),
    kept: Sequence[int] | None = None,
) -> float:
    """Runs two checkpoints on fixed inputs and compares their outputs.

    Args:
        source: the checkpoint that was converted.
        result: the converted one.
        avoid: token ids with another meaning in the result.
        kept: the ids in the source of the result's tokens, ascending; None:
            they are the same.

    Returns:
        The largest absolute difference of any output that both have; infinite
        where outputs differ in shape.

    Raises:
        UserError: one of the two is no BERT or ALBERT, or lacks weights; or
            outputs of the source are not finite.
    """
    if kept is not None:
        avoid = np.setdiff1d(np.arange(source.config.vocab_size), kept)
    inputs = fixed_inputs(source, avoid)
    before = outputs(source, inputs, "the input")
    broken = [n for n, array in before.items() if not np.isfinite(array).all()]
    if broken:
        raise UserError(
            f"{source.source}: its {broken[0]} is not finite, so no results "
            "can be compared: its weights are damaged, or its training "
            "diverged. Without --verify it is converted all the same"
        )
    if kept is not None:
        places = np.searchsorted(kept, inputs["input_ids"])
        inputs["input_ids"] = places.astype(np.int32)
    after = outputs(result, inputs, "the result")
    # A head that the format has no place for is told, not compared.
    for name in before.keys() - after.keys() - {"sequence_output"}:
        del before[name]
    vocabulary = min(source.config.vocab_size, result.config.vocab_size)
    same = np.setdiff1d(np.arange(vocabulary), list(avoid))
    for found, ids in (
        (before, same if kept is None else np.array(kept)),
        (after, same if kept is None else np.arange(len(kept))),
    ):
        if "masked_lm_logits" in found:
            found["masked_lm_logits"] = found["masked_lm_logits"][..., ids]
    if {n: a.shape for n, a in before.items()} != {
        n: a.shape for n, a in after.items()
    }:
        return float("inf")
    # NumPy's maximum, since NaN is what it is of anything and NaN.
    return float(
        np.max(
            [
                np.max(np.abs(before[name] - after[name]), initial=0.0)
                for name in before
            ]
        )
    )


def fixed_inputs(
    checkpoint: Checkpoint, avoid: Collection[int] = ()
) -> dict[str, Array]:
    """Returns a batch that is the same every time.

    Args:
        checkpoint: its configuration gives the sizes.
        avoid: token ids not to use.

    Returns:
        `input_ids`, `input_mask` and `segment_ids`, int32 [4, S]; the first
        sentence is full, the others end in padding.
    """
    config = checkpoint.config
    rng = np.random.default_rng(0)
    length = min(_LONGEST, config.max_position_embeddings)
    usable = np.setdiff1d(np.arange(config.vocab_size), list(avoid))
    ids = rng.choice(usable, (_SENTENCES, length))
    lengths = rng.integers(1, length, _SENTENCES)
    lengths[0] = length
    places = np.arange(length)
    mask = places < lengths[:, None]
    second = (places >= lengths[:, None] // 2) & (config.type_vocab_size > 1)
    return {
        "input_ids": np.where(mask, ids, 0).astype(np.int32),
        "input_mask": mask.astype(np.int32),
        "segment_ids": (mask & second).astype(np.int32),
    }


def outputs(
    checkpoint: Checkpoint, inputs: dict[str, Array], source: str
) -> dict[str, Array]:
    """Runs a checkpoint.

    Args:
        checkpoint: a BERT or an ALBERT.
        inputs: see `fixed_inputs`.
        source: name of the checkpoint in messages.

    Returns:
        Every output that its weights give, by name. A checkpoint without a
        pooler has no `pooled_output`.

    Raises:
        UserError: see `largest_difference`.
    """
    check_modelled(checkpoint.arrays, source, "--verify")
    model = model_of(checkpoint)
    pooled = "pooler" in checkpoint.heads
    loading.assign(
        model,
        checkpoint.arrays,
        source,
        allow_missing=() if pooled else ("bert/pooler",),
    )
    found = model(inputs)
    wanted = {"sequence_output"} | ({"pooled_output"} if pooled else set())
    return {
        name: np.asarray(output)
        for name, output in found.items()
        if name in wanted or name.endswith("logits")
    }
