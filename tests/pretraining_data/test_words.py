"""Where words and entities begin."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_keras3.pretraining_data.documents import Sentence
from bert_keras3.pretraining_data.settings import WordSettings
from bert_keras3.pretraining_data.words import (
    ENTITY,
    WORD,
    Phrases,
    WordPieceEncoder,
)
from bert_keras3.safekeeping.errors import UserError
from tokenization import FullTokenizer

PIECES = (
    "[UNK] new york is un ##aff ##able , . - 我 们 爱 北 京 天 安 门 t 恤 3 14"
)
TOKENIZER = FullTokenizer.from_vocab(
    {piece: index for index, piece in enumerate(PIECES.split())}
)


def spell(
    text: str,
    words: WordSettings,
    entities: tuple[tuple[int, int], ...] = (),
    bit: int = WORD,
) -> str:
    """Returns the pieces of a text, those of a word joined by `_`."""
    encoder = WordPieceEncoder(TOKENIZER, words)
    ids, starts = encoder.ids_and_starts(Sentence(text, entities))
    out = ""
    for token, start in zip(
        TOKENIZER.convert_ids_to_tokens(ids), starts, strict=True
    ):
        out += (" " if start & bit else "_") + token
    return out.strip()


def lines(path: pathlib.Path, *entries: str) -> str:
    path.write_text("\n".join(entries), "utf-8")
    return str(path)


def test_pieces_of_a_word_belong_together() -> None:
    assert spell("New, unaffable", WordSettings()) == "new , un_##aff_##able"


def test_words_of_a_list_the_longest_first(tmp_path: pathlib.Path) -> None:
    path = lines(tmp_path / "words", "北京", "天安", "天安门", "", "我们")
    words = WordSettings(word_list=path)
    assert spell("我们爱北京天安门", words) == "我_们 爱 北_京 天_安_门"


def test_words_of_jieba() -> None:
    pytest.importorskip("jieba")
    words = WordSettings(segmenter="jieba")
    assert spell("我们爱北京天安门", words) == "我_们 爱 北_京 天_安_门"
    # What whitespace separates stays separate, and so do numbers.
    assert spell("北 京 3.14 天安门", words) == "北 京 3 . 14 天_安_门"


def test_entities_of_a_list_are_words_too(tmp_path: pathlib.Path) -> None:
    path = lines(tmp_path / "entities", "New York", "unaffable")
    words = WordSettings(entity_list=path)
    text = "new york is unaffable, new"
    assert spell(text, words, bit=ENTITY) == "new_york is un_##aff_##able , new"
    assert spell(text, words) == "new york is un_##aff_##able , new"


def test_entities_by_offset() -> None:
    text = "New York is unaffable."
    plain = WordSettings()
    assert (
        spell(text, plain, ((0, 8), (12, 22)), ENTITY)
        == "new_york is un_##aff_##able_."
    )
    # From inside one word into another: both whole.
    assert spell(text, plain, ((9, 14),), ENTITY) == (
        "new york is_un_##aff_##able ."
    )


def test_an_entity_breaks_words_of_a_segmenter(tmp_path: pathlib.Path) -> None:
    path = lines(tmp_path / "words", "北京天安门")
    words = WordSettings(word_list=path)
    text = "爱北京天安门"
    assert spell(text, words, ((3, 5),)) == "爱 北_京 天_安 门"
    assert spell(text, words, ((3, 5),), ENTITY) == "爱 北_京 天_安 门"


def test_phrases_do_not_overlap() -> None:
    phrases = Phrases([["a", "b"], ["b", "c", "d"], ["c"]])
    assert phrases.find(["a", "b", "c", "d"]) == [(0, 2), (2, 3)]
    assert phrases.find(["b", "c", "e"]) == [(1, 2)]


def test_lists_that_are_of_no_use(tmp_path: pathlib.Path) -> None:
    words = WordSettings(word_list=lines(tmp_path / "words", "", " "))
    with pytest.raises(UserError, match="words: the list is empty"):
        WordPieceEncoder(TOKENIZER, words)
    words = WordSettings(entity_list=str(tmp_path / "none"))
    with pytest.raises(UserError, match="none: the list cannot be read"):
        WordPieceEncoder(TOKENIZER, words)


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        st.sampled_from("newyork unaffable我们北京,.\x0b\x1c\u3000\u2028İΣ"),
        max_size=40,
    )
)
def test_ids_are_those_of_the_tokenizer(text: str) -> None:
    for words in (WordSettings(), WordSettings(segmenter="jieba")):
        if not words.plain:
            pytest.importorskip("jieba")
        encoder = WordPieceEncoder(TOKENIZER, words)
        ids, starts = encoder.ids_and_starts(Sentence(text))
        assert ids == TOKENIZER.encode(text)
        assert len(starts) == len(ids)
        assert not ids or starts[0] == WORD | ENTITY
