"""A WordPiece vocabulary learned from text, or new words for a trained one.

Text in which `low` occurs five times and `lower` twice is counted as {"low":
5, "lower": 2} and becomes [PAD] [UNK] [CLS] [SEP] [MASK] [unused0] … low ##er
…: special tokens, unused entries, then pieces by how often they are used.
Words are counted exactly as `BasicTokenizer` cuts them. Hugging Face's
`tokenizers` learns the pieces; it gets words and characters in a fixed order,
so that equal text gives equal files.
"""

from __future__ import annotations

import collections
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from bert_keras3.parallel_work.workers import Report, Workers
from bert_keras3.pretraining_data import documents
from bert_keras3.pretraining_data.documents import Range
from bert_keras3.pretraining_data.settings import VocabularySettings
from bert_keras3.safekeeping.errors import UserError
from tokenization import BasicTokenizer, WordpieceTokenizer, load_vocab
from tokenization.tokenizers import MAX_CHARS_PER_WORD
from tokenization.vocab import CONTINUATION, UNKNOWN

_RANGE_SIZE = 8 << 20
# Words that the trainer gets in one string.
_WORDS_AT_ONCE = 1000

Counts = Mapping[str, int]


def unused(number: int) -> str:
    """Returns the entry number `number` that a later word may replace."""
    return f"[unused{number}]"


def base_entries(vocab_file: str | None) -> list[str]:
    """Returns the entries of a vocabulary that has unused ones.

    Args:
        vocab_file: a `vocab.txt`; None if there is none.

    Raises:
        UserError: the file cannot be read, has an entry twice, or no unused
            one.
    """
    if vocab_file is None:
        return []
    entries = load_vocab(vocab_file)
    if sorted(entries.values()) != list(range(len(entries))):
        raise UserError(
            f"{vocab_file}: the ids of its entries leave gaps, so it has one "
            "twice; give the vocab.txt that was published with the model"
        )
    if not any(map(_is_unused, entries)):
        raise UserError(
            f"{vocab_file}: it has no entry {unused(0)} or like it, so there "
            "is no room for new words; train a vocabulary of your own"
        )
    return sorted(entries, key=entries.__getitem__)


def _is_unused(entry: str) -> bool:
    return entry.startswith("[unused") and entry.endswith("]")


def count_words(
    files: Sequence[str],
    do_lower_case: bool,
    workers: Workers,
    report: Report,
    encoding: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Counts:
    """Counts the words and punctuation marks of text files.

    Args:
        files: text files, as for pretraining data.
        do_lower_case: whether words are lower-cased.
        workers: run the tasks.
        report: takes the bytes done and the bytes in all.
        encoding: of the files; None: detected for each.
        warn: takes a line for each encoding that was detected beside UTF-8.

    Raises:
        UserError: a file cannot be read or decoded, or there is no text in
            any.
    """
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="bert-keras3-") as folder:
        ranges = documents.cut_all(
            files, _RANGE_SIZE, pathlib.Path(folder), encoding, warn
        )
        total = sum(part.end - part.start for part in ranges)
        done = 0
        tasks = [(part, do_lower_case) for part in ranges]
        for part, found in workers.run(_count, tasks):
            counts.update(found)
            done += part.end - part.start
            report(done, total)
    if not counts:
        raise UserError(
            f"{', '.join(files)}: there is no text; give files with a "
            "sentence on each line"
        )
    return counts


def _count(
    task: tuple[Range, bool],
) -> tuple[Range, collections.Counter[str]]:
    part, do_lower_case = task
    tokenize = _tokenizer(do_lower_case).tokenize
    counts: collections.Counter[str] = collections.Counter()
    for sentence in documents.read(part):
        if sentence is not None:
            counts.update(tokenize(sentence.text))
    return part, counts


@functools.lru_cache(maxsize=2)
def _tokenizer(do_lower_case: bool) -> BasicTokenizer:
    return BasicTokenizer(do_lower_case)


def learn(counts: Counts, settings: VocabularySettings) -> list[str]:
    """Learns pieces from counted words; the same for the same counts.

    Args:
        counts: {word: how often}.
        settings: of the vocabulary.

    Returns:
        The entries: special ones, unused ones, then pieces from the most to
        the least used. Fewer than `vocab_size` if the text has no more.

    Raises:
        UserError: there is no room for the characters of the text, or the
            learner is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise UserError(
            "tokenizers, which learns the pieces, is not installed: pip "
            "install '.[vocabulary]'"
        ) from error
    reserved = [
        *settings.special_tokens,
        *map(unused, range(settings.num_unused)),
    ]
    room = settings.vocab_size - len(reserved)
    counts = {
        word: count
        for word, count in counts.items()
        if len(word) <= MAX_CHARS_PER_WORD
    }
    characters = _characters(counts, settings.min_frequency)
    if len(characters) > room:
        raise UserError(
            f"--vocab_size={settings.vocab_size} has no room for the "
            f"{len(characters)} characters of the text beside {len(reserved)} "
            "special and unused entries; use at least "
            f"{len(characters) + len(reserved)}, or a greater --min_frequency "
            f"than {settings.min_frequency}"
        )
    learner = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(unk_token=UNKNOWN)
    )
    learner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=room,
        min_frequency=settings.min_frequency,
        # The trainer would number characters in the order of a hash table
        # and prefer one of equally frequent pairs by the numbers.
        special_tokens=characters,
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    known = _known(counts, characters)
    learner.train_from_iterator(_repeated(known), trainer)
    pieces = set(learner.get_vocab()) - set(reserved)
    return reserved + _by_use(pieces, known)


def fill_unused(
    entries: Sequence[str], counts: Counts, min_frequency: int
) -> tuple[list[str], list[str]]:
    """Replaces the unused entries of a trained vocabulary by words of a text.

    The ids of all other entries stay, so that the weights of a model still
    fit. The words that save the most tokens over the whole text come first.

    Args:
        entries: the vocabulary; the entry of id i at place i.
        counts: {word: how often}.
        min_frequency: rarer words are left out.

    Returns:
        The new vocabulary, and the words that are new in it.
    """
    tokenizer = WordpieceTokenizer(set(entries))
    saved = {
        word: count * (len(tokenizer.tokenize(word)) - 1)
        for word, count in counts.items()
        if count >= min_frequency and len(word) <= MAX_CHARS_PER_WORD
    }
    # An unknown word saves no token, but becomes known.
    for word in saved:
        if tokenizer.tokenize(word) == [UNKNOWN]:
            saved[word] = counts[word]
    words = sorted(
        (word for word, gain in saved.items() if gain > 0),
        key=lambda word: (-saved[word], word),
    )
    slots = [place for place, entry in enumerate(entries) if _is_unused(entry)]
    filled = list(entries)
    new = words[: len(slots)]
    for place, word in zip(slots, new, strict=False):
        filled[place] = word
    return filled, new


def _characters(counts: Counts, min_frequency: int) -> list[str]:
    """Returns the pieces of one character, sorted.

    A character that occurs only inside of words is there without `##` too,
    since it may begin a word in another text.
    """
    found: collections.Counter[str] = collections.Counter()
    inside: set[str] = set()
    for word, count in counts.items():
        for character in word:
            found[character] += count
        inside.update(word[1:])
    frequent = {
        character
        for character, count in found.items()
        if count >= min_frequency
    }
    return sorted(frequent) + sorted(
        CONTINUATION + character for character in frequent & inside
    )


def _known(counts: Counts, characters: Sequence[str]) -> dict[str, int]:
    """Returns the words made of these characters alone, sorted."""
    known = set(characters)
    return {
        word: count
        for word, count in sorted(counts.items())
        if word[0] in known
        and all(CONTINUATION + character in known for character in word[1:])
    }


def _repeated(counts: Counts) -> Iterator[str]:
    """Yields texts in which each word occurs as often as it was counted."""
    for word, count in counts.items():
        for start in range(0, count, _WORDS_AT_ONCE):
            yield f"{word} " * min(_WORDS_AT_ONCE, count - start)


def _by_use(pieces: set[str], counts: Counts) -> list[str]:
    """Returns pieces from the most to the least used."""
    tokenizer = WordpieceTokenizer(pieces)
    used: collections.Counter[str] = collections.Counter()
    for word, count in counts.items():
        for piece in tokenizer.tokenize(word):
            used[piece] += count
    return sorted(pieces, key=lambda piece: (-used[piece], piece))
