"""Hugging Face's tokenizer files, as they are written.

    vocab.txt               the vocabulary that a model began with
    tokenizer_config.json   options, the special tokens, and those that were
                            added later (`added_tokens_decoder`)

How added tokens are read and found is in `tokenization.added_tokens`; what a
tokenizer's options mean, and which of them are not computed here, in
`tokenization.tokenizer_options`.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bert_keras3.checkpointing.checkpoint import (
    Checkpoint,
    read_vocabulary,
    write_vocabulary,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path
from tokenization import characters
from tokenization.added_tokens import (
    DECODER,
    SPECIAL_TOKENS_MAP,
    TOKENIZER_CONFIG,
    AddedToken,
    added_tokens_decoder,
    read_added_tokens,
    searched_for,
)
from tokenization.vocab import (
    CONTINUATION,
    MAX_VOCAB_SIZE,
    keeps_accents,
    missing_token,
)

_SPECIAL_TOKENS = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}
_WORD_PIECE = {
    "tokenizer_class": "BertTokenizer",
    "do_basic_tokenize": True,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
}
_SPECIAL_SENTENCE_PIECES = {
    **_SPECIAL_TOKENS,
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
_SENTENCE_PIECE = {
    "tokenizer_class": "AlbertTokenizer",
    "remove_space": True,
}


def with_added_tokens(
    vocabulary: Sequence[str], vocab_file: pathlib.Path, rows: int
) -> tuple[tuple[str, ...], tuple[AddedToken, ...]]:
    """Puts the tokens that are added to a vocabulary in their places.

    Args:
        vocabulary: as its file has it, in the order of the ids.
        vocab_file: that file; others beside it list the tokens.
        rows: of the word embedding table.

    Returns:
        (the vocabulary with them, the added tokens).

    Raises:
        UserError: a file is damaged, or an id is beyond the table.
    """
    tokens = list(vocabulary)
    ids = {token: number for number, token in enumerate(tokens)}
    added = read_added_tokens(vocab_file, ids)
    for token in added:
        if token.id >= rows:
            raise UserError(
                f"{vocab_file.parent}: gives the added token "
                f"{token.content!r} the id {token.id}, and the word embedding "
                f"table has {rows} rows"
            )
        while len(tokens) <= token.id:
            tokens.append(missing_token(len(tokens)))
        if not token.is_piece:
            tokens[token.id] = token.content
    return tuple(tokens), added


def note_on_added_tokens(
    added: Sequence[AddedToken], folder: pathlib.Path
) -> tuple[str, ...]:
    """Says which tokens texts are searched for."""
    contents = [token.content for token in searched_for(added)]
    if not contents:
        return ()
    shown = ", ".join(contents[:3]) + ", …" * (len(contents) > 3)
    several = len(contents) > 1
    note = (
        f"{folder} adds {len(contents)} token{'s' * several} to its "
        f"vocabulary ({shown}), which {'are' if several else 'is'} found in "
        "texts before anything is cut"
    )
    return (note,)


def lines_with(
    tokens: Sequence[str], added: Iterable[AddedToken]
) -> tuple[str, ...]:
    """Returns the lines of a `vocab.txt` that has added tokens in it.

    Words are cut into the lines of such a file, and into added tokens they are
    not. So a line that could be taken where the search does not find the
    token says `[missingN]`; what lies beside the file says which it is.

    Args:
        tokens: in the order of their ids, added tokens in their places.
        added: the added tokens.
    """
    lines = list(tokens)
    for token in added:
        if _is_mistakable(token):
            lines[token.id] = missing_token(token.id)
    return tuple(lines)


def copy_added_tokens(
    vocab_file: str | os.PathLike[str], folder: pathlib.Path
) -> None:
    """Writes what is added to a vocabulary, beside a copy of its file.

    Args:
        vocab_file: as `with_added_tokens`.
        folder: gets a `tokenizer_config.json` with the added tokens; none if
            there are no such tokens, and one of an earlier run is removed.

    Raises:
        UserError: a file is damaged.
    """
    path = pathlib.Path(vocab_file)
    _, added = with_added_tokens(read_vocabulary(path), path, MAX_VOCAB_SIZE)
    (folder / TOKENIZER_CONFIG).unlink(missing_ok=True)
    if added:
        with atomic_path(folder / TOKENIZER_CONFIG) as temporary:
            write_json(temporary, {DECODER: added_tokens_decoder(added)})


def write_tokenizer(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes the vocabulary and the tokenizer's files.

    Options that the checkpoint's own tokenizer has are kept.

    Args:
        folder: exists.
        checkpoint: with a vocabulary.

    Raises:
        UserError: as `write_unusual_options`.
    """
    assert checkpoint.vocabulary is not None
    pieces, added = checkpoint.sentence_pieces, checkpoint.added_tokens
    write_vocabulary(folder, _without_last(checkpoint), pieces)
    special, settings = _SPECIAL_TOKENS, _WORD_PIECE
    if pieces is not None:
        special = dict(_SPECIAL_SENTENCE_PIECES)
        if special["pad_token"] not in checkpoint.vocabulary:
            special["pad_token"] = _SPECIAL_TOKENS["pad_token"]
        accents = keeps_accents(checkpoint.vocabulary)
        settings = {**_SENTENCE_PIECE, "keep_accents": accents}
    options = _kept(checkpoint)
    write_json(folder / SPECIAL_TOKENS_MAP, special)
    write_json(
        folder / TOKENIZER_CONFIG,
        {
            **special,
            **settings,
            **options,
            **({DECODER: added_tokens_decoder(added)} if added else {}),
            "do_lower_case": checkpoint.do_lower_case,
            "model_max_length": checkpoint.config.max_position_embeddings,
        },
    )


def write_unusual_options(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes what Google's tokenizers do not have, if there is some of it.

    A vocabulary alone cannot say options and added tokens, and without them
    the model would be given other tokens than it was trained with.

    Args:
        folder: exists.
        checkpoint: with a vocabulary or without.

    Raises:
        UserError: they have no names there.
    """
    added = checkpoint.added_tokens
    if checkpoint.other_options or added:
        write_json(
            folder / TOKENIZER_CONFIG,
            {
                **_kept(checkpoint),
                **({DECODER: added_tokens_decoder(added)} if added else {}),
                "do_lower_case": checkpoint.do_lower_case,
            },
        )


def _kept(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns a tokenizer's options under their names in Hugging Face's files.

    Raises:
        UserError: they are KerasHub's, which have none there.
    """
    options = dict(checkpoint.tokenizer_options)
    if checkpoint.other_options and not options:
        raise UserError(
            f"{checkpoint.source}: its tokenizer has "
            f"{', '.join(checkpoint.other_options)}, which no other format can "
            "say; a copy of the vocabulary in another folder, as --vocab_file, "
            "is written without it"
        )
    return options


def write_json(path: pathlib.Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON object, its keys in order."""
    in_order = dict(sorted(values.items()))
    text = json.dumps(in_order, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _without_last(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Returns the vocabulary up to where only added tokens follow.

    transformers gives these the next ids, and does not cut words into them.
    """
    assert checkpoint.vocabulary is not None
    ids = {one.id for one in checkpoint.added_tokens if not one.is_piece}
    end = len(checkpoint.vocabulary)
    while end - 1 in ids:
        end -= 1
    return checkpoint.vocabulary[:end]


def _is_mistakable(token: AddedToken) -> bool:
    """Whether words might be cut into it where a search does not find it."""
    if token.is_piece:
        return False
    if token.content.startswith(CONTINUATION):
        return True
    is_word = not any(
        characters.is_punctuation(char) or char.isspace()
        for char in token.content
    )
    return is_word and (token.single_word or not token.normalized)
