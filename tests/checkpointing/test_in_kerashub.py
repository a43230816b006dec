"""What KerasHub computes from presets that were written here.

Needs the extra `kerashub`.
"""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import outputs
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.sentence_pooling import SentencePooling
from modeling.config import BertConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("keras_hub") is None,
        reason="needs the extra `kerashub`",
    ),
]

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abc", "##s", ",", "北")
TEXTS = ["Äs, b", "c北a?"]
LENGTH = 9


@pytest.fixture
def parts(
    config: BertConfig,
    encoder_arrays: dict[str, Any],
    head_arrays: dict[str, Any],
) -> dict[str, Any]:
    """A checkpoint's parts, without architecture and heads."""
    assert config.vocab_size == len(WORDS)
    return {
        "config": config,
        "arrays": {**encoder_arrays, **head_arrays},
        "vocabulary": WORDS,
        "source": "x",
        "max_seq_length": LENGTH,
    }


def written(
    parts: dict[str, Any], folder: pathlib.Path, *heads: str, **changes: Any
) -> Checkpoint:
    """Writes the encoder with some heads; returns what was written."""
    arrays = {
        name: array
        for name, array in parts["arrays"].items()
        if name.startswith(("bert/", *heads))
    }
    checkpoint = Checkpoint(**{**parts, "arrays": in_memory(arrays), **changes})
    write(folder, checkpoint, format="kerashub")
    return checkpoint


def ours(checkpoint: Checkpoint, inputs: Any) -> dict[str, Any]:
    """Computes the outputs for what KerasHub's preprocessor packed."""
    return outputs(
        checkpoint,
        {
            "input_ids": np.asarray(inputs["token_ids"]),
            "input_mask": np.asarray(inputs["padding_mask"]).astype(np.int32),
            "segment_ids": np.asarray(inputs["segment_ids"]),
        },
        "x",
    )


@pytest.mark.parametrize("lower", [True, False])
def test_backbone_and_tokens(
    parts: dict[str, Any], tmp_path: pathlib.Path, lower: bool
) -> None:
    import keras_hub

    folder = tmp_path / "preset"
    checkpoint = written(parts, folder, do_lower_case=lower)
    models = keras_hub.models
    pack = models.TextClassifierPreprocessor.from_preset(str(folder))
    assert pack.sequence_length == LENGTH
    inputs = pack(TEXTS)
    tokenizer = checkpointing.open(folder).tokenizer()
    assert tokenizer.do_lower_case is lower
    for text, ids in zip(TEXTS, inputs["token_ids"].numpy(), strict=True):
        found = [2, *tokenizer.encode(text), 3]
        assert ids.tolist() == [*found, *[0] * (LENGTH - len(found))]
    theirs = models.BertBackbone.from_preset(str(folder))(inputs)
    for name, array in ours(checkpoint, inputs).items():
        np.testing.assert_allclose(theirs[name], array, atol=1e-5, rtol=0)


def test_classifier(parts: dict[str, Any], tmp_path: pathlib.Path) -> None:
    import keras_hub

    folder = tmp_path / "preset"
    checkpoint = written(parts, folder, "output_")
    model = keras_hub.models.TextClassifier.from_preset(str(folder))
    assert model.num_classes == 3
    expected = ours(checkpoint, model.preprocessor(TEXTS))["logits"]
    # From texts, with the preprocessor of the preset.
    found = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_masked_lm(parts: dict[str, Any], tmp_path: pathlib.Path) -> None:
    import keras
    import keras_hub

    folder = tmp_path / "preset"
    checkpoint = written(parts, folder, "cls/predictions")
    models = keras_hub.models
    model = models.BertMaskedLM.from_preset(str(folder))
    pack = models.BertTextClassifierPreprocessor.from_preset(str(folder))
    inputs = {k: v[:, :LENGTH] for k, v in pack(TEXTS).items()}
    expected = ours(checkpoint, inputs)["masked_lm_logits"]
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (len(TEXTS), 1))
    places = keras.ops.convert_to_tensor(positions)
    found = model({**inputs, "mask_positions": places})
    real = np.asarray(inputs["padding_mask"], bool)
    # Another form of GELU and another epsilon in KerasHub's head.
    difference = np.abs(np.asarray(found) - expected)[real]
    assert 0 < difference.max() < 5e-3


def test_embedder(parts: dict[str, Any], tmp_path: pathlib.Path) -> None:
    import keras_hub

    folder = tmp_path / "preset"
    pooling = SentencePooling(("mean",), normalize=True)
    checkpoint = written(parts, folder, pooling=pooling)
    models = keras_hub.models
    model = models.BertTextEmbedder.from_preset(str(folder))
    inputs = model.preprocessor(TEXTS)
    vectors = ours(checkpoint, inputs)["sequence_output"]
    mask = np.asarray(inputs["padding_mask"])[..., None]
    mean = (vectors * mask).sum(axis=1) / mask.sum(axis=1)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True)
    np.testing.assert_allclose(model(inputs), mean, atol=1e-5, rtol=0)
