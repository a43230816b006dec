"""Going on from a model of any format, on other text, seen in TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.opening import open_checkpoint
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.training import run_folder
from bert_keras3.training.settings import ModelChoices

pytestmark = pytest.mark.slow

REFERENCE = pathlib.Path(__file__).parents[1] / "reference/checkpointing"


def evaluation_of(folder):
    return json.loads((folder / run_folder.EVAL_JSON).read_text())


def from_checkpoint(job, checkpoint, **training):
    return dataclasses.replace(
        job,
        model=ModelChoices(str(checkpoint)),
        training=dataclasses.replace(job.training, **training),
    )


@pytest.mark.parametrize(
    ("form", "name"), [("huggingface", "hf"), ("keras", "one_file.keras")]
)
def test_the_first_weights_answer_as_the_other_formats_did(
    trained, job, lines, tmp_path, form, name, config_file, vocab_file
):
    """A folder of Hugging Face's, and a Keras file that stands alone."""
    given = tmp_path / name
    checkpointing.write(given, open_checkpoint(trained), format=form)
    going_on = from_checkpoint(job, given, num_train_steps=2)
    if given.is_file():
        going_on = dataclasses.replace(
            going_on,
            model=ModelChoices(str(given), str(config_file), str(vocab_file)),
        )
    run(going_on, lines)
    assert any("missing: none" in line for line in lines)
    ended, began = evaluation_of(trained), evaluation_of(job.output_dir)
    for figure, value in began["before"].items():
        assert value == pytest.approx(ended[figure], rel=1e-6)
    assert began["global_step"] == 2
    assert (job.output_dir / "vocab.txt").read_bytes() == (
        vocab_file.read_bytes()
    )


@pytest.mark.parametrize(
    ("archive", "name", "vocabulary"),
    [
        ("model_garden", "encoder", "vocab.txt"),
        ("kerashub", "backbone", "assets/tokenizer/vocabulary.txt"),
    ],
)
def test_from_a_model_of_the_garden_and_of_keras_hub(
    job, lines, tmp_path, archive, name, vocabulary
):
    """Text and records by their vocabulary, and three small steps."""
    files = REFERENCE / f"{archive}.zip"
    zipfile.ZipFile(files).extractall(tmp_path)
    given, records = tmp_path / name, str(tmp_path / "new.tfrecord")
    before = open_checkpoint(given)
    words = (before.vocabulary or ())[6:]
    text = "\n\n".join("\n".join(words[n:]) for n in range(4))
    (tmp_path / "text.txt").write_text(text)
    preparation.prepare(
        Settings(
            input_files=(str(tmp_path / "text.txt"),),
            output_files=(records,),
            vocab_file=str(given / vocabulary),
            masking=MaskingSettings(max_predictions_per_seq=4),
            max_seq_length=16,
            dupe_factor=4,
        ),
        Progress(),
        lambda line: None,
    )
    going_on = from_checkpoint(
        dataclasses.replace(
            job, input_file=records, eval_file=None, max_seq_length=16
        ),
        given,
        num_train_steps=3,
        learning_rate=1e-5,
    )
    run(going_on, lines)
    assert any("missing: cls/… (7)" in line for line in lines)
    after = open_checkpoint(job.output_dir)
    assert after.config.hidden_act == before.config.hidden_act
    assert after.vocabulary == before.vocabulary
    moved = [
        np.abs(after.arrays[weight] - before.arrays[weight]).max()
        for weight in before.arrays
        if weight.startswith("bert/encoder/")
    ]
    # Adam without correction of its start moves a weight by at most learning
    # rate · 0.1 / sqrt(0.001) a step.
    assert 0 < max(moved) < 3 * 1e-5 * 3.2


@pytest.fixture
def domain(tmp_path, text, vocab_file):
    """Half of the documents, so that half of the words come up no more."""
    half = "\n\n".join(text.split("\n\n")[:2])
    (tmp_path / "domain.txt").write_text(half)

    def records(name, seed):
        path = str(tmp_path / name)
        preparation.prepare(
            Settings(
                input_files=(str(tmp_path / "domain.txt"),),
                output_files=(path,),
                vocab_file=str(vocab_file),
                masking=MaskingSettings(max_predictions_per_seq=4),
                max_seq_length=24,
                random_seed=seed,
                dupe_factor=4,
            ),
            Progress(),
            lambda line: None,
        )
        return path

    return records("domain.tfrecord", 5), records("held_out.tfrecord", 6)


def test_masked_words_and_next_sentences_of_a_domain(
    trained, job, domain, lines
):
    """What is read by TensorBoard is what the log has, step by step."""
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    train_file, held_out = domain
    watched = dataclasses.replace(
        from_checkpoint(
            job,
            trained,
            num_train_steps=40,
            learning_rate=1e-2,
            eval_steps=20,
            tensorboard=True,
        ),
        input_file=train_file,
        eval_file=held_out,
    )
    run(watched, lines)
    found = evaluation_of(job.output_dir)
    assert found["masked_lm_loss"] < 0.9 * found["before"]["masked_lm_loss"]
    assert "next_sentence_loss" in found

    scalars = {}
    # A training that is complete has no more to show.
    run(watched, lines)
    (path,) = (job.output_dir / run_folder.TENSORBOARD).iterdir()
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            number = float(tf.make_ndarray(value.tensor))
            scalars[value.tag, event.step] = number
    log = (job.output_dir / run_folder.LOG).read_text().splitlines()
    expected = {}
    for line in map(json.loads, log):
        step = line["step"]
        if "evaluation" in line:
            for name, value in line["evaluation"].items():
                expected[f"evaluation/{name}", step] = value
        else:
            expected["train/loss", step] = line["loss"]
            expected["train/learning_rate", step] = line["learning_rate"]
    assert ("train/loss", 1) in scalars
    assert ("evaluation/masked_lm_loss", 20) in scalars
    assert scalars == pytest.approx(expected, rel=1e-6)
