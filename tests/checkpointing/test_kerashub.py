"""Presets of KerasHub: what it wrote computes the same here.

`test_in_kerashub.py` shows the other way around.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.keras_weights import model_of
from bert_keras3.checkpointing.sentence_pooling import SentencePooling
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef")


def outputs(checkpoint: Checkpoint, ids: Any) -> dict[str, Any]:
    model = model_of(checkpoint)
    checkpoint.load_into(model)
    mask = (np.asarray(ids) != 0).astype(np.int32)
    inputs = {"input_ids": np.asarray(ids), "input_mask": mask}
    return dict(model({**inputs, "segment_ids": np.zeros_like(mask)}))


@pytest.mark.parametrize(
    ("name", "lower", "compared", "tolerance"),
    [
        ("backbone", True, ("sequence_output", "pooled_output"), 1e-5),
        ("classifier", False, ("logits",), 1e-5),
        # The head there has the erf form of GELU and another epsilon.
        ("masked_lm", False, ("masked_lm_logits",), 2e-3),
    ],
)
def test_ids_and_outputs(
    kerashub: pathlib.Path,
    name: str,
    lower: bool,
    compared: tuple[str, ...],
    tolerance: float,
) -> None:
    checkpoint = checkpointing.open(kerashub / name)
    assert checkpoint.do_lower_case is lower
    expected = json.loads((kerashub / name / "expected.json").read_text())
    tokenizer = checkpoint.tokenizer()
    start, end = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    for text, ids in zip(expected["texts"], expected["token_ids"], strict=True):
        ours = [start, *tokenizer.encode(text), end]
        assert [*ours, *[0] * (len(ids) - len(ours))] == ids
    found = outputs(checkpoint, expected["token_ids"])
    real = np.asarray(expected["token_ids"]) != 0
    for output in compared:
        array, theirs = np.asarray(found[output]), np.asarray(expected[output])
        if array.ndim == 3:  # padding has no words
            array, theirs = array[real], theirs[real]
        np.testing.assert_allclose(array, theirs, atol=tolerance, rtol=0)


def test_shards_are_the_same_as_one_file(kerashub: pathlib.Path) -> None:
    one = checkpointing.read(kerashub / "backbone")
    several = checkpointing.read(kerashub / "sharded")
    assert dict(several).keys() == dict(one).keys()
    for name in one:
        np.testing.assert_array_equal(several[name], one[name])


@pytest.mark.parametrize(
    "file", ["model.weights.h5", "task.weights.h5", "model.weights.json"]
)
def test_a_file_of_a_preset_is_the_preset(
    kerashub: pathlib.Path, file: str
) -> None:
    folder = "sharded" if file.endswith(".json") else "classifier"
    found = checkpointing.locate(kerashub / folder / file)
    assert found == checkpointing.locate(kerashub / folder)
    assert found.format == "kerashub"


def test_what_an_inspection_says(kerashub: pathlib.Path) -> None:
    found = inspect(kerashub / "classifier")
    assert found.what == "a KerasHub preset, BertTextClassifier"
    assert (found.format, found.family) == ("kerashub", "bert")
    assert found.trained_for == "single_label"
    assert found.sizes["num_labels"] == 3
    assert found.vocabulary == 18
    assert any("--max_seq_length=12" in note for note in found.notes)


def test_an_embedder_says_how_vectors_are_made(
    kerashub: pathlib.Path,
) -> None:
    checkpoint = checkpointing.open(kerashub / "embedder")
    expected = json.loads((kerashub / "embedder/expected.json").read_text())
    assert checkpoint.sentence_pooling == SentencePooling(("max",), True, 12)
    ids = np.asarray(expected["token_ids"])
    vectors = np.asarray(outputs(checkpoint, ids)["sequence_output"])
    vectors = np.where(ids[..., None] != 0, vectors, -np.inf).max(axis=1)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    np.testing.assert_allclose(vectors, expected["vectors"], atol=1e-5)


@pytest.fixture
def copy(
    kerashub: pathlib.Path, tmp_path: pathlib.Path
) -> Callable[[str], pathlib.Path]:
    """Copies a preset into a folder that may be changed."""

    def copied(name: str) -> pathlib.Path:
        return shutil.copytree(kerashub / name, tmp_path / name)

    return copied


def change(path: pathlib.Path, **values: Any) -> None:
    """Changes arguments of the object in a JSON file."""
    content = json.loads(path.read_text())
    content["config"].update(values)
    path.write_text(json.dumps(content))


def test_keys_and_paths_of_before_keras_3(
    copy: Callable[[str], pathlib.Path],
) -> None:
    folder = copy("classifier")
    before = dict(checkpointing.read(folder))
    for file in ("model.weights.h5", "task.weights.h5"):
        with h5py.File(folder / file, "a") as opened:
            opened.move("layers", "_layer_checkpoint_dependencies")
    for file in ("config.json", "task.json"):
        text = (folder / file).read_text()
        text = text.replace("keras_hub", "keras_nlp")
        text = text.replace("BertTextClassifier", "BertClassifier")
        (folder / file).write_text(text)
    opened_again = checkpointing.open(folder)
    assert opened_again.architecture == "BertForSequenceClassification"
    assert dict(opened_again.arrays).keys() == before.keys()
    assert not opened_again.arrays.slots - set(before)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"oov_token": "<unk>"}, "oov_token: <unk>"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ({"split_on_cjk": False}, "split_on_cjk: False"),
                (
                    {"special_tokens_in_strings": True},
                    "special_tokens_in_strings",
                ),
                (
                    {"strip_accents": True},
                    "strip_accents: True beside lowercase: False",
                ),
            )
        ),
    ],
)
def test_options_of_the_tokenizer_that_google_lacks(
    copy: Callable[[str], pathlib.Path], values: dict[str, Any], refused: str
) -> None:
    folder = copy("classifier")
    change(folder / "tokenizer.json", **values)
    checkpoint = checkpointing.open(folder)
    with pytest.raises(UserError, match=refused):
        checkpoint.tokenizer()
    for to in ("google", "huggingface", "kerashub"):
        with pytest.raises(UserError, match=refused):
            convert(folder, folder / "new", Settings(to))
    # A vocabulary of the user's own has none of them.
    assert checkpoint.vocab_file is not None
    own = shutil.copy(checkpoint.vocab_file, folder / "vocab.txt")
    checkpointing.open(folder, vocab_file=own).tokenizer()


def test_accents_that_are_kept_there_are_told(
    copy: Callable[[str], pathlib.Path],
) -> None:
    folder = copy("backbone")
    assert not checkpointing.open(folder).notes
    change(folder / "tokenizer.json", strip_accents=False)
    assert "keeps accents" in checkpointing.open(folder).notes[0]
    # As there, in what has a place for it.
    for to, file in (
        ("huggingface", "tokenizer_config.json"),
        ("kerashub", "tokenizer.json"),
    ):
        convert(folder, folder / to, Settings(to))
        values = json.loads((folder / to / file).read_text())
        assert values.get("config", values)["strip_accents"] is False
    # Where a model was trained so, a preset of it says that it was.
    there = checkpointing.open(folder / "huggingface")
    assert len(there.other_options) == 1
    write(folder / "again", there, format="kerashub")
    assert checkpointing.open(folder / "again").other_options == (
        there.other_options
    )


@pytest.mark.parametrize(
    ("activation", "task"),
    [("softmax", "single_label"), ("sigmoid", "multi_label")],
)
def test_the_activation_says_the_task(
    copy: Callable[[str], pathlib.Path], activation: str, task: str
) -> None:
    folder = copy("classifier")
    change(folder / "task.json", activation=activation)
    assert checkpointing.open(folder).task == task


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_class(name: str) -> Callable[[pathlib.Path], None]:
    def changed(path: pathlib.Path) -> None:
        content = json.loads(path.read_text())
        content["class_name"] = name
        path.write_text(json.dumps(content))

    return changed


def with_wrong_shape(path: pathlib.Path) -> None:
    with h5py.File(path, "a") as file:
        del file["layers/position_embedding/vars/0"]
        file["layers/position_embedding/vars/0"] = np.zeros((24, 4), "f4")


QUANTIZED = {"class_name": "QuantizedDTypePolicy", "config": {}}


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("config.json", cut, r"config\.json:\d+: is not JSON"),
        ("task.json", cut, r"task\.json:\d+: is not JSON"),
        ("tokenizer.json", cut, r"tokenizer\.json:\d+: is not JSON"),
        ("model.weights.h5", cut, r"model\.weights\.h5: .*cut short"),
        ("task.weights.h5", cut, r"task\.weights\.h5: .*cut short"),
        (
            "config.json",
            of_class("RobertaBackbone"),
            "is KerasHub's RobertaBackbone; .* only BertBackbone is read",
        ),
        ("config.json", of_class("AlbertBackbone"), "KerasHub's AlbertBackb"),
        (
            "config.json",
            of_class("DistilBertBackbone"),
            "KerasHub's DistilBertBackbone",
        ),
        (
            "config.json",
            lambda path: change(path, num_heads=4),
            "_dense/vars/0 has 2 attention heads, num_heads .* is 4",
        ),
        (
            "config.json",
            lambda path: change(path, hidden_dim="wide"),
            r"config\.json: `hidden_size`",
        ),
        (
            "config.json",
            lambda path: change(path, dtype=QUANTIZED),
            "QuantizedDTypePolicy",
        ),
        (
            "task.json",
            lambda path: change(path, num_classes=7),
            r"num_classes is 7, but .* has a bias of \[3\]",
        ),
        (
            "task.json",
            lambda path: change(path, activation="relu"),
            "its activation is 'relu'",
        ),
        (
            "assets/tokenizer/vocabulary.txt",
            pathlib.Path.unlink,
            r"vocabulary\.txt: the vocabulary cannot be read",
        ),
        ("model.weights.h5", pathlib.Path.unlink, "a KerasHub preset without"),
    ],
)
def test_damaged_and_foreign_ones(
    copy: Callable[[str], pathlib.Path],
    file: str,
    damage: Callable[[pathlib.Path], None],
    message: str,
) -> None:
    folder = copy("classifier")
    damage(folder / file)
    with pytest.raises(UserError, match=message) as caught:
        checkpointing.open(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_weights_without_the_preset(
    kerashub: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    weights = kerashub / "backbone/model.weights.h5"
    if name == "model.keras":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.write(weights, "model.weights.h5")
    else:
        shutil.copy(weights, tmp_path / name)
    with pytest.raises(UserError, match="is a model that KerasHub saved"):
        checkpointing.open(tmp_path / name)


def test_a_weight_of_another_shape(
    copy: Callable[[str], pathlib.Path], tmp_path: pathlib.Path
) -> None:
    folder = copy("backbone")
    with_wrong_shape(folder / "model.weights.h5")
    with pytest.raises(UserError, match=r"position_embeddings is \[24, 4\]"):
        convert(folder, tmp_path / "out", Settings("google"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../model_00000.weights.h5", "x.weights.h5"])
def test_shards_elsewhere_are_not_read(
    copy: Callable[[str], pathlib.Path], name: str
) -> None:
    folder = copy("sharded")
    index = {"weight_map": {"/layers/dense/vars": name}}
    (folder / "model.weights.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="is not the name of a shard"):
        checkpointing.open(folder)


# Writing.


@pytest.fixture
def checkpoint(
    config: BertConfig,
    encoder_arrays: dict[str, Any],
    head_arrays: dict[str, Any],
) -> Checkpoint:
    """A classifier with three named classes, and further heads."""
    names = {str(n): label for n, label in enumerate(("low", "mid", "high"))}
    values = {
        **config.to_dict(),
        "architectures": ["BertForSequenceClassification"],
        "id2label": names,
    }
    return Checkpoint(
        in_memory({**encoder_arrays, **head_arrays}),
        BertConfig.from_dict(values),
        vocabulary=WORDS,
        source="x",
    )


def without(checkpoint: Checkpoint, *beginnings: str) -> Checkpoint:
    """Returns a checkpoint that lacks some weights."""
    arrays = {
        name: array
        for name, array in checkpoint.arrays.items()
        if not name.startswith(beginnings)
    }
    values = checkpoint.config.to_dict()
    values.pop("architectures")
    return Checkpoint(
        in_memory(arrays),
        BertConfig.from_dict(values),
        vocabulary=WORDS,
        source="x",
    )


def described(path: pathlib.Path) -> Any:
    """Returns where datasets lie in an HDF5 file, with their shapes."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: (
                found.update({name: one.shape})
                if isinstance(one, h5py.Dataset)
                else None
            )
        )
    return found


def test_the_files_are_named_as_kerashub_names_them(
    checkpoint: Checkpoint, kerashub: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Other sizes: a layout is the same in names and numbers of axes."""
    write(tmp_path / "ours", checkpoint, format="kerashub")
    theirs = kerashub / "classifier"
    for file in ("model.weights.h5", "task.weights.h5"):
        ours, expected = (
            {
                name: len(shape)
                for name, shape in described(folder / file).items()
                if not name.startswith("optimizer/")
            }
            for folder in (tmp_path / "ours", theirs)
        )
        assert ours == expected
    for file in ("config", "task", "tokenizer", "preprocessor"):
        ours, expected = (
            keys(json.loads((folder / f"{file}.json").read_text()))
            for folder in (tmp_path / "ours", theirs)
        )
        assert ours == expected
    shape = described(tmp_path / "ours/model.weights.h5")[
        "layers/transformer_encoder_1/_self_attention_layer/query_dense/vars/0"
    ]
    assert shape == (8, 2, 4)


def keys(values: Any) -> Any:
    """Returns a JSON object with the types of its values in their place.

    Those that name a class stay.
    """
    if isinstance(values, dict):
        return {
            key: value
            if key in ("module", "class_name", "registered_name")
            else keys(value)
            for key, value in values.items()
        }
    return type(values).__name__


def test_heads_without_a_place_are_told(
    checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    """And not compared by --verify."""
    arrays = {
        **{n: checkpoint.arrays[n] for n in checkpoint.arrays},
        "cls/squad/output_weights": np.ones((2, 8), np.float32),
        "cls/squad/output_bias": np.ones(2, np.float32),
    }
    for name in ("output_weights", "output_bias"):
        arrays.pop(name, None)
    span = dataclasses.replace(checkpoint, arrays=in_memory(arrays))
    write(tmp_path / "span", span, format="google")
    outcome = convert(
        tmp_path / "span", tmp_path / "there", Settings("kerashub", verify=True)
    )
    assert set(outcome.left_out) >= {"cls/squad/output_weights"}
    assert outcome.difference == 0.0


def test_what_was_written_is_read_again(
    checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    write(tmp_path / "ours", checkpoint, format="kerashub")
    again = checkpointing.open(tmp_path / "ours")
    assert again.labels == ("low", "mid", "high")
    assert (again.task, again.vocabulary) == ("single_label", WORDS)
    assert again.max_seq_length == 16  # as many as there are positions
    assert again.heads == ("pooler", "labels")
    for name in again.arrays:
        np.testing.assert_array_equal(
            again.arrays[name], checkpoint.arrays[name]
        )


def test_a_head_of_masked_words_goes_along(
    checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    write(tmp_path / "ours", without(checkpoint, "output_"), format="kerashub")
    again = checkpointing.open(tmp_path / "ours")
    assert again.heads == ("pooler", "masked_lm")
    name = "cls/predictions/transform/dense/kernel"
    np.testing.assert_array_equal(again.arrays[name], checkpoint.arrays[name])


def test_a_pooler_that_is_missing_stays_so(
    checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    bare = without(checkpoint, "bert/pooler", "cls", "output_")
    write(tmp_path / "ours", bare, format="kerashub")
    # KerasHub's model has one.
    assert "layers/dense/vars/0" in described(
        tmp_path / "ours/model.weights.h5"
    )
    assert set(checkpointing.read(tmp_path / "ours")) == set(bare.arrays)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_act": "gelu_erf"}, "tanh form of GELU alone.*by up to 4.7e"),
        ({"hidden_act": "relu"}, "the input has relu"),
        ({"embedding_size": 4}, "has no embedding_size"),
        ({"layer_norm_eps": 1e-5}, "epsilon of 1e-12, .* layer_norm_eps 1e-05"),
        ({"hidden_dropout_prob": 0.2}, "has one dropout rate"),
        ({"vocabulary": WORDS[:4]}, r"the vocabulary lacks \[MASK\]"),
        ({"other_options": ("split: False",)}, "has split: False"),
        ({"sentence_pieces": b"x"}, "a SentencePiece model"),
    ],
)
def test_what_kerashub_cannot_compute(
    checkpoint: Checkpoint,
    tmp_path: pathlib.Path,
    values: dict[str, Any],
    message: str,
) -> None:
    for name, value in values.items():
        if name in ("vocabulary", "other_options", "sentence_pieces"):
            checkpoint = dataclasses.replace(checkpoint, **{name: value})
        else:
            setattr(checkpoint.config, name, value)
    with pytest.raises(UserError, match=message):
        write(tmp_path / "ours", checkpoint, format="kerashub")
    assert not (tmp_path / "ours").exists()
