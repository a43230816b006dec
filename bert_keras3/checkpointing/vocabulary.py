"""The lists of names beside a checkpoint: its vocabulary and its labels.

In both the line is the id. `tokenization.vocab` reads the same vocabularies
for tokenizing, as {token: id}; converting needs every line, those that are
there twice too.
"""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Sequence

from bert_keras3.safekeeping.errors import UserError
from tokenization.tokenizers import read_tokens
from tokenization.vocab import is_sentence_pieces, load_vocab, tokens_in_order

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
