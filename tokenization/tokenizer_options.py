"""Options of Hugging Face's tokenizers that would give other tokens.

    {"do_lower_case": true, "strip_accents": false}    # Korean models

keeps accents, which Google's tokenizer drops where it lower-cases. Such a
model is refused by the name of the option rather than read with wrong tokens.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tokenization.added_tokens import SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG
from tokenization.vocab import TOKENIZER_JSON, read_object

# Values of options that Google's tokenizers have, None among them where it is
# the option's default. `strip_accents` depends on the case.
_AS_GOOGLES: Mapping[str, tuple[Any, ...]] = {
    "tokenize_chinese_chars": (None, True),
    "do_basic_tokenize": (None, True),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
}
_NORMALIZER_AS_GOOGLES: Mapping[str, tuple[Any, ...]] = {
    "handle_chinese_chars": (None, True),
    "clean_text": (None, True),
}
# The special tokens that inputs are made with, WordPiece's and SentencePiece's.
_SPECIAL_TOKENS: Mapping[str, tuple[str, ...]] = {
    "cls_token": ("[CLS]",),
    "sep_token": ("[SEP]",),
    "unk_token": ("[UNK]", "<unk>"),
}
# Google's tokenizer splits these, too, but no text is expected to have them.
_NEVER_SPLIT = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")
# Options of `tokenizer_config.json` that a tokenizer keeps, whatever is done to
# its model; and what the normalizer of `tokenizer.json` calls some of them.
_KEPT = (
    *_AS_GOOGLES,
    *("keep_accents", "strip_accents", "never_split", "remove_space"),
    "mecab_kwargs",
    *("sudachi_kwargs", "jumanpp_kwargs", "do_word_tokenize"),
    "do_subword_tokenize",
)
_OF_NORMALIZER = {
    "handle_chinese_chars": "tokenize_chinese_chars",
    "strip_accents": "strip_accents",
}
_OTHER_CLASSES = ("BertJapaneseTokenizer", "BertJapaneseTokenizerFast")


def options_that_differ(
    folder: pathlib.Path, do_lower_case: bool, keeps_accents: bool = False
) -> tuple[str, ...]:
    """Returns the options with which tokens would differ, each `name: value`.

    Args:
        folder: with the vocabulary; `tokenizer_config.json` is read, else
            the normalizer of `tokenizer.json`; and `special_tokens_map.json`.
        do_lower_case: whether text is lower-cased.
        keeps_accents: whether a SentencePiece model is given text with its
            accents.

    Raises:
        UserError: a file cannot be read.
    """
    special = folder / SPECIAL_TOKENS_MAP
    tokens = read_object(special) if special.is_file() else {}
    config = folder / TOKENIZER_CONFIG
    if config.is_file():
        options = read_object(config)
        differing = [*_of_config(options, do_lower_case)]
        if options.get("keep_accents") not in (None, keeps_accents):
            differing.append(f"keep_accents: {options['keep_accents']}")
        return (*differing, *_of_special_tokens({**tokens, **options}))
    return (*_of_tokenizer(folder, do_lower_case), *_of_special_tokens(tokens))


def kept_options(folder: pathlib.Path) -> dict[str, Any]:
    """Returns a tokenizer's options, to be written beside its vocabulary again.

    Args:
        folder: as for `options_that_differ`.

    Returns:
        The options that it states, under the names that
        `tokenizer_config.json` gives them.

    Raises:
        UserError: a file cannot be read.
    """
    config, tokenizer = folder / TOKENIZER_CONFIG, folder / TOKENIZER_JSON
    if config.is_file():
        options = read_object(config)
        kept = {name: options[name] for name in _KEPT if name in options}
        if options.get("tokenizer_class") in _OTHER_CLASSES:
            kept["tokenizer_class"] = options["tokenizer_class"]
        return kept
    normalizer: Any = None
    if tokenizer.is_file():
        normalizer = read_object(tokenizer).get("normalizer")
    if not isinstance(normalizer, dict):
        return {}
    return {
        there: normalizer[name]
        for name, there in _OF_NORMALIZER.items()
        if name in normalizer
    }


def _of_tokenizer(folder: pathlib.Path, do_lower_case: bool) -> tuple[str, ...]:
    tokenizer = folder / TOKENIZER_JSON
    if tokenizer.is_file():
        normalizer = read_object(tokenizer).get("normalizer")
        if isinstance(normalizer, dict):
            return tuple(_of_normalizer(normalizer, do_lower_case))
    return ()


def _of_config(config: Mapping[str, Any], do_lower_case: bool) -> Iterator[str]:
    kind = config.get("tokenizer_class")
    if kind in _OTHER_CLASSES:
        yield f"tokenizer_class: {kind}"
    yield from _differing(config, _AS_GOOGLES)
    yield from _accents(config, do_lower_case)
    whole = config.get("never_split") or []
    if not isinstance(whole, list) or any(
        token not in _NEVER_SPLIT for token in whole
    ):
        yield f"never_split: {whole}"


def _of_special_tokens(tokens: Mapping[str, Any]) -> Iterator[str]:
    for name, values in _SPECIAL_TOKENS.items():
        token = tokens.get(name)
        # With its options, such as whether it takes the space before it.
        token = token.get("content") if isinstance(token, dict) else token
        if token is not None and token not in values:
            yield f"{name}: {token}"


def _of_normalizer(
    normalizer: Mapping[str, Any], do_lower_case: bool
) -> Iterator[str]:
    if normalizer.get("type") == "BertNormalizer":
        yield from _differing(normalizer, _NORMALIZER_AS_GOOGLES)
        yield from _accents(normalizer, do_lower_case)


def _differing(
    options: Mapping[str, Any], as_googles: Mapping[str, tuple[Any, ...]]
) -> Iterator[str]:
    for name, values in as_googles.items():
        if options.get(name) not in values:
            yield f"{name}: {options[name]}"


def _accents(options: Mapping[str, Any], do_lower_case: bool) -> Iterator[str]:
    # None: as the case says.
    if options.get("strip_accents") not in (None, do_lower_case):
        yield (
            f"strip_accents: {options['strip_accents']} beside "
            f"do_lower_case: {do_lower_case}"
        )
