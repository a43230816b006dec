"""Options of Hugging Face's tokenizers that would give other tokens.

    {"do_lower_case": true, "strip_accents": false}    # Korean models

keeps accents, which Google's tokenizer drops where it lower-cases. Such a
model is refused by the name of the option rather than read with wrong tokens.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tokenization.vocab import TOKENIZER_JSON, read_object

TOKENIZER_CONFIG = "tokenizer_config.json"

# Values of options that Google's tokenizers have, None among them where it is
# the option's default. `strip_accents` depends on the case.
_AS_GOOGLES: Mapping[str, tuple[Any, ...]] = {
    "tokenize_chinese_chars": (None, True),
    "do_basic_tokenize": (None, True),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "keep_accents": (None, False),
}
_NORMALIZER_AS_GOOGLES: Mapping[str, tuple[Any, ...]] = {
    "handle_chinese_chars": (None, True),
    "clean_text": (None, True),
}
_OTHER_CLASSES = ("BertJapaneseTokenizer", "BertJapaneseTokenizerFast")


def options_that_differ(
    folder: pathlib.Path, do_lower_case: bool
) -> tuple[str, ...]:
    """Returns the options with which tokens would differ, each `name: value`.

    Args:
        folder: with the vocabulary; `tokenizer_config.json` is read, else
            the normalizer of `tokenizer.json`.
        do_lower_case: whether text is lower-cased.

    Raises:
        UserError: a file cannot be read.
    """
    config = folder / TOKENIZER_CONFIG
    if config.is_file():
        return tuple(_of_config(read_object(config), do_lower_case))
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
