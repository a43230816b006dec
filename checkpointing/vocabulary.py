"""A checkpoint's vocabulary as a list of tokens: the line is the id.

`tokenization.vocab` reads the same files for tokenizing, as {token: id};
converting needs every line, those that are there twice too.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tokenization.vocab import load_vocab


def read_vocabulary(path: pathlib.Path) -> tuple[str, ...]:
    """Reads `vocab.txt` or the vocabulary of a `tokenizer.json`.

    Args:
        path: the file.

    Returns:
        The tokens in the order of their ids; ids that a `tokenizer.json`
        leaves out are filled with `[holeN]`.

    Raises:
        UserError: the file cannot be read or is no vocabulary.
    """
    ids = load_vocab(path)
    if path.suffix == ".json":
        tokens = {number: token for token, number in ids.items()}
        return tuple(
            tokens.get(number, f"[hole{number}]")
            for number in range(max(tokens) + 1)
        )
    # Universal newlines would also cut at U+2028, a token of the Chinese
    # vocabulary.
    lines = path.read_bytes().decode("utf-8").removeprefix("\ufeff").split("\n")
    if not lines[-1]:
        lines.pop()
    return tuple(line.strip() for line in lines)


def write_vocabulary(path: pathlib.Path, tokens: Sequence[str]) -> None:
    """Writes one token a line, as Google and Hugging Face do."""
    text = "".join(f"{token}\n" for token in tokens)
    path.write_bytes(text.encode("utf-8"))
