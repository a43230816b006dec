"""Writes the vectors of all texts of a file.

Original: extract_features.py. Texts are read, computed and written in blocks,
within which they are sorted by length, so that memory does not grow with the
file.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Iterable, Iterator

from bert_keras3 import checkpointing
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path
from bert_keras3.training.session import Screen
from bert_keras3.vectors.files import (
    Block,
    Layout,
    check_writable,
    open_writer,
)
from bert_keras3.vectors.pooling import Pooling
from bert_keras3.vectors.pooling_names import FIXED, NONE
from bert_keras3.vectors.reading import TextFile, open_texts
from bert_keras3.vectors.settings import Extraction
from bert_keras3.vectors.text_computer import Row, TextComputer
from tokenization.packing import check_max_seq_length

# A block has this many texts at most,
_TEXTS_AT_ONCE = 1 << 14
# and this many tokens (128 MB of Python's integers),
_TOKENS_AT_ONCE = 1 << 21
# and, where each token has vectors, this many of their components (256 MB).
_COMPONENTS_AT_ONCE = 1 << 26
_LEAST_TOKENS = 1 << 10


def extract(wanted: Extraction, screen: Screen) -> None:
    """Writes a file of vectors.

    Args:
        wanted: which vectors of which texts.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong; nothing has been written then.
    """
    check_writable(wanted.output_file, wanted.format)
    texts = open_texts(wanted.input_file, wanted.file, wanted.input_format)
    extractor = Extractor(wanted)
    for note in extractor.notes():
        screen.say(note)
    with atomic_path(wanted.output_file) as temporary:
        found = extractor.write(texts, temporary)
    if found.num_truncated:
        screen.say(
            f"note: {found.num_truncated} of the texts are longer than "
            f"--max_seq_length={wanted.max_seq_length} and cut off there"
        )
    screen.say(
        f"wrote {wanted.output_file}: {found.num_texts} texts of "
        f"{found.num_tokens} tokens"
    )


@dataclasses.dataclass
class Extracted:
    """What was met in a file of texts."""

    num_texts: int = 0
    num_tokens: int = 0
    num_truncated: int = 0


class Extractor:
    """A model in memory that writes files of vectors."""

    def __init__(self, wanted: Extraction) -> None:
        """Loads the model.

        Args:
            wanted: which vectors; its files are not read.

        Raises:
            UserError: a flag or a file of the model is wrong.
        """
        self._wanted = wanted
        self._checkpoint = checkpointing.open(
            wanted.init_checkpoint,
            wanted.bert_config_file,
            wanted.vocab_file,
            wanted.do_lower_case,
        )
        config = self._checkpoint.config
        self._layers = _layers(wanted, config.num_hidden_layers)
        self._pooling = _pooling(wanted, self._layers, config.num_hidden_layers)
        self._computer = TextComputer(
            self._checkpoint,
            concurrency=wanted.concurrency,
            use_one_hot_embeddings=wanted.use_one_hot_embeddings,
        )
        # Checks it.
        self._computer.encoder(wanted.max_seq_length)

    def notes(self) -> Iterator[str]:
        """Yields what a person should know of the model."""
        if self._computer.note:
            yield f"note: {self._computer.note}"
        yield (
            f"do_lower_case: {self._checkpoint.do_lower_case} "
            f"({self._checkpoint.why_lower_case})"
        )

    def write(
        self,
        texts: TextFile,
        path: pathlib.Path,
        numbers: Iterable[int] | None = None,
    ) -> Extracted:
        """Writes the vectors of the texts of a file.

        Args:
            texts: the file.
            path: of the new one.
            numbers: of the texts, from 0; by default none is left out.

        Raises:
            UserError: a text cannot be read, or there is no room for two.
        """
        wanted, pooling = self._wanted, self._pooling
        check_max_seq_length(wanted.max_seq_length, pair=texts.takes_pairs)
        encoder = self._computer.encoder(wanted.max_seq_length)
        layout = Layout(
            texts.has_ids,
            () if pooling.modes else self._layers,
            pooling.width(self._checkpoint.config.hidden_size),
            self._computer.tokenizer.inv_vocab,
        )
        found = Extracted()
        numbering = itertools.count() if numbers is None else iter(numbers)
        with open_writer(path, wanted.format, layout) as writer:
            for examples, rows in _blocks(texts, encoder, layout):
                vectors = self._computer.vectors(
                    rows, pooling, wanted.batch_size
                )
                if layout.layers:
                    shape = (-1, len(self._layers), layout.width)
                    vectors = vectors.reshape(shape)
                input_ids = [row["input_ids"] for row in rows]
                ids = [example.guid for example in examples]
                block = [*itertools.islice(numbering, len(rows))]
                writer.write(Block(block, ids, input_ids, vectors))
                found.num_texts += len(rows)
                found.num_tokens += sum(map(len, input_ids))
        found.num_truncated = encoder.survey.report().num_truncated
        return found


def _layers(wanted: Extraction, num_layers: int) -> tuple[int, ...]:
    """Returns the numbers of the layers as they were given, or the default.

    Raises:
        UserError: one is no whole number.
    """
    if not wanted.layers:
        return wanted.default_layers[:num_layers]
    for layer in wanted.layers:
        if not re.fullmatch(r" *-?[0-9]+ *", layer):
            raise UserError(
                f"--layers={','.join(wanted.layers)}: give whole numbers with "
                "commas between them, such as -1,-2"
            )
    return tuple(map(int, wanted.layers))


def _pooling(
    wanted: Extraction, layers: tuple[int, ...], num_layers: int
) -> Pooling:
    """Returns the pooling, checked.

    Raises:
        UserError: the model has no such layer.
    """
    pooling = Pooling((), layers)
    if wanted.pooling != NONE:
        pooling = Pooling.named(wanted.pooling, num_layers, wanted.normalize)
        if wanted.pooling not in FIXED:
            pooling = dataclasses.replace(pooling, layers=layers)
    return pooling.checked(num_layers)


def _blocks(
    texts: Iterable[InputExample], encoder: TextEncoder, layout: Layout
) -> Iterator[tuple[list[InputExample], list[Row]]]:
    """Yields some texts with their token ids, until there are no more."""
    most = _TOKENS_AT_ONCE
    if layout.layers:
        per_token = len(layout.layers) * layout.width
        most = max(_LEAST_TOKENS, _COMPONENTS_AT_ONCE // per_token)
    examples: list[InputExample] = []
    rows: list[Row] = []
    num_tokens = 0
    for example in texts:
        row = encoder.pack(example)
        examples.append(example)
        rows.append(row)
        num_tokens += len(row["input_ids"])
        if len(rows) == _TEXTS_AT_ONCE or num_tokens >= most:
            yield examples, rows
            examples, rows, num_tokens = [], [], 0
    if rows:
        yield examples, rows
