"""Whole jobs on a tiny model: train, evaluate, predict, go on, refuse."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from finetuning import run_folder
from finetuning.encoder_files import EncoderChoices
from finetuning.job import Job, run
from finetuning.run_folder import RunFolder
from finetuning.sources import DataChoices
from finetuning.train import TrainingChoices
from safekeeping.errors import UserError
from training.callbacks import TrainingLog


@pytest.fixture
def job(tmp_path, checkpoint, train_file) -> Job:
    return Job(
        output_dir=tmp_path / "out",
        data=DataChoices(train_file=str(train_file), dev_fraction=0.2),
        encoder=EncoderChoices(
            init_checkpoint=str(checkpoint), max_seq_length=16
        ),
        training=TrainingChoices(
            train_batch_size=8, learning_rate=5e-3, num_train_epochs=4
        ),
        do_train=True,
        do_eval=True,
    )


def weights_of(folder):
    return [weight.numpy() for weight in RunFolder(folder).load_model().weights]


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_learns_evaluates_and_predicts_from_the_folder_alone(
    job, screen, tmp_path, write_csv
):
    job = dataclasses.replace(
        job, training=dataclasses.replace(job.training, num_train_epochs=6)
    )
    run(job, screen)
    out = job.output_dir
    figures = json.loads((out / run_folder.EVAL_JSON).read_text("utf-8"))
    assert figures["accuracy"] == 1.0
    assert figures["per_label"]["praise"]["support"] == 4
    assert figures["labels"] == ["blame", "praise"]
    lines = (out / run_folder.EVAL_TEXT).read_text().splitlines()
    assert lines[0] == "eval_accuracy = 1.0"
    assert f"global_step = {figures['global_step']}" in lines
    with open(out / run_folder.CONFUSION, newline="") as file:
        assert list(csv.reader(file)) == [
            ["true \\ predicted", "blame", "praise"],
            ["blame", "4", "0"],
            ["praise", "0", "4"],
        ]
    assert "loaded 39 of 41 weights" in screen.text
    assert "missing: output_weights, output_bias" in screen.text

    test_file = write_csv(
        tmp_path / "new.csv",
        [("x1", "good film"), ("x2", "bad food"), ("x3", "")],
        header=("id", "text"),
    )
    only_predict = Job(
        output_dir=out,
        data=DataChoices(test_file=str(test_file)),
        encoder=EncoderChoices(),
        training=TrainingChoices(),
        do_predict=True,
    )
    run(only_predict, screen)
    with open(out / run_folder.PREDICTIONS, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "label", "probability_blame", "probability_praise"]
    assert [row[:2] for row in rows[:2]] == [["x1", "praise"], ["x2", "blame"]]
    assert len(rows) == 3
    for row in rows:
        assert float(row[2]) + float(row[3]) == pytest.approx(1, abs=2e-6)
    tsv = (out / run_folder.TEST_TSV).read_text().splitlines()
    assert float(tsv[0].split("\t")[1]) == pytest.approx(float(rows[0][3]))


def test_the_weights_file_holds_the_model_once(job, screen, config):
    run(job, screen)
    size = (job.output_dir / run_folder.MODEL).stat().st_size
    model = RunFolder(job.output_dir).load_model()
    # The file of so small a model is mostly HDF5's own.
    assert size < 4 * model.count_params() + 120_000
    state = (job.output_dir / run_folder.STATE).stat().st_size
    assert state > 3 * 4 * model.count_params()


def test_equal_seeds_give_equal_bits(job, screen, tmp_path):
    run(job, screen)
    again = dataclasses.replace(job, output_dir=tmp_path / "again")
    run(again, screen)
    assert_same_bits(weights_of(job.output_dir), weights_of(again.output_dir))
    other = dataclasses.replace(
        job,
        output_dir=tmp_path / "other",
        training=dataclasses.replace(job.training, seed=1),
    )
    run(other, screen)
    with pytest.raises(AssertionError):
        assert_same_bits(
            weights_of(job.output_dir), weights_of(other.output_dir)
        )


@pytest.mark.parametrize("killed_at", [1, 4, 9])
def test_a_killed_run_goes_on_to_the_same_bits(
    job, screen, tmp_path, monkeypatch, killed_at
):
    job = dataclasses.replace(
        job,
        training=dataclasses.replace(job.training, save_checkpoints_steps=3),
    )
    whole = dataclasses.replace(job, output_dir=tmp_path / "whole")
    run(whole, screen)

    class KilledError(Exception):
        pass

    def die(self, batch, logs=None):
        if batch == killed_at:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "on_train_batch_end", die)
        with pytest.raises(KilledError):
            run(job, screen)
    run(job, screen)
    assert_same_bits(weights_of(whole.output_dir), weights_of(job.output_dir))
    if killed_at > 3:
        assert f"went on after step {killed_at // 3 * 3}" in screen.text
    logs = [
        [
            json.loads(line)
            for line in (one.output_dir / run_folder.LOG)
            .read_text("utf-8")
            .splitlines()
        ]
        for one in (whole, job)
    ]
    evaluations = [
        [entry for entry in log if "evaluation" in entry] for log in logs
    ]
    assert evaluations[0] == evaluations[1]


def test_a_complete_run_says_so_and_can_be_started_anew(job, screen):
    run(job, screen)
    before = weights_of(job.output_dir)
    run(job, screen)
    assert "complete: 16 steps were done before" in screen.text
    assert_same_bits(before, weights_of(job.output_dir))
    anew = dataclasses.replace(job, overwrite_output_dir=True)
    run(anew, screen)
    assert_same_bits(before, weights_of(job.output_dir))


def test_a_folder_of_another_training_is_refused(job, screen, train_file):
    run(job, screen)
    before = weights_of(job.output_dir)
    faster = dataclasses.replace(
        job, training=dataclasses.replace(job.training, learning_rate=2e-2)
    )
    with pytest.raises(UserError, match=r"learning_rate was 0.005 .* 0.02"):
        run(faster, screen)
    text = train_file.read_text("utf-8").replace("praise", "laud")
    train_file.write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"another task: its labels was .*laud"):
        run(job, screen)
    assert_same_bits(before, weights_of(job.output_dir))


def test_accumulated_gradients_are_those_of_the_whole_batch(
    job, screen, tmp_path, checkpoint, config
):
    """Without dropout, four parts give what one whole gives, to rounding."""
    calm = checkpoint.parent / "calm"
    calm.mkdir(exist_ok=True)
    (calm / "bert_config.json").write_text(
        config.without_dropout().to_json_string(), "utf-8"
    )
    # The classifier's own dropout cannot be configured, so one step only:
    # it is drawn with the same seed for whole and parts, of other shapes.
    weights = []
    for parts in (1, 4):
        one = dataclasses.replace(
            job,
            output_dir=tmp_path / f"parts{parts}",
            do_eval=False,
            encoder=dataclasses.replace(
                job.encoder, bert_config_file=str(calm / "bert_config.json")
            ),
            training=dataclasses.replace(
                job.training,
                gradient_accumulation_steps=parts,
                warmup_proportion=0.0,
            ),
        )
        import finetuning.classifier as classifier_module

        original = classifier_module.SequenceClassifier

        class Calm(original):
            def call(self, pooled_output, training=None):
                return super().call(pooled_output, training=False)

        classifier_module.SequenceClassifier = Calm
        try:
            run(one, screen)
        finally:
            classifier_module.SequenceClassifier = original
        weights.append(weights_of(one.output_dir))
    for whole, parted in zip(*weights, strict=True):
        # Adam divides by gradients near 0, which magnifies rounding.
        np.testing.assert_allclose(whole, parted, atol=2e-3)


def test_early_stopping_and_the_best_weights(job, screen):
    """At a rate of 0 nothing gets better, so patience runs out."""
    still = dataclasses.replace(
        job,
        training=dataclasses.replace(
            job.training,
            learning_rate=0.0,
            early_stopping_patience=2,
            num_train_epochs=9,
        ),
    )
    run(still, screen)
    assert "stopped early after step 12" in screen.text
    assert "best after step 4" in screen.text
    run(still, screen)
    assert "complete: 12 steps" in screen.text


def test_a_dev_file_and_rows_that_it_shares(job, screen, tmp_path, write_csv):
    dev = write_csv(
        tmp_path / "dev.csv",
        [("c1", "good film", "praise"), ("c2", "the bad film", "blame")],
    )
    with_dev = dataclasses.replace(
        job, data=dataclasses.replace(job.data, dev_file=str(dev))
    )
    run(with_dev, screen)
    assert "1 rows of" in screen.text
    assert "evaluation of 2 examples" in screen.text


def test_evaluating_later_finds_the_rows_held_out(job, screen):
    run(job, screen)
    first = json.loads(
        (job.output_dir / run_folder.EVAL_JSON).read_text("utf-8")
    )
    run(dataclasses.replace(job, do_train=False), screen)
    second = json.loads(
        (job.output_dir / run_folder.EVAL_JSON).read_text("utf-8")
    )
    assert first == second


def test_balanced_weights(job, screen, tmp_path):
    """Three of one label to one of the other: weights 2/3 and 2."""
    from finetuning.data import Split
    from finetuning.single_label import SINGLE_LABEL
    from finetuning.train import TrainingData, example_weights

    split = Split(None, None, ("a", "b"), np.array([0, 0, 0, 1]), None)
    weights = example_weights(
        SINGLE_LABEL, TrainingData(split, np.arange(4)), "balanced"
    )
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2])


def test_pairs_multi_label_and_regression(job, screen, tmp_path, write_csv):
    pairs = write_csv(
        tmp_path / "pairs.csv",
        [("good", "film", "a|b"), ("bad", "food", "b"), ("the", "film", "a")]
        * 6,
        header=("sentence1", "sentence2", "label"),
    )
    multi = dataclasses.replace(
        job,
        data=DataChoices(
            train_file=str(pairs), label_separator="|", dev_fraction=0.4
        ),
    )
    run(multi, screen)
    figures = json.loads(
        (job.output_dir / run_folder.EVAL_JSON).read_text("utf-8")
    )
    assert figures["labels"] == ["a", "b"]
    assert set(figures) >= {"micro_f1", "macro_f1", "accuracy", "loss"}
    assert RunFolder(job.output_dir).read_settings().takes_pairs

    scores = write_csv(
        tmp_path / "scores.csv",
        [(text, value) for text, value in (("good", 4.5), ("bad", 0.5))] * 9,
        header=("text", "score"),
    )
    regression = dataclasses.replace(
        job,
        output_dir=tmp_path / "scores",
        data=DataChoices(
            train_file=str(scores), test_file=str(scores), dev_fraction=0.4
        ),
        training=dataclasses.replace(job.training, num_train_epochs=30),
        do_predict=True,
    )
    run(regression, screen)
    assert "regression (labels are numbers with fractions)" in screen.text
    with open(tmp_path / "scores" / run_folder.PREDICTIONS, newline="") as file:
        header, first, second, *_ = csv.reader(file)
    assert header == ["id", "label"]
    assert float(first[1]) > float(second[1])


def test_a_trained_classifier_is_evaluated_as_it_is(
    shared, screen, tmp_path, write_csv
):
    """The logits of an independent forward pass decide the labels here."""
    folder = shared / "checkpoints" / "classifier_27_L-2_H-32"
    expected = json.loads((folder / "expected_numpy.json").read_text("utf-8"))
    names = (folder / "labels.csv").read_text("utf-8-sig").split("\n")[1:28]
    rows = [
        (one["text"], names[int(np.argmax(one["tanh"]["logits"]))])
        for one in expected
    ]
    data = write_csv(tmp_path / "dev.csv", rows, header=("text", "label"))
    as_it_is = Job(
        output_dir=tmp_path / "out",
        data=DataChoices(
            dev_file=str(data),
            test_file=str(data),
            labels_file=str(folder / "labels.csv"),
        ),
        encoder=EncoderChoices(init_checkpoint=str(folder)),
        training=TrainingChoices(),
        do_eval=True,
        do_predict=True,
    )
    run(as_it_is, screen)
    figures = json.loads((tmp_path / "out" / run_folder.EVAL_JSON).read_text())
    assert figures["accuracy"] == 1.0
    with open(tmp_path / "out" / run_folder.PREDICTIONS, newline="") as file:
        header, *predicted = csv.reader(file)
    assert header[2:] == [f"probability_{name}" for name in names]
    for row, one in zip(predicted, expected, strict=True):
        logits = np.array(one["tanh"]["logits"])
        exponentials = np.exp(logits - logits.max())
        np.testing.assert_allclose(
            np.array(row[2:], float),
            exponentials / exponentials.sum(),
            atol=1e-5,
        )
