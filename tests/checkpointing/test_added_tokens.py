"""New words: which row they get, and what it starts as."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

from bert_keras3.checkpointing.added_tokens import (
    add_tokens,
    pieces_per_word,
    read_words,
    report_saving,
)
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.opening import open_checkpoint
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

VOCABULARY = (
    "[PAD]",
    "[unused0]",
    "[unused1]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "co",
    "##vid",
    "##ron",
)
# Ten rows for nine words: row n is [n, 10 n].
TABLE = np.array([[n, 10 * n] for n in range(10)], np.float32)
BIAS = np.arange(10, dtype=np.float32)


def checkpoint(rows: int = 10) -> Checkpoint:
    return Checkpoint(
        in_memory(
            {
                "bert/embeddings/word_embeddings": TABLE[:rows],
                "cls/predictions/output_bias": BIAS[:rows],
            }
        ),
        BertConfig(rows, hidden_size=2, num_attention_heads=1),
        VOCABULARY,
    )


def test_places_are_filled_in_order() -> None:
    after, added = add_tokens(
        checkpoint(), ["covid", "coron", "covidron", "coronvid"]
    )
    assert added.into_unused == {"covid": 1, "coron": 2}
    assert added.into_spare == {"covidron": 9}
    assert added.appended == {"coronvid": 10}
    assert after.config.vocab_size == 11
    assert after.vocabulary == (
        "[PAD]",
        "covid",
        "coron",
        *VOCABULARY[3:],
        "covidron",
        "coronvid",
    )


def test_rows_are_means_of_pieces() -> None:
    after, _ = add_tokens(checkpoint(), ["covid", "coron", "covidron", "coco"])
    table = after.arrays["bert/embeddings/word_embeddings"]
    bias = after.arrays["cls/predictions/output_bias"]
    assert table[1].tolist() == [6.5, 65.0]  # co 6, ##vid 7
    assert table[2].tolist() == [7.0, 70.0]  # co 6, ##ron 8
    assert table[9].tolist() == [7.0, 70.0]  # co 6, ##vid 7, ##ron 8
    assert bias[[1, 2, 9]].tolist() == [6.5, 7.0, 7.0]
    np.testing.assert_array_equal(table[3:9], TABLE[3:9])
    np.testing.assert_array_equal(bias[3:9], BIAS[3:9])


def test_words_that_need_no_row_or_have_no_pieces() -> None:
    after, added = add_tokens(checkpoint(), ["CO", "co-vid", "Zoo", "covid"])
    assert added.known == ("CO",)
    assert added.unreachable == ("co-vid",)
    assert added.unknown == ("zoo",)
    # As the tokenizer will look them up: in small letters.
    assert added.ids == {"zoo": 1, "covid": 2}
    table = after.arrays["bert/embeddings/word_embeddings"]
    np.testing.assert_array_equal(table[1], TABLE[3])  # [UNK]
    assert added.lines()[0] == (
        "added 2 words: 2 into [unusedN] rows, 0 into rows without a word, "
        "0 into appended rows"
    )


def test_pieces_saved(tmp_path: pathlib.Path) -> None:
    after, _ = add_tokens(checkpoint(), ["covid"])
    text = tmp_path / "text.txt"
    text.write_text("Covid covid\nco\n")
    with open(text) as lines:
        assert pieces_per_word(checkpoint(), lines) == 5 / 3
    assert report_saving(checkpoint(), after, text) == (
        f"{text}: 1.667 pieces a word before, 1.000 now: 0.667 saved (40.0%)"
    )


@pytest.mark.parametrize("to", ["google", "huggingface", "keras"])
def test_in_all_formats(
    tmp_path: pathlib.Path,
    config: BertConfig,
    encoder_arrays: dict[str, Any],
    head_arrays: dict[str, Any],
    to: str,
) -> None:
    vocabulary = (*VOCABULARY, "x", "y")  # as many as the table has rows
    source = Checkpoint(
        in_memory({**encoder_arrays, **head_arrays}), config, vocabulary
    )
    write(tmp_path / "source", source, format="google")
    outcome = convert(
        tmp_path / "source",
        tmp_path / "out",
        Settings(to, words=["covid", "coron", "covidron"], verify=True),
    )
    assert outcome.difference == 0.0
    result = open_checkpoint(tmp_path / "out")
    assert result.config.vocab_size == 12
    assert result.vocabulary is not None
    assert result.vocabulary[11] == "covidron"
    table = result.arrays["bert/embeddings/word_embeddings"]
    old = encoder_arrays["bert/embeddings/word_embeddings"]
    np.testing.assert_array_equal(table[11], old[[6, 7, 8]].mean(axis=0))
    np.testing.assert_array_equal(table[3:11], old[3:])


def test_without_a_vocabulary(config: BertConfig) -> None:
    with pytest.raises(UserError, match="no vocabulary beside it"):
        add_tokens(Checkpoint(in_memory({}), config), ["a"])


def test_word_files(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeffcovid\n\n  corona \n", encoding="utf-8")
    assert read_words(path) == ["covid", "corona"]
    path.write_text("\n")
    with pytest.raises(UserError, match="has no words"):
        read_words(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot be read"):
        read_words(path)
