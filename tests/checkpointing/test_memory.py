"""BERT-Large is converted in less than 0.8 GB, one array at a time.

Its weights are 1.35 GB. Every kind of file is read and every one written.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.checkpointing import google, names
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Checkpoint
from modeling.config import BertConfig

pytestmark = pytest.mark.slow

MOST = 800e6
LARGE = BertConfig(
    vocab_size=30522,
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    type_vocab_size=2,
)
HEADS = ("pooler", "masked_lm", "next_sentence")
SHAPES = names.shapes(LARGE, HEADS)
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abc")
VOCABULARY = (*TOKENS, *(f"[unused{n}]" for n in range(30522 - len(TOKENS))))


def draw(name: str) -> Array:
    """Values of a weight that are the same whenever they are drawn."""
    seed = list(SHAPES).index(name)
    rng = np.random.default_rng(seed)
    return rng.random(SHAPES[name], np.float32) - np.float32(0.5)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[pathlib.Path]:
    path = tmp_path_factory.mktemp("large")
    arrays = Arrays(
        {
            name: Entry(
                shape, np.dtype(np.float32), functools.partial(draw, name)
            )
            for name, shape in SHAPES.items()
        }
    )
    (path / "google").mkdir()
    checkpoint = Checkpoint(arrays, LARGE, VOCABULARY)
    google.write(path / "google", checkpoint)
    yield path
    shutil.rmtree(path)


# What the Model Garden calls a layer's parts, and how it keeps heads apart.
GARDEN = (
    ("bert/encoder/", "transformer/"),
    ("attention/self", "self_attention"),
    ("attention/output/dense", "self_attention/attention_output"),
    ("attention/output/LayerNorm", "self_attention_layer_norm"),
    ("intermediate/dense", "intermediate"),
    ("output/dense", "output"),
    ("output/LayerNorm", "output_layer_norm"),
    ("bert/embeddings/LayerNorm", "embeddings/layer_norm"),
    (
        "bert/embeddings/word_embeddings",
        "word_embeddings/embeddings",
    ),
    (
        "bert/embeddings/position_embeddings",
        "position_embedding/embeddings",
    ),
    (
        "bert/embeddings/token_type_embeddings",
        "type_embeddings/embeddings",
    ),
    ("bert/pooler/dense", "pooler_transform"),
    (
        "cls/seq_relationship/output_weights",
        "next_sentence/logits/kernel",
    ),
    ("cls/seq_relationship/output_bias", "next_sentence/logits/bias"),
)


def as_garden(name: str) -> tuple[str, Array]:
    """The Garden's name of a weight, and its values there."""
    array, there = draw(name), name
    if not name.startswith("cls/predictions"):
        for here, theirs in GARDEN:
            there = there.replace(here, theirs)
    if "/self_attention/attention_output/kernel" in there:
        array = array.reshape(16, 64, 1024)
    elif "/self_attention/" in there and "attention_output" not in there:
        array = array.reshape(*array.shape[:-1], 16, 64)
    elif there == "next_sentence/logits/kernel":
        array = array.T
    return there, array


@pytest.fixture(scope="module")
def hub(folder: pathlib.Path) -> pathlib.Path:
    """A SavedModel, and its variables as a checkpoint of the Garden's."""
    root = tf.Module()
    root.all = []
    for name in SHAPES:
        there, array = as_garden(name)
        root.all.append(tf.Variable(array, name=there))
    tf.saved_model.save(root, str(folder / "hub"))
    root.all.clear()
    (folder / "garden").mkdir()
    for path in (folder / "hub/variables").iterdir():
        ckpt = path.name.replace("variables", "ckpt-1", 1)
        os.link(path, folder / "garden" / ckpt)
    (folder / "hub/assets/vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder / "hub"


def convert(
    root: pathlib.Path,
    folder: pathlib.Path,
    source: str,
    target: str,
    *flags: str,
) -> pathlib.Path:
    """Converts as a user does; checks the memory."""
    output = folder / f"{source}_to_{target}"
    shutil.rmtree(output, ignore_errors=True)
    done = subprocess.run(
        [
            sys.executable,
            str(root / "tests/checkpointing/run_measured.py"),
            sys.executable,
            str(root / "convert_checkpoint.py"),
            f"--input={folder / source}",
            f"--output={output}",
            f"--format={target}",
            *flags,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    most = int(done.stdout)
    assert most < MOST, f"{source} to {target}: {most / 1e6:.0f} MB"
    return output


def data_of(path: pathlib.Path) -> bytes:
    return (path / "bert_model.ckpt.data-00000-of-00001").read_bytes()


@pytest.mark.parametrize("between", ["huggingface", "kerashub", "keras"])
def test_there_and_back(
    root: pathlib.Path, folder: pathlib.Path, between: str
) -> None:
    there = convert(root, folder, "google", between)
    back = convert(root, folder, there.name, "google")
    if between == "kerashub":  # has no next-sentence head
        read = google.read(back / google.PREFIX)
        assert set(read) == {
            n for n in SHAPES if not n.startswith("cls/seq_relationship")
        }
        for name in ("bert/pooler/dense/kernel", names.WORD_EMBEDDINGS):
            np.testing.assert_array_equal(read[name], draw(name))
        shutil.rmtree(convert(root, folder, there.name, "huggingface"))
    else:
        assert data_of(back) == data_of(folder / "google")
    shutil.rmtree(there)
    shutil.rmtree(back)


@pytest.mark.parametrize("source", ["garden", "hub"])
@pytest.mark.parametrize("target", ["google", "kerashub"])
def test_tensorflow_2(
    root: pathlib.Path,
    folder: pathlib.Path,
    hub: pathlib.Path,
    source: str,
    target: str,
) -> None:
    written = convert(root, folder, source, target)
    if target == "google":
        assert data_of(written) == data_of(folder / "google")
    shutil.rmtree(written)


@pytest.mark.huggingface
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="needs the extra `huggingface`",
)
def test_pytorch_model_bin(root: pathlib.Path, folder: pathlib.Path) -> None:
    there = convert(root, folder, "google", "huggingface")
    code = (
        "import sys, torch; from safetensors.torch import load_file; "
        "torch.save(load_file(sys.argv[1]), sys.argv[2])"
    )
    weights = there / "model.safetensors"
    pickled = there / "pytorch_model.bin"
    command = [sys.executable, "-c", code, str(weights), str(pickled)]
    subprocess.run(command, check=True)
    weights.unlink()
    back = convert(root, folder, there.name, "google")
    assert data_of(back) == data_of(folder / "google")
    shutil.rmtree(there)
    shutil.rmtree(back)
