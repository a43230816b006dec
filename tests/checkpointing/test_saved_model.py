"""SavedModels as TensorFlow Hub and Kaggle publish them, read as data."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.keras_weights import model_of
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

INPUTS = ("input_ids", "input_mask", "segment_ids")


@pytest.mark.parametrize(
    ("name", "activation", "head"),
    [
        ("hub", "relu", "masked_lm_logits"),
        pytest.param(
            "hub_v2", "gelu", "masked_lm_logits", marks=pytest.mark.slow
        ),
        ("saved_erf", "gelu_erf", "logits"),
    ],
)
def test_outputs(
    garden: pathlib.Path, name: str, activation: str, head: str
) -> None:
    checkpoint = checkpointing.open(garden / name)
    # No file says it; the saved functions show it.
    assert checkpoint.config.hidden_act == activation
    assert checkpoint.notes == ()
    model = model_of(checkpoint)
    assert not checkpoint.load_into(model).unused
    expected = dict(np.load(garden / name / "expected.npz"))
    found = model({name: expected.pop(name) for name in INPUTS})
    assert set(expected) == {"sequence_output", "pooled_output", head}
    for output, array in expected.items():
        np.testing.assert_allclose(found[output], array, atol=1e-5, rtol=0)


def test_vocabulary_and_case_are_the_models_own(garden: pathlib.Path) -> None:
    checkpoint = checkpointing.open(garden / "hub")
    assert checkpoint.vocab_file == garden / "hub/assets/cased_vocab.txt"
    assert not checkpoint.do_lower_case
    assert checkpoint.why_lower_case == "as the file itself says"
    assert checkpoint.tokenizer().tokenize("The the thes") == [
        "The",
        "the",
        "the",
        "##s",
    ]
    assert checkpointing.open(garden / "hub", do_lower_case=True).do_lower_case


def test_inspection(garden: pathlib.Path) -> None:
    inspection = inspect(garden / "hub")
    assert inspection.what == ("a SavedModel of TF Hub or Kaggle (BertEncoder)")
    assert inspection.heads == ("pooler", "masked_lm")
    assert (inspection.vocabulary, inspection.slots) == (31, 0)
    assert not inspection.notes


def test_conversion(garden: pathlib.Path, tmp_path: pathlib.Path) -> None:
    outcome = convert(
        garden / "hub", tmp_path / "google", Settings("google", verify=True)
    )
    assert outcome.difference == 0
    written = checkpointing.open(tmp_path / "google")
    assert written.config.hidden_act == "relu"
    assert written.vocabulary == outcome.source.vocabulary


def test_an_archive_of_one(
    garden: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = shutil.make_archive(
        str(tmp_path / "bert_en_cased"), "gztar", garden / "hub"
    )
    arrays = checkpointing.open(archive).arrays
    assert arrays.shape("bert/embeddings/word_embeddings") == (31, 16)


def test_one_that_only_makes_ids(garden: pathlib.Path) -> None:
    with pytest.raises(UserError, match="a SavedModel without weights"):
        checkpointing.open(garden / "preprocess")


@pytest.fixture
def copy(garden: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(garden / "hub", tmp_path / "copy")


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (lambda raw: raw[:-100], "is cut short"),
        (lambda raw: b"\xff" * 50, "is not a SavedModel"),
        (lambda raw: b"", "without a graph"),
    ],
)
def test_damaged_graphs(copy: pathlib.Path, kept, message: str) -> None:
    file = copy / "saved_model.pb"
    file.write_bytes(kept(file.read_bytes()))
    with pytest.raises(UserError, match=message):
        checkpointing.open(copy)


def test_variables_that_are_not_there(
    copy: pathlib.Path, garden: pathlib.Path
) -> None:
    variables = copy / "variables"
    data = variables / "variables.data-00000-of-00001"
    shutil.copy(garden / "hub_v2/variables" / data.name, data)
    with pytest.raises(UserError, match="is cut short"):
        checkpointing.open(copy)
    data.unlink()
    with pytest.raises(UserError, match="is missing in"):
        checkpointing.open(copy)
    shutil.rmtree(variables)
    with pytest.raises(UserError, match=r"variables\.index, are not beside"):
        checkpointing.open(copy)


def change(folder: pathlib.Path, operations: dict[str, str]) -> None:
    """Gives operations of the saved functions other names."""
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = operations.get(node.op, node.op)
    file.write_bytes(saved.SerializeToString())


def test_activations_that_are_not_known(copy: pathlib.Path) -> None:
    change(copy, {"Relu": "Softplus"})
    with pytest.raises(UserError, match="activation that is not known"):
        checkpointing.open(copy)
    change(copy, {"Softmax": "Identity"})  # no forward pass in it
    assert "the tanh form" in checkpointing.open(copy).notes[0]
    config = copy / "bert_config.json"
    config.write_text(checkpointing.open(copy).config.to_json_string())
    assert checkpointing.open(copy, config_file=config)


@pytest.mark.parametrize(
    "text",
    [b'"norm_first": true', b'"class_name": "Text>BigBirdEncoder"'],
)
def test_layers_that_compute_something_else(
    copy: pathlib.Path, text: bytes
) -> None:
    (copy / "keras_metadata.pb").write_bytes(b"{" + text + b"}")
    with pytest.raises(UserError, match=r"keras_metadata\.pb: says "):
        checkpointing.open(copy)


def test_a_vocabulary_elsewhere(copy: pathlib.Path) -> None:
    """A path in the graph leads to no file outside of the assets."""
    (copy / "outside.txt").write_text("[PAD]\n")
    file = copy / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved.meta_graphs[0].asset_file_def[0].filename = "../outside.txt"
    file.write_bytes(saved.SerializeToString())
    assert checkpointing.open(copy).vocabulary is None


def test_another_part_of_one(copy: pathlib.Path) -> None:
    with pytest.raises(UserError, match="give its folder"):
        checkpointing.open(copy / "keras_metadata.pb")


def test_a_module_of_tf_hub_1(
    tmp_path: pathlib.Path, config: BertConfig, encoder_arrays: Any
) -> None:
    """As `hub.Module` exported it, by TensorFlow 1's own writer."""
    module = tmp_path / "module"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, array in encoder_arrays.items():
            tf.compat.v1.get_variable(f"module/{name}", initializer=array)
        session.run(tf.compat.v1.global_variables_initializer())
        builder = tf.compat.v1.saved_model.Builder(str(module))
        builder.add_meta_graph_and_variables(session, [])
        builder.save()
    (module / "tfhub_module.pb").write_bytes(b"\x08\x03")
    (module / "assets").mkdir(exist_ok=True)
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef")
    (module / "assets/vocab.txt").write_text("\n".join(tokens) + "\n")
    # Nothing in it shows the number of attention heads.
    with pytest.raises(UserError, match="name it with --bert_config_file"):
        checkpointing.open(module)
    file = tmp_path / "bert_config.json"
    file.write_text(config.to_json_string())
    checkpoint = checkpointing.open(module, config_file=file)
    assert checkpoint.vocabulary == tokens
    assert set(checkpoint.arrays) == set(encoder_arrays)
    for name, array in encoder_arrays.items():
        np.testing.assert_array_equal(checkpoint.arrays[name], array)
    assert inspect(module).what == "a module of TF Hub 1"
    convert(
        module, tmp_path / "there", Settings("huggingface", config_file=file)
    )
