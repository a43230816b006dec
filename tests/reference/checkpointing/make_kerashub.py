"""Makes `kerashub.zip`: presets, and what KerasHub computes with them.

    pip install keras-hub
    python tests/reference/checkpointing/make_kerashub.py

Models of two layers and random weights, saved by `save_to_preset`.
`expected.json` in each folder has texts, their token ids, and the outputs.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import zipfile
from typing import Any

import keras
import keras_hub
import numpy as np

ARCHIVE = pathlib.Path(__file__).with_name("kerashub.zip")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS += ["the", "train", "was", "late", "clean", "in", "paris", "Paris"]
WORDS += ["##s", "?", ",", "cafe", "北"]
TEXTS = ["the trains was late, in Paris", "clean 北?"]
SIZES = {
    "vocabulary_size": len(WORDS),
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 12,
    "max_sequence_length": 24,
}
LENGTH = 12


def _filled(model: Any) -> Any:
    """Returns a model whose weights, biases too, are all drawn at random."""
    rng = np.random.default_rng(15)
    for variable in model.weights:
        variable.assign(rng.normal(0.0, 0.5, variable.shape))
    return model


def _backbone() -> Any:
    return keras_hub.models.BertBackbone(**SIZES)


def _tokenizer(lowercase: bool) -> Any:
    return keras_hub.tokenizers.BertTokenizer(
        WORDS, lowercase=lowercase, strip_accents=lowercase
    )


def _numbers(values: Any) -> Any:
    return np.asarray(values).tolist()


def _save(root: pathlib.Path, name: str, saved: Any, **outputs: Any) -> None:
    for one in saved:
        one.save_to_preset(str(root / name))
    expected = {"texts": TEXTS, **{k: _numbers(v) for k, v in outputs.items()}}
    (root / name / "expected.json").write_text(
        json.dumps(expected, ensure_ascii=False), encoding="utf-8"
    )


def _make(root: pathlib.Path) -> None:
    models = keras_hub.models
    pack = models.BertTextClassifierPreprocessor(_tokenizer(True), LENGTH)
    inputs = pack(TEXTS)
    backbone = _filled(_backbone())
    found = backbone(inputs)
    ids = {"token_ids": inputs["token_ids"]}
    _save(root, "backbone", (backbone, pack.tokenizer), **ids, **found)
    backbone.save_to_preset(str(root / "sharded"), max_shard_size=2e-6)

    pack = models.BertTextClassifierPreprocessor(_tokenizer(False), LENGTH)
    inputs = pack(TEXTS)
    ids = {"token_ids": inputs["token_ids"]}
    model = _filled(models.BertTextClassifier(_backbone(), 3, pack))
    _save(root, "classifier", (model,), **ids, logits=model(inputs))

    pack = models.BertMaskedLMPreprocessor(_tokenizer(False), LENGTH)
    model = _filled(models.BertMaskedLM(_backbone(), pack))
    everywhere = np.tile(np.arange(LENGTH, dtype="int32"), (len(TEXTS), 1))
    positions = keras.ops.convert_to_tensor(everywhere)
    logits = model({**inputs, "mask_positions": positions})
    _save(root, "masked_lm", (model,), **ids, masked_lm_logits=logits)

    packed = models.BertTextEmbedderPreprocessor(_tokenizer(False), LENGTH)
    model = _filled(
        models.BertTextEmbedder(
            _backbone(), preprocessor=packed, pooling_mode="max"
        )
    )
    _save(root, "embedder", (model,), **ids, vectors=model(inputs))


def main() -> None:
    """Writes the archive."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        _make(root)
        with zipfile.ZipFile(
            ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9
        ) as archive:
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    archive.write(path, str(path.relative_to(root)))


if __name__ == "__main__":
    main()
