"""Google's checkpoints: name-based TensorFlow 1 files (`.index`, `.data`).

`bert_model.ckpt` means the files `bert_model.ckpt.index` and
`bert_model.ckpt.data-00000-of-00001`; weights keep their names.

The early Chinese ALBERT (brightmart/albert_zh) comes in such files too. Its
word embedding table is the product of two and its one layer has BERT's names;
`as_albert` gives it the names and shapes of Google's ALBERT, so that it needs
no model of its own.
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from bert_keras3.checkpointing import names, tensor_bundle
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry, widened
from bert_keras3.checkpointing.checkpoint import Checkpoint, write_vocabulary
from bert_keras3.checkpointing.object_graph import OBJECT_GRAPH
from bert_keras3.checkpointing.scopes import without_scope
from bert_keras3.checkpointing.tensor_bundle import IndexEntry
from bert_keras3.checkpointing.tokenizer_files import (
    lines_with,
    write_unusual_options,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

PREFIX = "bert_model.ckpt"
_PART = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")

# `model.ckpt-20`: its stem and its number of steps.
_STEPS = re.compile(r"(.*)-(\d+)")

# The early Chinese ALBERT's names: of its layer and of the second factor of
# its word embedding table; then the names of Google's ALBERT.
_LAYER = "bert/encoder/layer_shared/"
_FACTOR = "bert/embeddings/word_embeddings_2"
_SHARED = "bert/encoder/transformer/group_0/inner_group_0/"
_PARTS = (
    ("attention/self/", "attention_1/self/"),
    ("attention/output/dense/", "attention_1/output/dense/"),
    ("attention/output/LayerNorm/", "LayerNorm/"),
    ("intermediate/dense/", "ffn_1/intermediate/dense/"),
    ("output/dense/", "ffn_1/intermediate/output/dense/"),
    ("output/LayerNorm/", "LayerNorm_1/"),
)


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the prefix of a path that is a prefix or one of its files."""
    prefix = find_prefix(path)
    return None if prefix is None or is_object_based(prefix) else prefix


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all prefixes, or the newest one, as `prefixes_in`."""
    return [one for one in prefixes_in(folder) if not is_object_based(one)]


def find_prefix(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the prefix of a path, as `find`, of TensorFlow 2's files too."""
    prefix = prefix_of(path)
    return prefix if index_of(prefix).is_file() else None


def prefixes_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all prefixes, or the newest one, of TensorFlow 2's files too.

    That is the one that the file `checkpoint` names; else, where they differ
    in the number of steps alone, `model.ckpt-20` and not `model.ckpt-10`.
    """
    prefixes = [path.with_suffix("") for path in sorted(folder.glob("*.index"))]
    latest = _latest(folder / "checkpoint")
    chosen = [prefix for prefix in prefixes if prefix.name == latest]
    if not chosen:
        steps = [_STEPS.fullmatch(prefix.name) for prefix in prefixes]
        numbers = {int(match[2]): match for match in steps if match}
        if None not in steps and len({m[1] for m in steps if m}) == 1:
            chosen = [folder / numbers[max(numbers)].string]
    return chosen or prefixes


def notes_on_choice(prefix: pathlib.Path) -> tuple[str, ...]:
    """Says that a folder has others than the one that `find_in` chose."""
    count = sum(1 for _ in prefix.parent.glob("*.index"))
    if count == 1:
        return ()
    note = (
        f"{prefix.parent} holds {count} checkpoints; the newest, "
        f"{prefix.name}, is read. To read another, give its path"
    )
    return (note,)


def prefix_of(path: pathlib.Path) -> pathlib.Path:
    """Returns a path without TensorFlow's ending, such as `.index`."""
    return path.with_name(_PART.sub("", path.name))


def index_of(prefix: pathlib.Path) -> pathlib.Path:
    """Returns the path of a prefix's index."""
    return prefix.with_name(f"{prefix.name}.index")


def is_object_based(prefix: pathlib.Path) -> bool:
    """Whether a checkpoint is TensorFlow 2's, which `model_garden` reads."""
    try:
        return OBJECT_GRAPH in read_entries(prefix)[1]
    except UserError:
        return False  # `read` says what is wrong with it


def _latest(state: pathlib.Path) -> str | None:
    """Reads which checkpoint is the latest.

    Only the name is used: the folder may have been moved since, and a path
    in a file must not lead elsewhere.
    """
    try:
        text = state.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
    return re.split(r"[/\\]", match[1])[-1] if match else None


def read(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint for reading, tensor by tensor.

    Args:
        prefix: path without the `.index` ending.

    Returns:
        The arrays under Google's names.

    Raises:
        UserError: see `read_tensors`, or it holds several models.
    """
    return without_scope(read_tensors(prefix), str(prefix))


def read_tensors(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint, TensorFlow 2's too, as `read`.

    Returns:
        The arrays under their names in the file.

    Raises:
        UserError: it is no checkpoint, or is truncated; later, on access, a
            tensor is damaged.
    """
    shards, index = read_entries(prefix)
    sizes = _sizes_of_data(prefix, shards)
    for name, entry in index.items():
        if entry.end > sizes[entry.shard]:
            raise UserError(
                f"{prefix}: is cut short: {name} ends at byte {entry.end} of "
                f"a data file of {sizes[entry.shard]} bytes; fetch it again"
            )
    if sum(entry.size for entry in index.values()) > sum(sizes):
        raise UserError(
            f"{prefix}.index: lists more bytes than the data files have; some "
            "tensors share theirs, which no checkpoint does"
        )
    return _arrays(prefix, shards, index)


def read_index(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint whose data may be absent: names and shapes only."""
    return without_scope(_arrays(prefix, *read_entries(prefix)), str(prefix))


def _arrays(
    prefix: pathlib.Path, shards: int, index: Mapping[str, IndexEntry]
) -> Arrays:
    paths = tensor_bundle.data_files(prefix, shards)
    entries = {}
    for name in sorted(index):
        stored = index[name]
        if stored.dtype.kind == "O":
            continue  # text, no weight
        entries[name] = Entry(
            stored.shape,
            stored.dtype,
            functools.partial(
                _read_tensor, prefix, name, paths[stored.shard], stored
            ),
        )
    return widened(Arrays(entries))


def read_entries(
    prefix: pathlib.Path,
) -> tuple[int, Mapping[str, IndexEntry]]:
    """Returns the number of data files, and where each tensor lies in them.

    Raises:
        UserError: the index is damaged.
    """
    status = index_of(prefix).stat()
    return _entries(prefix, status.st_size, status.st_mtime_ns)


# Which format it is has to be known before it is read.
@functools.lru_cache(maxsize=2)
def _entries(
    prefix: pathlib.Path, size: int, changed: int
) -> tuple[int, Mapping[str, IndexEntry]]:
    return _parse(prefix)


def _parse(prefix: pathlib.Path) -> tuple[int, Mapping[str, IndexEntry]]:
    try:
        return tensor_bundle.parse(index_of(prefix).read_bytes())
    except ValueError as error:
        raise _not_an_index(prefix, error) from error


def _not_an_index(prefix: pathlib.Path, error: ValueError) -> UserError:
    return UserError(
        f"{prefix}.index: is not the index of a TensorFlow checkpoint, or is "
        f"damaged: {error}; fetch it again"
    )


def _sizes_of_data(prefix: pathlib.Path, shards: int) -> list[int]:
    paths = tensor_bundle.data_files(prefix, shards)
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise UserError(
            f"{prefix}.index: the weights themselves are not beside it: "
            f"{', '.join(absent[:3])} is missing in {prefix.parent}"
        )
    return [path.stat().st_size for path in paths]


def _read_tensor(
    prefix: pathlib.Path, name: str, path: pathlib.Path, entry: IndexEntry
) -> Array:
    try:
        return tensor_bundle.read_tensor(path, entry)
    except ValueError as error:
        raise UserError(
            f"{prefix}: the tensor {name} is damaged: {error}; fetch the "
            "checkpoint again"
        ) from error


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder as Google publishes its models.

    `bert_model.ckpt` in two files, as `tf.compat.v1.train.Saver` writes it,
    the `checkpoint` file that names the latest, and what `write_sidecars`
    writes.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; optimizer slots too, if it has them.
    """
    tensor_bundle.write(folder / PREFIX, checkpoint.arrays)
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{PREFIX}"\n'
        f'all_model_checkpoint_paths: "{PREFIX}"\n',
        encoding="utf-8",
    )
    write_sidecars(folder, checkpoint)


def write_sidecars(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes `bert_config.json`, or ALBERT's, and the vocabulary.

    Options and added tokens of a Hugging Face tokenizer, which Google's do
    not have, are kept in a file of the name that they have there.
    """
    family = names.family_of(checkpoint.config)
    (folder / f"{family}_config.json").write_text(
        checkpoint.config.to_json_string(), encoding="utf-8"
    )
    tokens = checkpoint.vocabulary
    if tokens is not None:
        tokens = lines_with(tokens, checkpoint.added_tokens)
    write_vocabulary(folder, tokens, checkpoint.sentence_pieces)
    write_unusual_options(folder, checkpoint)


def as_albert(arrays: Arrays) -> Arrays:
    """Gives an early Chinese ALBERT the names of Google's ALBERT.

    Args:
        arrays: arrays of any checkpoint.

    Returns:
        The arrays with Google's names and the word embedding table [V, D] in
        the place of its factors [V, E] and [E, D], multiplied on access;
        optimizer slots are unchanged, as are all other checkpoints.
    """
    if names.family(arrays) != "albert_zh":
        return arrays
    entries = {_renamed(n): entry for n, entry in arrays.entries.items()}
    words, factor = (
        entries.get(names.WORD_EMBEDDINGS),
        entries.pop(_FACTOR, None),
    )
    if words is not None and factor is not None:
        entries[names.WORD_EMBEDDINGS] = Entry(
            (*words.shape[:1], *factor.shape[1:]),
            words.dtype,
            functools.partial(_product, words, factor),
        )
    return Arrays(entries, arrays.notes)


def config_as_albert(config: BertConfig, source: str) -> BertConfig:
    """Returns the configuration that belongs to `as_albert`'s weights.

    Args:
        config: as published: with `embedding_size` and `ln_type`, without
            groups.
        source: file of the configuration, for messages.

    Raises:
        UserError: LayerNorm comes before each part of a layer (`preln`, the
            largest model), which is not computed here.
    """
    values = config.to_dict()
    if values.pop("ln_type", "postln") != "postln":
        raise UserError(
            f"{source}: ln_type is {config.ln_type!r}; only 'postln' is "  # type: ignore[attr-defined]
            "computed here"
        )
    one_group = {
        "embedding_size": config.hidden_size,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    }
    return BertConfig.from_dict({**values, **one_group})


def _renamed(name: str) -> str:
    if not name.startswith(_LAYER) or names.is_slot(name):
        return name
    rest = name.removeprefix(_LAYER)
    for part, shared in _PARTS:
        if rest.startswith(part):
            return _SHARED + shared + rest.removeprefix(part)
    return name


def _product(words: Entry, factor: Entry) -> Array:
    return np.matmul(words.read(), factor.read())
