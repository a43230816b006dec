"""Tokens that a Hugging Face tokenizer adds to its vocabulary.

    added_tokens.json        {"[E1]": 30522}
    tokenizer_config.json    `added_tokens_decoder`, with options of each, and
                             `additional_special_tokens`
    tokenizer.json           `added_tokens`, likewise

Texts are searched for them before anything is cut, so that `[E1]` is one token
and not `[ e1 ]`; those that are `normalized` are searched for in the lower-case
text without accents.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.safekeeping.errors import UserError
from tokenization.vocab import (
    TOKENIZER_JSON,
    Path,
    check_token,
    read_object,
)

ADDED_TOKENS = "added_tokens.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
DECODER = "added_tokens_decoder"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"

# What inputs are made with. No text is searched for these, as in Google's
# tokenizers: a text that says [SEP] does not end there.
NOT_SEARCHED_FOR = frozenset(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>")
)
# Lists of special tokens, in older and in newer files.
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_MAX_CHARS = 200

# Categories of Unicode whose characters are word characters, and what of other
# ones Unicode calls alphabetic or a joiner.
_WORD_CATEGORIES = frozenset(
    ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc")
)
_OTHER_WORD_CHARS = (
    (0x200C, 0x200D),
    (0x24B6, 0x24E9),
    (0x1F130, 0x1F149),
    (0x1F150, 0x1F169),
    (0x1F170, 0x1F189),
)


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token beside a vocabulary; the fields are Hugging Face's.

    Attributes:
        content: as it stands in texts.
        id: its number.
        single_word: it is not found within a word.
        lstrip: it takes the white space before it, which makes no tokens in
            any case; kept for what is written.
        rstrip: likewise behind it.
        normalized: it is searched for in the text as the tokenizer folds it.
        special: a mark that is no text, such as `[E1]`.
        is_piece: whether the vocabulary itself has it, so that words are cut
            into it as well.
    """

    content: str
    id: int
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False
    is_piece: bool = False

    def options(self) -> dict[str, Any]:
        """Returns the fields that Hugging Face's files have."""
        return {
            "content": self.content,
            **{name: getattr(self, name) for name in _OPTIONS},
        }


def read_added_tokens(
    vocab_file: Path, entries: Mapping[str, int]
) -> tuple[AddedToken, ...]:
    """Reads the tokens that the files beside a vocabulary add to it.

    Where `tokenizer_config.json` has `added_tokens_decoder`, the older
    `added_tokens.json` does not count, as in transformers. A token that is
    listed without an id has that of the vocabulary, or the next one that is
    free.

    Args:
        vocab_file: the vocabulary.
        entries: {token: id} that it has; of a `tokenizer.json`, those that it
            adds included.

    Returns:
        In the order of their ids. Without the tokens that inputs are made
        with, `[CLS]` and its like, where the vocabulary has them.

    Raises:
        UserError: a file is damaged.
    """
    path = pathlib.Path(vocab_file)
    pieces: Mapping[str, int] = entries
    if path.suffix == ".json":
        pieces = read_object(path)["model"]["vocab"]
    found: dict[str, AddedToken] = {}
    for file, where, fields in _listed(path):
        token = _token(file, where, fields, entries, found)
        if token is None:
            continue
        is_piece = pieces.get(token.content) == token.id
        if is_piece and token.content in NOT_SEARCHED_FOR:
            continue
        found[token.content] = dataclasses.replace(token, is_piece=is_piece)
    in_order = sorted(found.values(), key=lambda token: token.id)
    for one, other in itertools.pairwise(in_order):
        if one.id == other.id:
            raise UserError(
                f"{path.parent}: gives two added tokens the id {one.id}, "
                f"{one.content!r} and {other.content!r}; each needs one of "
                "its own"
            )
    return tuple(in_order)


def added_tokens_decoder(tokens: Iterable[AddedToken]) -> dict[str, Any]:
    """Returns what `tokenizer_config.json` says of added tokens."""
    return {str(token.id): token.options() for token in tokens}


class AddedTokens:
    """Finds added tokens in texts, as Hugging Face's `tokenizers` does.

    Args:
        tokens: those to be searched for.
        fold: makes of a text what `normalized` ones are searched for in.

    Attributes:
        tokens: those that are searched for.
    """

    def __init__(
        self, tokens: Iterable[AddedToken], fold: Callable[[str], str]
    ) -> None:
        self.tokens = searched_for(tokens)
        self._fold = fold
        self._as_written = Search(as_written(self.tokens))
        self._folded = Search(folded(self.tokens, fold))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.tokens)

    def parts(self, text: str) -> Iterator[str | AddedToken]:
        """Yields the added tokens of a text, and the stretches between.

        Stretches are folded where there are tokens that are `normalized`.
        """
        for part in self._as_written.parts(text):
            if isinstance(part, str) and self._folded:
                yield from self._folded.parts(self._fold(part))
            else:
                yield part


class Search:
    """Finds the leftmost token and, of several at a place, the longest.

    Args:
        tokens: {what is searched for: token}.

    Attributes:
        pattern: a regular expression for all of them, which RE2 reads alike.
    """

    def __init__(self, tokens: Mapping[str, AddedToken]) -> None:
        self._tokens = tokens
        self.pattern = _any_of(sorted(tokens))
        self._compiled = re.compile(self.pattern)

    def __bool__(self) -> bool:
        """Whether anything is searched for."""
        return bool(self._tokens)

    def parts(self, text: str) -> Iterator[str | AddedToken]:
        """Yields what is found, and the stretches between."""
        start = 0
        for match in self._compiled.finditer(text) if self._tokens else ():
            token = self._tokens[match.group()]
            first, behind = match.span()
            # What was found within a word is passed over as a whole.
            if token.single_word and (
                is_word_char(text[first - 1 : first])
                or is_word_char(text[behind : behind + 1])
            ):
                continue
            if start < first:
                yield text[start:first]
            yield token
            start = behind
        if start < len(text):
            yield text[start:]


def searched_for(tokens: Iterable[AddedToken]) -> tuple[AddedToken, ...]:
    """Returns the tokens that texts are searched for."""
    return tuple(
        token for token in tokens if token.content not in NOT_SEARCHED_FOR
    )


def as_written(tokens: Iterable[AddedToken]) -> dict[str, AddedToken]:
    """Returns those that are searched for in the text as it is."""
    return {token.content: token for token in tokens if not token.normalized}


def folded(
    tokens: Iterable[AddedToken], fold: Callable[[str], str]
) -> dict[str, AddedToken]:
    """Returns the others, by what `fold` makes of them.

    Of several that become equal, special ones come first, then the smallest
    id.
    """
    found: dict[str, AddedToken] = {}
    for token in sorted(tokens, key=lambda one: (not one.special, one.id)):
        text = fold(token.content) if token.normalized else ""
        if text:
            found.setdefault(text, token)
    return found


def is_word_char(char: str) -> bool:
    r"""Whether a character is one of Unicode's `\w`; "" is not."""
    return bool(char) and (
        unicodedata.category(char) in _WORD_CATEGORIES
        or any(first <= ord(char) <= last for first, last in _OTHER_WORD_CHARS)
    )


def _any_of(texts: Sequence[str]) -> str:
    """Returns a regular expression for the longest text that fits.

    Beginnings that several have are written once, so that a thousand words
    cost no more than one.

    Args:
        texts: sorted, none of them twice.
    """
    if len(texts) == 1:
        return re.escape(texts[0])
    start = _common_start(texts[0], texts[-1]) if texts else ""
    rests = [text[len(start) :] for text in texts if text != start]
    groups = [
        _any_of(list(group))
        for _, group in itertools.groupby(rests, lambda rest: rest[0])
    ]
    # Behind a whole text, the rest of a longer one may follow.
    may_end = "?" if start in texts and start else ""
    return f"{re.escape(start)}(?:{'|'.join(groups)}){may_end}"


def _common_start(one: str, other: str) -> str:
    pairs = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(one, other, strict=False)
    )
    return one[: sum(1 for _ in pairs)]


def _listed(
    vocab_file: pathlib.Path,
) -> Iterator[tuple[pathlib.Path, str, Any]]:
    """Yields the file, what to call the entry, and the entry of each token."""
    folder = vocab_file.parent
    config_file = folder / TOKENIZER_CONFIG
    config = read_object(config_file) if config_file.is_file() else {}
    map_file = folder / SPECIAL_TOKENS_MAP
    special_map = read_object(map_file) if map_file.is_file() else {}
    decoder = config.get(DECODER) or {}
    if not isinstance(decoder, dict):
        raise UserError(f"{config_file}: {DECODER} is no JSON object")
    file = folder / ADDED_TOKENS
    if file.is_file() and not decoder:
        special = _special_in(config_file, config) | _special_in(
            map_file, special_map
        )
        values = read_object(file)
        for content, number in values.items():
            fields = {"content": content, "id": number}
            yield file, repr(content), {**fields, "special": content in special}
    is_json = vocab_file.suffix == ".json"
    file = vocab_file if is_json else folder / TOKENIZER_JSON
    if file.is_file():
        listed = read_object(file).get("added_tokens") or []
        for entry in listed if isinstance(listed, list) else [listed]:
            if isinstance(entry, dict) and "id" not in entry:
                entry = {**entry, "id": None}
            yield file, f"added_tokens: {entry!r:.80}", entry
    for key, entry in decoder.items():
        if isinstance(entry, dict):
            number = int(key) if key.isdecimal() else key
            entry = {**entry, "id": number}
        yield config_file, f"{DECODER}: {key!r:.80}", entry
    for file, values in ((config_file, config), (map_file, special_map)):
        for name, entry in _in_lists(file, values):
            yield file, f"{name}: {entry!r:.80}", entry


def _in_lists(
    file: pathlib.Path, values: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yields the special tokens that are listed without their ids."""
    for name in _LISTS:
        listed = values.get(name) or []
        if isinstance(listed, dict):
            listed = list(listed.values())
        if not isinstance(listed, list):
            raise UserError(f"{file}: {name} is no list of tokens")
        for entry in listed:
            if isinstance(entry, dict):
                # With its options; `special` is what the list says.
                yield name, {**entry, "special": True}
            else:
                yield name, {"content": entry, "special": True}


def _special_in(file: pathlib.Path, values: Mapping[str, Any]) -> set[str]:
    return {
        entry["content"]
        for _, entry in _in_lists(file, values)
        if isinstance(entry.get("content"), str)
    }


def _token(
    file: pathlib.Path,
    where: str,
    fields: Any,
    entries: Mapping[str, int],
    found: Mapping[str, AddedToken],
) -> AddedToken | None:
    """Makes one token of an entry; None where nothing is new.

    Args:
        file: the entry's.
        where: the entry, for messages.
        fields: the entry; without an `id` if its list has none.
        entries: the vocabulary.
        found: the added tokens so far.

    Raises:
        UserError: the entry is damaged.
    """
    content = fields.get("content") if isinstance(fields, dict) else None
    if not isinstance(content, str):
        raise UserError(
            f"{file}: {where} is no token with its `content`; take the file "
            "that was published with the checkpoint"
        )
    if len(content) > _MAX_CHARS:
        raise UserError(
            f"{file}: {where} has {len(content)} characters in its "
            f"`content`; texts are searched for at most {_MAX_CHARS}"
        )
    options = {
        name: fields[name] for name in _OPTIONS if fields.get(name) is not None
    }
    for name, value in options.items():
        if not isinstance(value, bool):
            raise UserError(
                f"{file}: {where} has {value!r:.80} for `{name}`, which is "
                "true or false"
            )
    # As in tokenizers' own class.
    options.setdefault("normalized", not options.get("special", False))
    if "id" in fields:
        number = fields["id"]
    elif not content or content in found:
        return None
    elif content in entries:
        number = entries[content]
    else:
        taken = itertools.chain(
            entries.values(), (token.id for token in found.values())
        )
        number = max(taken, default=-1) + 1
    check_token(file, where, content, number)
    # The library leaves empty ones out.
    return AddedToken(content, number, **options) if content else None
