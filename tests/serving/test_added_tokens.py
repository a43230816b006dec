"""Added tokens from a Hugging Face folder to its predictions and exports."""

from __future__ import annotations

import csv
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from bert_keras3.finetuning.texts import PREDICTIONS
from bert_keras3.serving import Predictor, export
from modeling import BertConfig, BertWithHeads

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "e", "##1")
ADDED = {
    "8": {"content": "[E1]", "special": True},
    "9": {"content": "Covid", "normalized": True},
    "10": {"content": "Title", "normalized": False, "special": True},
}
TEXTS = ("good [E1] covid", "good COVID19", "[e1] Title title")
IDS = [[5, 8, 9], [5, 9, 1], [1, 6, 7, 1, 10, 1]]
# Computed by other libraries, in float32.
TOLERANCE = 1e-5


class Silence:
    def say(self, line):
        pass

    def table(self, headers, rows, title=None):
        pass


# Seen in the wheel of TensorFlow Text 2.12.1. TensorFlow Serving's images are
# built with it, whatever their TensorFlow is.
TEXT_OPERATIONS = {
    "FastBertNormalize",
    "FastWordpieceTokenizeWithOffsets",
    "RegexSplitWithOffsets",
}


def text_operations(folder: pathlib.Path) -> set[str]:
    """Returns the operations of a SavedModel that TensorFlow itself lacks."""
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [
        *graph.node,
        *(node for one in graph.library.function for node in one.node_def),
    ]
    functions = {one.signature.name for one in graph.library.function}
    found = {node.op for node in nodes} - functions - set(dir(tf.raw_ops))
    return {name for name in found if not name.startswith("_")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A classifier in Hugging Face's format, with three added tokens."""
    target = tmp_path_factory.mktemp("huggingface") / "model"
    config = BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=128,
        type_vocab_size=2,
        initializer_range=1.0,
    )
    values = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "bad", "1": "fine"},
    }
    config = BertConfig.from_dict({**config.to_dict(), **values})
    model = BertWithHeads(config, ["labels"], ("bad", "fine"))
    arrays = {
        weight.path: np.random.default_rng(len(weight.path))
        .normal(size=weight.shape)
        .astype(np.float32)
        for weight in model.weights
    }
    write(
        target,
        Checkpoint(in_memory(arrays), config, TOKENS),
        format="huggingface",
    )
    file = target / "tokenizer_config.json"
    values = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**values, "added_tokens_decoder": ADDED}))
    return target


@pytest.fixture(scope="module")
def predicted(folder, tmp_path_factory):
    """The run folder of --do_predict, and what it wrote."""
    top = tmp_path_factory.mktemp("predicted")
    with open(top / "texts.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in TEXTS)])
    run(
        Job(
            output_dir=top / "run",
            data=DataChoices(test_file=str(top / "texts.csv")),
            encoder=EncoderChoices(init_checkpoint=str(folder)),
            training=TrainingChoices(),
            do_predict=True,
        ),
        Silence(),
    )
    with open(top / "run" / PREDICTIONS, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return top / "run", [float(row["probability_fine"]) for row in rows]


def test_in_the_run_folder(folder, predicted):
    assert checkpointing.open(folder).tokenizer().encode(TEXTS[0]) == IDS[0]
    tokenizer = FinetuningFolder(predicted[0]).load_tokenizer()
    assert [tokenizer.encode(text) for text in TEXTS] == IDS


@pytest.mark.parametrize("format_name", ["google", "huggingface", "keras"])
def test_after_conversion(predicted, tmp_path, format_name):
    convert(predicted[0], tmp_path / "new", Settings(format_name))
    tokenizer = checkpointing.open(tmp_path / "new").tokenizer()
    assert [tokenizer.encode(text) for text in TEXTS] == IDS


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["saved_model", "onnx", "litert"])
def test_exported(predicted, tmp_path, format_name):
    run_folder, probabilities = predicted
    target = export(run_folder, tmp_path / "served", format_name=format_name)
    if format_name == "saved_model":
        assert text_operations(target) == TEXT_OPERATIONS
    answers = Predictor(target.parent).predict(TEXTS)
    np.testing.assert_allclose(
        [answer.probabilities[1] for answer in answers],
        probabilities,
        rtol=0,
        atol=TOLERANCE,
    )
