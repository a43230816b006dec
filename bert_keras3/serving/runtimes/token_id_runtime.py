"""Runs a LiteRT or ONNX file, which takes token ids.

Vocabulary and description lie beside the file. Texts are tokenized in Python;
`litert` and `onnx` provide the function from token ids to outputs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from bert_keras3.finetuning.encoded_examples import Outputs
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.description import (
    Description,
    exported_shapes,
    nothing_for,
)
from bert_keras3.serving.formats import DESCRIPTION_FILE, ID_INPUTS
from bert_keras3.serving.runtimes.runtime import Ids, Row, Runtime
from tokenization.cleaning import with_cleaning
from tokenization.packing import Packed, pack, pad
from tokenization.tokenizers import Tokenizer, open_tokenizer
from tokenization.vocab import find_vocab_file, require_special_tokens

# Token ids → the model's outputs.
Compute = Callable[[Ids], Outputs]


class TokenIdRuntime(Runtime):
    """Tokenizes in Python and computes the token ids with a function."""

    def __init__(
        self, model_file: pathlib.Path, load: Callable[[str], Compute]
    ) -> None:
        """Loads the files in the model's folder, and checks them together.

        Args:
            model_file: the model.
            load: returns the function from token ids to outputs for a path.

        Raises:
            UserError: a file is missing or damaged, or they are not of the
                same model.
        """
        self.description = Description.from_file(
            model_file.with_name(DESCRIPTION_FILE)
        )
        self._tokenizer = open_exported_tokenizer(
            model_file.parent, self.description
        )
        vocab = self._tokenizer.vocab
        self._cls_id, self._sep_id = vocab["[CLS]"], vocab["[SEP]"]
        try:
            self._compute = load(str(model_file))
            # Fails if the model has a smaller vocabulary.
            tried = self.outputs(
                {
                    **nothing_for(self.description.task),
                    **self._padded([self._pack([max(vocab.values())])]),
                }
            )
        except Exception as error:  # the libraries' errors have no common class
            raise UserError(
                f"{model_file}: is damaged, or is no model for the "
                f"{DESCRIPTION_FILE} and the vocabulary beside it: {error}; "
                "export it again"
            ) from error
        found = {name: output.shape for name, output in tried.items()}
        wanted = exported_shapes(self.description.task, 1, 3)
        if found != wanted:
            raise UserError(
                f"{model_file}: has the outputs {found} where the "
                f"{DESCRIPTION_FILE} beside it lets expect {wanted}; they "
                "are not of the same model. Export it again."
            )

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the model was trained with."""
        return self._tokenizer

    def token_ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes in Python."""
        encode = self._tokenizer.encode
        return self._padded(
            [self._pack(*(encode(text) for text in row)) for row in rows]
        )

    def outputs(self, ids: Ids) -> Outputs:
        """Computes outputs from token ids."""
        return self._compute(ids)

    def _pack(self, *ids: Sequence[int]) -> Packed:
        return pack(
            *ids,
            max_seq_length=self.description.max_seq_length,
            cls_id=self._cls_id,
            sep_id=self._sep_id,
        )

    @staticmethod
    def _padded(batch: Sequence[Packed]) -> Ids:
        arrays = pad(batch)
        return {name: arrays[name] for name in ID_INPUTS}


def open_exported_tokenizer(
    folder: pathlib.Path, description: Description
) -> Tokenizer:
    """Opens the vocabulary in a folder, to tokenize as the model describes.

    Raises:
        UserError: there is none, or it lacks special tokens.
    """
    path = find_vocab_file(folder)
    if path is None:
        raise UserError(
            f"{folder}: lacks the vocabulary, vocab.txt (spiece.model for "
            "ALBERT); copy it from the folder that export_saved_model.py "
            "wrote, or export again"
        )
    tokenizer = with_cleaning(
        open_tokenizer(path, description.do_lower_case), description.clean
    )
    require_special_tokens(tokenizer.vocab, path, tokenizer.special_tokens)
    return tokenizer
