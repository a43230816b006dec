"""Added tokens, special tokens, unusual options: kept, or told, or refused."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint, read_vocabulary
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.tokenizer_files import with_added_tokens
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.tokenizer_options import options_that_differ
from tokenization.tokenizers import open_tokenizer

REFERENCE = pathlib.Path(__file__).parents[1] / "reference/huggingface"
ROWS = 19  # of the word embedding table: two more than lines of vocabulary


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """The tagger with `vocab.txt`, and two rows for tokens yet to be added."""
    target = tmp_path / "tags"
    shutil.copytree(REFERENCE / "tags", target)
    tensors = load_file(target / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = np.concatenate([tensors[name], tensors[name][:2]])
    save_file(tensors, target / "model.safetensors")
    change(target / "config.json", vocab_size=ROWS)
    tokens = checkpointing.open(REFERENCE / "tags").vocabulary or ()
    (target / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in tokens), "utf-8"
    )
    (target / "tokenizer.json").unlink()
    return target


def change(path: pathlib.Path, **values: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **values}), "utf-8")


def added(checkpoint: Checkpoint) -> dict[str, int]:
    return {token.content: token.id for token in checkpoint.added_tokens}


def test_added_tokens_have_their_rows(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ids = {"[E1]": 17, "covid": 18}
    (folder / "added_tokens.json").write_text(json.dumps(ids))
    checkpoint = checkpointing.open(folder)
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[16:] == ("café", "[E1]", "covid")
    assert added(checkpoint) == ids
    (note,) = checkpoint.notes
    assert "adds 2 tokens to its vocabulary ([E1], covid), which are" in note
    assert note in inspect(folder).notes
    convert(folder, tmp_path / "google", Settings("google", verify=True))
    written = (tmp_path / "google/vocab.txt").read_text("utf-8").splitlines()
    assert written[17:] == ["[E1]", "covid"]
    convert(folder, tmp_path / "new", Settings("huggingface"))
    config = read_json(tmp_path / "new/tokenizer_config.json")
    assert config["added_tokens_decoder"]["18"]["content"] == "covid"
    # transformers cuts words into the lines of this file.
    written = (tmp_path / "new/vocab.txt").read_text("utf-8").splitlines()
    assert written[-1] == "café"


def test_newer_folders_list_them_in_the_configuration(
    folder: pathlib.Path,
) -> None:
    decoder = {
        "0": {"content": "[PAD]", "special": True},  # is in vocab.txt already
        "18": {"content": "covid", "special": False},
    }
    change(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    # An older file does not count then.
    (folder / "added_tokens.json").write_text('{"[E1]": 17}')
    checkpoint = checkpointing.open(folder)
    assert added(checkpoint) == {"covid": 18}
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[17:] == ("[missing17]", "covid")


def test_tokenizer_json_lists_them(folder: pathlib.Path) -> None:
    listed = [
        {"content": "[PAD]", "id": 0, "special": True},  # is in vocab.txt
        {"content": "covid", "id": 18, "special": False},
    ]
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({"added_tokens": listed}), "utf-8")
    checkpoint = checkpointing.open(folder)
    assert added(checkpoint) == {"covid": 18}
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[17:] == ("[missing17]", "covid")
    (folder / "added_tokens.json").write_text('{"[E1]": 17}')
    assert added(checkpointing.open(folder)) == {"[E1]": 17, "covid": 18}


def test_tokenizer_json_as_the_vocabulary(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tokens = (folder / "vocab.txt").read_text("utf-8").splitlines()
    (folder / "vocab.txt").unlink()
    vocab = {token: number for number, token in enumerate(tokens)}
    file = folder / "tokenizer.json"
    listed = [{"content": "Covid", "id": 18, "normalized": False}]
    file.write_text(
        json.dumps({"model": {"vocab": vocab}, "added_tokens": listed})
    )
    checkpoint = checkpointing.open(folder)
    assert added(checkpoint) == {"Covid": 18}
    text = "Covid covid"
    ids = checkpoint.tokenizer().encode(text)
    assert ids == [18, 1]
    # As a line of a vocabulary, `Covid` could be found in other places.
    convert(folder, tmp_path / "google", Settings("google"))
    lines = (tmp_path / "google/vocab.txt").read_text("utf-8").splitlines()
    assert lines[17:] == ["[missing17]", "[missing18]"]
    for format_name in ("google", "huggingface", "keras"):
        target = tmp_path / format_name
        if not target.exists():
            convert(folder, target, Settings(format_name))
        written = checkpointing.open(target)
        assert written.vocabulary == checkpoint.vocabulary
        assert written.tokenizer().encode(text) == ids


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("added_tokens.json", {"x": ROWS}, f"id {ROWS}, and the word"),
        ("added_tokens.json", {"x": -1}, "'x' the id -1; an id"),
        ("added_tokens.json", {"x": "17"}, "'x' the id '17'; an id"),
        ("added_tokens.json", {"x": True}, "'x' the id True; an id"),
        ("added_tokens.json", {"x": 10**12}, "the id 1000000000000; an id"),
        ("added_tokens.json", {"x" * 201: 17}, "has 201 characters"),
        ("added_tokens.json", {"a\nb": 17}, "a token is one line"),
        ("added_tokens.json", {"x": 17, "y": 17}, "the id 17, 'x' and 'y'"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"17": "x"}},
            "'17' is no token with its `content`",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"x": {"content": "x"}}},
            "'x' the id 'x'; an id",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"17": {"content": "x", "lstrip": 1}}},
            "has 1 for `lstrip`, which is true or false",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": ["x"]},
            "added_tokens_decoder is no JSON object",
        ),
        (
            "tokenizer_config.json",
            {"additional_special_tokens": "[E1]"},
            "additional_special_tokens is no list",
        ),
        (
            "special_tokens_map.json",
            {"additional_special_tokens": [17]},
            "additional_special_tokens: .* is no token with its `content`",
        ),
        ("tokenizer.json", {"added_tokens": "x"}, "'x' is no token"),
        ("tokenizer.json", {"added_tokens": [{"id": 1}]}, "is no token"),
        ("tokenizer.json", {"added_tokens": [{"content": "x"}]}, "id None"),
    ],
)
def test_forged_additions(
    tmp_path: pathlib.Path, name: str, values: Any, message: str
) -> None:
    (tmp_path / name).write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        with_added_tokens(["[PAD]"], tmp_path / "vocab.txt", ROWS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"added_tokens": ["x"]}, "added_tokens: 'x' is no token"),
        ({"added_tokens": {"x": 1}}, "added_tokens: {'x': 1} is no token"),
        ({"added_tokens": [{"content": "x"}]}, "'x' the id None; an id"),
        ({"added_tokens": [{"id": 7}]}, "is no token with its `content`"),
        ({"added_tokens": [{"content": "x", "id": 10**9}]}, "id 1000000000;"),
        ({"model": {"vocab": {"a": "0"}}}, "model.vocab gives 'a' the id '0'"),
        ({"model": {"vocab": {"a": None}}}, "the id None"),
        ({"model": {"vocab": {"a": -1}}}, "the id -1"),
        ({"model": {"vocab": {"a": 10**9}}}, "the id 1000000000; an id"),
        ({"model": {"vocab": ["a"]}}, "not the tokenizer of a BERT"),
        ({"model": "x"}, "not the tokenizer of a BERT"),
    ],
)
def test_forged_vocabularies(
    tmp_path: pathlib.Path, values: dict[str, Any], message: str
) -> None:
    file = tmp_path / "tokenizer.json"
    whole = {"model": {"vocab": {"[UNK]": 0, "a": 1}}, **values}
    file.write_text(json.dumps(whole))
    for read in (read_vocabulary, open_tokenizer):
        with pytest.raises(UserError, match=message):
            read(file)


UNUSUAL = {
    "strip_accents": False,
    "tokenize_chinese_chars": False,
    "never_split": ["covid-19"],
}


def test_unusual_options_are_kept_in_every_format(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """And with them the reason why texts are not taken, as before."""
    change(folder / "tokenizer_config.json", **UNUSUAL)
    before = checkpointing.open(folder)
    source = folder
    for format_name in ("google", "keras", "huggingface"):
        target = tmp_path / format_name
        convert(source, target, Settings(format_name))
        written = read_json(target / "tokenizer_config.json")
        assert {name: written[name] for name in UNUSUAL} == UNUSUAL
        source = target
    after = checkpointing.open(source)
    assert after.other_options == before.other_options
    assert len(after.other_options) == len(UNUSUAL)
    with pytest.raises(UserError, match=r"never_split: \['covid-19'\]"):
        after.tokenizer()
    assert any("covid-19" in note for note in inspect(folder).notes)


def test_google_s_own_options_need_no_file(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    change(folder / "tokenizer_config.json", never_split=["[MASK]"])
    convert(folder, tmp_path / "google", Settings("google"))
    assert not (tmp_path / "google/tokenizer_config.json").exists()


def test_other_special_tokens_are_refused(folder: pathlib.Path) -> None:
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"cls_token": "[MASK]", "sep_token": "[MASK]"})
    )
    # The configuration, which says [CLS], is preferred.
    assert checkpointing.open(folder).other_options == ()
    token = {"content": "<s>", "lstrip": False}
    change(folder / "tokenizer_config.json", cls_token=token)
    with pytest.raises(UserError, match="cls_token: <s>"):
        checkpointing.open(folder).tokenizer()


def test_a_japanese_sentence_piece_model(
    tmp_path: pathlib.Path, config: BertConfig, encoder_arrays: Any
) -> None:
    """As published: BERT's weights, and `wiki-ja.model` beside them."""
    text = "ガラスのコップで、1,000円のビデオを。"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text] * 9),
        model_writer=model,
        vocab_size=27,
        control_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    arrays = dict(encoder_arrays)
    table = "bert/embeddings/word_embeddings"
    arrays[table] = np.resize(arrays[table], (27, 8))
    config = BertConfig.from_dict({**config.to_dict(), "vocab_size": 27})
    source = Checkpoint(in_memory(arrays), config)
    write(tmp_path / "bert", source, format="google")
    (tmp_path / "bert/wiki-ja.model").write_bytes(model.getvalue())
    plain = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    folder = tmp_path / "bert"
    for format_name in ("google", "huggingface", "keras"):
        checkpoint = checkpointing.open(folder)
        assert not checkpoint.other_options
        assert checkpoint.tokenizer().encode(text) == plain.EncodeAsIds(text)
        assert not inspect(folder).notes
        convert(folder, tmp_path / format_name, Settings(format_name))
        folder = tmp_path / format_name
    there = read_json(tmp_path / "huggingface/tokenizer_config.json")
    assert (there["keep_accents"], there["pad_token"]) == (True, "[PAD]")
    # Of a model without such pieces it is an option that is not computed.
    (tmp_path / "tokenizer_config.json").write_text('{"keep_accents": true}')
    assert options_that_differ(tmp_path, True) == ("keep_accents: True",)
