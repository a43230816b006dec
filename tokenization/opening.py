"""Which tokenizer a vocabulary file is for.

`.model` is SentencePiece's (ALBERT), everything else WordPiece's (BERT).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tokenization.full import FullTokenizer
from tokenization.vocab import Path, is_sentence_pieces


class Tokenizer(Protocol):
    """What both kinds can do; see `FullTokenizer`."""

    vocab: dict[str, int]
    inv_vocab: dict[int, str]
    special_tokens: tuple[str, ...]

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the tokens of a text."""

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of a text's tokens."""

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks tokens up."""

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up."""


def open_tokenizer(vocab_file: Path, do_lower_case: bool = True) -> Tokenizer:
    """Makes the tokenizer of a vocabulary.

    Args:
        vocab_file: a `vocab.txt`, `tokenizer.json` or SentencePiece `.model`.
        do_lower_case: fold case; WordPiece drops accents then, too.

    Raises:
        UserError: the file cannot be read.
    """
    if is_sentence_pieces(vocab_file):
        # A library that only ALBERT needs.
        from tokenization.sentence_pieces import SentencePieceTokenizer

        return SentencePieceTokenizer(vocab_file, do_lower_case)
    return FullTokenizer(vocab_file, do_lower_case)


def read_tokens(vocab_file: Path) -> dict[str, int]:
    """Reads {token: id} of any vocabulary.

    Raises:
        UserError: the file cannot be read.
    """
    return open_tokenizer(vocab_file).vocab
