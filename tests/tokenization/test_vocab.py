from __future__ import annotations

import json
import pathlib

import pytest

import tokenization
from bert_keras3.safekeeping.errors import UserError
from tokenization import vocab


def write(folder, name, content):
    path = folder / name
    path.write_bytes(
        content if isinstance(content, bytes) else json.dumps(content).encode()
    )
    return path


def wordpiece(entries, **model):
    return {"model": {"type": "WordPiece", "vocab": entries, **model}}


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"a\nb\n", {"a": 0, "b": 1}),
        (b"a\nb", {"a": 0, "b": 1}),
        (b"a\r\n b\t\r\nc\rd\n", {"a": 0, "b": 1, "cd": 2}),
        # An empty line is an entry; the end of the last line is none.
        (b"a\n\nb\n\n", {"a": 0, "b": 2, "": 3}),
        (b"a\nb\na\n", {"a": 2, "b": 1}),
        # Stripped to nothing, but it counts as one line, not as two.
        ("a\n\u2028\nb\n".encode(), {"a": 0, "": 1, "b": 2}),
        ("a\x85b\u2028c\x0bd\n".encode(), {"a\x85b\u2028c\x0bd": 0}),
        (b"\xef\xbb\xbf[PAD]\na\n", {"[PAD]": 0, "a": 1}),
    ],
)
def test_lines(tmp_path, data, entries):
    assert vocab.load_vocab(write(tmp_path, "vocab.txt", data)) == entries


# Of the published vocabularies: size, a token and its id, lower-cased or not.
PUBLISHED = {
    "uncased": (30522, "the", 1996, True),
    "cased": (28996, "The", 1109, False),
    "chinese": (21128, "天", 1921, True),
    "multilingual-cased": (119547, "##的", 115484, False),
}


def assert_read_as_published(files):
    for name, file in files.items():
        size, token, index, do_lower_case = PUBLISHED[name]
        entries = vocab.load_vocab(file)
        assert max(entries.values()) == size - 1
        assert len(entries) == size
        assert entries[token] == index
        answer, reason = vocab.guess_do_lower_case(None, entries)
        assert answer is do_lower_case, name
        assert "words in the vocabulary would be unreachable" in reason


def test_published_vocabularies(published):
    """With those of their tokens that occur in the reference's texts."""
    files = {pathlib.Path(one.vocab_file).stem: one for one in published}
    assert set(files) == set(PUBLISHED)
    assert_read_as_published(
        {name: one.vocab_file for name, one in files.items()}
    )


@pytest.mark.slow
def test_published_vocabularies_in_full(shared):
    folder = shared / "vocabularies"
    assert_read_as_published(
        {name: folder / f"bert-base-{name}-vocab.txt" for name in PUBLISHED}
    )


def test_tokenizer_json(tmp_path):
    content = wordpiece({"b": 1, "[UNK]": 0})
    content["added_tokens"] = [
        {"id": 2, "content": "new"},
        {"id": 0, "content": "[UNK]"},
    ]
    entries = vocab.load_vocab(write(tmp_path, "tokenizer.json", content))
    assert list(entries.items()) == [("[UNK]", 0), ("b", 1), ("new", 2)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("vocab.txt", b"", "vocab.txt: the file is empty"),
        ("vocab.txt", b"a\nb\xffc", "0xff at offset 3 .line 2. is not UTF-8"),
        ("v.json", b'{"model":\n x}', "valid JSON at line 2, column 2"),
        ("v.json", {"model": {"type": "BPE"}}, "model.type is 'BPE'"),
        ("v.json", wordpiece({}), "model.vocab has 0 entries"),
        ("v.json", wordpiece(["a"]), "model.vocab has 0 entries"),
        (
            "v.json",
            wordpiece({"a": 0}, continuing_subword_prefix="@@"),
            "continuing_subword_prefix is '@@'",
        ),
        ("v.json", [1], "not the tokenizer of a BERT model"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, name, data, message):
    path = write(tmp_path, name, data)
    with pytest.raises(UserError, match=message) as error:
        vocab.load_vocab(path)
    assert str(path) in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"vocab\.txt.*No such file"):
        vocab.load_vocab(tmp_path / "vocab.txt")
    with pytest.raises(UserError, match="Is a directory"):
        vocab.load_vocab(tmp_path)


def test_special_tokens_are_asked_for():
    entries = {"[UNK]": 0, "[SEP]": 1}
    vocab.require_special_tokens(entries, "v.txt", ["[UNK]"])
    with pytest.raises(UserError, match=r"v\.txt: .* 2 tokens lacks \[CLS\]"):
        vocab.require_special_tokens(entries, "v.txt")


def test_find_vocab_file(tmp_path):
    assert vocab.find_vocab_file(tmp_path) is None
    json_file = write(tmp_path, "tokenizer.json", wordpiece({"a": 0}))
    assert vocab.find_vocab_file(tmp_path) == json_file
    text_file = write(tmp_path, "vocab.txt", b"a\n")
    assert vocab.find_vocab_file(tmp_path) == text_file


def test_case_from_the_files_of_a_folder(tmp_path):
    folder = tmp_path / "uncased"
    folder.mkdir()
    assert vocab.guess_do_lower_case(folder, {}) == (True, "the name uncased")
    tokenizer = {"normalizer": {"type": "BertNormalizer", "lowercase": False}}
    path = write(folder, "tokenizer.json", tokenizer)
    assert vocab.guess_do_lower_case(folder / "bert_model.ckpt", {}) == (
        False,
        f"the normalizer in {path}",
    )
    path = write(folder, "tokenizer_config.json", {"do_lower_case": True})
    assert vocab.guess_do_lower_case(folder, {}) == (
        True,
        f"do_lower_case in {path}",
    )


@pytest.mark.parametrize(
    ("normalizer", "answer"),
    [
        ({"type": "Lowercase"}, False),
        ({"type": "Sequence", "normalizers": [{}, {"lowercase": True}]}, False),
        ({"type": "NFC"}, True),
        (None, True),
    ],
)
def test_case_from_a_normalizer(tmp_path, normalizer, answer):
    write(tmp_path, "tokenizer.json", {"normalizer": normalizer})
    cased = {"Hello": 0}
    assert vocab.guess_do_lower_case(tmp_path, cased)[0] is not answer


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("uncased_L-12_H-768_A-12", True),
        ("wwm_cased_L-24_H-1024_A-16", False),
        ("multi_cased_L-12_H-768_A-12", False),
        ("multilingual_L-12_H-768_A-12", True),
        ("chinese_L-12_H-768_A-12", True),
    ],
)
def test_case_from_the_name(tmp_path, name, answer):
    checkpoint = tmp_path / name / "bert_model.ckpt"
    assert vocab.guess_do_lower_case(checkpoint, {})[0] is answer
    assert vocab.validate_case_matches_checkpoint(answer, checkpoint) is None
    advice = vocab.validate_case_matches_checkpoint(not answer, checkpoint)
    assert f"--do_lower_case={answer} would match" in advice


@pytest.mark.parametrize("around", ["my-uncased-work", "uncased"])
def test_case_only_from_the_name_of_the_model(tmp_path, monkeypatch, around):
    model = tmp_path / around / "cased_L-12_H-768_A-12"
    plain = tmp_path / "my-cased-work" / "experiment"
    for folder in (model, plain):
        folder.mkdir(parents=True)
    monkeypatch.chdir(model.parent)
    for path in (
        model.name,  # relative, so that the folder around has no say
        f"{model.name}/bert_model.ckpt",
        model,
        model / "bert_model.ckpt",
    ):
        assert vocab.guess_do_lower_case(path, {"a": 0}) == (
            False,
            "the name cased_L-12_H-768_A-12",
        )
        assert vocab.validate_case_matches_checkpoint(False, path) is None
    # The name of a published model that is not there.
    model.rmdir()
    assert vocab.guess_do_lower_case(model.name, {"a": 0})[0] is False
    for path in (plain, plain / "bert_model.ckpt"):
        answer, reason = vocab.guess_do_lower_case(path, {"a": 0})
        assert answer is True
        assert "in the vocabulary" in reason


def test_case_of_a_model_unpacked_to_the_cache(tmp_path):
    cache = tmp_path / "uncased-cache" / "cased_L-12_H-768_A-12-0123456789ab"
    for folder in (cache, cache / "cased_L-12_H-768_A-12"):
        path = folder / "bert_model.ckpt"
        assert vocab.guess_do_lower_case(path, {"a": 0})[0] is False


def test_ids_without_a_token_get_one():
    assert vocab.tokens_in_order({"b": 2, "a": 0}) == ("a", "[missing1]", "b")


@pytest.mark.parametrize("checkpoint", [None, "", "my_model/bert_model.ckpt"])
def test_no_advice_without_a_telling_name(checkpoint):
    for case in (True, False):
        assert vocab.validate_case_matches_checkpoint(case, checkpoint) is None


def test_special_tokens_tell_nothing_about_case():
    entries = {"[MASK]": 0, "<S>": 1, "the": 2, "##s": 3}
    assert vocab.guess_do_lower_case(None, entries)[0] is True
    entries["The"] = 4
    assert vocab.guess_do_lower_case(None, entries)[0] is False


@pytest.mark.parametrize("word", ["한국", "##が", "café", "й", "İ"])
def test_what_decomposes_shows_a_cased_vocabulary(word):
    """A lower-cased text has no such characters, and none is a capital."""
    answer, reason = vocab.guess_do_lower_case(None, {"天": 0, word: 1})
    assert (answer, reason.partition(" words")[0]) == (False, "1 of 2")


def test_conversions():
    entries = {"a": 0, "b": 1}
    assert tokenization.convert_tokens_to_ids(entries, ["b", "a"]) == [1, 0]
    assert tokenization.convert_ids_to_tokens({0: "a"}, [0, 0]) == ["a", "a"]
    with pytest.raises(KeyError):
        tokenization.convert_by_vocab(entries, ["c"])


@pytest.mark.parametrize(
    ("place", "given", "answer"),
    [
        ("my-uncased-work", "cased_L-12_H-768_A-12", False),
        ("my-uncased-work", "bert_model.ckpt", False),
        ("cased things/uncased_L-2_H-128_A-2", "bert_model.ckpt", True),
    ],
)
def test_the_name_of_the_place_says_nothing(
    tmp_path, monkeypatch, place, given, answer
):
    """Only the model's own name does; here the vocabulary has capitals."""
    folder = tmp_path / place
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    cased = {"Hello": 0, "World": 1, "hello": 2}
    assert vocab.guess_do_lower_case(given, cased)[0] is answer
