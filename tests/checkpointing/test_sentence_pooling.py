"""Folders of sentence-transformers: pooling, length, prompt, and back."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.sentence_pooling import (
    SentencePooling,
    read_sentence_pooling,
)
from bert_keras3.safekeeping.errors import UserError
from modeling import BertModel

REFERENCE = pathlib.Path(__file__).parents[1] / "reference/huggingface"
SENTENCES = REFERENCE / "sentences"

# As version 2 of the library wrote it, with the encoder in a folder.
OLD: dict[str, Any] = {
    "modules.json": [
        {"path": "0_BERT", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "0_BERT/sentence_bert_config.json": {"max_seq_length": 128},
    "1_Pooling/config.json": {
        "word_embedding_dimension": 8,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
    },
}


def write(folder: pathlib.Path, files: dict[str, Any]) -> None:
    for name, values in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(values))


def test_vectors_are_those_of_the_library() -> None:
    """The description is all that is needed to make the same vectors."""
    checkpoint = checkpointing.open(SENTENCES)
    pooling = checkpoint.sentence_pooling
    assert pooling == SentencePooling(("mean",), True, max_seq_length=6)
    expected = json.loads((SENTENCES / "expected.json").read_text("utf-8"))
    model = BertModel(checkpoint.config)
    checkpoint.load_into(model)
    tokenizer = checkpoint.tokenizer()
    for text, vector in zip(
        expected["texts"], expected["vectors"], strict=True
    ):
        pieces = tokenizer.tokenize(text)[: 6 - 2]
        ids = tokenizer.convert_tokens_to_ids(["[CLS]", *pieces, "[SEP]"])
        outputs = model({"input_ids": np.array([ids], np.int32)})
        mean = np.mean(outputs["sequence_output"][0], axis=0)
        np.testing.assert_allclose(
            mean / np.linalg.norm(mean), vector, atol=1e-6
        )


def test_an_encoder_in_a_folder_of_its_own(tmp_path: pathlib.Path) -> None:
    write(tmp_path, OLD)
    shutil.copy(SENTENCES / "model.safetensors", tmp_path / "0_BERT")
    shutil.copy(SENTENCES / "config.json", tmp_path / "0_BERT")
    # Another module with weights, which are not the encoder's.
    (tmp_path / "2_Other").mkdir()
    shutil.copy(SENTENCES / "model.safetensors", tmp_path / "2_Other")
    for path in (tmp_path, tmp_path / "0_BERT"):
        checkpoint = checkpointing.open(path)
        assert checkpointing.locate(path).weights.parent.name == "0_BERT"
        assert checkpoint.sentence_pooling == SentencePooling(
            ("cls", "mean"), max_seq_length=128
        )


def test_other_folders_have_none(tmp_path: pathlib.Path) -> None:
    assert checkpointing.open(REFERENCE / "labels").sentence_pooling is None
    write(tmp_path, OLD)
    (tmp_path / "2_Dense").mkdir()
    assert read_sentence_pooling(tmp_path / "2_Dense") is None


def test_conversion_keeps_it(tmp_path: pathlib.Path) -> None:
    convert(SENTENCES, tmp_path / "new", Settings("huggingface", verify=True))
    before = checkpointing.open(SENTENCES).sentence_pooling
    assert checkpointing.open(tmp_path / "new").sentence_pooling == before


def test_a_prompt_is_put_before_every_text(tmp_path: pathlib.Path) -> None:
    prompts = {"prompts": {"query": "ask: "}, "default_prompt_name": "query"}
    write(tmp_path, {**OLD, "config_sentence_transformers.json": prompts})
    found = read_sentence_pooling(tmp_path / "0_BERT")
    assert found is not None
    assert found.prompt == "ask: "


def test_no_limit_of_the_tokenizer_is_none(tmp_path: pathlib.Path) -> None:
    write(tmp_path, OLD)
    (tmp_path / "0_BERT/sentence_bert_config.json").unlink()
    write(
        tmp_path, {"0_BERT/tokenizer_config.json": {"model_max_length": 1e30}}
    )
    found = read_sentence_pooling(tmp_path / "0_BERT")
    assert found is not None
    assert found.max_seq_length is None


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("modules.json", {}, "no list of JSON objects"),
        ("modules.json", [{"path": "0_BERT", "type": 1}], "no type and path"),
        (
            "modules.json",
            [{"path": "../x", "type": "Transformer"}, *OLD["modules.json"]],
            "not the name of a folder beside",
        ),
        (
            "modules.json",
            [*OLD["modules.json"], {"path": "2_Dense", "type": "m.Dense"}],
            "a module Dense, which is not computed",
        ),
        ("modules.json", OLD["modules.json"][:1], "has no Pooling"),
        (
            "1_Pooling/config.json",
            {"pooling_mode": "median"},
            "'median'; known",
        ),
        ("1_Pooling/config.json", {"pooling_mode": 3}, "is 3; known"),
        (
            "0_BERT/sentence_bert_config.json",
            {"max_seq_length": "long"},
            "max_seq_length is 'long'",
        ),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "query"},
            "`prompts` has no text of that name",
        ),
    ],
)
def test_damaged_descriptions(
    tmp_path: pathlib.Path, name: str, values: Any, message: str
) -> None:
    write(tmp_path, {**OLD, name: values})
    with pytest.raises(UserError, match=message):
        read_sentence_pooling(tmp_path / "0_BERT")


def test_lower_casing_for_a_cased_tokenizer_is_refused(
    tmp_path: pathlib.Path,
) -> None:
    write(tmp_path, OLD)
    write(
        tmp_path / "0_BERT",
        {
            "sentence_bert_config.json": {"do_lower_case": True},
            "tokenizer_config.json": {"do_lower_case": False},
        },
    )
    with pytest.raises(UserError, match="lower-cases texts for a cased"):
        read_sentence_pooling(tmp_path / "0_BERT")
