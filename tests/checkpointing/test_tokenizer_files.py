"""Added tokens, special tokens, unusual options: kept, or told, or refused."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.tokenizer_files import with_added_tokens
from bert_keras3.safekeeping.errors import UserError

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


def test_added_tokens_have_their_rows(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    added = {"[E1]": 17, "covid": 18}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    checkpoint = checkpointing.open(folder)
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[16:] == ("café", "[E1]", "covid")
    assert checkpoint.added_tokens == added
    (note,) = checkpoint.notes
    assert "adds 2 tokens to its vocabulary file ([E1], covid)" in note
    assert note in inspect(folder).notes
    convert(folder, tmp_path / "google", Settings("google", verify=True))
    written = (tmp_path / "google/vocab.txt").read_text("utf-8").splitlines()
    assert written[17:] == ["[E1]", "covid"]
    convert(folder, tmp_path / "new", Settings("huggingface"))
    assert read_json(tmp_path / "new/added_tokens.json") == added


def test_newer_folders_list_them_in_the_configuration(
    folder: pathlib.Path,
) -> None:
    decoder = {
        "0": {"content": "[PAD]", "special": True},  # is in vocab.txt already
        "18": {"content": "covid", "special": False},
    }
    change(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    checkpoint = checkpointing.open(folder)
    assert checkpoint.added_tokens == {"covid": 18}
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[17:] == ("[missing17]", "covid")


def test_tokenizer_json_lists_them_where_no_other_file_does(
    folder: pathlib.Path,
) -> None:
    listed = [
        {"content": "[PAD]", "id": 0, "special": True},  # is in vocab.txt
        {"content": "covid", "id": 18, "special": False},
    ]
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({"added_tokens": listed}), "utf-8")
    checkpoint = checkpointing.open(folder)
    assert checkpoint.added_tokens == {"covid": 18}
    assert checkpoint.vocabulary is not None
    assert checkpoint.vocabulary[17:] == ("[missing17]", "covid")
    for wrong in ("covid", {"id": 18}):
        file.write_text(json.dumps({"added_tokens": [wrong]}), "utf-8")
        with pytest.raises(UserError, match=r"tokenizer\.json: added_tokens"):
            checkpointing.open(folder)
    listed[1]["id"] = 19
    file.write_text(json.dumps({"added_tokens": listed}), "utf-8")
    with pytest.raises(UserError, match=r"'covid' the id 19, .* has 19 rows"):
        checkpointing.open(folder)
    (folder / "added_tokens.json").write_text('{"[E1]": 17}')
    assert checkpointing.open(folder).added_tokens == {"[E1]": 17}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "added_tokens.json",
            {"x": ROWS},
            f"id {ROWS}, and the word",
        ),
        ("added_tokens.json", {"x": -1}, "id -1, and"),
        ("added_tokens.json", {"x": "17"}, "id '17', and"),
        ("added_tokens.json", ["x"], "not a JSON object"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"17": "x"}},
            "has no token for '17'",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": ["x"]},
            "added_tokens_decoder is no JSON object",
        ),
    ],
)
def test_forged_additions(
    tmp_path: pathlib.Path, name: str, values: Any, message: str
) -> None:
    (tmp_path / name).write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        with_added_tokens(["[PAD]"], tmp_path, ROWS)


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
