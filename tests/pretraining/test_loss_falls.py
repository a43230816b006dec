"""Twenty steps on the original's sample text, from a tiny random model."""

from __future__ import annotations

import gzip
import json

import pytest

from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining.settings import Job, TrainingChoices
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.training import run_folder
from bert_keras3.training.session import NoScreen
from bert_keras3.training.settings import ModelChoices


@pytest.mark.slow
def test_twenty_steps_drive_the_loss_down(
    reference, root, write_vocabulary, tmp_path
):
    """As the original's README does with BERT-Base, on the training records.

    From ln(30522) = 10.33, which is knowing nothing, to little more than 5,
    which is knowing how often each word of so small a text occurs.
    """
    folder = reference / "pretraining_data"
    file = folder / "vocabulary.json.gz"
    abridged = json.loads(gzip.decompress(file.read_bytes()))
    vocab_file = write_vocabulary(abridged, tmp_path / "vocab.txt")
    preparation.prepare(
        Settings(
            input_files=(str(folder / "sample_text.txt"),),
            output_files=(str(tmp_path / "sample.tfrecord"),),
            vocab_file=vocab_file,
            masking=MaskingSettings(),
            dupe_factor=5,
        ),
        Progress(),
        lambda line: None,
    )
    run(
        Job(
            output_dir=tmp_path / "out",
            model=ModelChoices(
                bert_config_file=str(root / "configs" / "bert_tiny.json"),
                vocab_file=vocab_file,
            ),
            input_file=str(tmp_path / "sample.tfrecord"),
            training=TrainingChoices(
                learning_rate=5e-3, num_train_steps=20, num_warmup_steps=10
            ),
            do_train=True,
            do_eval=True,
        ),
        NoScreen(),
    )
    found = json.loads((tmp_path / "out" / run_folder.EVAL_JSON).read_text())
    assert found["before"]["masked_lm_loss"] == pytest.approx(10.33, abs=0.1)
    assert found["masked_lm_loss"] < 5.5
