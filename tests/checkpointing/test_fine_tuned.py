"""Models that others fine-tuned: what they compute, their task, their labels.

Each folder in `reference/huggingface` is read, written in every format and
read again.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert, outputs
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.trained_run import run_settings
from bert_keras3.safekeeping.errors import UserError

REFERENCE = pathlib.Path(__file__).parents[1] / "reference/huggingface"

# Folder → class, task, labels.
FOLDERS: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "labels": (
        "BertForSequenceClassification",
        "single_label",
        ("good", "bad", "mixed"),
    ),
    "label_sets": (
        "BertForSequenceClassification",
        "multi_label",
        ("late", "dirty"),
    ),
    "number": ("BertForSequenceClassification", "regression", ("LABEL_0",)),
    "tags": (
        "BertForTokenClassification",
        "tagging",
        ("O", "B-LOC", "I-LOC"),
    ),
    "choices": ("BertForMultipleChoice", "choice", ()),
    "spans": ("BertForQuestionAnswering", "span", ()),
    "pretraining": ("BertForPreTraining", None, ()),
    "masked_lm": ("BertForMaskedLM", None, ()),
}
# Their names of outputs that are not named so here.
RENAMED = {
    "prediction_logits": "masked_lm_logits",
    "seq_relationship_logits": "next_sentence_logits",
}


def logits(checkpoint: Checkpoint, name: str) -> list[dict[str, Any]]:
    """What a checkpoint makes of each row of a folder's `expected.json`."""
    found = []
    for row in rows(name):
        ids = np.array([row["input_ids"]], np.int32)
        inputs = {
            "input_ids": ids,
            "input_mask": np.ones_like(ids),
            "segment_ids": np.array([row["token_type_ids"]], np.int32),
        }
        found.append(outputs(checkpoint, inputs, name))
    return found


def rows(name: str) -> list[dict[str, Any]]:
    text = (REFERENCE / name / "expected.json").read_text("utf-8")
    found: list[dict[str, Any]] = json.loads(text)["rows"]
    return found


@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_transformers(name: str) -> None:
    found = logits(checkpointing.open(REFERENCE / name), name)
    for row, ours in zip(rows(name), found, strict=True):
        for key, values in row.items():
            if not key.endswith("logits"):
                continue
            here = RENAMED.get(key, key)
            if name == "masked_lm":
                here = "masked_lm_logits"
            np.testing.assert_allclose(ours[here][0], values, atol=1e-6)


@pytest.mark.parametrize("name", FOLDERS)
def test_texts_have_the_same_token_ids(name: str) -> None:
    tokenizer = checkpointing.open(REFERENCE / name).tokenizer()
    for row in rows(name):
        texts = row["text"] if isinstance(row["text"], list) else [row["text"]]
        pieces = ["[CLS]"]
        for text in texts:
            pieces += [*tokenizer.tokenize(text), "[SEP]"]
        assert tokenizer.convert_tokens_to_ids(pieces) == row["input_ids"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "tags" else pytest.mark.slow)
        for name in FOLDERS
    ],
)
def test_every_format_keeps_class_task_and_labels(
    name: str, tmp_path: pathlib.Path
) -> None:
    architecture, task, labels = FOLDERS[name]
    source = REFERENCE / name
    for format_name in ("google", "keras", "huggingface"):
        target = tmp_path / format_name
        last = format_name == "huggingface"
        outcome = convert(source, target, Settings(format_name, verify=last))
        assert outcome.difference == (0 if last else None)
        source = target
        checkpoint = checkpointing.open(target)
        assert checkpoint.architecture == architecture
        assert checkpoint.task == task
        assert checkpoint.named_labels == labels
    before = read_json(REFERENCE / name / "config.json")
    after = read_json(tmp_path / "huggingface/config.json")
    for key in ("architectures", "problem_type", "id2label", "label2id"):
        assert after.get(key) == before.get(key), key


@pytest.mark.parametrize("name", FOLDERS)
def test_inspection_says_what_it_is(name: str) -> None:
    found = inspect(REFERENCE / name)
    assert (found.architecture, found.trained_for, found.labels) == (
        FOLDERS[name]
    )


def test_a_number_is_what_one_output_means_to_transformers(
    tmp_path: pathlib.Path,
) -> None:
    changed(tmp_path, "number", problem_type=None)
    assert checkpointing.open(tmp_path / "number").task == "regression"
    changed(tmp_path, "labels", problem_type=None)
    assert checkpointing.open(tmp_path / "labels").task == "single_label"


def test_nothing_is_said_of_a_head_without_a_class(
    tmp_path: pathlib.Path,
) -> None:
    changed(tmp_path, "tags", architectures=None, id2label=None)
    checkpoint = checkpointing.open(tmp_path / "tags")
    assert checkpoint.task is None
    assert checkpoint.named_labels == ()
    assert checkpoint.labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id2label", ["good", "bad"], "id2label is no mapping"),
        ("id2label", {"zero": "good"}, "id2label is no mapping"),
        ("id2label", {"0": 3}, "id2label is no mapping"),
    ],
)
def test_forged_labels(
    tmp_path: pathlib.Path, key: str, value: Any, message: str
) -> None:
    changed(tmp_path, "labels", **{key: value})
    with pytest.raises(UserError, match=rf"config\.json: {message}"):
        checkpointing.open(tmp_path / "labels")


@pytest.mark.parametrize("value", ["Bert", [3], {}, []])
def test_a_class_that_is_no_name_is_not_believed(
    tmp_path: pathlib.Path, value: Any
) -> None:
    changed(tmp_path, "spans", architectures=value)
    checkpoint = checkpointing.open(tmp_path / "spans")
    assert checkpoint.architecture == "BertForQuestionAnswering"


def changed(folder: pathlib.Path, name: str, **values: Any) -> None:
    """Copies a folder with other values in `config.json`; None: without."""
    target = folder / name
    shutil.copytree(REFERENCE / name, target, dirs_exist_ok=True)
    config = {**read_json(target / "config.json"), **values}
    config = {key: value for key, value in config.items() if value is not None}
    (target / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("problem", "telepathy"),
        ("problem", ["tagging"]),
        ("labels", {"0": "O"}),
        ("labels", [1, 2, 3]),
        ("do_lower_case", "yes"),
    ],
)
def test_forged_settings_of_a_run(
    tmp_path: pathlib.Path, key: str, value: Any
) -> None:
    settings = {"problem": "tagging", "labels": ["O"], "do_lower_case": True}
    path = tmp_path / "classifier.json"
    path.write_text(json.dumps({**settings, key: value}))
    with pytest.raises(UserError, match=rf"classifier\.json: .*`{key}`"):
        run_settings(tmp_path / "model.keras")
    assert run_settings(tmp_path / "other.keras") is None


def test_several_outputs_are_no_score_of_a_choice(
    tmp_path: pathlib.Path,
) -> None:
    settings = Settings("google", architecture="BertForMultipleChoice")
    with pytest.raises(UserError, match="has 3 outputs, and a choice has one"):
        convert(REFERENCE / "labels", tmp_path / "new", settings)
    convert(REFERENCE / "number", tmp_path / "new", settings)
    assert checkpointing.open(tmp_path / "new").task == "choice"
