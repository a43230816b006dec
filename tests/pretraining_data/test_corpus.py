"""Text on disk as tokens, sentences and documents."""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest

from bert_keras3.parallel_work.workers import Processes
from bert_keras3.pretraining_data import corpus
from bert_keras3.pretraining_data.corpus import Corpus, CorpusSettings
from bert_keras3.pretraining_data.settings import WordSettings
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError

VOCAB = ["[UNK]", "a", "b", "c", "##d", "日", "月"]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes what the tests have made."""
    with contextlib.ExitStack() as stack:
        opened.append(stack)
        yield
        opened.clear()


opened: list[contextlib.ExitStack] = []


def make(
    folder: pathlib.Path,
    texts: list[str],
    number: int = 1,
    **settings: object,
) -> Corpus:
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", "utf-8")
    files = []
    for index, text in enumerate(texts):
        files.append(str(folder / f"{index}.txt"))
        pathlib.Path(files[-1]).write_text(text, "utf-8")
    target = folder / f"corpus-{number}"
    target.mkdir()
    return build(
        target,
        files,
        CorpusSettings(str(folder / "vocab.txt"), **settings),  # type: ignore[arg-type]
        number,
    )


def build(
    folder: pathlib.Path,
    files: list[str],
    settings: CorpusSettings,
    number: int = 1,
) -> Corpus:
    with Processes(number) as workers:
        found = corpus.build(
            folder, files, settings, workers, lambda done, total: None
        )
    return opened[0].enter_context(found)


def sentences(found: Corpus) -> list[list[str]]:
    """Returns each document's sentences, spelt."""
    out = []
    for document in range(found.num_documents):
        first, last = found.bounds(document)
        out.append(
            [
                " ".join(VOCAB[index] for index in found.read([run])[0])
                for run in itertools.pairwise(
                    found.offsets[number] for number in range(first, last + 1)
                )
            ]
        )
    return out


def test_documents_and_sentences(tmp_path: pathlib.Path) -> None:
    found = make(tmp_path, ["\n\na b\ncd\n\n \n\u200b\n\na", "b\n\nx 日\n"])
    assert sentences(found) == [["a b", "c ##d"], ["a"], ["b"], ["[UNK] 日"]]
    assert found.num_sentences == 5
    assert found.num_tokens == 8
    assert found.share_of_ideographs == 1 / 8
    starts = found.read([(0, 2), (2, 8)])[1].tolist()
    assert starts == [WORD | ENTITY] * 3 + [0] + [3] * 4


def test_a_file_given_twice_is_two_documents(tmp_path: pathlib.Path) -> None:
    (tmp_path / "target").mkdir()
    make(tmp_path, ["a"])
    found = build(
        tmp_path / "target",
        [str(tmp_path / "0.txt")] * 2,
        CorpusSettings(str(tmp_path / "vocab.txt")),
    )
    assert sentences(found) == [["a"], ["a"]]


def test_documents_go_on_in_the_next_file(tmp_path: pathlib.Path) -> None:
    found = make(tmp_path, ["a\n\nb", "c\n\n日"], files_end_documents=False)
    assert sentences(found) == [["a"], ["b", "c"], ["日"]]


@pytest.mark.parametrize("number", [1, 2])
def test_any_number_of_workers_and_ranges(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(corpus, "_RANGE_SIZE", 4)
    text = "a b\n\n\ncd cd\nb\n\na\na\n\n\n"
    found = make(tmp_path, [text, text], number)
    half = [["a b"], ["c ##d c ##d", "b"], ["a", "a"]]
    assert sentences(found) == half * 2


def test_long_sentences_are_cut_before_words(tmp_path: pathlib.Path) -> None:
    text = "a b cd a cd b\na a\ncdddddd"
    found = make(tmp_path, [text], max_sentence_length=5)
    assert sentences(found) == [
        ["a b", "c ##d", "a c ##d b", "a a", "c ##d", "##d ##d ##d ##d ##d"]
    ]
    assert found.num_long_sentences == 2
    assert found.num_tokens == 17


def test_long_sentences_are_left_if_asked(tmp_path: pathlib.Path) -> None:
    found = make(
        tmp_path,
        ["a b cd a cd b\na a"],
        max_sentence_length=5,
        cut_long_sentences=False,
    )
    assert found.num_sentences == 2
    assert found.num_long_sentences == 1


def test_words_of_a_list_are_kept(tmp_path: pathlib.Path) -> None:
    words = tmp_path / "words"
    words.write_text("日月\n", "utf-8")
    found = make(tmp_path, ["日月日"], words=WordSettings(word_list=str(words)))
    assert found.read([(0, 3)])[1].tolist() == [3, 0, 3]


@pytest.mark.parametrize("texts", [["\n \n", ""], [""]])
def test_no_text(tmp_path: pathlib.Path, texts: list[str]) -> None:
    with pytest.raises(UserError, match=r"0\.txt.*there is no text"):
        make(tmp_path, texts)


def test_integers_on_disk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "_PAGE", 4)
    monkeypatch.setattr(corpus, "_PAGES_KEPT", 2)
    path = tmp_path / "numbers"
    np.arange(0, 70, 7).tofile(path)
    with io.FileIO(path) as file:
        numbers = corpus._IntegersOnDisk(file)
        assert len(numbers) == 10
        found = [numbers[index] for index in (9, 0, 5, 3, 8)]
        assert found == [63, 0, 35, 21, 56]
        assert bisect.bisect_left(numbers, 36) == 6
        assert len(numbers._pages) <= 2
