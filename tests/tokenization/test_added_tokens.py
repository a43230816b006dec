"""Added tokens are found as Hugging Face's `tokenizers` finds them.

That library is the reference, with a BERT's normalizer and pre-tokenizer; the
graph is compared with Python.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import pickle
import unicodedata

import pytest
import tensorflow as tf
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenization.added_tokens import AddedToken, Search, is_word_char
from tokenization.in_graph import GraphTokenizer
from tokenization.tokenizers import (
    BasicTokenizer,
    FullTokenizer,
    open_tokenizer,
)

BODIES = [*"abcé[],.-#中文1e", "covid", "title"]
VOCAB = ["[UNK]", "[CLS]", "[SEP]", *BODIES, *("##" + b for b in BODIES)]
N = len(VOCAB)
ADDED = (
    AddedToken("[E1]", N, normalized=False, special=True),
    AddedToken("[E", N + 1, normalized=False),
    AddedToken("Covid", N + 2),
    AddedToken("covid-19", N + 3),
    AddedToken("title", VOCAB.index("title"), True, is_piece=True),
    AddedToken("ab c", N + 4, lstrip=True, rstrip=True),
    AddedToken("中b", N + 5, single_word=True),
    AddedToken("aba", N + 6, single_word=True, normalized=False),
    AddedToken("É1", N + 7),
)
ATOMS = [
    *"abcEé [].,-1中文_xX\u0301\u2167\u24b6\u203f",
    *("[E1]", "[e1]", "Covid", "COVID-19", "title", "ab c", "aba", "É1"),
]
# For these the library and Google's tokenizers differ, added tokens or not.
ONLY_HERE = [*"Σσς\0\ufffd\x0b\u2028\u00ad\U000f8000\U000f8001\ue000", "ΑΣ"]
TEXTS = st.lists(st.sampled_from(ATOMS), max_size=12).map("".join)
ANY_TEXTS = st.lists(st.sampled_from(ATOMS + ONLY_HERE), max_size=12).map(
    "".join
)


def full(do_lower_case: bool, added=ADDED) -> FullTokenizer:
    vocab = {token: number for number, token in enumerate(VOCAB)}
    return FullTokenizer.from_vocab(vocab, do_lower_case, added)


def reference(do_lower_case: bool) -> tokenizers.Tokenizer:
    vocab = {token: number for number, token in enumerate(VOCAB)}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocab, unk_token="[UNK]", max_input_chars_per_word=200
        )
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=do_lower_case
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    # One by one, since special ones are numbered first otherwise.
    for token in ADDED:
        fields = token.options()
        content = fields.pop("content")
        tokenizer.add_tokens([tokenizers.AddedToken(content, **fields)])
    for token in ADDED:
        assert tokenizer.token_to_id(token.content) == token.id
    return tokenizer


@pytest.fixture(scope="module", params=[True, False], ids=["lower", "cased"])
def case(request) -> bool:
    return request.param


@pytest.fixture(scope="module")
def full_and_reference(case):
    return full(case), reference(case)


@pytest.fixture(
    scope="module",
    params=[
        ADDED,
        pytest.param(ADDED[:2], marks=pytest.mark.slow),
        pytest.param(
            [t for t in ADDED if t.normalized], marks=pytest.mark.slow
        ),
    ],
    ids=["both", "as written", "folded"],
)
def full_and_graph(case, request):
    return full(case, request.param), GraphTokenizer.from_vocab(
        VOCAB, case, request.param
    )


def test_worked_example() -> None:
    tokenizer = full(True)
    assert tokenizer.tokenize("[E1] COVID-19, covid titles [e1]") == [
        *("[E1]", "covid-19", ",", "Covid"),
        *("[UNK]", "[", "É1", "]"),
    ]
    # Found within no word: `titles` is cut as any other.
    assert tokenizer.words("A title") == ["a", "title"]
    assert tokenizer.vocab["[E1]"] == N
    assert tokenizer.convert_ids_to_tokens([N + 2]) == ["Covid"]
    assert tokenizer.unknown_parts("[E1] x title") == ["x"]
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode("[E1] covid") == [N, N + 2]


@settings(deadline=None)
@given(TEXTS)
def test_as_in_the_library(full_and_reference, text) -> None:
    ours, theirs = full_and_reference
    expected = theirs.encode(text, add_special_tokens=False).ids
    assert ours.encode(text) == expected, ascii(text)
    assert ours.convert_tokens_to_ids(ours.tokenize(text)) == expected


@settings(deadline=None, max_examples=40)
@given(st.lists(ANY_TEXTS, min_size=1, max_size=30))
def test_in_the_graph(full_and_graph, texts) -> None:
    ours, graph = full_and_graph
    ids = graph(tf.constant(texts, tf.string, shape=[len(texts)]))
    assert ids.dtype == tf.int32
    for text, row in zip(texts, ids.to_list(), strict=True):
        assert row == ours.encode(text), ascii(text)


def test_bytes_that_are_not_utf_8(full_and_graph) -> None:
    ours, graph = full_and_graph
    texts = [b"[E\xff1] covid\xc0", b"\xed\xa0\x80[E1]", b"a\xf0\x90[E1"]
    assert graph(texts).to_list() == [ours.encode(text) for text in texts]


def test_no_token_is_made_of_marks(case) -> None:
    """A text that says [SEP] does not end there, listed or not."""
    listed = [AddedToken("[SEP]", 2, normalized=False, special=True)]
    texts = ["a [SEP] b"]
    assert full(case, listed).encode(texts[0]) == full(case, ()).encode(
        texts[0]
    )
    graph = GraphTokenizer.from_vocab(VOCAB, case, listed)
    assert graph(texts).to_list() == [full(case, ()).encode(texts[0])]


@pytest.mark.slow
def test_folding_twice_is_folding_once() -> None:
    """Stretches between added tokens are folded, and tokenized after that."""
    for do_lower_case in (True, False):
        basic = BasicTokenizer(do_lower_case)
        chars = [
            chr(code)
            for code in itertools.chain(range(0xD800), range(0xE000, 0x30000))
        ]
        text = "\U0010fffd".join(chars)
        again = basic.normalize(basic.fold(text))
        # Around ideographs there are more spaces.
        assert again.split() == basic.normalize(text).split()


def test_word_characters_are_those_of_the_library() -> None:
    r"""Their `\w`, by splitting at each character that is none."""
    chars = [
        chr(code)
        for code in itertools.chain(range(0xD800), range(0xE000, 0x20000))
    ]
    split = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(r"[^\w\u200c\u200d]"), "removed"
    )
    words = split.pre_tokenize_str("".join(chars))
    theirs = set("".join(word for word, _ in words))
    assert not [
        hex(ord(char))
        for char in chars
        if is_word_char(char) != (char in theirs)
        # Characters that this Python's Unicode does not have yet.
        and unicodedata.category(char) != "Cn"
    ]


def test_thousands_of_tokens_and_tokens_within_tokens() -> None:
    nested = ["x" * length for length in range(1, 201)]
    tokens = [f"{a}{b}{c}" for a in "pqr" for b in range(40) for c in "st-u"]
    added = [
        AddedToken(content, N + number, normalized=False)
        for number, content in enumerate([*nested, *tokens])
    ]
    search = Search({token.content: token for token in added})
    text = "x" * 399 + " p12-q7s"
    found = [p.content for p in search.parts(text) if not isinstance(p, str)]
    assert found == ["x" * 200, "x" * 199, "p12-", "q7s"]
    tokenizer = full(False, added)
    graph = GraphTokenizer.from_vocab(VOCAB, False, added)
    assert graph([text]).to_list() == [tokenizer.encode(text)]


def test_files_beside_a_vocabulary(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("".join(f"{token}\n" for token in VOCAB), "utf-8")
    plain = open_tokenizer(file)
    assert plain.encode("[E1] [unused1]") == full(True, ()).encode(
        "[E1] [unused1]"
    )
    listed = {"additional_special_tokens": ["[E1]", "title"]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(listed))
    tokenizer = open_tokenizer(file)
    title = VOCAB.index("title")
    assert tokenizer.encode("[E1] btitle") == [N, VOCAB.index("b"), title]
    graph = GraphTokenizer.open(file)
    assert graph(["[E1] btitle"]).to_list() == [tokenizer.encode("[E1] btitle")]


@pytest.mark.slow
def test_saved_and_loaded(tmp_path: pathlib.Path) -> None:
    """In a SavedModel, which has the search's table in it."""
    graph = GraphTokenizer.from_vocab(VOCAB, True, ADDED)
    tf.saved_model.save(graph, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    texts = tf.constant(["[E1] Covid-19 titles"])
    assert loaded(texts).to_list() == graph(texts).to_list()
