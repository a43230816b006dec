"""ALBERT's checkpoints: loaded, converted, verified, described."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import names, tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig

Arrays = dict[str, np.ndarray]

EARLY = (
    pathlib.Path(__file__).parents[1]
    / "reference/checkpointing/early_albert.npz"
)

SIZES: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
CONFIGS = {
    "groups": BertConfig(
        **SIZES, embedding_size=6, num_hidden_groups=2, inner_group_num=2
    ),
    "same width": BertConfig(
        **SIZES, embedding_size=8, num_hidden_groups=1, inner_group_num=1
    ),
}
HEADS = {
    "none": ("pooler",),
    "pretraining": ("pooler", "masked_lm", "next_sentence"),
    "masked_lm": ("masked_lm",),
    "span": ("span",),
    "labels": ("pooler", "labels"),
}


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> BertConfig:
    return CONFIGS[request.param]


def random_arrays(config: BertConfig, *heads: str) -> Arrays:
    rng = np.random.default_rng(7)
    shapes = names.shapes(config, heads, num_labels=3)
    return {n: rng.normal(size=s).astype("f4") for n, s in shapes.items()}


def google_folder(
    folder: pathlib.Path, config: BertConfig, arrays: Arrays
) -> pathlib.Path:
    write(folder, Checkpoint(in_memory(arrays), config), format="google")
    return folder


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("sizes", "heads"),
    [
        ("groups", "pretraining"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("same width", "pretraining"),
                *(
                    ("groups", heads)
                    for heads in HEADS
                    if heads != "pretraining"
                ),
            ]
        ),
    ],
)
@pytest.mark.parametrize("between", ["keras", "huggingface"])
def test_there_and_back_is_the_same_file(
    sizes: str, heads: str, between: str, tmp_path: pathlib.Path
) -> None:
    config = CONFIGS[sizes]
    arrays = random_arrays(config, *HEADS[heads])
    start = google_folder(tmp_path / "start", config, arrays)
    there = convert(start, tmp_path / "there", Settings(between, verify=True))
    assert there.difference is not None
    assert there.difference <= 1e-6
    assert there.left_out == ()
    convert(tmp_path / "there", tmp_path / "back", Settings("google"))
    before, after = files(start), files(tmp_path / "back")
    assert sorted(before) == [
        "albert_config.json",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
        "checkpoint",
    ]
    if between == "huggingface":  # which has to say more about heads
        said = json.loads(after.pop("albert_config.json"))
        known = json.loads(before.pop("albert_config.json"))
        assert said.items() >= known.items()
    assert before == after


def test_a_checkpoint_loads_by_its_own_names(
    config: BertConfig, tmp_path: pathlib.Path
) -> None:
    arrays = random_arrays(config, "pooler", "masked_lm", "next_sentence")
    start = google_folder(tmp_path / "start", config, arrays)
    model = BertWithHeads(
        checkpointing.bert_config(start), ["masked_lm", "next_sentence"]
    )
    report = checkpointing.load(model, start)
    assert set(report.loaded) == set(arrays)
    assert not report.missing + report.unused
    for weight in model.weights:
        np.testing.assert_array_equal(weight, arrays[weight.path])


def test_keras_opens_what_was_written(
    config: BertConfig, tmp_path: pathlib.Path
) -> None:
    arrays = random_arrays(config, "pooler", "masked_lm", "next_sentence")
    start = google_folder(tmp_path / "start", config, arrays)
    convert(start, tmp_path / "model.keras", Settings("keras"))
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.bert.config == config
    assert {one.path for one in model.weights} == set(arrays)
    for weight in model.weights:
        np.testing.assert_array_equal(weight, arrays[weight.path])


def test_another_number_of_groups_is_refused(tmp_path: pathlib.Path) -> None:
    arrays = random_arrays(CONFIGS["groups"], "pooler")
    start = google_folder(tmp_path / "start", CONFIGS["groups"], arrays)
    for field, value in (("num_hidden_groups", 1), ("inner_group_num", 1)):
        values = {**CONFIGS["groups"].to_dict(), field: value}
        (start / "albert_config.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match="do not belong together"):
            convert(start, tmp_path / "out", Settings("keras"))


def test_a_mapping_between_equal_widths_is_refused(
    tmp_path: pathlib.Path,
) -> None:
    config = CONFIGS["same width"]
    arrays = random_arrays(config, "pooler")
    arrays[f"{names.MAPPING}/kernel"] = np.eye(8, k=1, dtype="f4")
    arrays[f"{names.MAPPING}/bias"] = np.zeros(8, "f4")
    write(
        tmp_path / "hf",
        Checkpoint(in_memory(arrays), config),
        format="google",
    )
    with pytest.raises(UserError, match=r"embedding_hidden.* is too much"):
        convert(tmp_path / "hf", tmp_path / "out", Settings("keras"))
    write(
        tmp_path / "theirs",
        Checkpoint(in_memory(arrays), config),
        format="huggingface",
    )
    with pytest.raises(UserError, match="not computed here"):
        checkpointing.read(tmp_path / "theirs")


@pytest.mark.slow
def test_narrow_embeddings_of_a_bert_have_no_place_there(
    tmp_path: pathlib.Path,
) -> None:
    config = BertConfig(**SIZES, embedding_size=6)
    arrays = random_arrays(config, "pooler")
    assert set(arrays) == {one.path for one in BertModel(config).weights}
    start = google_folder(tmp_path / "start", config, arrays)
    convert(start, tmp_path / "k", Settings("keras", verify=True))
    convert(tmp_path / "k", tmp_path / "back", Settings("google"))
    assert files(start) == files(tmp_path / "back")
    with pytest.raises(UserError, match="has no place in Hugging Face"):
        convert(start, tmp_path / "hf", Settings("huggingface"))


def test_inspection(config: BertConfig, tmp_path: pathlib.Path) -> None:
    arrays = random_arrays(config, "pooler", "masked_lm", "next_sentence")
    start = google_folder(tmp_path / "start", config, arrays)
    found = inspect(start)
    assert found.family == "albert"
    assert found.parameters == sum(array.size for array in arrays.values())
    for field in ("num_hidden_groups", "inner_group_num", "hidden_size"):
        assert found.sizes[field] == getattr(config, field)
    assert found.notes == ()
    fits = {fit.task: fit for fit in found.fits}
    assert not fits["pretraining"].missing + fits["pretraining"].unused
    assert fits["classification"].missing == ("output_weights", "output_bias")


@pytest.fixture
def early(tmp_path: pathlib.Path) -> tuple[pathlib.Path, Arrays]:
    """A folder of the early Chinese ALBERT, and what its code computes."""
    with np.load(EARLY) as file:
        arrays = dict(file)
    folder = tmp_path / "early"
    folder.mkdir()
    weights = {
        name.removeprefix("weight/"): array
        for name, array in arrays.items()
        if name.startswith("weight/")
    }
    tensor_bundle.write(folder / "albert_model.ckpt", in_memory(weights))
    (folder / "albert_config_tiny.json").write_text(str(arrays["config"]))
    return folder, arrays


def early_outputs(path: pathlib.Path, arrays: Arrays) -> dict[str, Any]:
    model = BertWithHeads(
        checkpointing.bert_config(path),
        ["masked_lm", "next_sentence"],
        encoder_outputs=True,
    )
    report = checkpointing.load(model, path)
    assert not report.missing + report.unused
    inputs = {
        name: arrays[f"input/{name}"]
        for name in ("input_ids", "input_mask", "segment_ids")
    }
    outputs = model(inputs)
    positions = arrays["input/masked_lm_positions"]
    masked_lm = np.asarray(outputs["masked_lm_logits"])
    at_positions = masked_lm[np.arange(len(masked_lm))[:, None], positions]
    log = keras.ops.log_softmax
    return {
        "sequence_output": outputs["sequence_output"],
        "pooled_output": outputs["pooled_output"],
        "masked_lm_log_probs": log(
            at_positions.reshape(-1, masked_lm.shape[-1])
        ),
        "sentence_order_log_probs": log(outputs["next_sentence_logits"]),
    }


@pytest.mark.parametrize("format", [None, "google", "huggingface", "keras"])
def test_the_early_chinese_one_computes_what_it_did(
    early: tuple[pathlib.Path, Arrays],
    format: str | None,  # noqa: A002
    tmp_path: pathlib.Path,
) -> None:
    path, arrays = early
    if format:
        convert(path, tmp_path / "out", Settings(format, verify=True))
        path = tmp_path / "out"
    for name, output in early_outputs(path, arrays).items():
        np.testing.assert_allclose(
            output, arrays[f"output/{name}"], atol=1e-5, err_msg=name
        )


def test_the_early_chinese_one_is_counted_as_it_is(
    early: tuple[pathlib.Path, Arrays],
) -> None:
    path, arrays = early
    found = inspect(path)
    assert found.family == "albert_zh"
    assert found.sizes["embedding_size"] == 6
    assert found.parameters == sum(
        array.size for name, array in arrays.items() if name[:6] == "weight"
    )
    fits = {fit.task: fit for fit in found.fits}
    assert not fits["pretraining"].missing + fits["pretraining"].unused


def test_its_largest_model_is_refused(
    early: tuple[pathlib.Path, Arrays], tmp_path: pathlib.Path
) -> None:
    file = early[0] / "albert_config_tiny.json"
    file.write_text(file.read_text().replace("postln", "preln"))
    with pytest.raises(UserError, match=r"tiny\.json: ln_type is 'preln'"):
        convert(early[0], tmp_path / "out", Settings("google"))


def test_architecture_follows_from_the_heads(config: BertConfig) -> None:
    for heads, architecture in (
        ("none", "AlbertModel"),
        ("pretraining", "AlbertForPreTraining"),
        ("masked_lm", "AlbertForMaskedLM"),
        ("span", "AlbertForQuestionAnswering"),
        ("labels", "AlbertForSequenceClassification"),
    ):
        arrays = in_memory(random_arrays(config, *HEADS[heads]))
        checkpoint = Checkpoint(arrays, config)
        assert checkpoint.architecture == architecture
    stated = BertConfig.from_dict(
        {
            **config.to_dict(),
            "architectures": ["AlbertForTokenClassification"],
        }
    )
    arrays = in_memory(random_arrays(config, *HEADS["labels"]))
    checkpoint = dataclasses.replace(checkpoint, arrays=arrays, config=stated)
    assert checkpoint.architecture == "AlbertForTokenClassification"
