"""Tiny run folders, one for each problem, and what is exported from them."""

from __future__ import annotations

import contextlib
import csv
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest

from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from modeling import BertConfig, BertWithHeads

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *("good", "bad", "fine", "film", "food", "very", "not", "was", "##s"),
    *("cafe", ",", ".", "!", "好", "坏", "电", "影", "σ", "ς", "i", "ss"),
)
# By name of the run: problem, labels, whether it takes pairs.
RUNS = {
    "single": ("single_label", ("blame", "praise", "无"), False),
    "pairs": ("single_label", ("no", "yes"), True),
    "several": ("multi_label", ("price", "taste", "place"), False),
    "number": ("regression", ("score",), False),
}
# What a tokenizer, a padded batch or a transport could get wrong.
NASTY = (
    "good film",
    "",
    " \t\u3000\n",
    "Very GOOD film, CAFÉ!",
    "电影好，坏。",
    "ΣΑΣ Σ ΑΣ\u0323\u0301 İI ßſ ①…",
    "\u00ad\u200b\ufffd\0good\x0bfilm\x85bad\u2028x",
    "good " * 100,
    "x" * 5000,
    "[SEP] [CLS] good[MASK]",
    "bad\ud7ff\ue000\U0010ffff\U0001f600 food",
    '"quoted, with commas"\r\nand lines',
)


def make_run(
    folder: pathlib.Path,
    name: str,
    seed: int = 0,
    hidden_size: int = 16,
    pieces: pathlib.Path | None = None,
) -> FinetuningFolder:
    """A run folder with random weights, as a training leaves it.

    Its vocabulary is the words above or a SentencePiece model of 400 pieces.
    """
    import keras

    problem, labels, takes_pairs = RUNS[name]
    config = BertConfig(
        vocab_size=400 if pieces else len(SPECIAL + WORDS),
        hidden_size=hidden_size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_act="gelu_erf" if name == "pairs" else "gelu",
        max_position_embeddings=16,
        type_vocab_size=2,
        initializer_range=0.5,
    )
    keras.utils.set_random_seed(seed)
    model = BertWithHeads(config, ["labels"], labels)
    # So that the labels differ.
    model.classifier.output_weights.assign(
        np.random.default_rng(seed).normal(size=(len(labels), hidden_size))
    )
    folder.mkdir(parents=True)
    run = FinetuningFolder(folder)
    if pieces is None:
        vocab_file = folder / "vocab.txt"
        vocab_file.write_text(
            "".join(f"{token}\n" for token in SPECIAL + WORDS), "utf-8"
        )
    run.write_encoder_files(config, pieces or vocab_file)
    run.save_model(model)
    run.write_settings(
        RunSettings(
            task_name="csv",
            problem=problem,
            labels=labels,
            max_seq_length=12,
            do_lower_case=True,
            columns={
                "text": 1,
                "text_pair": 2 if takes_pairs else None,
                "label": [],
                "id": 0,
                "names": ["id", "text", "text_b"][: 2 + takes_pairs],
                "header": True,
            },
            takes_pairs=takes_pairs,
            init_checkpoint="/home/somebody/weights",
        )
    )
    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, FinetuningFolder]:
    """A run of every problem, {name of `RUNS`: folder}."""
    top = tmp_path_factory.mktemp("runs")
    return {name: make_run(top / name, name) for name in RUNS}


@pytest.fixture(scope="session")
def wide_run(tmp_path_factory) -> FinetuningFolder:
    """A run whose kernels are large enough to be worth int8."""
    folder = tmp_path_factory.mktemp("wide") / "single"
    return make_run(folder, "single", hidden_size=128)


@pytest.fixture(scope="session")
def piece_run(tmp_path_factory, root) -> FinetuningFolder:
    """A run with ALBERT's kind of vocabulary."""
    return make_run(
        tmp_path_factory.mktemp("pieces") / "single",
        "single",
        pieces=root / "tests/reference/tokenization/spiece.model",
    )


@pytest.fixture(scope="session")
def exported(runs, tmp_path_factory) -> dict[str, pathlib.Path]:
    """The export_dir of each run, with version 1 in it."""
    from bert_keras3.serving import export

    top = tmp_path_factory.mktemp("exported")
    for name, run in runs.items():
        export(run.path, top / name)
    return {name: top / name for name in runs}


@pytest.fixture(scope="session")
def predictors(exported):
    from bert_keras3.serving import Predictor

    return {name: Predictor(path) for name, path in exported.items()}


@pytest.fixture(scope="session")
def loaded(exported):
    """The SavedModels as TensorFlow loads them, {name of `RUNS`: it}."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

    return {
        name: tf.saved_model.load(str(path / "1"))
        for name, path in exported.items()
    }


@pytest.fixture(scope="session")
def nasty_texts() -> tuple[str, ...]:
    return NASTY


@pytest.fixture(scope="session")
def nasty_file(tmp_path_factory) -> pathlib.Path:
    """A test file of texts, and of second texts in another order."""
    path = tmp_path_factory.mktemp("data") / "nasty.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "text_b"])
        for number, text in enumerate(NASTY):
            writer.writerow([f"n{number}", text, NASTY[number - 3]])
    return path


@pytest.fixture(scope="session")
def serve_grpc():
    """A function of an export_dir: a context in which it is served.

    The context gives the address. What `tensorflow_model_server` does with a
    Predict request is done by a servicer in this process.
    """
    pytest.importorskip(
        "tensorflow_serving.apis", reason="needs the extra `serving`"
    )
    from concurrent import futures

    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    from bert_keras3.serving.versions import latest_version

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def __init__(self, export_dir):
            self._version = latest_version(export_dir)
            self._loaded = tf.saved_model.load(str(self._version))

        def Predict(self, request, context):  # noqa: N802
            name = request.model_spec.signature_name or "serving_default"
            if name not in self._loaded.signatures:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no signature {name}")
            signature = self._loaded.signatures[name]
            inputs = {
                key: tf.constant(tf.make_ndarray(value))
                for key, value in request.inputs.items()
            }
            try:
                outputs = signature(**inputs)
            except (TypeError, ValueError, tf.errors.OpError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = int(self._version.name)
            response.model_spec.signature_name = name
            for key, value in outputs.items():
                response.outputs[key].CopyFrom(
                    tf.make_tensor_proto(value.numpy())
                )
            return response

    @contextlib.contextmanager
    def serve(export_dir: pathlib.Path) -> Iterator[str]:
        server = grpc.server(futures.ThreadPoolExecutor(2))
        register = (
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server
        )
        register(Servicer(export_dir), server)
        port = server.add_insecure_port("localhost:0")
        server.start()
        try:
            yield f"localhost:{port}"
        finally:
            server.stop(None).wait()

    return serve
