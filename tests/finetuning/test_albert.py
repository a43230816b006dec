"""A whole job that starts from an ALBERT with a SentencePiece vocabulary."""

from __future__ import annotations

import csv
import pathlib
import shutil

import keras
import numpy as np
import pytest

from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from bert_keras3.finetuning.texts import PREDICTIONS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.exporter import export
from modeling import BertConfig, BertModel
from tokenization.sentence_pieces import SentencePieceTokenizer

# What differs from a BERT is in tests/modeling and tests/tokenization.
pytestmark = pytest.mark.slow

PIECES = (
    pathlib.Path(__file__).parents[1] / "reference/tokenization/spiece.model"
)


@pytest.fixture(scope="module")
def albert(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder as Google publishes ALBERT."""
    folder = tmp_path_factory.mktemp("albert_tiny")
    config = BertConfig(
        vocab_size=400,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_hidden_groups=1,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=32,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    keras.utils.set_random_seed(0)
    weights = {w.path: np.asarray(w) for w in BertModel(config).weights}
    tensor_bundle.write(folder / "model.ckpt-best", in_memory(weights))
    (folder / "albert_config.json").write_text(config.to_json_string())
    shutil.copy(PIECES, folder / "30k-clean.model")
    return folder


@pytest.fixture(scope="module")
def finished(albert, tmp_path_factory, train_rows, write_csv, screen_once):
    folder = tmp_path_factory.mktemp("albert_run")
    job = Job(
        output_dir=folder / "out",
        data=DataChoices(
            train_file=str(write_csv(folder / "train.csv", train_rows)),
            test_file=str(write_csv(folder / "test.csv", train_rows)),
            dev_fraction=0.2,
        ),
        encoder=EncoderChoices(init_checkpoint=str(albert), max_seq_length=32),
        training=TrainingChoices(
            train_batch_size=8, learning_rate=2e-3, num_train_epochs=12
        ),
        do_train=True,
        do_eval=True,
        do_predict=True,
    )
    run(job, screen_once)
    return FinetuningFolder(job.output_dir)


@pytest.fixture(scope="module")
def screen_once():
    class Silent:
        def say(self, line: str) -> None:
            pass

        def table(self, *_, **__) -> None:
            pass

    return Silent()


def test_it_learns_and_predicts(finished: FinetuningFolder, train_rows) -> None:
    with open(finished / PREDICTIONS, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    right = [
        row["label"] == label
        for row, (_, _, label) in zip(rows, train_rows, strict=True)
    ]
    # Every fourth text is of characters that the vocabulary lacks.
    assert np.mean(right) > 0.8


def test_the_folder_keeps_what_it_needs(finished: FinetuningFolder) -> None:
    assert finished.vocab_file.name == "spiece.model"
    assert finished.vocab_file.read_bytes() == PIECES.read_bytes()
    tokenizer = finished.load_tokenizer()
    assert isinstance(tokenizer, SentencePieceTokenizer)
    model = finished.load_model()
    assert model.bert.config.num_hidden_groups == 1
    assert finished.read_settings().do_lower_case is True


def test_an_export_for_strings_is_refused(
    finished: FinetuningFolder, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(UserError, match=r"no SentencePiece .*--format=litert"):
        export(finished.path, tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_ids_are_exported(
    finished: FinetuningFolder, tmp_path: pathlib.Path
) -> None:
    folder = export(finished.path, tmp_path / "ids", format_name="litert")
    assert (folder / "spiece.model").read_bytes() == PIECES.read_bytes()
