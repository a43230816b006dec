"""A tiny checkpoint and tiny data, made on the spot."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import numpy as np
import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from modeling import BertConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *("good", "bad", "fine", "poor", "film", "food", "very", "not", "the"),
    *("was", "##s", "##ly", ",", ".", "!", "好", "坏", "电", "影"),
)


@pytest.fixture(scope="session")
def config() -> BertConfig:
    return BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
        initializer_range=0.2,  # so that so small a model learns fast
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, config) -> pathlib.Path:
    """A folder as Google publishes them."""
    import keras

    from bert_keras3.checkpointing import tensor_bundle
    from bert_keras3.checkpointing.arrays import in_memory
    from modeling import BertModel

    folder = tmp_path_factory.mktemp("uncased_L-1_H-16_A-2")
    keras.utils.set_random_seed(0)
    model = BertModel(config)
    tensor_bundle.write(
        folder / "bert_model.ckpt",
        in_memory({weight.path: weight.numpy() for weight in model.weights}),
    )
    (folder / "bert_config.json").write_text(config.to_json_string(), "utf-8")
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in SPECIAL + WORDS), "utf-8"
    )
    return folder


@pytest.fixture(scope="session")
def write_csv():
    """A function of path, rows and header that returns the path."""

    def write(path, rows, header=("id", "text", "label")):
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    return write


@pytest.fixture(scope="session")
def train_rows() -> list[tuple[str, str, str]]:
    """Forty rows, sorted by label: good films and bad food."""
    praise = (
        "good film",
        "very good, fine film!",
        "电影好",
        "the film was fine",
    )
    blame = ("bad food", "the food was not good.", "poor, poor food", "电影坏")
    return [
        (f"{label[0]}{number}", texts[number % 4] + "!" * (number // 4), label)
        for label, texts in (("praise", praise), ("blame", blame))
        for number in range(20)
    ]


class Transcript:
    """A screen that remembers what it was shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        self.lines.extend([title or "", *(str(tuple(row)) for row in rows)])

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture
def screen() -> Transcript:
    return Transcript()


@pytest.fixture(scope="session")
def new_screen() -> type[Transcript]:
    """A function that returns a screen, for fixtures that live longer."""
    return Transcript


@pytest.fixture(scope="session")
def change():
    """A function of a job and flags that returns the job with these flags."""

    def changed(settings, **flags):
        names = {field.name for field in dataclasses.fields(settings)}
        values = {name: flags[name] for name in names & set(flags)}
        for part in ("data", "encoder", "training", "file"):
            if part in names and part not in flags:
                values[part] = changed(getattr(settings, part), **flags)
        return dataclasses.replace(settings, **values)

    return changed


@pytest.fixture(scope="session")
def finished(tmp_path_factory, checkpoint, train_rows, write_csv):
    """A job that ran to its end undisturbed, and what it showed.

    Six epochs of 32 rows in batches of 8: 24 steps.
    """
    folder = tmp_path_factory.mktemp("finished")
    train_file = write_csv(folder / "train.csv", train_rows)
    job = Job(
        output_dir=folder / "out",
        data=DataChoices(train_file=str(train_file), dev_fraction=0.2),
        encoder=EncoderChoices(
            init_checkpoint=str(checkpoint), max_seq_length=16
        ),
        training=TrainingChoices(
            train_batch_size=8,
            learning_rate=5e-3,
            num_train_epochs=6,
            save_checkpoints_steps=3,
        ),
        do_train=True,
        do_eval=True,
    )
    screen = Transcript()
    run(job, screen)
    return job, screen


@pytest.fixture
def job(tmp_path, finished) -> Job:
    """The same job in a folder of its own."""
    return dataclasses.replace(finished[0], output_dir=tmp_path / "out")


@pytest.fixture(scope="session")
def reported():
    """A function of a run's folder that returns its report, checked.

    The metrics that the report computes from the predictions that were kept
    are those of the evaluation.
    """
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.report import outcomes_of, report_page
    from bert_keras3.reports.wording import Wording

    def report(folder) -> str:
        record = RunRecord.open(folder)
        _, outcomes = outcomes_of(record)
        assert outcomes is not None
        assert len(outcomes) == record.results["examples"]
        counts = np.bincount(outcomes.groups)[None].astype(float)
        for name, metric in outcomes.metrics.items():
            # What is kept is rounded to five digits.
            np.testing.assert_allclose(
                metric(counts)[0], record.results[name], rtol=1e-4, atol=1e-6
            )
        page = report_page(record, Wording("en"), 1)
        assert "could not be read" not in page
        return page

    return report
