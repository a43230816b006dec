"""Text to SentencePiece tokens or ids, as in google-research/albert.

The library `sentencepiece` cuts a text into pieces. Before, the text is
normalised; after, a piece such as `▁2000,` is split into number and comma.
"""

from __future__ import annotations

import functools
import os
import pathlib
import unicodedata
from collections.abc import Iterable

import sentencepiece

from bert_keras3.safekeeping.errors import UserError
from tokenization import characters
from tokenization.added_tokens import AddedToken, AddedTokens
from tokenization.vocab import WORD_MARK, Path, keeps_accents


def preprocess_text(
    inputs: str, lower: bool = False, keep_accents: bool = False
) -> str:
    """Normalises a text as ALBERT does (the original's function of this name).

    Args:
        inputs: any text.
        lower: whether to lower-case it.
        keep_accents: whether to leave it composed, with its marks; the
            original does not.

    Returns:
        The text in the normal form NFKD without combining marks, with single
        spaces for whitespace and none at the ends.
    """
    plain = " ".join(inputs.split())
    if not keep_accents:
        plain = unicodedata.normalize("NFKD", plain)
        plain = "".join(c for c in plain if not unicodedata.combining(c))
    return plain.lower() if lower else plain


class SentencePieceTokenizer:
    """Text to SentencePiece tokens, with the methods of `FullTokenizer`.

    The original's `FullTokenizer` with an `spm_model_file`, and the
    `preprocess_text` that its `run_classifier.py` puts before. A model that
    was not made of such texts, as a Japanese BERT's, is given texts with their
    accents, and its pieces are left as they are.

    Args:
        model_file: a SentencePiece model, such as `30k-clean.model`.
        do_lower_case: lower-case every text.
        added_tokens: tokens beside the model, which texts are searched for
            first; the original has none.

    Attributes:
        vocab: {piece: id}, added tokens included; not to be changed.
        inv_vocab: {id: piece}.
        do_lower_case: whether texts are lower-cased.
        keep_accents: whether texts keep their accents.
        special_tokens: tokens that the program itself writes; first the
            unknown token.

    Raises:
        UserError: the file cannot be read or is no SentencePiece model.
    """

    def __init__(
        self,
        model_file: Path,
        do_lower_case: bool = True,
        added_tokens: Iterable[AddedToken] = (),
    ) -> None:
        self.do_lower_case = do_lower_case
        self._file = os.fspath(model_file)
        model = _read(model_file)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
            self.inv_vocab = {
                number: self._processor.IdToPiece(number)
                for number in range(self._processor.GetPieceSize())
            }
        # UnicodeDecodeError: pieces that are not UTF-8.
        except (RuntimeError, OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self._file}: is no SentencePiece model, or is damaged; "
                "fetch it again"
            ) from error
        self.vocab = {piece: i for i, piece in self.inv_vocab.items()}
        self.keep_accents = keeps_accents(self.vocab)
        self._all_added = tuple(added_tokens)
        for token in self._all_added:
            self.vocab[token.content] = token.id
            self.inv_vocab[token.id] = token.content
        self._added = AddedTokens(
            self._all_added,
            functools.partial(
                preprocess_text,
                lower=do_lower_case,
                keep_accents=self.keep_accents,
            ),
        )
        self._unknown_id = self._processor.unk_id()
        unknown = self.inv_vocab[self._unknown_id]
        self.special_tokens: tuple[str, ...] = (unknown, "[CLS]", "[SEP]")

    def __reduce__(
        self,
    ) -> tuple[type, tuple[str, bool, tuple[AddedToken, ...]]]:
        """Pickles only the path, the case and the added tokens."""
        return type(self), (
            self._file,
            self.do_lower_case,
            self._all_added,
        )

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the pieces of `text`; unknown text is kept as it is.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        pieces: list[str] = []
        for part in self._added.parts(characters.convert_to_unicode(text)):
            if isinstance(part, AddedToken):
                pieces.append(part.content)
            else:
                pieces += self._pieces_of(part)
        return pieces

    def _pieces_of(self, text: str) -> list[str]:
        plain = preprocess_text(text, self.do_lower_case, self.keep_accents)
        if self.keep_accents:
            return list(self._processor.EncodeAsPieces(plain))
        pieces: list[str] = []
        for piece in self._processor.EncodeAsPieces(plain):
            if piece.endswith(",") and piece[-2:-1].isdigit():
                pieces += self._without_comma(piece)
            else:
                pieces.append(piece)
        return pieces

    def encode(self, text: str | bytes) -> list[int]:
        """Returns the ids of `tokenize(text)`."""
        return self.convert_tokens_to_ids(self.tokenize(text))

    def unknown_parts(self, text: str | bytes) -> list[str]:
        """Returns the pieces of a text that the vocabulary lacks."""
        return [
            piece.lstrip(WORD_MARK)
            for piece in self.tokenize(text)
            if piece not in self.vocab
        ]

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Looks pieces up; a missing one has the unknown token's id."""
        return [self.vocab.get(token, self._unknown_id) for token in tokens]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Looks ids up; an id that is not there is a KeyError."""
        return [self.inv_vocab[number] for number in ids]

    def _without_comma(self, piece: str) -> list[str]:
        """Cuts `▁2000,` again, so that the comma is a piece of its own.

        The number then begins a word even inside of one, as in the original,
        whose check against that compares text with bytes under Python 3.
        """
        number = piece[:-1].replace(WORD_MARK, "")
        return [*self._processor.EncodeAsPieces(number), ","]


def _read(model_file: Path) -> bytes:
    """Reads a SentencePiece model.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return pathlib.Path(model_file).read_bytes()
    except OSError as error:
        raise UserError(
            f"{os.fspath(model_file)}: the SentencePiece model cannot be read "
            f"({error.strerror})"
        ) from error
