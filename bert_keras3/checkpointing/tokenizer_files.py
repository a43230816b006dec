"""Hugging Face's tokenizer files: tokens added to a vocabulary; all of them.

    vocab.txt               the vocabulary that a model began with
    added_tokens.json       {"[E1]": 30522}, tokens that came later
    tokenizer_config.json   options, the special tokens, and in newer folders
                            the added ones (`added_tokens_decoder`)
    tokenizer.json          the same (`added_tokens`), where no other file
                            lists them

What a tokenizer's options mean, and which of them are not computed here, is in
`tokenization.tokenizer_options`.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.checkpointing.checkpoint import Checkpoint, write_vocabulary
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.safekeeping.errors import UserError
from tokenization.tokenizer_options import TOKENIZER_CONFIG, kept_options
from tokenization.vocab import TOKENIZER_JSON, read_object

_ADDED_TOKENS = "added_tokens.json"
_SPECIAL_TOKENS_MAP = "special_tokens_map.json"

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
    "keep_accents": False,
    "remove_space": True,
}


def with_added_tokens(
    vocabulary: Sequence[str], folder: pathlib.Path, rows: int
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Puts the tokens that a folder adds to its vocabulary in their places.

    Args:
        vocabulary: as its file has it, in the order of the ids.
        folder: with that file.
        rows: of the word embedding table.

    Returns:
        (the vocabulary with them, {token: id} of those that it had not).

    Raises:
        UserError: a file is damaged, or an id is beyond the table.
    """
    tokens = list(vocabulary)
    added: dict[str, int] = {}
    for file, token, number in _added(folder):
        if not isinstance(number, int) or not 0 <= number < rows:
            raise UserError(
                f"{file}: gives the added token {token!r} the id {number!r}, "
                f"and the word embedding table has {rows} rows"
            )
        if number < len(tokens) and tokens[number] == token:
            continue
        while len(tokens) <= number:
            tokens.append(f"[missing{len(tokens)}]")
        tokens[number] = token
        added[token] = number
    return tuple(tokens), added


def note_on_added_tokens(
    added: Mapping[str, int], folder: pathlib.Path
) -> tuple[str, ...]:
    """Says that texts are not searched for added tokens."""
    if not added:
        return ()
    shown = ", ".join(list(added)[:3]) + ", …" * (len(added) > 3)
    note = (
        f"{folder} adds {len(added)} token{'s' * (len(added) > 1)} to its "
        f"vocabulary file ({shown}), which texts are not searched for; "
        "convert_checkpoint.py writes them into the vocabulary, where those "
        "without punctuation are found as words"
    )
    return (note,)


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
    pieces = checkpoint.sentence_pieces
    write_vocabulary(folder, checkpoint.vocabulary, pieces)
    special, settings = _SPECIAL_TOKENS, _WORD_PIECE
    if pieces is not None:
        special, settings = _SPECIAL_SENTENCE_PIECES, _SENTENCE_PIECE
    options = _kept(checkpoint)
    write_json(folder / _SPECIAL_TOKENS_MAP, special)
    write_json(
        folder / TOKENIZER_CONFIG,
        {
            **special,
            **settings,
            **options,
            "do_lower_case": checkpoint.do_lower_case,
            "model_max_length": checkpoint.config.max_position_embeddings,
        },
    )
    if checkpoint.added_tokens:
        # Texts are searched for these before anything else is done to them.
        write_json(folder / _ADDED_TOKENS, checkpoint.added_tokens)


def write_unusual_options(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes options that Google's tokenizers do not have, if there are some.

    A vocabulary alone cannot say them, and without them the model would be
    given other tokens than it was trained with.

    Args:
        folder: exists.
        checkpoint: with a vocabulary or without.

    Raises:
        UserError: they have no names there.
    """
    if checkpoint.other_options:
        write_json(
            folder / TOKENIZER_CONFIG,
            {**_kept(checkpoint), "do_lower_case": checkpoint.do_lower_case},
        )


def _kept(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns a tokenizer's options under their names in Hugging Face's files.

    Raises:
        UserError: they are KerasHub's, which have none there.
    """
    if checkpoint.vocab_file is None:
        return {}
    options = kept_options(checkpoint.vocab_file.parent)
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


def _added(
    folder: pathlib.Path,
) -> Iterator[tuple[pathlib.Path, str, Any]]:
    """Yields the file, token and id of each token that a folder adds."""
    file = folder / _ADDED_TOKENS
    if file.is_file():
        for token, number in read_json(file).items():
            yield file, token, number
    file = folder / TOKENIZER_CONFIG
    decoder: Any = {}
    if file.is_file():
        decoder = read_object(file).get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise UserError(f"{file}: added_tokens_decoder is no JSON object")
    for key, entry in decoder.items():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not key.isdecimal() or not isinstance(content, str):
            raise UserError(
                f"{file}: added_tokens_decoder has no token for {key!r}"
            )
        yield file, content, int(key)
    file = folder / TOKENIZER_JSON
    if decoder or (folder / _ADDED_TOKENS).is_file() or not file.is_file():
        return
    listed = read_object(file).get("added_tokens") or []
    for entry in listed if isinstance(listed, list) else [listed]:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str):
            raise UserError(
                f"{file}: added_tokens has {entry!r:.80}, which is no token "
                "with its `content` and `id`"
            )
        yield file, content, entry.get("id")
