"""What every training job has: a folder, a session, an identity, a report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.run_folder import (
    EVAL_JSON,
    EVAL_TEXT,
    LOG,
    STATE,
    RunFiles,
    RunFolder,
)
from bert_keras3.training.session import (
    NoScreen,
    Plan,
    begin,
    check_training,
    identity_of,
    open_session,
    train,
)
from bert_keras3.training.settings import TrainingSettings

FILES = RunFiles(
    signs=("settings.json",),
    written=("model.bin",),
    kept=("model.ckpt-*",),
    scratch=(".encoded",),
)
SETTINGS = TrainingSettings(
    train_batch_size=8, learning_rate=0.1, save_checkpoints_steps=2
)


class Lines(list, NoScreen):
    """Keeps what a job says."""

    def say(self, line):
        self.append(line)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "out", FILES)


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_a_run_is_known_by_its_settings_or_its_state(folder):
    assert not folder.holds_a_run
    put(folder, "model.bin", EVAL_JSON)
    assert not folder.holds_a_run
    put(folder, STATE)
    assert folder.holds_a_run


@pytest.mark.parametrize("name", ["model.bin", EVAL_TEXT, "model.ckpt-3.index"])
def test_files_of_somebody_else_are_refused(folder, name):
    put(folder, "notes.txt")
    folder.refuse_foreign_files()
    put(folder, name)
    with pytest.raises(UserError, match=f"{name}: is there already"):
        folder.refuse_foreign_files()
    put(folder, "settings.json")
    folder.refuse_foreign_files()


def test_clearing_leaves_checkpoints_and_files_of_somebody_else(folder):
    put(folder, "settings.json", STATE, LOG, "model.bin", ".encoded/ids")
    put(folder, "model.ckpt-3.index", "notes.txt")
    folder.clear()
    left = [path.name for path in folder.path.rglob("*") if path.is_file()]
    assert sorted(left) == ["model.ckpt-3.index", "notes.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file; give a folder"):
        RunFolder(tmp_path / "out", FILES).check_is_folder()


def test_figures_are_lines_and_values(folder):
    assert folder.read_json(EVAL_JSON) is None
    folder.write_evaluation(
        {"loss": 0.5, "accuracy": 1.0}, {"loss": 0.5, "labels": ["é"]}
    )
    text = (folder / EVAL_TEXT).read_text()
    assert text == "accuracy = 1.0\nloss = 0.5\n"
    assert folder.read_json(EVAL_JSON) == {"loss": 0.5, "labels": ["é"]}
    for damaged in ('{"loss"', "[1]"):
        (folder / EVAL_JSON).write_text(damaged)
        with pytest.raises(UserError, match=f"{EVAL_JSON}: is damaged"):
            folder.read_json(EVAL_JSON)


def test_a_folder_has_one_job_at_a_time(tmp_path):
    with open_session(tmp_path / "out", NoScreen()) as session:
        with session.locked():
            assert session.output_dir.is_dir()
            with (
                open_session(tmp_path / "out", NoScreen()) as other,
                pytest.raises(UserError, match="another process"),
                other.locked(),
            ):
                pass
        # Nothing was put into it.
        assert not session.output_dir.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gradient_accumulation_steps": 9},
            "9: a batch of --train_batch_size=8 examples cannot be cut into 9",
        ),
        ({"eval_steps": 3}, "--eval_steps=3 needs evaluations"),
    ],
)
def test_settings_at_odds(change, message):
    check_training(SETTINGS, do_eval=False)
    with pytest.raises(UserError, match=message):
        check_training(dataclasses.replace(SETTINGS, **change), do_eval=False)


def test_an_identity_knows_numbers_data_and_first_weights(make):
    def identity(data=(1, 2), vocab=4, **change):
        settings = dataclasses.replace(SETTINGS, **change)
        model = make(vocab=vocab)[0]
        return identity_of(
            settings, model, [np.array(data)], without_effect=("eval_steps",)
        )

    first = identity()
    assert first["learning_rate"] == 0.1
    assert first == identity(tensorboard=True, save_checkpoints_steps=9)
    assert first == identity(eval_steps=7)
    for changed in (
        identity(seed=1),
        identity(data=(1, 3)),
        identity(vocab=5),
    ):
        assert changed != first


@pytest.fixture
def run(make, loss, batches, folder, weights_of):
    """A function that trains to a step and returns (weights, lines)."""

    def trained(steps, overwrite=False, seed=12345, **plan):
        model, _, _ = make(rate=0.5)
        screen = Lines()
        settings = dataclasses.replace(SETTINGS, seed=seed)
        with (
            open_session(folder.path, screen) as session,
            session.locked(),
        ):
            identity = identity_of(settings, model, [])
            begin(folder, identity, overwrite=overwrite)
            train(
                Plan(
                    model,
                    loss,
                    batches,
                    identity,
                    lambda optimizer: np.savez(
                        folder / "model.npz", *weights_of(model)
                    ),
                    steps,
                    1,
                    **plan,
                ),
                settings,
                folder,
                session,
            )
        return weights_of(model), list(screen)

    return trained


def test_a_training_that_is_complete_says_so(run, folder):
    weights, lines = run(4)
    assert lines == []
    with np.load(folder / "model.npz") as saved:
        for ours, theirs in zip(weights, saved.values(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (folder / STATE).exists()
    assert (folder / LOG).read_text().count("learning_rate") == 2
    _, lines = run(4)
    complete = (
        f"the training in {folder.path} is complete: 4 steps were done "
        "before, so no more were. --overwrite_output_dir starts anew."
    )
    assert lines == [complete]
    with pytest.raises(UserError, match="seed was 12345 and is now 2"):
        run(4, seed=2)
    assert run(4, seed=2, overwrite=True)[1] == []


def test_the_best_weights_are_named(run):
    figures = iter([0.5, 0.75, 0.25, 0.25])
    _, lines = run(
        8,
        evaluate=lambda: {"accuracy": next(figures)},
        epoch_ends=(2, 4, 6, 8),
        best_metric="accuracy",
        patience=2,
    )
    assert lines == [
        "stopped early after step 8",
        "best after step 4: accuracy 0.7500",
    ]


def test_weights_can_be_written_between_the_steps(run, folder, monkeypatch):
    written = []
    monkeypatch.setattr(np, "savez", lambda *arrays: written.append(1))
    run(6, save_weights_steps=2)
    # After the steps 2 and 4, and at the end.
    assert len(written) == 3
