"""The padded path and batches by tokens: the same answers, said so."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.texts import TEST_TSV
from modeling import BertConfig, BertWithHeads


@pytest.fixture
def answers(finished, change, tmp_path, write_csv):
    """A function of flags: the probabilities of four texts of some lengths."""
    path = write_csv(
        tmp_path / "new.csv",
        [
            (1, "good film"),
            (2, "the food was not good, not good!"),
            (3, ""),
            (4, "bad"),
        ],
        header=("id", "text"),
    )

    def predict(screen, **flags):
        out = tmp_path / "predicted"
        shutil.copytree(finished[0].output_dir, out)
        job = change(
            finished[0],
            output_dir=out,
            do_train=False,
            do_eval=False,
            do_predict=True,
            train_file=None,
            test_file=str(path),
            init_checkpoint=None,
            **flags,
        )
        run(job, screen)
        rows = np.loadtxt(out / TEST_TSV)
        shutil.rmtree(out)
        return rows

    return predict


def test_answers_are_the_same_with_and_without_padding(answers, screen):
    fast = answers(screen)
    assert "nothing is computed for padding, which would be " in screen.text
    screen.lines.clear()
    np.testing.assert_allclose(fast, answers(screen, unpad=False), atol=1e-6)
    assert "padding" not in screen.text


def test_answers_are_the_same_in_batches_by_tokens(answers, screen):
    np.testing.assert_allclose(
        answers(screen), answers(screen, batch_tokens=12), atol=1e-6
    )


@pytest.mark.parametrize("training", [False, True])
def test_the_classifier_is_the_same_in_training_and_without(training):
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertWithHeads(config, ["labels"], ("no", "yes"))
    model.classifier.dropout.rate = 0.0
    ids = np.random.default_rng(0).integers(0, 50, (3, 7)).astype(np.int32)
    mask = (np.arange(7) < [[7], [1], [4]]).astype(np.int32)
    inputs = {"input_ids": ids, "input_mask": mask}
    fast = model(inputs, training=training)["logits"]
    model.unpad = False
    plain = model(inputs, training=training)["logits"]
    np.testing.assert_allclose(fast, plain, atol=1e-6)
