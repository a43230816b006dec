"""A tiny vocabulary and text of our own, and records made of them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.inputs.records import encode_examples
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining.settings import Job, TrainingChoices
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.training.session import NoScreen
from bert_keras3.training.settings import ModelChoices
from modeling import BertConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Every document repeats two phrases, so that there is something to learn.
DOCUMENTS = (
    ("the cat sat on the mat", "then it slept all day"),
    ("rain fell on the old town", "and nobody went out"),
    ("she reads a long letter", "her brother wrote it"),
    ("ships leave the port at dawn", "gulls follow them far"),
)
LENGTH, PREDICTIONS = 24, 4


class Lines(list[str], NoScreen):
    """Keeps the lines that a job shows."""

    def say(self, line: str) -> None:
        self.append(line)


@pytest.fixture(scope="session")
def text() -> str:
    """Four documents of eight sentences."""
    return "\n\n".join("\n".join(phrases * 4) for phrases in DOCUMENTS) + "\n"


@pytest.fixture(scope="session")
def vocab_file(tmp_path_factory, text) -> pathlib.Path:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join((*SPECIAL, *sorted(set(text.split())))) + "\n")
    return path


@pytest.fixture(scope="session")
def config(vocab_file) -> BertConfig:
    return BertConfig(
        vocab_size=len(vocab_file.read_text().split()),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        type_vocab_size=2,
        initializer_range=0.1,  # so that so small a model learns fast
    )


@pytest.fixture(scope="session")
def config_file(tmp_path_factory, config) -> pathlib.Path:
    path = tmp_path_factory.mktemp("config") / "bert_config.json"
    path.write_text(config.to_json_string())
    return path


@pytest.fixture(scope="session")
def make_records(tmp_path_factory, text, vocab_file) -> Callable[..., str]:
    """A function of a seed and settings that makes a file of records."""

    def make(seed: int, masking: str = "token", **settings: Any) -> str:
        folder = tmp_path_factory.mktemp("records")
        (folder / "text.txt").write_text(text)
        preparation.prepare(
            Settings(
                input_files=(str(folder / "text.txt"),),
                output_files=(str(folder / "out.tfrecord"),),
                vocab_file=str(vocab_file),
                masking=MaskingSettings(
                    masking, max_predictions_per_seq=PREDICTIONS
                ),
                max_seq_length=LENGTH,
                dupe_factor=4,
                random_seed=seed,
                **settings,
            ),
            Progress(),
            lambda line: None,
        )
        return str(folder / "out.tfrecord")

    return make


@pytest.fixture(scope="session")
def train_file(make_records) -> str:
    return make_records(1)


@pytest.fixture(scope="session")
def eval_file(make_records) -> str:
    return make_records(2)


@pytest.fixture(scope="session")
def write_records() -> Callable[..., str]:
    """A function of a path and columns that writes a file of records."""

    def write(path: pathlib.Path, columns: dict[str, np.ndarray]) -> str:
        with records.open_writer(path) as append:
            for record in encode_examples(columns):
                append(record)
        return str(path)

    return write


@pytest.fixture
def lines() -> Lines:
    """The screen of a job: the lines that it shows."""
    return Lines()


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory, train_file, eval_file, config_file, vocab_file
) -> Job:
    """A job that ran to its end undisturbed.

    Eight steps of eight records from random weights.
    """
    job = Job(
        output_dir=tmp_path_factory.mktemp("finished") / "out",
        model=ModelChoices(
            bert_config_file=str(config_file), vocab_file=str(vocab_file)
        ),
        input_file=train_file,
        eval_file=eval_file,
        training=TrainingChoices(
            train_batch_size=8,
            learning_rate=2e-2,
            num_train_steps=8,
            num_warmup_steps=2,
            save_checkpoints_steps=3,
        ),
        max_seq_length=LENGTH,
        max_predictions_per_seq=PREDICTIONS,
        do_train=True,
        do_eval=True,
    )
    run(job, NoScreen())
    return job


@pytest.fixture(scope="session")
def trained(finished) -> pathlib.Path:
    """The folder of that job."""
    return pathlib.Path(finished.output_dir)


@pytest.fixture
def job(tmp_path, finished) -> Job:
    """The same job in a folder of its own."""
    return dataclasses.replace(finished, output_dir=tmp_path / "out")
