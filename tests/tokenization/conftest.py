"""What the tokenizer's tests share: an independent tokenizer, the reference.

The tokenizer here is written down character by character, as slow and as
plain as the rules read; nothing of the package under test is used.
"""

from __future__ import annotations

import functools
import gzip
import json
import pathlib
import unicodedata
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import pytest

_category = functools.lru_cache(maxsize=None)(unicodedata.category)


def _is_ideograph(char: str) -> bool:
    code = ord(char)
    return (
        0x3400 <= code <= 0x4DBF
        or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x2A6DF
        or 0x2A700 <= code <= 0x2B73F
        or 0x2B740 <= code <= 0x2B81F
        or 0x2B820 <= code <= 0x2CEAF
        or 0x2F800 <= code <= 0x2FA1F
    )


def _words(text: str, do_lower_case: bool) -> list[str]:
    cleaned = ""
    for char in text:
        if char in "\t\n\r" or _category(char) == "Zs":
            cleaned += " "
        elif char in "\0\ufffd" or _category(char) in {"Cc", "Cf"}:
            pass
        elif _is_ideograph(char):
            cleaned += " " + char + " "
        else:
            cleaned += char
    words = []
    for word in cleaned.split():
        if do_lower_case:
            word = unicodedata.normalize("NFD", word.lower())
            word = "".join(char for char in word if _category(char) != "Mn")
        run = ""
        for char in word:
            code = ord(char)
            if (
                33 <= code <= 47
                or 58 <= code <= 64
                or 91 <= code <= 96
                or 123 <= code <= 126
                or _category(char).startswith("P")
            ):
                words += [run, char]
                run = ""
            else:
                run += char
        words.append(run)
    return [word for word in words if word]


def _pieces(word: str, vocab: Collection[str]) -> list[str]:
    if len(word) > 200:
        return ["[UNK]"]
    pieces = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab:
                break
        else:
            return ["[UNK]"]
        pieces.append(piece)
        start = end
    return pieces


@pytest.fixture(scope="session")
def by_the_book() -> Callable[..., list[str]]:
    """(text, do_lower_case, vocab) → tokens; (text, do_lower_case) → words."""

    def tokenize(
        text: str, do_lower_case: bool, vocab: Collection[str] | None = None
    ) -> list[str]:
        words = _words(text, do_lower_case)
        if vocab is None:
            return words
        return [piece for word in words for piece in _pieces(word, vocab)]

    return tokenize


@pytest.fixture(scope="session")
def pieces_by_the_book() -> Callable[..., list[str]]:
    """(word, vocab) → tokens."""
    return _pieces


@pytest.fixture(scope="session")
def reference_vocab_file(reference: pathlib.Path) -> pathlib.Path:
    return reference / "tokenization" / "vocab.txt"


@pytest.fixture(scope="session")
def original(reference: pathlib.Path) -> list[dict[str, Any]]:
    """Awkward texts and what the original makes of each."""
    file = reference / "tokenization" / "original.json.gz"
    rows = json.loads(gzip.decompress(file.read_bytes()))
    assert isinstance(rows, list)
    return rows


class Published(NamedTuple):
    """A published vocabulary, and the original's ids of texts with it."""

    vocab_file: str
    do_lower_case: bool
    size: int
    texts: list[str]
    ids: list[list[int]]


@pytest.fixture(scope="session")
def published(
    reference: pathlib.Path,
    write_vocabulary: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Published]:
    """English, Chinese and other texts, by four vocabularies."""
    file = reference / "tokenization" / "published_vocabularies.json.gz"
    content = json.loads(gzip.decompress(file.read_bytes()))
    folder = tmp_path_factory.mktemp("vocabularies")
    return [
        Published(
            write_vocabulary(abridged, folder / f"{row['vocabulary']}.txt"),
            row["do_lower_case"],
            abridged["size"],
            content["texts"],
            row["ids"],
        )
        for row in content["answers"]
        for abridged in [content["vocabularies"][row["vocabulary"]]]
    ]


@pytest.fixture(scope="session")
def digests(reference: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Names of data files and a digest of the original's ids for each."""
    file = reference / "tokenization" / "digests.json"
    content = json.loads(file.read_text("utf-8"))
    assert isinstance(content, dict)
    return content
