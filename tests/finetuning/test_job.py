"""Whole jobs on a tiny model: train, evaluate, predict, go on, refuse."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from finetuning import run_folder
from finetuning.encoder_files import EncoderChoices
from finetuning.job import Job, run
from finetuning.run_folder import RunFolder
from finetuning.single_label import SINGLE_LABEL
from finetuning.sources import DataChoices
from finetuning.train import TrainingChoices, example_weights
from safekeeping.errors import UserError
from training.callbacks import TrainingLog


@pytest.fixture
def job(tmp_path, checkpoint, train_file) -> Job:
    return make_job(tmp_path / "out", checkpoint, train_file)


def make_job(output_dir, checkpoint, train_file) -> Job:
    """Six passes over 32 rows in batches of 8: 24 steps."""
    return Job(
        output_dir=output_dir,
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoint, train_rows, write_csv):
    """A job that ran to its end undisturbed, and what it showed."""
    folder = tmp_path_factory.mktemp("finished")
    train_file = write_csv(folder / "train.csv", train_rows)
    job = make_job(folder / "out", checkpoint, train_file)
    screen = Transcript()
    run(job, screen)
    return job, screen


class Transcript:
    """A screen that remembers what it was shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        self.lines.extend([title or "", *(str(row) for row in rows)])

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture
def screen() -> Transcript:
    return Transcript()


def weights_of(folder):
    return [weight.numpy() for weight in RunFolder(folder).load_model().weights]


def figures_of(folder):
    return json.loads((folder / run_folder.EVAL_JSON).read_text("utf-8"))


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_learns_and_says_what_it_did(finished):
    job, screen = finished
    figures = figures_of(job.output_dir)
    assert figures["accuracy"] == 1.0
    assert figures["per_label"]["praise"]["support"] == 4
    assert figures["labels"] == ["blame", "praise"]
    lines = (job.output_dir / run_folder.EVAL_TEXT).read_text().splitlines()
    assert lines[0] == "eval_accuracy = 1.0"
    assert f"global_step = {figures['global_step']}" in lines
    assert read_csv(job.output_dir / run_folder.CONFUSION) == [
        ["true \\ predicted", "blame", "praise"],
        ["blame", "4", "0"],
        ["praise", "0", "4"],
    ]
    assert "loaded 39 of 41 weights" in screen.text
    assert "missing: output_weights, output_bias" in screen.text
    assert "labels: blame, praise" in screen.text
    assert "held out 8 of 40 rows" in screen.text
    held_out = read_csv(job.output_dir / run_folder.DEV_SPLIT)
    assert held_out[0] == ["id", "text", "label"]
    assert len(held_out) == 9


def test_the_folder_alone_is_enough_to_predict(
    finished, screen, tmp_path, write_csv
):
    out = finished[0].output_dir
    test_file = write_csv(
        tmp_path / "new.csv",
        [("x1", "good film"), ("x2", "bad food"), ("x3", "")],
        header=("id", "text"),
    )
    run(
        Job(
            output_dir=out,
            data=DataChoices(test_file=str(test_file)),
            encoder=EncoderChoices(),
            training=TrainingChoices(),
            do_predict=True,
        ),
        screen,
    )
    header, *rows = read_csv(out / run_folder.PREDICTIONS)
    assert header == ["id", "label", "probability_blame", "probability_praise"]
    assert [row[:2] for row in rows[:2]] == [["x1", "praise"], ["x2", "blame"]]
    assert rows[2][0] == "x3"
    for row in rows:
        assert float(row[2]) + float(row[3]) == pytest.approx(1, abs=2e-6)
    tsv = (out / run_folder.TEST_TSV).read_text().splitlines()
    assert float(tsv[0].split("\t")[1]) == pytest.approx(
        float(rows[0][3]), abs=1e-6
    )


def test_the_weights_file_holds_the_model_once(finished):
    out = finished[0].output_dir
    parameters = RunFolder(out).load_model().count_params()
    # The file of so small a model is mostly HDF5's own.
    assert (out / run_folder.MODEL).stat().st_size < 4 * parameters + 120_000
    assert (out / run_folder.STATE).stat().st_size > 3 * 4 * parameters


def test_equal_seeds_give_equal_bits(finished, screen, tmp_path):
    job, _ = finished
    weights = weights_of(job.output_dir)
    again = dataclasses.replace(job, output_dir=tmp_path / "again")
    run(again, screen)
    assert_same_bits(weights, weights_of(again.output_dir))


def test_another_seed_gives_other_bits(finished, screen, tmp_path):
    job, _ = finished
    other = dataclasses.replace(
        job,
        output_dir=tmp_path / "other",
        do_eval=False,
        training=dataclasses.replace(job.training, seed=1, num_train_epochs=1),
    )
    run(other, screen)
    with pytest.raises(AssertionError):
        assert_same_bits(
            weights_of(job.output_dir), weights_of(other.output_dir)
        )


@pytest.mark.parametrize(
    ("killed_at", "resumed_from"), [(1, 0), (4, 4), (11, 9)]
)
def test_a_killed_run_goes_on_to_the_same_bits(
    finished, screen, tmp_path, monkeypatch, killed_at, resumed_from
):
    """The state is saved after 3, 4 (a pass ends), 6, 8, 9 … steps."""
    whole, _ = finished
    job = dataclasses.replace(whole, output_dir=tmp_path / "killed")

    class KilledError(Exception):
        pass

    def die(self, batch, logs=None):
        if batch == killed_at + 1:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "on_train_batch_begin", die)
        patch.setattr(TrainingLog, "on_train_batch_end", die)
        with pytest.raises(KilledError):
            run(job, screen)
    run(job, screen)
    if resumed_from:
        assert f"went on after step {resumed_from}" in screen.text
    assert_same_bits(weights_of(whole.output_dir), weights_of(job.output_dir))
    evaluations = [
        [line for line in read_log(one) if "evaluation" in line]
        for one in (whole, job)
    ]
    assert evaluations[0] == evaluations[1]


def read_log(job):
    text = (job.output_dir / run_folder.LOG).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_complete_run_says_so_and_can_be_started_anew(finished, screen):
    job, _ = finished
    before = weights_of(job.output_dir)
    run(job, screen)
    assert "complete: 24 steps were done before" in screen.text
    assert_same_bits(before, weights_of(job.output_dir))
    anew = dataclasses.replace(
        job,
        overwrite_output_dir=True,
        training=dataclasses.replace(job.training, num_train_epochs=1),
        output_dir=job.output_dir,
    )
    copy = job.output_dir.parent / "copy"
    shutil.copytree(job.output_dir, copy)
    run(dataclasses.replace(anew, output_dir=copy), screen)
    assert len([line for line in read_log(anew) if "evaluation" in line]) == 6
    assert RunFolder(copy).read_settings().labels == ("blame", "praise")
    with pytest.raises(AssertionError):
        assert_same_bits(before, weights_of(copy))


def test_a_folder_of_another_training_is_refused(
    finished, screen, tmp_path, write_csv, train_rows
):
    job, _ = finished
    before = weights_of(job.output_dir)
    faster = dataclasses.replace(
        job, training=dataclasses.replace(job.training, learning_rate=2e-2)
    )
    with pytest.raises(UserError, match=r"learning_rate was 0.005 .* 0.02"):
        run(faster, screen)
    other = write_csv(
        tmp_path / "other.csv",
        [(a, b, label.replace("praise", "laud")) for a, b, label in train_rows],
    )
    data = dataclasses.replace(job.data, train_file=str(other))
    with pytest.raises(UserError, match=r"another task: its labels was .*laud"):
        run(dataclasses.replace(job, data=data), screen)
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


def test_a_dev_file_and_rows_that_it_shares(job, screen, tmp_path, write_csv):
    dev = write_csv(
        tmp_path / "dev.csv",
        [("c1", "good film", "praise"), ("c2", "the bad film", "blame")],
    )
    with_dev = dataclasses.replace(
        job, data=dataclasses.replace(job.data, dev_file=str(dev))
    )
    run(with_dev, screen)
    assert "1 texts of" in screen.text
    assert "evaluation of 2 examples" in screen.text


def test_evaluating_later_finds_the_rows_held_out(finished, screen):
    job, _ = finished
    first = figures_of(job.output_dir)
    run(dataclasses.replace(job, do_train=False), screen)
    assert figures_of(job.output_dir) == first


def test_balanced_weights():
    """Three of one label to one of the other: weights 2/3 and 2."""
    weights = example_weights(
        SINGLE_LABEL, np.array([0, 0, 0, 1]), 2, "balanced"
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
    figures = figures_of(job.output_dir)
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
