"""Reads vocabulary files, and detects whether a model is cased.

`vocab.txt` (one token a line) and Hugging Face's `tokenizer.json` are read to
{token: id}; `guess_do_lower_case` decides by the model's files, its name, and
what lower-casing would take from its vocabulary.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from bert_keras3.safekeeping.errors import UserError
from tokenization import characters

# Begins a piece that does not begin a word.
CONTINUATION = "##"
UNKNOWN = "[UNK]"
# Begins a piece of SentencePiece that begins a word.
WORD_MARK = "▁"

Key = TypeVar("Key")
Value = TypeVar("Value")
Path = str | os.PathLike[str]

SPECIAL_TOKENS = (UNKNOWN, "[CLS]", "[SEP]")
_SENTENCE_PIECES = ".model"
# In the order in which a folder is searched; a `tokenizer.json` beside a
# SentencePiece model has the same vocabulary.
VOCAB_FILES = ("vocab.txt", "spiece.model", f"*{_SENTENCE_PIECES}")
TOKENIZER_JSON = "tokenizer.json"

# Whether text is lower-cased for models with such a name; the first that fits.
_CASE_BY_NAME = (
    ("uncased", True),
    ("cased", False),
    ("chinese", True),
    # The first multilingual model, since replaced by multi_cased.
    ("multilingual_l-12", True),
)
# Matches names of models, but not of working directories.
_MODEL_NAME = re.compile(
    r"bert|(^|[_-])L-\d+_H-\d+|^(multi_|wwm_)?(un)?cased$|^chinese_|^multi",
    re.IGNORECASE,
)
# More than any vocabulary has, so that a forged id takes no memory.
MAX_VOCAB_SIZE = 1 << 22
# A lower-cased vocabulary may have some words that were added by hand.
_SHARE_OF_UNREACHABLE = 0.01


def load_vocab(vocab_file: Path) -> dict[str, int]:
    r"""Reads a vocabulary.

    A text file has one token a line, and its id is the number of the line
    from 0. As in the original, lines end at "\n" alone (the Chinese
    vocabulary has U+2028 as an entry) and are stripped; an empty line is a
    token too, the empty one; of equal tokens the later keeps its id. Unlike
    the original, a byte order mark is not taken for part of the first token.

    A file whose name ends in `.json` is read as a Hugging Face
    `tokenizer.json` with a WordPiece model.

    Returns:
        {token: id}, in the order of the file.

    Raises:
        UserError: the file is missing, empty, not UTF-8 or, for JSON, not a
            WordPiece tokenizer.
    """
    path = pathlib.Path(vocab_file)
    if is_sentence_pieces(path):
        raise UserError(
            f"{path}: is a SentencePiece model; a WordPiece vocabulary, one "
            "token a line, is needed here"
        )
    text = _read(path)
    if path.suffix == ".json":
        return _vocab_of_json(path, _parse(path, text))
    # The original's reader drops every carriage return, not only at line ends.
    lines = text.replace("\r", "").split("\n")
    if not lines[-1]:
        lines.pop()
    return {token.strip(): index for index, token in enumerate(lines)}


def find_vocab_file(folder: Path) -> pathlib.Path | None:
    """Returns the vocabulary file that `folder` holds, if it holds one."""
    for pattern in (*VOCAB_FILES, TOKENIZER_JSON):
        found = [p for p in pathlib.Path(folder).glob(pattern) if p.is_file()]
        if len(found) == 1:
            return found[0]
    return None


def is_sentence_pieces(vocab_file: Path) -> bool:
    """Whether a vocabulary is a SentencePiece model, by its name."""
    return pathlib.Path(vocab_file).suffix == _SENTENCE_PIECES


def require_special_tokens(
    vocab: Mapping[str, int],
    vocab_file: Path,
    tokens: Iterable[str] = SPECIAL_TOKENS,
) -> None:
    """Checks that the vocabulary has the tokens that the program writes.

    Args:
        vocab: as read from `vocab_file`.
        vocab_file: for the message.
        tokens: what has to be there.

    Raises:
        UserError: one is missing.
    """
    missing = [token for token in tokens if token not in vocab]
    if missing:
        pieces = is_sentence_pieces(vocab_file)
        raise UserError(
            f"{os.fspath(vocab_file)}: the vocabulary of {len(vocab)} tokens "
            f"lacks {' and '.join(missing)}; "
            + (
                "ALBERT's has these among its pieces: give the .model"
                if pieces
                else "BERT's has these on lines of their own: give the "
                "vocab.txt"
            )
            + " that was published with the checkpoint"
        )


def missing_token(number: int) -> str:
    """Returns what stands for an id that no token has; no text has it."""
    return f"[missing{number}]"


def tokens_in_order(vocab: Mapping[str, int]) -> tuple[str, ...]:
    """Returns one token for each id, from 0.

    Args:
        vocab: {token: id}, not empty.

    Returns:
        The tokens; `[missingN]` for an id N that no token has, so that the
        ids behind it stay as they are.
    """
    by_id = {number: token for token, number in vocab.items()}
    return tuple(
        by_id.get(number, missing_token(number))
        for number in range(max(by_id) + 1)
    )


def guess_do_lower_case(
    checkpoint: Path | None, vocab: Mapping[str, int]
) -> tuple[bool, str]:
    """Guesses whether a model was trained on lower-cased text.

    In this order: `tokenizer_config.json` and `tokenizer.json` beside the
    checkpoint, the name of the model, and the vocabulary: words with capitals,
    accents or, in Korean and Japanese, characters that decompose, no
    lower-cased text could match, so a cased model has them. The name is that
    of the file or its folder, and counts only if it looks like a model's,
    unlike a working directory's.

    Args:
        checkpoint: a folder, or a file or checkpoint prefix in it, or the
            name of a published model; None if there is none.
        vocab: the vocabulary of the model.

    Returns:
        The answer and the reason for it, in words for the user.

    Raises:
        UserError: one of the JSON files cannot be read.
    """
    if checkpoint is not None:
        path = pathlib.Path(checkpoint).absolute()
        folder = path if path.is_dir() else path.parent
        answer = _case_of_files(folder) or _case_of_model(path, folder)
        if answer is not None:
            return answer
    words = [token for token in vocab if not _has_punctuation(token)]
    lower_cased = str.lower if keeps_accents(vocab) else _lower_cased
    lost = sum(word != lower_cased(word) for word in words)
    why = (
        f"{lost} of {len(words)} words in the vocabulary would be unreachable "
        "in lower-cased text"
    )
    return lost <= _SHARE_OF_UNREACHABLE * len(words), why


def keeps_accents(pieces: Iterable[str]) -> bool:
    """Whether a SentencePiece model was made of texts with their accents.

    ALBERT drops them, and with them the voicing marks of kana: no text could
    have a piece with one. A Japanese BERT has thousands of such pieces.

    Args:
        pieces: of the vocabulary; of WordPiece's the answer is no.
    """
    words = list(pieces)
    if not any(word.startswith(WORD_MARK) for word in words):
        return False
    accented = sum(
        not word.isascii()
        and any(map(unicodedata.combining, unicodedata.normalize("NFD", word)))
        for word in words
    )
    return accented > _SHARE_OF_UNREACHABLE * len(words)


def validate_case_matches_checkpoint(
    do_lower_case: bool, init_checkpoint: Path | None
) -> str | None:
    """Warns where the case and the name of the checkpoint differ.

    The original raises an error, for its own models only; since a name is no
    proof, this writes a warning to the log.

    Returns:
        The warning; None if the two agree or the name does not show the case.
    """
    if not init_checkpoint:
        return None
    path = pathlib.Path(init_checkpoint).absolute()
    answer = _case_of_model(path, path if path.is_dir() else path.parent)
    if answer is None or answer[0] == do_lower_case:
        return None
    kind = "lower-cased" if answer[0] else "cased"
    advice = (
        f"--do_lower_case={do_lower_case} does not suit the checkpoint "
        f"{os.fspath(init_checkpoint)}: a model with {answer[1]} was "
        f"trained on {kind} text; --do_lower_case={answer[0]} would match it"
    )
    logging.getLogger(__name__).warning(advice)
    return advice


def convert_by_vocab(
    vocab: Mapping[Key, Value], items: Iterable[Key]
) -> list[Value]:
    """Looks every item up.

    Raises:
        KeyError: an item is not in the vocabulary.
    """
    return [vocab[item] for item in items]


def convert_tokens_to_ids(
    vocab: Mapping[str, int], tokens: Iterable[str]
) -> list[int]:
    """Returns the ids of tokens, as `convert_by_vocab`."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(
    inv_vocab: Mapping[int, str], ids: Iterable[int]
) -> list[str]:
    """Returns the tokens of ids, as `convert_by_vocab`."""
    return convert_by_vocab(inv_vocab, ids)


def _read(path: pathlib.Path) -> str:
    """Returns the text of a file, which must not be empty."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: the vocabulary cannot be read ({error.strerror}); "
            "give the path of a vocab.txt or tokenizer.json"
        ) from error
    if not data:
        raise UserError(f"{path}: the file is empty; download it again")
    try:
        # Not utf-8-sig, which counts offsets from behind the mark.
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {data[error.start]:#04x} at offset {error.start} "
            f"(line {data.count(10, 0, error.start) + 1}) is not UTF-8; save "
            "the vocabulary as UTF-8 or download it again"
        ) from error


def read_object(path: pathlib.Path) -> dict[str, Any]:
    """Returns the object in a JSON file; an empty one if it holds another.

    Raises:
        UserError: the file cannot be read, or is not JSON.
    """
    return _parse(path, _read(path))


def _parse(path: pathlib.Path, text: str) -> dict[str, Any]:
    """As `read_object`, of the text of a file."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        try:
            # A published one is written as Python does, with single quotes.
            content = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise UserError(
                f"{path}: not valid JSON at line {error.lineno}, column "
                f"{error.colno} ({error.msg}); download the file again"
            ) from error
    except (RecursionError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as JSON: {error}; download the file again"
        ) from error
    return content if isinstance(content, dict) else {}


def check_token(
    path: pathlib.Path, where: str, token: object, number: object
) -> None:
    """Checks a token and its id in a JSON file.

    Args:
        path: the file.
        where: the entry, for the message.
        token: what stands for the token.
        number: what stands for its id.

    Raises:
        UserError: the token is no line of text, or the id no number of a row.
    """
    if not isinstance(token, str):
        raise UserError(
            f"{path}: {where} is no token with its `content` and `id`; take "
            "the file that was published with the checkpoint"
        )
    if "\n" in token:
        raise UserError(
            f"{path}: {where} has {token!r:.40}, and a token is one line"
        )
    if type(number) is not int or not 0 <= number < MAX_VOCAB_SIZE:
        raise UserError(
            f"{path}: {where} gives {token!r:.80} the id {number!r:.80}; an "
            "id is the number of a row of the word embedding table, from 0"
        )


def _vocab_of_json(
    path: pathlib.Path, content: Mapping[str, Any]
) -> dict[str, int]:
    """Returns the vocabulary of a `tokenizer.json`, sorted by id."""
    model = content.get("model")
    model = model if isinstance(model, dict) else {}
    kind = model.get("type", "WordPiece")
    prefix = model.get("continuing_subword_prefix", CONTINUATION)
    vocab = model.get("vocab")
    vocab = vocab if isinstance(vocab, dict) else {}
    for token, number in vocab.items():
        check_token(path, "model.vocab", token, number)
    if kind != "WordPiece" or prefix != CONTINUATION or not vocab:
        raise UserError(
            f"{path}: not the tokenizer of a BERT model (model.type is "
            f"{kind!r}, continuing_subword_prefix is {prefix!r}, model.vocab "
            f"has {len(vocab)} entries); BERT needs a 'WordPiece' model "
            f"with the prefix {CONTINUATION!r} and a vocabulary"
        )
    # Added tokens are listed beside the model, with ids beyond its own.
    added = content.get("added_tokens") or []
    for entry in added if isinstance(added, list) else [added]:
        fields = entry if isinstance(entry, dict) else {}
        token, number = fields.get("content"), fields.get("id")
        check_token(path, f"added_tokens: {entry!r:.80}", token, number)
        vocab = {**vocab, token: number}
    return dict(sorted(vocab.items(), key=lambda entry: entry[1]))


def _case_of_files(folder: pathlib.Path) -> tuple[bool, str] | None:
    config_file = folder / "tokenizer_config.json"
    if config_file.is_file():
        config = read_object(config_file)
        answer = config.get("do_lower_case")
        if isinstance(answer, bool):
            return answer, f"do_lower_case in {config_file}"
    tokenizer_file = folder / "tokenizer.json"
    if tokenizer_file.is_file():
        tokenizer = read_object(tokenizer_file)
        answer = _lowercase_of_normalizer(tokenizer.get("normalizer") or {})
        if answer is not None:
            return answer, f"the normalizer in {tokenizer_file}"
    return None


def _lowercase_of_normalizer(normalizer: Mapping[str, Any]) -> bool | None:
    """Searches a normalizer, which may be a sequence of several."""
    if normalizer.get("type") == "Lowercase":
        return True
    if isinstance(normalizer.get("lowercase"), bool):
        return bool(normalizer["lowercase"])
    answers = map(_lowercase_of_normalizer, normalizer.get("normalizers") or ())
    return next((answer for answer in answers if answer is not None), None)


def _case_of_model(
    path: pathlib.Path, folder: pathlib.Path
) -> tuple[bool, str] | None:
    """Guesses from the names of a checkpoint and of its own folder."""
    for name in (path.name, folder.resolve().name):
        answer = _case_of_name(name) if _MODEL_NAME.search(name) else None
        if answer is not None:
            return answer
    return None


def _case_of_name(name: str) -> tuple[bool, str] | None:
    return next(
        (
            (answer, f"the name {name}")
            for part, answer in _CASE_BY_NAME
            if part in name.lower()
        ),
        None,
    )


def _lower_cased(word: str) -> str:
    """Returns what lower-casing, decomposition and loss of accents leave."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFD", word.lower())
    return "".join(part for part in parts if not characters.is_accent(part))


def _has_punctuation(token: str) -> bool:
    """Whether no word of a text can be `token`: [MASK], <S>, a comma."""
    word = token.removeprefix(CONTINUATION)
    return any(map(characters.is_punctuation, word))
