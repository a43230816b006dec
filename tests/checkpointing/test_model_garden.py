"""Checkpoints that the Model Garden wrote compute here what they do there."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.keras_weights import model_of
from bert_keras3.checkpointing.object_graph import OBJECT_GRAPH
from bert_keras3.safekeeping.errors import UserError

INPUTS = ("input_ids", "input_mask", "segment_ids")


def assert_computes_the_same(folder: pathlib.Path) -> set[str]:
    """Compares all outputs; returns the names of those compared."""
    checkpoint = checkpointing.open(folder)
    model = model_of(checkpoint)
    report = checkpoint.load_into(model)
    assert not report.unused
    expected = dict(np.load(folder / "expected.npz"))
    found = model({name: expected.pop(name) for name in INPUTS})
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5, rtol=0)
    return set(expected)


SLOW = pytest.mark.slow
ENCODED = {"sequence_output", "pooled_output"}
SPAN = {"start_logits", "end_logits"}
PRETRAINED = {*ENCODED, "masked_lm_logits", "next_sentence_logits"}


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("encoder", ENCODED),  # BertEncoder, with ReLU
        # BertEncoderV2, with narrow tables
        pytest.param("encoder_v2", ENCODED, marks=SLOW),
        ("pretrainer", PRETRAINED),  # the pooler is the head's
        pytest.param("old_pretrainer", PRETRAINED, marks=SLOW),
        pytest.param("classifier", {"pooled_output", "logits"}, marks=SLOW),
        ("classifier_v2", {*ENCODED, "logits"}),
        ("tagger", {*ENCODED, "logits"}),
        pytest.param("span", {*ENCODED, *SPAN}, marks=SLOW),
    ],
)
def test_outputs(garden: pathlib.Path, name: str, outputs: set[str]) -> None:
    assert assert_computes_the_same(garden / name) == outputs


def test_the_latest_of_a_folder_that_was_moved(garden: pathlib.Path) -> None:
    # `checkpoint` there says /home/someone/run/ckpt-2.
    location = checkpointing.locate(garden / "pretrainer")
    assert location.weights.name == "ckpt-2"
    first = checkpointing.read(garden / "pretrainer/ckpt-1")
    name = "bert/pooler/dense/bias"
    assert not np.array_equal(
        first[name], checkpointing.read(location.weights)[name]
    )


def test_inspection(garden: pathlib.Path) -> None:
    inspection = inspect(garden / "pretrainer")
    assert inspection.what == (
        "a BERT of TensorFlow's Model Garden (BertEncoderV2)"
    )
    assert inspection.heads == ("pooler", "masked_lm", "next_sentence")
    # m and v of the 42 weights that had a gradient, and six counters.
    assert inspection.slots == 90
    # Neither is in any file.
    newest, pooler, activation = inspection.notes
    assert "the newest, ckpt-2, is read" in newest
    assert "next_sentence..pooler_dense" in pooler
    assert "the tanh form" in activation
    encoder = inspect(garden / "encoder")
    assert encoder.what.endswith("(BertEncoder)")
    assert not encoder.notes  # params.json says all
    assert encoder.sizes["num_attention_heads"] == 4


def test_moments_keep_the_names_of_their_weights(garden: pathlib.Path) -> None:
    arrays = checkpointing.read(garden / "pretrainer")
    name = "bert/encoder/layer_1/attention/self/query/kernel"
    assert f"{name}/adam_m" in arrays.slots
    assert arrays[f"{name}/adam_v"].shape == arrays[name].shape == (16, 16)


def test_names_of_2019(tmp_path: pathlib.Path, garden: pathlib.Path) -> None:
    """What the converter of official/nlp calls BERT_NAME_REPLACEMENTS."""
    replacements = (
        ("bert/", "bert_model/"),
        ("embeddings/word_embeddings", "word_embeddings/embeddings"),
        (
            "embeddings/token_type_embeddings",
            "embedding_postprocessor/type_embeddings",
        ),
        (
            "embeddings/position_embeddings",
            "embedding_postprocessor/position_embeddings",
        ),
        ("embeddings/LayerNorm", "embedding_postprocessor/layer_norm"),
        ("attention/self", "self_attention"),
        ("attention/output/dense", "self_attention_output"),
        ("attention/output/LayerNorm", "self_attention_layer_norm"),
        ("intermediate/dense", "intermediate"),
        ("output/dense", "output"),
        ("output/LayerNorm", "output_layer_norm"),
        ("pooler/dense", "pooler_transform"),
    )
    arrays = checkpointing.read(garden / "encoder")
    root = tf.train.Checkpoint()
    for number, name in enumerate(n for n in arrays if n not in arrays.slots):
        array, old = arrays[name], name
        for here, there in replacements:
            old = old.replace(here, there)
        if "/self_attention/" in old:  # the heads apart
            array = array.reshape((*array.shape[:-1], 4, 4))
        setattr(root, f"v{number}", tf.Variable(array, name=old))
    root.write(str(tmp_path / "ckpt"))
    found = checkpointing.open(tmp_path)
    assert found.config.num_attention_heads == 4
    assert inspect(tmp_path).what.endswith("(the BertModel of 2019)")
    for name in set(arrays) - arrays.slots:
        np.testing.assert_array_equal(found.arrays[name], arrays[name])


# As the library's `params_dict` writes it.
PARAMS = """\
task:
  model:
    cls_heads: []
    encoder:
      {kind}:
        attention_dropout_rate: 0.0
        dropout_rate: 0.0
        embedding_{width}
        hidden_activation: gelu
        hidden_size: 16
        initializer_range: 0.02
        intermediate_size: 12
        max_position_embeddings: 20
        num_attention_heads: 4
        num_layers: 2
        type_vocab_size: 2
        vocab_size: 31
      type: {kind}
    mlm_activation: gelu
"""


def test_albert(garden: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = shutil.copytree(garden / "albert", tmp_path / "albert")
    with pytest.raises(UserError, match="no weight shows num_hidden_layers"):
        checkpointing.open(folder)
    params = folder / "params.yaml"
    params.write_text(PARAMS.format(kind="albert", width="width: 8"))
    assert assert_computes_the_same(folder) == ENCODED
    assert checkpointing.open(folder).config.num_hidden_groups == 1
    convert(folder, tmp_path / "google", Settings("google", verify=True))
    assert (tmp_path / "google/albert_config.json").is_file()


def test_parameters_in_yaml(
    garden: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = shutil.copytree(garden / "encoder", tmp_path / "encoder")
    (folder / "params.json").unlink()
    params = folder / "params.yaml"
    text = PARAMS.format(kind="bert", width="size: null")
    params.write_text(text.replace("gelu", "relu"))
    assert checkpointing.open(folder).config.hidden_act == "relu"
    assert not inspect(folder).notes
    for forged, message in (
        ("a: [", r"params\.yaml: cannot be read as YAML: .* line 1"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("[1]", "holds a list, not a YAML object"),
        ("a: 1", "has no task.model.encoder"),
        (text.replace("type: bert", "type: [1]"), r"the type \[1\]"),
        (text.replace("num_layers: 2", "num_layers: 3"), "is 3, .* have 2"),
    ):
        params.write_text(forged)
        with pytest.raises(UserError, match=message):
            checkpointing.open(folder)


def test_other_encoders_are_refused(garden: pathlib.Path) -> None:
    with pytest.raises(UserError, match="is a MobileBERT of the Model Garden"):
        checkpointing.open(garden / "mobile_bert")


HEADS_WRONG = {
    "vocab_size": 31,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 20,
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"encoder": {"type": "funnel"}}', r"params\.json: .* type 'funnel'"),
        ('{"encoder": {"bert": {"norm_first": true}}}', "norm_first is true"),
        ('{"encoder": {"bert": {"vocab_size": 30}}}', "vocab_size is 30, .*31"),
        (json.dumps({"encoder": {"bert": HEADS_WRONG}}), "heads is 2, .* 4"),
        ('{"encoder":', r"params\.json:1: is not JSON"),
    ],
)
def test_parameters_of_another_model(
    tmp_path: pathlib.Path, garden: pathlib.Path, text: str, message: str
) -> None:
    folder = shutil.copytree(garden / "encoder", tmp_path / "encoder")
    (folder / "params.json").write_text(text)
    with pytest.raises(UserError, match=message):
        checkpointing.open(folder)


def copy_of(
    garden: pathlib.Path, tmp_path: pathlib.Path
) -> tuple[pathlib.Path, pathlib.Path]:
    """Copies a checkpoint; returns the paths of its index and its data."""
    folder = shutil.copytree(garden / "encoder_v2", tmp_path / "copy")
    (index,) = folder.glob("*.index")
    (data,) = folder.glob("*.data-*")
    return index, data


def test_damaged_files(tmp_path: pathlib.Path, garden: pathlib.Path) -> None:
    index, data = copy_of(garden, tmp_path)
    whole = data.read_bytes()
    data.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="is cut short"):
        checkpointing.open(tmp_path / "copy")
    # The graph is text, with a length before it.
    _, entries = tensor_bundle.parse(index.read_bytes())
    entry = entries[OBJECT_GRAPH]
    start = entry.end - entry.size
    for forged, message in (
        (b"\xff" * 8 + b"\x7f", "no text of the length"),
        (whole[start : start + 2] + b"\xff" * 40, "graph is damaged"),
    ):
        changed = bytearray(whole)
        changed[start : start + len(forged)] = forged
        data.write_bytes(changed)
        with pytest.raises(UserError, match=message):
            checkpointing.open(tmp_path / "copy")
    data.unlink()
    with pytest.raises(UserError, match="is missing in"):
        checkpointing.open(tmp_path / "copy")


def test_data_of_another_checkpoint(
    tmp_path: pathlib.Path, garden: pathlib.Path
) -> None:
    _, data = copy_of(garden, tmp_path)
    shutil.copy(next((garden / "pretrainer").glob("ckpt-1.data-*")), data)
    with pytest.raises(UserError, match="damaged"):
        checkpointing.open(tmp_path / "copy")


def saved(folder: pathlib.Path, **shapes: Any) -> pathlib.Path:
    """Writes variables of these names ('__' is a slash) and shapes."""
    root = tf.train.Checkpoint()
    for number, (name, shape) in enumerate(shapes.items()):
        variable = tf.Variable(tf.zeros(shape), name=name.replace("__", "/"))
        setattr(root, f"v{number}", variable)
    root.write(str(folder / "ckpt"))
    return folder


QUERY = "transformer__layer_{}__self_attention__query__kernel"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"conv__kernel": (3, 3)}, "but not of a Model Garden BERT: .* v0"),
        (
            {QUERY.format(0): (8, 2, 4), "x__" + QUERY.format(0): (8, 2, 4)},
            "holds bert/encoder/layer_0/.* twice",
        ),
        (
            {QUERY.format(0): (8, 2, 4), QUERY.format(1): (8, 4, 2)},
            "have 2 and 4 attention heads",
        ),
        (
            {QUERY.format(0): (8, 2, 4), "transformer__layer_0__alpha": (3,)},
            "transformer/layer_0/alpha, which a BERT does not have",
        ),
        ({QUERY.format(0): (8, 2, 4)}, "show its vocab_size"),
    ],
)
def test_other_variables(
    tmp_path: pathlib.Path, shapes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        checkpointing.open(saved(tmp_path, **shapes))


def test_a_name_based_checkpoint_beside_it(
    tmp_path: pathlib.Path, garden: pathlib.Path
) -> None:
    index, _ = copy_of(garden, tmp_path)
    (index.parent / "checkpoint").unlink()
    ones = in_memory({"bert/pooler/dense/bias": np.ones(3, np.float32)})
    tensor_bundle.write(index.with_name("other"), ones)
    with pytest.raises(UserError, match=r"several checkpoints: other, ckpt"):
        checkpointing.locate(index.parent)
    (index.parent / "checkpoint").write_text('model_checkpoint_path: "other"\n')
    assert checkpointing.locate(index.parent).format == "google"
