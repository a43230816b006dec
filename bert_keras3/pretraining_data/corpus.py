"""A tokenized text on disk: tokens, sentences, documents.

Two documents of two and one sentences, `the sun / rises over the sea` and
`un ##happ ##y moon`, are three files of numbers:

    tokens     the sun rises over the sea un ##happ ##y moon   int32 [T]
    sentences  0 2 6 10        where each sentence begins, and the end of all
    documents  0 2 3           its first sentence, and the end of all

Each entry of `tokens` is a token id in the low 24 bits and, above, whether a
word or an entity begins there (see `words`). `build` encodes ranges of the
text with all workers and concatenates the parts; `Corpus` reads from disk on
access, so that a text of any length takes a few megabytes of memory.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import functools
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bert_keras3.parallel_work.workers import Report, Workers
from bert_keras3.pretraining_data import documents
from bert_keras3.pretraining_data.documents import Range
from bert_keras3.pretraining_data.settings import WordSettings
from bert_keras3.pretraining_data.words import (
    WORD,
    SentenceEncoder,
    sentence_encoder,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from tokenization import characters
from tokenization.tokenizers import open_tokenizer

# Bytes of text that a worker encodes at a time.
_RANGE_SIZE = 4 << 20
_SUMMARY = "corpus.json"
# The token id is in the bits below this one, what begins at it above.
_STARTS_AT_BIT = 24
_TOKEN = np.dtype(np.int32)
_OFFSET = np.dtype(np.int64)
# Offsets that are counted at a time.
_BLOCK = 1 << 16
# Offsets that are read at once, and how many such pages are kept: 4 MB.
_PAGE = 512
_PAGES_KEPT = 1024


@dataclasses.dataclass(frozen=True)
class CorpusSettings:
    """How text becomes tokens."""

    vocab_file: str
    """The vocabulary."""
    do_lower_case: bool = True
    """Whether the model is uncased."""
    words: WordSettings = dataclasses.field(default_factory=WordSettings)
    """How words and entities are found."""
    max_sentence_length: int = 125
    """Longer sentences are counted."""
    cut_long_sentences: bool = True
    """Whether longer sentences are cut into pieces of about half that."""
    files_end_documents: bool = True
    """Whether a document ends with its file. In the original it goes on into
    the next one, unless there is an empty line."""
    encoding: str | None = None
    """Encoding of the files; None: detected for each."""


class Corpus:
    """Documents of sentences of tokens, read where they are needed.

    Holds files open; to be used as a context.

    Args:
        folder: made by `build`.

    Attributes:
        folder: its folder.
        num_documents: number of documents.
        num_sentences: number of sentences in all documents.
        num_tokens: number of tokens in all sentences.
        num_long_sentences: sentences longer than `max_sentence_length`.
        share_of_ideographs: fraction of the tokens that are ideographs.
        offsets: sentence i is the tokens from offsets[i] to offsets[i + 1].
    """

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = path = pathlib.Path(folder)
        summary = json.loads((path / _SUMMARY).read_text("utf-8"))
        self.num_documents: int = summary["documents"]
        self.num_sentences: int = summary["sentences"]
        self.num_tokens: int = summary["tokens"]
        self.num_long_sentences: int = summary["long_sentences"]
        self.share_of_ideographs: float = summary["share_of_ideographs"]
        # Without buffers, which would read 8 KB for a few tokens.
        self._files = [
            io.FileIO(path / name)
            for name in ("tokens", "sentences", "documents")
        ]
        self._tokens, *files = self._files
        self.offsets, self._documents = map(_IntegersOnDisk, files)

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def bounds(self, document: int) -> tuple[int, int]:
        """Returns its first sentence, and one more than its last."""
        return self._documents[document], self._documents[document + 1]

    def count_single_sentences(self) -> int:
        """Returns how many documents have one sentence."""
        number, last = 0, np.array([], _OFFSET)
        with open(self.folder / "documents", "rb") as file:
            while (block := np.fromfile(file, _OFFSET, _BLOCK)).size:
                lengths = np.diff(np.concatenate([last, block]))
                number += int((lengths == 1).sum())
                last = block[-1:]
        return number

    def read(
        self, runs: Iterable[Sequence[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns runs of tokens, one behind the other.

        Args:
            runs: pairs (first token, one more than the last).

        Returns:
            The ids, int32 [T], and what begins at each, uint8 [T]; see
            `words`.
        """
        size, seek, read = _TOKEN.itemsize, self._tokens.seek, self._tokens.read
        parts = []
        for start, end in runs:
            seek(start * size)
            parts.append(read((end - start) * size))
        packed = np.frombuffer(b"".join(parts), _TOKEN)
        return (
            packed & ((1 << _STARTS_AT_BIT) - 1),
            (packed >> _STARTS_AT_BIT).astype(np.uint8),
        )


class _IntegersOnDisk:
    """A long sequence of integers, of which a few pages are in memory.

    A memory-mapped file would be simpler, but its pages stay in memory as
    long as there is any left.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._length = file.seek(0, io.SEEK_END) // _OFFSET.itemsize
        self._pages: dict[int, memoryview[int]] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        page, place = divmod(index, _PAGE)
        numbers = self._pages.get(page)
        return (self._load(page) if numbers is None else numbers)[place]

    def _load(self, page: int) -> memoryview[int]:
        size = _PAGE * _OFFSET.itemsize
        self._file.seek(page * size)
        numbers = memoryview(self._file.read(size)).cast("q")
        if len(self._pages) == _PAGES_KEPT:
            self._pages.clear()
        self._pages[page] = numbers
        return numbers


def build(
    folder: str | pathlib.Path,
    files: Sequence[str],
    settings: CorpusSettings,
    workers: Workers,
    report: Report,
    warn: Callable[[str], None] = lambda line: None,
) -> Corpus:
    """Encodes text files into a folder; goes on where an earlier call stopped.

    Args:
        folder: an existing folder, used for nothing else.
        files: the text, in the order of the documents.
        settings: how text becomes tokens.
        workers: run the tasks.
        report: takes the bytes done and the bytes in all.
        warn: takes a line for each encoding that was detected beside UTF-8.

    Raises:
        UserError: a file cannot be read or decoded, or there is no text in
            any.
    """
    path = pathlib.Path(folder)
    if not (path / _SUMMARY).exists():
        ranges = documents.cut_all(
            files, _RANGE_SIZE, path, settings.encoding, warn
        )
        parts = [
            path / f"part-{number:06}.npz" for number in range(len(ranges))
        ]
        tasks = [
            (part, str(part_path), settings)
            for part, part_path in zip(ranges, parts, strict=True)
            if not part_path.exists()
        ]
        total = sum(part.end - part.start for part in ranges)
        done = total - sum(part.end - part.start for part, _, _ in tasks)
        report(done, total)
        for part, _, _ in workers.run(_encode, tasks):
            done += part.end - part.start
            report(done, total)
        _join(path, ranges, parts, settings)
        for part_path in parts:
            part_path.unlink()
        for unpacked in {part.path for part in ranges if part.packed}:
            pathlib.Path(unpacked).unlink()
    corpus = Corpus(path)
    if not corpus.num_tokens:
        corpus.__exit__()
        raise UserError(
            f"{', '.join(files)}: there is no text; give files with a "
            "sentence on each line and empty lines between documents"
        )
    return corpus


def _encode(
    task: tuple[Range, str, CorpusSettings],
) -> tuple[Range, str, CorpusSettings]:
    """Encodes one range into a file of arrays; runs in a worker."""
    part, target, settings = task
    encoder, is_ideograph = _tables(settings)
    tokens, starts = array.array("i"), array.array("B")
    lengths, ends = array.array("q"), array.array("q")
    num_long = 0
    keeps_starts = not encoder.by_vocabulary or part.path.endswith(
        documents.JSON_LINES
    )
    for sentence in documents.read(part):
        if sentence is None:
            ends.append(len(lengths))
            continue
        if keeps_starts:
            ids, begins = encoder.ids_and_starts(sentence)
            starts.extend(begins)
        else:
            ids = encoder.ids(sentence)
            begins = None
        if not ids:
            continue
        tokens.extend(ids)
        longest = settings.max_sentence_length
        num_long += len(ids) > longest
        if len(ids) > longest and settings.cut_long_sentences:
            if begins is None:
                begins = encoder.starts_of_ids(np.array(ids)).tolist()
            lengths.extend(_cut(begins, longest))
        else:
            lengths.append(len(ids))
    encoded = np.frombuffer(tokens, _TOKEN)
    begins_at = (
        np.frombuffer(starts, np.uint8)
        if keeps_starts
        else encoder.starts_of_ids(encoded)
    )
    with atomic_path(target) as temporary:
        np.savez(
            temporary,
            tokens=encoded | begins_at.astype(_TOKEN) << _STARTS_AT_BIT,
            lengths=np.frombuffer(lengths, np.int64),
            ends=np.frombuffer(ends, np.int64),
            num_long=num_long,
            num_ideographs=int(is_ideograph[encoded].sum()),
        )
    return task


@functools.lru_cache(maxsize=1)
def _tables(
    settings: CorpusSettings,
) -> tuple[SentenceEncoder, np.ndarray]:
    """Returns the encoder, and bool [V]: which ids are single ideographs.

    Kept from task to task: reading a vocabulary takes longer than encoding
    some ranges.
    """
    tokenizer = open_tokenizer(settings.vocab_file, settings.do_lower_case)
    is_ideograph = np.zeros(max(tokenizer.inv_vocab) + 1, bool)
    for index, token in tokenizer.inv_vocab.items():
        is_ideograph[index] = len(token) == 1 and characters.is_ideograph(token)
    return sentence_encoder(tokenizer, settings.words), is_ideograph


def _cut(begins: Sequence[int], longest: int) -> Iterable[int]:
    """Returns the lengths of a long sentence's pieces, cut between words."""
    piece = max(1, longest // 2)
    start = 0
    while len(begins) - start > longest:
        end = start + piece
        while end > start and not begins[end] & WORD:
            end -= 1
        # A single word that is longer than a piece is cut itself.
        end = end if end > start else start + piece
        yield end - start
        start = end
    yield len(begins) - start


def _join(
    folder: pathlib.Path,
    ranges: Sequence[Range],
    parts: Sequence[pathlib.Path],
    settings: CorpusSettings,
) -> None:
    """Concatenates the parts, with one of them in memory at a time."""
    counts = dict.fromkeys(("tokens", "sentences", "documents"), 0)
    num_long = num_ideographs = 0
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(open(folder / name, "wb"))
            for name in ("tokens", "sentences", "documents")
        }
        files["sentences"].write(np.zeros(1, _OFFSET).tobytes())
        files["documents"].write(np.zeros(1, _OFFSET).tobytes())
        last_end = 0
        for number, path in enumerate(parts, 1):
            after = ranges[number] if number < len(ranges) else None
            with np.load(path) as arrays:
                files["tokens"].write(arrays["tokens"].tobytes())
                offsets = counts["tokens"] + np.cumsum(arrays["lengths"])
                files["sentences"].write(offsets.tobytes())
                ends = counts["sentences"] + arrays["ends"]
                counts["tokens"] += len(arrays["tokens"])
                counts["sentences"] += len(offsets)
                num_long += int(arrays["num_long"])
                num_ideographs += int(arrays["num_ideographs"])
            if after is None or (
                settings.files_end_documents and after.start == 0
            ):
                ends = np.append(ends, counts["sentences"])
            # Empty lines in a row end one document.
            ends = ends[np.diff(ends, prepend=last_end) > 0]
            last_end = int(ends[-1]) if len(ends) else last_end
            files["documents"].write(ends.tobytes())
            counts["documents"] += len(ends)
    summary = counts | {
        "long_sentences": num_long,
        "share_of_ideographs": num_ideographs / max(1, counts["tokens"]),
    }
    with atomic_write(folder / _SUMMARY) as file:
        json.dump(summary, file)
