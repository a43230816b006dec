from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenization import tokenizers
from tokenization.tokenizers import FullTokenizer

PIECES = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "want",
    "##want",
    "##ed",
    "wa",
    "un",
    "runn",
    "##ing",
    ",",
    "low",
]
VOCAB = {piece: index for index, piece in enumerate(PIECES)}
# What whitespace, removal, case and reordering could get wrong, and letters.
AWKWARD = (
    " \t\n\x0b\x0c\x1c\x1d\x1e\x1f\x85\u00a0\u2028\u2029\u3000\0\ufffd"
    "\u00ad\u200b\u180eΣσς.':·\u0345\u0301\u0323\u302e\U0001d16dabABİ中國，#[]"
)
AWKWARD_VOCAB = {
    piece: index
    for index, piece in enumerate(
        ["[UNK]", *AWKWARD.lower(), *("##" + c for c in AWKWARD.lower()), "ab"]
    )
}


def test_worked_example(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n")
    tokenizer = FullTokenizer(path)
    tokens = tokenizer.tokenize("UNwantéd,running")
    assert tokens == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert tokenizer.convert_tokens_to_ids(tokens) == [7, 4, 5, 10, 8, 9]
    assert tokenizer.encode("UNwantéd,running") == [7, 4, 5, 10, 8, 9]
    assert tokenizer.convert_ids_to_tokens([7, 4]) == ["un", "##want"]
    assert tokenizer.vocab == VOCAB
    assert tokenizer.inv_vocab[7] == "un"


def test_what_a_vocabulary_lacks():
    tokenizer = FullTokenizer.from_vocab(
        {"[UNK]": 0, "good": 1, ",": 2, "a": 3, "b": 4, "##c": 5}
    )
    assert tokenizer.tokenize("good, GOOD") == ["good", ",", "good"]
    assert tokenizer.unknown_parts("good, GOOD") == []
    # Characters that no token has; a word where each of them is one.
    found = tokenizer.unknown_parts("“good” a… cab 好")
    assert found == ["“", "”", "…", "cab", "好"]


def test_special_tokens_in_the_text_are_text():
    tokenizer = FullTokenizer.from_vocab(VOCAB)
    assert tokenizer.tokenize("[CLS] low") == ["[UNK]"] * 3 + ["low"]


def test_bytes_are_utf8_without_what_is_invalid():
    tokenizer = FullTokenizer.from_vocab(VOCAB)
    assert tokenizer.tokenize(b"lo\xffw \xe4\xb8low") == ["low", "low"]
    assert tokenizer.encode(b"lo\xffw \xe4\xb8low") == [11, 11]


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_equals_the_original(reference_vocab_file, original, do_lower_case):
    tokenizer = FullTokenizer(reference_vocab_file, do_lower_case)
    for row in original:
        expected = row["lower" if do_lower_case else "cased"]
        for _ in ("at first sight", "from memory"):
            tokens = tokenizer.tokenize(row["text"])
            assert tokens == expected["tokens"], ascii(row["text"])
            assert tokenizer.encode(row["text"]) == expected["ids"]


def test_equals_the_original_with_published_vocabularies(published):
    for file, do_lower_case, _, texts, expected in published:
        tokenizer = FullTokenizer(file, do_lower_case)
        for text, ids in zip(texts, expected, strict=True):
            assert tokenizer.encode(text) == ids, (file, text)


@pytest.mark.slow
def test_equals_the_original_on_published_data(shared, digests):
    for name, expected in digests.items():
        tokenizer = FullTokenizer(
            shared / "vocabularies" / expected["vocabulary"],
            expected["do_lower_case"],
        )
        lines = (shared / "datasets" / name).read_bytes().split(b"\n")
        digest = hashlib.sha256()
        for line in lines[: expected["lines"]]:
            ids = tokenizer.encode(line)
            digest.update((" ".join(map(str, ids)) + "\n").encode())
        assert digest.hexdigest() == expected["sha256"], name


@given(
    st.text(st.one_of(st.sampled_from(AWKWARD), st.characters())),
    st.booleans(),
)
def test_memory_equals_the_book(by_the_book, text, do_lower_case):
    tokenizer = FullTokenizer.from_vocab(AWKWARD_VOCAB, do_lower_case)
    expected = by_the_book(text, do_lower_case, AWKWARD_VOCAB)
    assert tokenizer.tokenize(text) == expected
    assert tokenizer.encode(text) == [AWKWARD_VOCAB[t] for t in expected]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(tokenizers, "_ROOM", 1000)
    monkeypatch.setattr(tokenizers, "_LONGEST_WORD", 100)
    tokenizer = FullTokenizer.from_vocab(VOCAB)
    for number in range(500):
        word = "low" if number % 2 else f"low {'x' * 99}{number} {number}"
        assert tokenizer.encode(word)[0] == 11
    assert len(tokenizer._ids) <= 1000 / 32
    assert max(map(len, tokenizer._ids)) <= 100


def test_pickles(reference_vocab_file):
    tokenizer = FullTokenizer(reference_vocab_file)
    ids = tokenizer.encode("Unwanted, running.")
    assert (
        pickle.loads(pickle.dumps(tokenizer)).encode("Unwanted, running.")
        == ids
    )


def test_importing_it_loads_no_tensorflow():
    code = "import sys, tokenization; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_megabyte(by_the_book):
    tokenizer = FullTokenizer.from_vocab(VOCAB)
    assert tokenizer.encode("x" * 10**6) == [0]
    assert tokenizer.encode("low " * 250_000) == [11] * 250_000
    assert tokenizer.encode("中" * 300_000) == [0] * 300_000


@pytest.mark.slow
@pytest.mark.parametrize("do_lower_case", [True, False])
def test_every_character(by_the_book, pieces_by_the_book, do_lower_case):
    pieces = ["[UNK]", "a", "##a", "b", "##b", "α", "##α", "ς", "##ς", "##σ"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = FullTokenizer.from_vocab(vocab, do_lower_case)
    for code in range(0x110000):
        char = chr(code)
        text = f"{char} a{char}b"
        if unicodedata.category(char) not in ("Cn", "Co", "Cs"):
            text += f" Α{char}Σ{char} Σ{char}Α \u0301{char}\u0323Σ"
        words = by_the_book(text, do_lower_case)
        assert tokenizer.basic_tokenizer.tokenize(text) == words, hex(code)
        assert tokenizer.tokenize(text) == [
            piece for word in words for piece in pieces_by_the_book(word, vocab)
        ], hex(code)


@pytest.mark.slow
def test_every_pair_of_marks(by_the_book):
    vocab = {"[UNK]": 0}
    tokenizer = FullTokenizer.from_vocab(vocab)
    marks = [
        char
        for char in map(chr, range(0x110000))
        if unicodedata.combining(char) and unicodedata.category(char) != "Mn"
    ]
    assert len(marks) > 20
    for first in marks:
        for second in (*marks, "\u0301", "\u0345", "\u00ad", "."):
            text = f"a{first}{second}b {second}{first}{second}"
            words = tokenizer.basic_tokenizer.tokenize(text)
            assert words == by_the_book(text, True), ascii(text)
