from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_keras3.safekeeping.errors import UserError
from tokenization import characters, packing
from tokenization.in_graph import GraphTokenizer
from tokenization.tokenizers import FullTokenizer

# What whitespace, removal, case and reordering could get wrong, and letters.
AWKWARD = (
    " \t\n\x0b\x0c\x1c\x85\u00a0\u2028\u3000\0\ufffd\u00ad\u200bΣσςΑα.'·,#[]"
    "\u0345\u0301\u0323\u302e\U0001d16d\U0001d165\U0001d15e\u1b44aAbBéİ한中國，"
)
BODIES = [*"abα,.#中，σςé\u302e\U0001d16d\U0001d165\U0001d157\u1b44한", "ab"]
VOCAB = ["[UNK]", "[CLS]", "[SEP]", *BODIES, *("##" + b for b in BODIES)]
INVALID = [
    b"\xff",
    b"\x80",
    b"\xe4\xb8",
    b"\xf0\x90",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
]


@pytest.fixture(scope="module", params=[True, False], ids=["lower", "cased"])
def pair(request):
    """The tokenizer in the graph and the one that it has to equal."""
    vocab = {token: index for index, token in enumerate(VOCAB)}
    return (
        GraphTokenizer.from_vocab(VOCAB, request.param),
        FullTokenizer.from_vocab(vocab, request.param),
    )


def assert_equal(pair, texts):
    in_graph, full = pair
    ids = in_graph(tf.constant(texts, tf.string, shape=[len(texts)]))
    assert ids.dtype == tf.int32
    for text, row in zip(texts, ids.to_list(), strict=True):
        assert row == full.encode(text), ascii(text[:100])


def test_worked_example(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\nwant\n##want\n##ed\nwa\nun\nrunn\n##ing\n,\n")
    tokenizer = GraphTokenizer(path)
    ids = tokenizer(["UNwantéd,running", "", "wants"])
    assert ids.to_list() == [[5, 2, 3, 8, 6, 7], [], [0]]


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_equals_the_original(reference_vocab_file, original, do_lower_case):
    tokenizer = GraphTokenizer(reference_vocab_file, do_lower_case)
    # A half of a surrogate pair cannot be said in UTF-8.
    rows = [row for row in original if "\\ud" not in ascii(row["text"])]
    ids = tokenizer([row["text"] for row in rows]).to_list()
    for row, row_ids in zip(rows, ids, strict=True):
        expected = row["lower" if do_lower_case else "cased"]["ids"]
        assert row_ids == expected, ascii(row["text"])


def test_equals_the_original_with_published_vocabularies(published):
    for file, do_lower_case, _, texts, expected in published:
        ids = GraphTokenizer(file, do_lower_case)(texts).to_list()
        assert ids == expected, file


@pytest.mark.slow
def test_equals_the_original_on_published_data(shared, digests):
    for name, expected in digests.items():
        tokenizer = GraphTokenizer(
            shared / "vocabularies" / expected["vocabulary"],
            expected["do_lower_case"],
        )
        lines = (shared / "datasets" / name).read_bytes().split(b"\n")
        digest = hashlib.sha256()
        for ids in tokenizer(lines[: expected["lines"]]).to_list():
            digest.update((" ".join(map(str, ids)) + "\n").encode())
        assert digest.hexdigest() == expected["sha256"], name


@settings(deadline=None)
@given(
    st.lists(
        st.text(
            st.one_of(
                st.sampled_from(AWKWARD),
                st.characters(exclude_categories=["Cs"]),
            )
        )
    )
)
def test_any_text(pair, texts):
    assert_equal(pair, texts)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(INVALID),
                st.sampled_from(AWKWARD).map(str.encode),
                st.binary(max_size=5),
            )
        ).map(b"".join)
    )
)
def test_any_bytes(pair, texts):
    assert_equal(pair, texts)


def test_final_sigma(pair):
    assert_equal(
        pair,
        [
            *["Σ", "ΑΣ", "ΣΑ", "ΑΣΑ", "ΣΣ", "ΑΣΣ ΑΣ", "Α.Σ", "ΑΣ.", "ΑΣ.Α"],
            *["Α\u00adΣ", "ΑΣ\u0301Α", "Α Σ", "Α中Σ", "ΑΣ\u2028Α", "ςΣσ", "1Σ"],
            # What is to the right in the next text is no neighbour.
            *["Α", "Σ", "Α", b"\xc3\xce\xa3\xff", b"\xce\x91\xff\xce\xa3\xff"],
        ],
    )
    lower, _ = pair
    if lower._sigma:
        small, final = VOCAB.index("σ"), VOCAB.index("##ς")
        assert lower(["ΣΣ"]).to_list() == [[small, final]]


def test_canonical_order(pair):
    assert_equal(
        pair,
        [
            *["a\u302e\U0001d16d", "a\U0001d16d\u302e", "\U0001d16d\u302ea"],
            *["\u302e\u1b44\U0001d165 \u302e\u1b44", "\u302ea\u1b44"],
            *["a\u302e\u0301\u1b44", "a\u302e\u00ad\u1b44", "a\u302e\0\u1b44"],
            # A mark without a class is a base all the same, and then dropped.
            *["a\u302e\u0e31\u1b44", "\U0001d15e\u1b44\u302e\U0001d15e"],
            *["\u302e", "\u1b44", "\u302e\u302e\u1b44\u1b44", "Σ\u302e\u1b44Σ"],
            b"a\xe3\x80\xae\xff\xe1\xad\x84",
        ],
    )
    in_graph, _ = pair
    if in_graph._marks:
        ids = in_graph(["a\u302e\u1b44"]).to_list()
        tokens = ["a", "##\u1b44", "##\u302e"]
        assert ids == [[VOCAB.index(token) for token in tokens]]


@pytest.mark.parametrize(
    "char", ["a", "é", "中", "한", "\U0001d157", "A\u00ad"]
)
def test_long_words(pair, char):
    lengths = [1, 49, 50, 66, 67, 99, 100, 101, 199, 200, 201, 202, 400, 401]
    texts = [char * length for length in (*lengths, 800, 801, 10_000)]
    assert_equal(pair, [*texts, *(f"a {text},b {text}" for text in texts)])


def test_long_texts(pair):
    for part in ("ab, ", "ab", "中", "é ", "ΑΣ ", "x", "a\u302e\u1b44"):
        size = len(part.encode())
        assert_equal(pair, [part * (10**6 // size), "ab"])


def test_no_text(pair):
    in_graph, _ = pair
    assert in_graph(tf.zeros([0], tf.string)).to_list() == []
    assert in_graph(["", " ", "\u00ad"]).to_list() == [[], [], []]


@pytest.mark.parametrize(
    "vocab",
    [
        ["[UNK]", "a"],
        ["a", "##b", "[UNK]", "", "##", "b", "a,", "##,", "a b", "\x11"],
        ["[UNK]", "\ue000", "##\ue001", "\U0010fffd", "\u0378", "a\U000f0000"],
        ["[UNK]", "[0]", "0", "[", "a" * 200, "##" + "b" * 200, "a" * 201],
        ["[UNK]", "A", "É", "\u0301", "##\u0301", "b"],
        [f"[unused{number}]" for number in range(5)] + ["[UNK]", "中", "##中"],
    ],
)
@pytest.mark.parametrize("do_lower_case", [True, False])
def test_odd_vocabularies(vocab, do_lower_case):
    entries = {token: index for index, token in enumerate(vocab)}
    pair = (
        GraphTokenizer.from_vocab(vocab, do_lower_case),
        FullTokenizer.from_vocab(entries, do_lower_case),
    )
    texts = [*vocab, *("a" + token for token in vocab), "a\u0301 É,中b" * 20]
    assert_equal(pair, [*texts, " ".join(vocab), "".join(vocab), "~a^[0]"])


def test_ids_need_not_be_in_a_row():
    entries = {"a": 7, "[UNK]": 3, "##b": 100_000, "é": 5}
    tokenizer = GraphTokenizer.from_vocab(entries, do_lower_case=False)
    assert tokenizer(["ab é x"]).to_list() == [[7, 100_000, 5, 3]]


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        (["a", "b"], r"vocabulary in memory: .* lacks \[UNK\]"),
        (["[UNK]", "[CLS]"], "no entry that a text could match"),
        (["[UNK]", "中é" + "한" * 90], None),
        (["[UNK]", "é" + "한" * 90], "id 1 takes 273 bytes"),
        ({"[UNK]": 0, "a": 1 << 22}, "ids go up to 4194304"),
    ],
)
def test_vocabularies_that_cannot_be_used(vocab, message):
    if message is None:
        vocab = [*vocab, "a"]
        assert GraphTokenizer.from_vocab(vocab)(["a"]).to_list() == [[2]]
        return
    with pytest.raises(UserError, match=message):
        GraphTokenizer.from_vocab(vocab)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4),
    st.integers(5, 30),
    st.booleans(),
)
def test_packing(pair, lengths, max_seq_length, is_pair):
    in_graph, _ = pair
    rows_a = [list(range(10, 10 + a)) for a, _ in lengths]
    rows_b = [list(range(50, 50 + b)) for _, b in lengths]
    expected = packing.pad(
        [
            packing.pack(
                a,
                b if is_pair else None,
                max_seq_length=max_seq_length,
                cls_id=1,
                sep_id=2,
            )
            for a, b in zip(rows_a, rows_b, strict=True)
        ]
    )
    ids_a = tf.ragged.constant(rows_a, tf.int32, ragged_rank=1)
    ids_b = tf.ragged.constant(rows_b, tf.int32, ragged_rank=1)
    packed = in_graph.pack(
        ids_a, ids_b if is_pair else None, max_seq_length=max_seq_length
    )
    assert packed.keys() == expected.keys()
    for key, array in expected.items():
        assert packed[key].dtype == tf.int32
        np.testing.assert_array_equal(packed[key], array)


def test_packing_refuses(pair):
    in_graph, _ = pair
    ids = in_graph(["ab"])
    with pytest.raises(UserError, match="at least 3"):
        in_graph.pack(ids, max_seq_length=2)
    with pytest.raises(UserError, match="at least 5"):
        in_graph.pack(ids, ids, max_seq_length=4)
    without = GraphTokenizer.from_vocab(["[UNK]", "a"])
    with pytest.raises(UserError, match=r"lacks \[CLS\] or \[SEP\]"):
        without.pack(ids, max_seq_length=8)


def test_in_a_data_pipeline(pair):
    in_graph, full = pair
    texts = ["ab, ab", "", "ΑΣ", "中中"] * 5
    data = tf.data.Dataset.from_tensor_slices(texts).batch(3)
    data = data.map(
        lambda text: in_graph.pack(in_graph(text), max_seq_length=5),
        num_parallel_calls=2,
    )
    lengths = [
        int(n) for row in data for n in tf.reduce_sum(row["input_mask"], 1)
    ]
    assert lengths == [min(len(full.encode(text)), 3) + 2 for text in texts]


LOADER = """
import sys
import tensorflow as tf
import tensorflow_text
module = tf.saved_model.load(sys.argv[1])
print(module(["ΑΣ, ab", "a\\u302e\\u1b44"]).to_list())
print("tokenization" in sys.modules)
"""


@pytest.mark.slow
def test_saved_model(tmp_path):
    path = tmp_path / "a_secret_place" / "vocab.txt"
    path.parent.mkdir()
    path.write_text("\n".join(VOCAB), "utf-8")
    tokenizer = GraphTokenizer(path)
    export = tmp_path / "export"
    tf.saved_model.save(tokenizer, export)
    path.unlink()
    expected = tokenizer(["ΑΣ, ab", "a\u302e\u1b44"]).to_list()
    answer = subprocess.run(
        [sys.executable, "-c", LOADER, export],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == [str(expected), "False"]
    for file in filter(os.path.isfile, export.rglob("*")):
        assert b"a_secret_place" not in file.read_bytes()


def sweep(do_lower_case, vocab, texts_of):
    pair = (
        GraphTokenizer.from_vocab(vocab, do_lower_case),
        FullTokenizer.from_vocab(vocab, do_lower_case),
    )
    step = 4096
    for first in range(0, 0x110000, step):
        codes = range(first, first + step)
        chars = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
        texts = [text for char in chars for text in texts_of(char)]
        assert_equal(pair, texts)


@pytest.mark.slow
@pytest.mark.parametrize("do_lower_case", [True, False])
def test_every_character(do_lower_case):
    """With a vocabulary that tells all characters from each other."""
    vocab = {"[UNK]": 0}
    for char in characters.all_but_inert():
        vocab[char] = len(vocab)
        vocab["##" + char] = len(vocab)

    def texts_of(char):
        yield char
        yield f"a{char}b"
        if not characters.is_inert(char):
            yield f"Α{char}Σ{char} Σ{char}Α {char}\u1b44{char}"
            yield f"\u302e{char}\u0323\U0001d16d\u0301Σ"

    sweep(do_lower_case, vocab, texts_of)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "do_lower_case"),
    [
        ("uncased", True),
        ("cased", False),
        ("chinese", True),
        ("multilingual-cased", False),
    ],
)
def test_every_character_in_published_vocabularies(shared, name, do_lower_case):
    path = shared / "vocabularies" / f"bert-base-{name}-vocab.txt"
    vocab = FullTokenizer(path).vocab

    def texts_of(char):
        yield f"{char} a{char}b Σ{char} {char}Σ{char}{char} the{char}the"

    sweep(do_lower_case, vocab, texts_of)
