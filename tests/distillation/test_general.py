"""The general stage: a student learns on records of raw text."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.distillation.general import MaskedWords, distill_from_text
from bert_keras3.distillation.job import distill
from bert_keras3.finetuning.settings import EncoderChoices
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.objective import PREDICTIONS_PER_EXAMPLE
from bert_keras3.pretraining.settings import Job, TrainingChoices
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.settings import ModelChoices

LENGTH, PREDICTIONS = 24, 4


@pytest.fixture(scope="session")
def records(tmp_path_factory, small_bert) -> str:
    """Records of a small text in the vocabulary of the model."""
    folder = tmp_path_factory.mktemp("records")
    lines = ["a b c d e f g h", "b c d e f g", "c d e a b"] * 4
    (folder / "text.txt").write_text("\n".join(lines) + "\n\n" * 2, "utf-8")
    preparation.prepare(
        Settings(
            input_files=(str(folder / "text.txt"),),
            output_files=(str(folder / "out.tfrecord"),),
            vocab_file=str(small_bert / "vocab.txt"),
            masking=MaskingSettings(
                "token", max_predictions_per_seq=PREDICTIONS
            ),
            max_seq_length=LENGTH,
            dupe_factor=4,
            sentence_objective="none",
        ),
        Progress(),
        lambda line: None,
    )
    return str(folder / "out.tfrecord")


@pytest.fixture
def text_job(records, tmp_path) -> Job:
    return Job(
        output_dir=tmp_path / "general",
        do_train=True,
        input_file=records,
        max_seq_length=LENGTH,
        max_predictions_per_seq=PREDICTIONS,
        sentence_objective="none",
        model=ModelChoices(),
        training=TrainingChoices(
            train_batch_size=4,
            num_train_steps=3,
            num_warmup_steps=1,
            learning_rate=1e-3,
        ),
    )


WITHOUT_HEADS = {
    "label_weight": 0.0,
    "logits_weight": 0.0,
    "hidden_weight": 1.0,
    "attention_weight": 1.0,
    "embedding_weight": 1.0,
}


@pytest.mark.slow
def test_vectors_alone_then_the_task(
    text_job, job, settings, screen, small_bert
):
    """TinyBERT's two stages: raw text, then the examples of a task."""
    of_text = dataclasses.replace(
        settings, teacher=str(small_bert), **WITHOUT_HEADS
    )
    distill_from_text(text_job, of_text, screen)
    student = checkpointing.open(text_job.output_dir)
    assert student.config.num_hidden_layers == 2
    # Nothing has been learnt about masked words, so no head is written.
    assert not any(name.startswith("cls/") for name in student.arrays)
    name = "bert/encoder/layer_0/output/dense/kernel"
    assert not np.array_equal(
        student.arrays[name],
        checkpointing.read(small_bert)["bert/encoder/layer_1" + name[20:]],
    )
    encoder = EncoderChoices(init_checkpoint=str(text_job.output_dir))
    distill(
        dataclasses.replace(job, encoder=encoder),
        dataclasses.replace(settings, num_student_layers=None),
        screen,
    )
    assert f"weights from {text_job.output_dir}" in screen.text


@pytest.mark.slow
def test_masked_words_of_the_teacher(text_job, settings, screen, small_bert):
    settings = dataclasses.replace(settings, teacher=str(small_bert))
    distill_from_text(text_job, settings, screen)
    student = checkpointing.open(text_job.output_dir)
    assert "masked_lm" in student.heads


def test_masked_words_by_hand():
    """Two masked places of which the second is not used."""
    ln3 = np.log(np.float32(3))
    task = MaskedWords(("masked_lm",))
    features = {"masked_lm_weights": np.array([[1, 0]], "float32")}
    found = task.soft_loss(
        {"masked_lm_logits": np.zeros([2, 2], "float32")},
        {"masked_lm_logits": np.array([[ln3, 0], [9, 0]], "float32")},
        features,
        1.0,
    )
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    # The divisor is the number of masked words plus 1e-5.
    assert float(found) == pytest.approx(expected / (1 + 1e-5), abs=1e-6)
    # In a part of a batch that has two for each example.
    features[PREDICTIONS_PER_EXAMPLE] = np.array([2], "float32")
    outputs = {"masked_lm_logits": np.zeros([2, 2], "float32")}
    teacher = {"masked_lm_logits": np.array([[ln3, 0], [9, 0]], "float32")}
    found = task.soft_loss(outputs, teacher, features, 1.0)
    assert float(found) == pytest.approx(expected / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unlabelled_file": "x.csv"}, "is for the examples of a task"),
        ({"teacher_answers": "x"}, "is for the examples of a task"),
        ({"num_student_layers": None}, "there is no student"),
    ],
)
def test_mistakes(text_job, settings, screen, small_bert, changes, message):
    settings = dataclasses.replace(settings, teacher=str(small_bert), **changes)
    with pytest.raises(UserError, match=message):
        distill_from_text(text_job, settings, screen)
    assert not text_job.output_dir.exists()


def test_a_teacher_without_a_masked_lm_head(text_job, settings, screen):
    """Such as a fine-tuned one."""
    with pytest.raises(UserError, match="has no masked_lm head"):
        distill_from_text(text_job, settings, screen)
    assert not text_job.output_dir.exists()
