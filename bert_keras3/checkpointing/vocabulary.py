"""A checkpoint's vocabulary as a list of tokens: the line is the id.

`tokenization.vocab` reads the same files for tokenizing, as {token: id};
converting needs every line, those that are there twice too.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tokenization.opening import read_tokens
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
