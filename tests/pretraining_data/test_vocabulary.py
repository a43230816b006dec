"""Vocabularies that are learned, and new words for trained ones."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from bert_keras3.parallel_work.workers import Processes
from bert_keras3.pretraining_data import vocabulary
from bert_keras3.pretraining_data.settings import VocabularySettings
from bert_keras3.safekeeping.errors import UserError
from tokenization import FullTokenizer, load_vocab

TEXT = (
    "low lower lowest, new newer newest\nÉtude 日本 日 low low\n\nwider\n" * 3
)


def count(path: pathlib.Path, do_lower_case: bool = True) -> dict[str, int]:
    with Processes(1) as workers:
        return dict(
            vocabulary.count_words(
                [str(path)], do_lower_case, workers, lambda *_: None
            )
        )


@pytest.fixture
def text(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return path


def test_words_are_counted_as_the_tokenizer_cuts(text: pathlib.Path) -> None:
    counts = count(text)
    assert counts["low"] == 9
    assert counts["etude"] == counts[","] == counts["本"] == 3
    assert counts["日"] == 6
    assert "Étude" in count(text, do_lower_case=False)


def test_words_are_the_same_in_another_encoding(text: pathlib.Path) -> None:
    expected = count(text)
    text.write_text(TEXT, "utf-16")
    assert count(text) == expected


def test_special_unused_characters_pieces(text: pathlib.Path) -> None:
    pytest.importorskip("tokenizers")
    settings = VocabularySettings(vocab_size=45, num_unused=3)
    entries = vocabulary.learn(count(text), settings)
    assert entries[:8] == [
        *VocabularySettings().special_tokens,
        "[unused0]",
        "[unused1]",
        "[unused2]",
    ]
    assert len(entries) == len(set(entries)) == 45
    assert {"日", "本", ",", "low", "##er", "new"} <= set(entries)
    tokenizer = FullTokenizer.from_vocab(
        {entry: index for index, entry in enumerate(entries)}
    )
    assert "[UNK]" not in tokenizer.tokenize(TEXT)
    assert tokenizer.tokenize("newer low") == ["new", "##er", "low"]


def test_a_text_may_have_fewer_pieces(text: pathlib.Path) -> None:
    pytest.importorskip("tokenizers")
    entries = vocabulary.learn(count(text), VocabularySettings())
    assert 100 < len(entries) < 200
    assert {"lowest", "newest", "wider"} <= set(entries)


def test_rare_characters_are_left_out() -> None:
    pytest.importorskip("tokenizers")
    counts = {"ab": 5, "abx": 1, "日": 1}
    entries = vocabulary.learn(counts, VocabularySettings(min_frequency=2))
    assert entries[105:] == ["ab", "##b", "a", "b"]


def test_no_room_for_the_characters(text: pathlib.Path) -> None:
    pytest.importorskip("tokenizers")
    settings = VocabularySettings(vocab_size=20, num_unused=3)
    with pytest.raises(UserError, match=r"--vocab_size=20 has no room"):
        vocabulary.learn(count(text), settings)


def test_domain_words_take_the_unused_places() -> None:
    entries = ["[PAD]", "[unused0]", "[UNK]", "[unused1]", "a", "##b", "c"]
    counts = {"ab": 10, "abb": 6, "a": 100, "abbb": 1, "é": 4}
    filled, new = vocabulary.fill_unused(entries, counts, 2)
    # "abb" saves two pieces six times, "ab" one ten times.
    assert new == ["abb", "ab"]
    assert filled == ["[PAD]", "abb", "[UNK]", "ab", "a", "##b", "c"]


def test_vocabularies_without_places(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\na\n", "utf-8")
    with pytest.raises(UserError, match=r"no entry \[unused0\]"):
        vocabulary.base_entries(str(path))
    path.write_text("[unused0]\na\na\n", "utf-8")
    with pytest.raises(UserError, match="one twice"):
        vocabulary.base_entries(str(path))


def test_no_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").write_text("\n\n", "utf-8")
    with pytest.raises(UserError, match="empty: there is no text"):
        count(tmp_path / "empty")


def test_the_script_writes_equal_files(
    text: pathlib.Path, tmp_path: pathlib.Path, root: pathlib.Path
) -> None:
    pytest.importorskip("tokenizers")
    # Words with many ties between pairs of pieces.
    text.write_text(
        " ".join(f"{a}{b}{c}" for a in "abcd" for b in "efgh" for c in "ijkl")
        * 3,
        "utf-8",
    )
    written = []
    for seed in ("1", "2", "3"):
        output = tmp_path / f"vocab-{seed}.txt"
        done = subprocess.run(
            [
                sys.executable,
                str(root / "create_vocab.py"),
                f"--input_file={text}",
                f"--output_file={output}",
                "--vocab_size=145",
            ],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "145 entries" in done.stdout
        written.append(output.read_bytes())
    assert written[0] == written[1] == written[2]
    assert len(load_vocab(output)) == 145
