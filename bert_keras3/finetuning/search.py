"""Several trainings on the same data: restarts, or a grid of settings.

    --num_restarts=5            seed 12345, 12346, …
    --search                    the grid of the paper (appendix A.3)
      ─▶ out/trials/…           a run folder each; of the finished ones, only
                                the best keeps its weights
      ─▶ out/search_results.csv all of them
      ─▶ out                    the best

The files are encoded once, and the same examples are held out for all. What is
finished is not done again; what was interrupted goes on.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import pathlib
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from bert_keras3.finetuning.job import RunningJob, TrainedModel, begun
from bert_keras3.finetuning.job_data import TrainingData
from bert_keras3.finetuning.objective import Guide
from bert_keras3.finetuning.opened_model import predictor_of
from bert_keras3.finetuning.run_folder import (
    FINISHED,
    KEPT_FILES,
    MODEL,
    SEARCH,
    TEACHER,
    TRIALS,
    FinetuningFolder,
)
from bert_keras3.finetuning.settings import Job, SearchChoices
from bert_keras3.finetuning.training import epoch_size
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.environment import without_tracing_warnings
from bert_keras3.training.fit import lower_is_better
from bert_keras3.training.run_folder import LOG, STATE
from bert_keras3.training.session import Screen

# Trainings that must have finished before one can be called hopeless.
_FEWEST_FINISHED = 3
# Evaluations at the end of an epoch count as of this many epochs, though a
# number of steps is whole.
_AFTER_AN_EPOCH = 0.05

_GRID = ("train_batch_size", "learning_rate", "num_train_epochs")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training of a search, not begun."""

    name: str
    """Of its folder: the settings and the seed."""
    setting: tuple[float, ...]
    """Batch size, learning rate and number of epochs."""
    job: Job


@dataclasses.dataclass(frozen=True)
class _Finished:
    """What is known of a finished training; JSON values."""

    metrics: dict[str, float]
    """Of the weights that were best."""
    evaluations: list[list[float]]
    """(epochs done, value of the metric) of each evaluation."""
    step: int = 0
    """After which the weights were best."""
    note: str = ""


def run_search(job: Job, screen: Screen, guide: Guide | None = None) -> None:
    """Runs all trainings of a job, keeps the best and applies it.

    Args:
        job: its settings; `job.search.wanted`.
        screen: where to print.
        guide: what the trainings learn from beside the labels.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    _check(job)
    with begun(job, screen, guide) as running, without_tracing_warnings():
        data = running.prepare()
        _Search(job, screen, running, data).run()


def _check(job: Job) -> None:
    check_ranges(job.search)
    if not (job.do_train and job.do_eval):
        raise UserError(
            "--search and --num_restarts train and compare models: give "
            "--do_train and --do_eval"
        )
    if job.distribution == "multi_worker":
        raise UserError(
            "--search and --num_restarts: workers can train one model only "
            "before they end; use --distribution=mirrored for the devices of "
            "this machine"
        )
    for trial in trials(job):
        check_ranges(trial.job.training)


def trials(job: Job) -> list[Trial]:
    """Returns the trainings of a job, in order.

    Raises:
        UserError: a batch size is not a whole number.
    """
    found = []
    for setting in _settings_of(job):
        batch_size, learning_rate, epochs = setting
        for restart in range(job.search.num_restarts):
            seed = job.training.seed + restart
            name = f"batch{batch_size:g}_lr{learning_rate:g}_epochs{epochs:g}"
            if job.search.num_restarts > 1:
                name += f"_seed{seed}"
            training = dataclasses.replace(
                job.training,
                train_batch_size=int(batch_size),
                learning_rate=learning_rate,
                num_train_epochs=epochs,
                seed=seed,
            )
            of_trial = dataclasses.replace(
                job,
                output_dir=pathlib.Path(job.output_dir) / TRIALS / name,
                training=training,
                search=SearchChoices(),
            )
            found.append(Trial(name, setting, of_trial))
    return found


def _settings_of(job: Job) -> Iterator[tuple[float, float, float]]:
    search, training = job.search, job.training
    if not search.search:
        yield (
            training.train_batch_size,
            training.learning_rate,
            training.num_train_epochs,
        )
        return
    for name in ("batch_sizes", "learning_rates", "epochs"):
        if not getattr(search, f"search_{name}"):
            raise UserError(f"--search_{name}=: give at least one value")
    for size in search.search_batch_sizes:
        if size != int(size):
            raise UserError(
                f"--search_batch_sizes has {size:g}; give whole numbers"
            )
    # The cheapest first, so that something is known early.
    yield from (
        (size, rate, epochs)
        for epochs, size, rate in itertools.product(
            dict.fromkeys(search.search_epochs),
            dict.fromkeys(search.search_batch_sizes),
            dict.fromkeys(search.search_learning_rates),
        )
    )


class _Search:
    """The trainings of one search."""

    def __init__(
        self,
        job: Job,
        screen: Screen,
        running: RunningJob,
        data: TrainingData,
    ) -> None:
        self._job = job
        self._screen = screen
        self._running = running
        self._data = data
        self._metric = data.best_metric
        self._trials = trials(job)
        self._finished: dict[str, _Finished] = {}

    def run(self) -> None:
        """Runs all trainings, then keeps and applies the best."""
        folder = FinetuningFolder(self._job.output_dir)
        folder.check_not_foreign(SEARCH, TRIALS)
        if self._job.overwrite_output_dir:
            folder.run.clear()
            (folder / SEARCH).unlink(missing_ok=True)
        same = self._running.identity(self._data)
        for number, trial in enumerate(self._trials, 1):
            identity = {**same, **_own_identity(trial)}
            found = self._known(trial, identity)
            self._screen.say(
                f"\n{trial.name}, {number} of {len(self._trials)}"
                + (": was finished before" if found else "")
            )
            self._finished[trial.name] = found or self._run(trial, identity)
            self._drop_weights()
            self._write_table(folder / SEARCH)
        shutil.rmtree(folder / TEACHER, ignore_errors=True)
        self._show(folder / SEARCH)
        best = self._best
        self._keep(FinetuningFolder(best.job.output_dir), folder)
        self._screen.say(
            f"best: {best.name} ({self._metric} {self._value(best):.4f}); it "
            f"is now the model in {folder.path}"
        )
        self._use(folder)

    # One training.

    def _known(
        self, trial: Trial, identity: Mapping[str, Any]
    ) -> _Finished | None:
        """Returns the results of a training that an earlier command ended."""
        folder = FinetuningFolder(trial.job.output_dir)
        record = folder.run.read_json(FINISHED)
        if record is None or self._job.overwrite_output_dir:
            return None
        if record["identity"] != json.loads(json.dumps(identity)):
            raise UserError(
                f"{folder.path}: is of a search with other files or settings. "
                "Give another --output_dir, or --overwrite_output_dir to "
                "start anew."
            )
        return _Finished(**record["found"])

    def _run(self, trial: Trial, identity: Mapping[str, Any]) -> _Finished:
        part, data = self._running.part(trial.job), self._data
        folder = FinetuningFolder(trial.job.output_dir)
        stop = _StopHopeless(
            self._metric, [*self._finished.values()], self._epochs(trial)
        )
        wanted = self._job.search.stop_hopeless
        try:
            trained = part.train(data, [stop] if wanted else [])
            assert data.dev is not None
            outputs = part.outputs(trained, data.dev, trial.job.eval_batch_size)
            evaluation = data.task.evaluate(outputs, data.dev)
        finally:
            # Neither the model nor the names of its variables stay.
            keras.backend.clear_session()
        notes = [stop.reason] if stop.reason else []
        if evaluation.fault:
            notes.append(evaluation.fault)
            self._screen.say(f"note: {evaluation.fault}")
        found = _Finished(
            {name: float(x) for name, x in evaluation.scalars.items()},
            self._evaluations(folder / LOG, self._epochs(trial)),
            trained.step,
            "; ".join(notes),
        )
        self._screen.say(
            f"{trial.name}: {self._metric} {found.metrics[self._metric]:.4f}"
        )
        folder.run.write_json(
            FINISHED,
            {"identity": identity, "found": dataclasses.asdict(found)},
        )
        return found

    def _epochs(self, trial: Trial) -> float:
        """Returns how many epochs a step of a training is."""
        size = epoch_size(self._data.task, self._data.train)
        return trial.job.training.train_batch_size / size

    def _evaluations(self, log: pathlib.Path, epochs: float) -> list[Any]:
        with log.open(encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
        return [
            [entry["step"] * epochs, entry["evaluation"][self._metric]]
            for entry in entries
            if "evaluation" in entry
        ]

    # All of them.

    def _value(self, trial: Trial) -> float:
        return self._finished[trial.name].metrics[self._metric]

    @property
    def _best(self) -> Trial:
        """The best of the finished ones; of equal ones that of less loss."""
        done = [one for one in self._trials if one.name in self._finished]
        sign = -1 if lower_is_better(self._metric) else 1

        def goodness(trial: Trial) -> tuple[float, float]:
            loss = self._finished[trial.name].metrics.get("loss", 0.0)
            return sign * self._value(trial), -loss

        return max(done, key=goodness)

    def _drop_weights(self) -> None:
        """Deletes the large files of finished trainings but the best."""
        for trial in self._trials:
            folder = FinetuningFolder(trial.job.output_dir)
            if trial.name in self._finished:
                (folder / STATE).unlink(missing_ok=True)
                if trial is not self._best:
                    (folder / MODEL).unlink(missing_ok=True)

    def _write_table(self, path: pathlib.Path) -> None:
        """Writes a row for each finished training."""
        done = [one for one in self._trials if one.name in self._finished]
        names = [*self._finished[done[0].name].metrics]
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["trial", *_GRID, "seed", *names, "note"])
            for trial in done:
                found = self._finished[trial.name]
                figures = [f"{found.metrics[name]:.6f}" for name in names]
                seed, numbers = trial.job.training.seed, trial.setting
                shown = [f"{number:g}" for number in numbers]
                writer.writerow(
                    [trial.name, *shown, seed, *figures, found.note]
                )

    def _show(self, path: pathlib.Path) -> None:
        """Prints a row for each setting, with the spread of its restarts."""
        by_setting: dict[tuple[float, ...], list[Trial]] = {}
        for trial in self._trials:
            by_setting.setdefault(trial.setting, []).append(trial)
        rows = []
        for setting, some in by_setting.items():
            values = [self._value(trial) for trial in some]
            spread = f"{statistics.stdev(values):.4f}" if some[1:] else ""
            rows.append(
                (
                    *(f"{number:g}" for number in setting),
                    f"{statistics.fmean(values):.4f}",
                    spread,
                    f"{min(values):.4f}",
                    f"{max(values):.4f}",
                    sum(bool(self._finished[one.name].note) for one in some),
                )
            )
        headers = ("batch", "rate", "epochs", "mean", "sd", "min", "max", "bad")
        self._screen.say("")
        self._screen.table(headers, rows, self._metric)
        self._screen.say(
            f"written: {path}. bad are trainings that collapsed, or that were "
            "stopped because all others were better by then; sd is the "
            "standard deviation over the seeds"
        )

    def _keep(self, best: FinetuningFolder, folder: FinetuningFolder) -> None:
        """Copies the best run; the weights last, so that they are whole."""
        names = [name for name in KEPT_FILES if (best / name).exists()]
        for name in sorted(names, key=lambda name: name == MODEL):
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(best / name, temporary)

    def _use(self, folder: FinetuningFolder) -> None:
        """Evaluates the model that was kept, and predicts with it."""
        data, examples = self._data, dict(self._data.others)
        if data.dev is not None:
            examples = {"dev": data.dev, **examples}
        model = folder.load_model()
        self._running.use(
            TrainedModel(
                predictor_of(self._job, model, data.task),
                data.task,
                examples,
                data.dataset,
                self._finished[self._best.name].step,
            )
        )


def _own_identity(trial: Trial) -> dict[str, Any]:
    """Returns what distinguishes a training from the others of a search."""
    training = trial.job.training
    return {name: getattr(training, name) for name in (*_GRID, "seed")}


class _StopHopeless(keras.callbacks.Callback):
    """Ends a training that is worse than all finished ones were by then.

    Attributes:
        reason: why it was ended; None: it was not.
    """

    def __init__(
        self, metric: str, finished: Sequence[_Finished], epochs: float
    ) -> None:
        """Takes the finished trainings, and how many epochs a step is."""
        super().__init__()
        self._metric = metric
        self._finished = finished
        self._epochs = epochs
        self.reason: str | None = None

    def on_test_end(self, logs: Any = None) -> None:
        """Compares an evaluation with the earlier trainings'."""
        done = logs["step"] * self._epochs
        values = [
            value
            for one in self._finished
            if (value := _value_after(one.evaluations, done)) is not None
        ]
        if len(values) < _FEWEST_FINISHED:
            return
        value = logs[self._metric]
        lower = lower_is_better(self._metric)
        worst = max(values) if lower else min(values)
        if value > worst if lower else value < worst:
            self.reason = (
                f"stopped after {done:.2g} epochs: {self._metric} "
                f"{value:.4f}, where the worst of {len(values)} others had "
                f"{worst:.4f}"
            )
            self.model.stop_training = True


def _value_after(
    evaluations: Sequence[Sequence[float]], done: float
) -> float | None:
    """Returns the value of the last evaluation after so many epochs."""
    values = [
        value
        for epochs, value in evaluations
        if epochs <= done + _AFTER_AN_EPOCH
    ]
    return values[-1] if values else None
