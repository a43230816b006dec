"""Encoders as SavedModel, ONNX and LiteRT give the vectors of `Encoder`."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bert_keras3.commands import export_saved_model
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Encoder, Predictor, export_vectors

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """A SavedModel of it, by the command."""
    export_dir = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        arguments = [
            f"--model_dir={folder}",
            f"--export_dir={export_dir}",
            "--pooling=last4",
            "--normalize",
            "--max_seq_length=16",
        ]
        patch.setattr(sys, "argv", ["export_saved_model.py", *arguments])
        export_saved_model.COMMAND.parse(sys.argv)
        export_saved_model.main()
    return export_dir


def test_a_saved_model_takes_strings(exported, encoder, texts):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

    loaded = tf.saved_model.load(str(exported / "1"))
    found = loaded.signatures["serving_default"](text=tf.constant(texts))
    wanted = encoder.encode(texts, pooling="last4", normalize=True)
    assert list(found) == ["vectors"]
    np.testing.assert_allclose(found["vectors"], wanted, **CLOSE)


def test_an_encoder_of_a_saved_model(exported, encoder, texts):
    again = Encoder(exported)
    assert (again.width, again.normalize) == (64, True)
    assert again.max_seq_length == 16
    wanted = encoder.encode(texts, pooling="last4", normalize=True)
    np.testing.assert_allclose(
        again.encode(texts, batch_size=2), wanted, **CLOSE
    )
    assert again.encode([]).shape == (0, 64)
    with pytest.raises(
        UserError, match=r"pooling=mean: .* exported with last4"
    ):
        again.encode(texts, pooling="mean")
    with pytest.raises(UserError, match="is an export, which cuts"):
        again.encode(texts, long_text="windows")
    with pytest.raises(UserError, match="max_seq_length=9: "):
        Encoder(exported, max_seq_length=9)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last"])
@pytest.mark.parametrize("format_name", ["litert", "onnx"])
def test_files_that_take_ids(
    folder, tmp_path, encoder, texts, format_name, pooling
):
    export_vectors(
        folder,
        tmp_path,
        pooling=pooling,
        max_seq_length=16,
        format_name=format_name,
    )
    wanted = encoder.encode(texts, pooling=pooling)
    np.testing.assert_allclose(Encoder(tmp_path).encode(texts), wanted, **CLOSE)
    np.testing.assert_allclose(
        Predictor(tmp_path).predict(texts), wanted, **CLOSE
    )


def test_a_mistake_writes_nothing(folder, tmp_path):
    with pytest.raises(UserError, match="positions for 512 tokens"):
        export_vectors(folder, tmp_path / "out", max_seq_length=513)
    with pytest.raises(UserError, match="there is no such checkpoint"):
        export_vectors(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()
