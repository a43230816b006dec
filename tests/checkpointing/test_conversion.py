"""Any checkpoint in, any checkpoint out: bit for bit, whole or not at all."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import conversion, huggingface, keras_weights
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Outcome, Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.opening import open_checkpoint
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

Arrays = Mapping[str, Any]
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"aábc", "a", "了")

# Which heads, by the beginnings of their names; the last are all at once.
HEADS = {
    "none": (),
    "pretraining": ("cls/predictions", "cls/seq_relationship"),
    "masked_lm": ("cls/predictions",),
    "next_sentence": ("cls/seq_relationship",),
    "span": ("cls/squad",),
    "labels": ("output_",),
    "all": ("cls/", "output_"),
}


@pytest.fixture
def source(
    tmp_path: pathlib.Path,
    config: BertConfig,
    encoder_arrays: Arrays,
    head_arrays: Arrays,
) -> Callable[..., pathlib.Path]:
    """Writes a Google folder with some heads, some weights left out."""

    def make(
        heads: tuple[str, ...] = (), without: str = "-", **extra: Any
    ) -> pathlib.Path:
        arrays = {
            **encoder_arrays,
            **{n: a for n, a in head_arrays.items() if n.startswith(heads)},
        }
        arrays = {n: a for n, a in arrays.items() if without not in n}
        # What rounding or a detour over text would lose.
        odd = arrays["bert/embeddings/LayerNorm/beta"].copy()
        odd[:4] = [-0.0, np.inf, 1e-45, np.nan]
        arrays["bert/embeddings/LayerNorm/beta"] = odd
        write(
            tmp_path / "source",
            Checkpoint(in_memory({**arrays, **extra}), config, VOCABULARY),
            format="google",
        )
        return tmp_path / "source"

    return make


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("between", ["keras", "huggingface"])
@pytest.mark.parametrize(
    "heads",
    [
        "none",
        "all",
        *(
            pytest.param(heads, marks=pytest.mark.slow)
            for heads in HEADS
            if heads not in ("none", "all")
        ),
    ],
)
def test_there_and_back_is_the_same_file(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    between: str,
    heads: str,
) -> None:
    start = source(HEADS[heads])
    convert(start, tmp_path / "there", Settings(between))
    convert(tmp_path / "there", tmp_path / "back", Settings("google"))
    before, after = files(start), files(tmp_path / "back")
    assert sorted(before) == [
        "bert_config.json",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
        "checkpoint",
        "vocab.txt",
    ]
    # A Hugging Face folder has to say more about heads, and it is kept.
    if between == "huggingface":
        del before["bert_config.json"], after["bert_config.json"]
    if between == "huggingface" and heads == "span":
        # transformers' class has no pooler, so it is not there any more.
        for name in [n for n in before if n.startswith("bert_model.ckpt")]:
            del before[name], after[name]
        left = {n for n in checkpointing.read(start) if "pooler" not in n}
        assert set(checkpointing.read(tmp_path / "back")) == left
    assert before == after


@pytest.mark.parametrize("between", ["keras", "huggingface"])
def test_without_a_pooler(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path, between: str
) -> None:
    start = source(("cls/predictions",), without="pooler")
    convert(start, tmp_path / "there", Settings(between))
    arrays = checkpointing.read(tmp_path / "there")
    assert set(arrays) == set(checkpointing.read(start))


@pytest.mark.parametrize(
    ("heads", "architecture"),
    [
        (("cls/squad",), "BertForQuestionAnswering"),
        (("output_",), "BertForTokenClassification"),
    ],
)
def test_a_pooler_that_transformers_has_not_is_left_out(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    heads: tuple[str, ...],
    architecture: str,
) -> None:
    start = open_checkpoint(source(heads))
    start = dataclasses.replace(
        start,
        arrays=in_memory(
            {
                name: np.nan_to_num(start.arrays[name], posinf=1.0)
                for name in start.arrays
            }
        ),
    )
    write(tmp_path / "clean", start, format="google")
    outcome = convert(
        tmp_path / "clean",
        tmp_path / "there",
        Settings("huggingface", architecture=architecture, verify=True),
    )
    pooler = {"bert/pooler/dense/bias", "bert/pooler/dense/kernel"}
    assert set(outcome.left_out) == pooler
    # Nor is it among the heads that the command says were written.
    assert ("pooler" in outcome.result.heads) == (not pooler)
    assert set(checkpointing.read(tmp_path / "there")) == (
        set(start.arrays) - pooler
    )
    assert outcome.result.architecture == architecture
    assert outcome.difference is not None
    assert outcome.difference <= conversion.TOLERANCE


@pytest.mark.slow
def test_a_single_keras_file(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    start = source(("cls/", "output_"))
    for name in ("a.keras", "a.weights.h5"):
        convert(start, tmp_path / name, Settings("keras"))
        found = open_checkpoint(tmp_path / name)
        assert set(found.arrays) == set(checkpointing.read(start))
        assert found.config == checkpointing.bert_config(start)
    with pytest.raises(UserError, match=r"b\.keras: is the name of a Keras"):
        convert(start, tmp_path / "b.keras", Settings("google"))


@pytest.mark.parametrize(
    ("first", "second", "counter"),
    [
        ("adam_m", "adam_v", "global_step"),
        # As in BioBERT 1.0.
        ("BERTAdam", "BERTAdam_1", "beta1_power"),
    ],
)
def test_optimizer_is_left_behind_or_kept(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    first: str,
    second: str,
    counter: str,
) -> None:
    slots = {
        "bert/encoder/layer_0/output/dense/bias/" + first: np.full(
            8, 2.0, "f4"
        ),
        "bert/encoder/layer_0/output/dense/bias/" + second: np.ones(8, "f4"),
        counter: np.float64(7),
    }
    start = source(**slots)
    outcome = convert(start, tmp_path / "small", Settings("google"))
    assert outcome.bytes_dropped == 2 * 8 * 4 + 8
    assert not set(slots) & set(checkpointing.read(tmp_path / "small"))
    convert(start, tmp_path / "all", Settings("google", with_optimizer=True))
    assert files(tmp_path / "all") == files(start)
    with pytest.raises(UserError, match="has no place for the optimizer"):
        convert(start, tmp_path / "hf", Settings("keras", with_optimizer=True))


def test_weights_without_a_name_there_are_reported(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    start = source(adapter=np.ones(2, np.float32))
    outcome = convert(start, tmp_path / "hf", Settings("huggingface"))
    assert outcome.left_out == ("adapter",)
    outcome = convert(start, tmp_path / "google", Settings("google"))
    assert outcome.left_out == ()


def test_heads_and_labels_are_written(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    start = source(("output_",))

    def config_of(name: str, **settings: Any) -> Any:
        convert(start, tmp_path / name, Settings("huggingface", **settings))
        return read_json(tmp_path / name / "config.json")

    config = config_of("a")
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {
        "0": "LABEL_0",
        "1": "LABEL_1",
        "2": "LABEL_2",
    }
    config = config_of(
        "b", architecture="BertForTokenClassification", labels=["x", "y", "z"]
    )
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["label2id"] == {"x": 0, "y": 1, "z": 2}
    assert open_checkpoint(tmp_path / "b").labels == ("x", "y", "z")
    with pytest.raises(UserError, match="1 names, and the checkpoint has 3 cl"):
        config_of("c", labels=["x"])
    with pytest.raises(UserError, match="the checkpoint lacks span"):
        config_of("c", architecture="BertForQuestionAnswering")


def test_tokenizer_files(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    convert(source(), tmp_path / "hf", Settings("huggingface"))
    lines = (tmp_path / "hf" / "vocab.txt").read_text().split("\n")
    assert lines == [*VOCABULARY, ""]
    settings = read_json(tmp_path / "hf/tokenizer_config.json")
    # The vocabulary has á, which no lower-cased text could match.
    assert settings["do_lower_case"] is False
    assert settings["model_max_length"] == 16
    tokens = read_json(tmp_path / "hf/special_tokens_map.json")
    assert tokens["mask_token"] == "[MASK]"


@pytest.mark.parametrize(
    ("here", "there"),
    [("gelu", "gelu_new"), ("gelu_erf", "gelu"), ("relu", "relu")],
)
def test_activation_keeps_its_numbers(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    here: str,
    there: str,
) -> None:
    checkpoint = open_checkpoint(source())
    config = BertConfig.from_dict(
        {**checkpoint.config.to_dict(), "hidden_act": here}
    )
    checkpoint = dataclasses.replace(checkpoint, config=config)
    write(tmp_path / "hf", checkpoint, format="huggingface")
    written = read_json(tmp_path / "hf" / "config.json")
    assert written["hidden_act"] == there
    assert checkpointing.bert_config(tmp_path / "hf").hidden_act == here


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocab_size", 10**12, r"\[11, 8\] in the .*\[1000000000000, 8\]"),
        ("num_hidden_layers", 10**12, "1000000000000 in the one and 2 in the"),
        ("type_vocab_size", 3, r"token_type_embeddings is \[2, 8\]"),
    ],
)
def test_a_configuration_of_another_model(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    field: str,
    value: int,
    message: str,
) -> None:
    start = source()
    values = {**checkpointing.bert_config(start).to_dict(), field: value}
    config_file = tmp_path / "other.json"
    config_file.write_text(BertConfig.from_dict(values).to_json_string())
    with pytest.raises(UserError, match=message):
        convert(
            start, tmp_path / "o", Settings("keras", config_file=config_file)
        )


def test_a_vocabulary_of_another_model(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    vocab_file = tmp_path / "vocab.txt"
    vocab_file.write_text("".join(f"{n}\n" for n in range(12)))
    with pytest.raises(UserError, match=r"has 12 tokens, and .* 11 rows"):
        convert(
            source(), tmp_path / "o", Settings("google", vocab_file=vocab_file)
        )


# Whole or not at all.


def test_what_exists_is_not_overwritten(
    source: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        convert(source(), tmp_path / "out", Settings("google"))


@pytest.mark.parametrize(
    ("name", "format_", "reported"),
    [
        ("model.h5", "keras", r"out, or end it in \.keras or \.weights\.h5$"),
        ("model.safetensors", "huggingface", "writes a folder; leave its"),
        ("bert_model.ckpt", "google", "writes a folder; leave its ending out$"),
    ],
)
def test_a_folder_is_not_called_like_a_file(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    name: str,
    format_: str,
    reported: str,
) -> None:
    with pytest.raises(UserError, match=reported):
        convert(source(), tmp_path / name, Settings(format_))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("target", ["out", "out.keras", "out.weights.h5"])
def test_an_interruption_leaves_nothing(
    source: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    start = source()
    monkeypatch.setattr(keras_weights, "_fill", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(start, tmp_path / target, Settings("keras"))
    assert list(tmp_path.iterdir()) == [start]


# What it computes.


def verified(source: pathlib.Path, target: pathlib.Path, to: str) -> Outcome:
    return convert(source, target, Settings(to, verify=True))


@pytest.fixture
def sound(
    tmp_path: pathlib.Path,
    config: BertConfig,
    encoder_arrays: Arrays,
    head_arrays: Arrays,
) -> pathlib.Path:
    """A checkpoint with all heads that computes numbers."""
    arrays = in_memory({**encoder_arrays, **head_arrays})
    folder = tmp_path / "sound"
    write(folder, Checkpoint(arrays, config, VOCABULARY), format="google")
    return folder


def test_keras_opens_it_and_the_tie_holds(
    sound: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    convert(sound, tmp_path / "m.keras", Settings("keras"))
    model = keras.saving.load_model(tmp_path / "m.keras")
    arrays = checkpointing.read(sound)
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), arrays[variable.path])
    model.bert.get_embedding_table().assign(np.zeros((11, 8)))
    logits = model({"input_ids": np.array([[1, 2, 3]])})["masked_lm_logits"]
    # With a table of zeros only the bias is left, unless it is another table.
    bias = arrays["cls/predictions/output_bias"]
    np.testing.assert_array_equal(logits, np.broadcast_to(bias, (1, 3, 11)))


@pytest.mark.parametrize("to", ["google", "huggingface", "keras"])
def test_outputs_are_equal(
    sound: pathlib.Path, tmp_path: pathlib.Path, to: str
) -> None:
    assert verified(sound, tmp_path / "out", to).difference == 0.0


def test_a_wrong_conversion_is_found(
    sound: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if the erf form were written for the tanh form.
    monkeypatch.setitem(huggingface._ACTIVATIONS_THERE, "gelu", "gelu")
    with pytest.raises(UserError, match=r"differ by up to .*nothing was wri"):
        verified(sound, tmp_path / "out", "huggingface")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", ["the input", "the result"])
def test_what_is_not_a_number_is_not_equal(
    sound: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    damaged: str,
) -> None:
    compute = conversion.outputs

    def with_nan(*args: Any) -> Any:
        found = compute(*args)
        if args[-1] == damaged:
            # Not the first, which alone a comparison of numbers would keep.
            name = list(found)[-1]
            found[name] = np.full_like(found[name], np.nan)
        return found

    monkeypatch.setattr(conversion, "outputs", with_nan)
    checkpoint = open_checkpoint(sound)
    if damaged == "the input":
        with pytest.raises(UserError, match="is not finite, so no results"):
            conversion.largest_difference(checkpoint, checkpoint)
    else:
        found = conversion.largest_difference(checkpoint, checkpoint)
        assert np.isnan(found)


def test_fixed_inputs(sound: pathlib.Path) -> None:
    checkpoint = open_checkpoint(sound)
    inputs = conversion.fixed_inputs(checkpoint, avoid={5, 6})
    assert inputs["input_ids"].shape == (4, 16)
    assert not np.isin(inputs["input_ids"], [5, 6]).any()
    assert inputs["input_mask"][0].all()
    assert set(inputs["segment_ids"].ravel()) == {0, 1}
    again = conversion.fixed_inputs(checkpoint, avoid={5, 6})
    np.testing.assert_array_equal(inputs["input_ids"], again["input_ids"])
