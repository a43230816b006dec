"""One fine-tuning job from files to files: train, evaluate, predict.

Ties the rooms together: data is read in `sources` and `data`, the weights
come from `checkpointing`, the loop is `training`'s, the files that result are
written by `run_folder` and `results`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from finetuning import results, run_folder
from finetuning.checks import (
    Range,
    check_class_weight,
    check_data,
    check_metric,
    check_range,
    check_training,
)
from finetuning.classifier import BertClassifier
from finetuning.data import Split, TextEncoder, encode
from finetuning.data_report import report_lines, report_values, write_report
from finetuning.encoder_files import EncoderChoices, EncoderFiles, find_files
from finetuning.heldout import check_fraction
from finetuning.problem import Evaluation, Problem
from finetuning.problems import PROBLEMS
from finetuning.run_folder import ClassifierSettings, RunFolder
from finetuning.single_label import SINGLE_LABEL
from finetuning.sources import (
    DataChoices,
    Source,
    Task,
    find_task,
    reopen_rows,
)
from finetuning.train import (
    LabelledRows,
    TrainingChoices,
    identity_of,
    split_off_dev,
    steps_of,
    train,
)
from inputs.batches import batches_by_length
from inputs.report import num_shared
from safekeeping.errors import UserError
from training.determinism import make_deterministic
from training.fit import FitResult, refuse_another_training
from training.predict import Predictor
from training.state import read_numbers


class Screen(Protocol):
    """Where a job shows what it found and did."""

    def say(self, line: str) -> None:
        """Shows a line."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Shows a table."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done, as the flags of `run_classifier.py` say it."""

    output_dir: str | os.PathLike[str]
    data: DataChoices
    encoder: EncoderChoices
    training: TrainingChoices
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    eval_batch_size: int = 8
    predict_batch_size: int = 8
    overwrite_output_dir: bool = False


def run(job: Job, screen: Screen) -> None:
    """Does a job.

    Whatever can be wrong is found before anything is written, but for what
    only training can show.

    Args:
        job: what is to be done.
        screen: where to show it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    folder = RunFolder(job.output_dir)
    _check(job, folder)
    was_there = folder.path.exists()
    scratch = folder / run_folder.SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    try:
        _Run(job, folder, screen).go()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not was_there:
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.path.rmdir()


def _check(job: Job, folder: RunFolder) -> None:
    """Checks the flags against each other and the state of the folder."""
    if not (job.do_train or job.do_eval or job.do_predict):
        raise UserError(
            "there is nothing to do: give --do_train, --do_eval or "
            "--do_predict, or several of them"
        )
    check_data(job.data, do_train=job.do_train)
    if job.do_train:
        check_training(job.training, do_eval=job.do_eval)
    for name in ("eval_batch_size", "predict_batch_size"):
        check_range(getattr(job, name), Range(name, 1))
    if folder.path.exists() and not folder.path.is_dir():
        raise UserError(
            f"--output_dir={folder.path}: is a file; give a folder, which "
            "need not exist yet"
        )
    if job.do_train or job.encoder.init_checkpoint is not None:
        return
    if job.overwrite_output_dir:
        raise UserError(
            f"--overwrite_output_dir would leave nothing to use in "
            f"{folder.path}; add --do_train, or leave it out"
        )
    if not folder.holds_a_model:
        unfinished = folder.holds_a_run
        raise UserError(
            f"{folder.path}: has no trained classifier"
            + (" yet; finish its training" if unfinished else ". Train one")
            + " with --do_train, or give a checkpoint that has "
            "`output_weights` as --init_checkpoint"
        )


class _Run:
    """One job while it runs: what is known so far."""

    def __init__(self, job: Job, folder: RunFolder, screen: Screen) -> None:
        self._job = job
        self._folder = folder
        self._screen = screen
        self._dev: LabelledRows | None = None
        self._test: Split | None = None
        self._report: dict[str, dict[str, Any]] = {}

    def go(self) -> None:
        job, folder = self._job, self._folder
        as_it_is = not folder.holds_a_model or (
            job.overwrite_output_dir and job.encoder.init_checkpoint is not None
        )
        if job.do_train:
            self._train()
        elif as_it_is:
            self._take_checkpoint_as_it_is()
        else:
            self._take_folder()
        if self._dev is not None:
            self._evaluate(self._dev)
        if self._test is not None:
            self._predict(self._test)

    # Training.

    def _train(self) -> None:
        job, screen, folder = self._job, self._screen, self._folder
        files = find_files(job.encoder)
        files.check_weights()
        encoder = self._text_encoder(files)
        task = find_task(job.data)
        self._check_same_task({"task_name": task.name})
        sources = self._sources(task)
        if job.do_eval and "dev" not in sources:
            check_fraction(job.data.dev_fraction)
        source = sources["train"]
        self._show_source(source)
        problem, why = task.problem(source)
        screen.say(f"problem: {problem.name} ({why})")
        best_metric = (
            job.training.best_metric or task.metric or problem.default_metric
        )
        check_metric(best_metric, problem)
        check_class_weight(job.training.class_weight, problem)

        train_split = self._encode(
            source,
            encoder,
            "train",
            problem,
            task.labels,
            job.data.label_separator,
        )
        labels = train_split.labels
        screen.say(f"labels: {', '.join(labels)}")
        check_metric(best_metric, problem, len(labels))
        settings = ClassifierSettings(
            task_name=task.name,
            problem=problem.name,
            labels=labels,
            max_seq_length=encoder.max_seq_length,
            do_lower_case=files.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=job.data.label_separator,
            init_checkpoint=job.encoder.init_checkpoint,
        )
        self._check_same_task(dataclasses.asdict(settings))
        data = self._rows_to_train_on(train_split, sources, encoder)
        steps_of(len(data.rows), job.training)  # whether there are any
        if "test" in sources:
            self._test = self._encode(sources["test"], encoder, "test")

        make_deterministic(job.training.seed)
        model, report = files.make_classifier(labels)
        screen.say(report)
        identity = {
            "task_name": settings.task_name,
            "labels": list(labels),
            "max_seq_length": settings.max_seq_length,
            "do_lower_case": settings.do_lower_case,
            "config": files.config.to_dict(),
            "best_metric": best_metric,
            **identity_of(model, data, self._dev, job.training),
        }
        if job.overwrite_output_dir:
            folder.clear()
        else:
            refuse_another_training(folder / run_folder.STATE, identity)
        self._write_what_was_decided(settings, files)
        if self._dev is not None and self._dev.store is data.store:
            source.write_rows(self._dev.rows, folder / run_folder.DEV_SPLIT)
        self._use(model, problem, settings)
        result = train(
            model,
            problem,
            data,
            self._dev,
            job.training,
            folder,
            best_metric=best_metric,
            identity=identity,
            predictor=self._predictor,
            eval_batch_size=job.eval_batch_size,
        )
        self._show_result(result, best_metric)
        folder.load_weights(model)

    def _sources(self, task: Task) -> dict[str, Source]:
        """Opens every file that will be wanted, the training file first."""
        job = self._job
        wanted = {
            "train": job.do_train,
            "dev": job.do_eval and (task.has("dev") or not job.do_train),
            "test": job.do_predict,
        }
        return {split: task.source(split) for split in wanted if wanted[split]}

    def _text_encoder(self, files: EncoderFiles) -> TextEncoder:
        encoder = TextEncoder(files.tokenizer, self._job.encoder.max_seq_length)
        longest = files.config.max_position_embeddings
        if encoder.max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={encoder.max_seq_length}: the model has "
                f"positions for {longest} tokens "
                "(`max_position_embeddings`); give at most that"
            )
        remark = encoder.check(files.vocab_file, files.config.vocab_size)
        if remark:
            self._screen.say(f"note: {remark}")
        self._screen.say(
            f"do_lower_case: {files.do_lower_case} ({files.why_lower_case})"
        )
        return encoder

    def _encode(
        self,
        source: Source,
        encoder: TextEncoder,
        name: str,
        problem: Problem | None = None,
        labels: tuple[str, ...] | None = None,
        separator: str | None = None,
    ) -> Split:
        """Encodes a file; its labels too, if the problem is told."""
        split = encode(
            source,
            encoder,
            self._folder / run_folder.SCRATCH / name,
            problem,
            labels,
            separator,
        )
        for line in report_lines(split, encoder.max_seq_length):
            self._screen.say(line)
        self._report[name] = report_values(split)
        return split

    def _rows_to_train_on(
        self,
        split: Split,
        sources: dict[str, Source],
        encoder: TextEncoder,
    ) -> LabelledRows:
        """Returns what to train on; notes what to evaluate on, if anything."""
        job = self._job
        if not job.do_eval:
            return LabelledRows.of(split)
        if "dev" not in sources:
            data, self._dev = split_off_dev(
                split, job.data.dev_fraction, job.training.seed
            )
            self._report["train"]["held_out"] = len(self._dev.rows)
            self._screen.say(
                f"held out {len(self._dev.rows)} of {len(split.store)} rows "
                f"for evaluation; they are in {run_folder.DEV_SPLIT}"
            )
            return data
        dev_split = self._encode(
            sources["dev"],
            encoder,
            "dev",
            split.problem,
            split.labels,
            job.data.label_separator,
        )
        common = num_shared(split.report, dev_split.report)
        self._report["dev"]["texts_shared_with_train"] = common
        if common:
            self._screen.say(
                f"note: {common} texts of {dev_split.source.path} are also "
                f"in {split.source.path}; the evaluation flatters"
            )
        self._dev = LabelledRows.of(dev_split)
        return LabelledRows.of(split)

    def _check_same_task(self, settings: Mapping[str, Any]) -> None:
        """Checks what is known of the settings yet against the folder's."""
        if self._job.overwrite_output_dir:
            return
        if not self._folder.holds_a_run:
            self._refuse_foreign_files()
            return
        earlier = self._folder.read_settings()
        for name in ("task_name", "problem", "labels"):
            before = getattr(earlier, name)
            now = settings.get(name, before)
            if before != now:
                raise UserError(
                    f"{self._folder.path}: holds a run of another task: its "
                    f"{name} was {before}, now it is {now}. Give another "
                    "--output_dir, or --overwrite_output_dir to start anew."
                )

    def _refuse_foreign_files(self) -> None:
        for name in (run_folder.EVAL_TEXT, run_folder.TEST_TSV):
            if (self._folder / name).exists():
                raise UserError(
                    f"{self._folder / name}: is there already, and of no run "
                    "of this program. Give another --output_dir, or "
                    "--overwrite_output_dir to replace it."
                )

    def _write_what_was_decided(
        self, settings: ClassifierSettings, files: EncoderFiles
    ) -> None:
        self._folder.path.mkdir(parents=True, exist_ok=True)
        self._folder.write_settings(settings)
        self._folder.write_encoder_files(files.config, files.vocab_file)
        write_report(self._folder, self._report)

    def _show_result(self, result: FitResult, best_metric: str) -> None:
        say = self._screen.say
        if result.resumed_from == result.step:
            say(
                f"the training in {self._folder.path} is complete: "
                f"{result.step} steps were done before, so no more were. "
                "--overwrite_output_dir starts anew."
            )
        elif result.resumed_from:
            say(f"went on after step {result.resumed_from}")
        if result.stopped_early:
            say(f"stopped early after step {result.step}")
        if result.best_step is not None:
            say(
                f"best after step {result.best_step}: "
                f"{best_metric} {result.best_value:.4f}"
            )

    # A classifier that is there already.

    def _take_checkpoint_as_it_is(self) -> None:
        """Makes the folder that of a classifier read from a checkpoint."""
        job, folder = self._job, self._folder
        if folder.holds_a_run and not job.overwrite_output_dir:
            raise UserError(
                f"{folder.path}: holds a training that has saved no model "
                "yet. Finish it with its --do_train command, give another "
                "--output_dir, or --overwrite_output_dir to put "
                f"{job.encoder.init_checkpoint} in its place."
            )
        files = find_files(job.encoder)
        task = find_task(job.data)
        self._check_same_task({})
        labels = task.labels or files.labels(job.data.labels_file)
        encoder = self._text_encoder(files)
        problem = PROBLEMS[job.data.problem_type or SINGLE_LABEL.name]
        model = BertClassifier(files.config, labels)
        self._screen.say(files.load_all(model))
        self._screen.say(f"labels: {', '.join(labels)}")
        sources = self._sources(task)
        source = next(iter(sources.values()))
        settings = ClassifierSettings(
            task_name=task.name,
            problem=problem.name,
            labels=labels,
            max_seq_length=encoder.max_seq_length,
            do_lower_case=files.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=job.data.label_separator,
            init_checkpoint=job.encoder.init_checkpoint,
        )
        self._read(sources, encoder, problem, settings)
        if job.overwrite_output_dir:
            folder.clear()
        self._write_what_was_decided(settings, files)
        folder.save_model(model)
        self._use(model, problem, settings)

    def _take_folder(self) -> None:
        """Reads the classifier that the folder holds."""
        job, folder = self._job, self._folder
        settings = folder.read_settings()
        given = job.encoder.init_checkpoint
        if given not in (None, settings.init_checkpoint):
            self._screen.say(
                f"note: the classifier in {folder.path} is used, not "
                f"--init_checkpoint={given}; --overwrite_output_dir puts that "
                "in its place"
            )
        task = find_task(job.data, settings)
        sources = self._sources_for(task, settings)
        problem = PROBLEMS[settings.problem]
        encoder = TextEncoder(folder.load_tokenizer(), settings.max_seq_length)
        model = folder.load_model()
        self._read(sources, encoder, problem, settings)
        write_report(folder, self._report)
        self._use(model, problem, settings)

    def _sources_for(
        self, task: Task, settings: ClassifierSettings
    ) -> dict[str, Source]:
        """Opens the files; the rows held out stand in for a dev file."""
        held_out = self._folder / run_folder.DEV_SPLIT
        if not self._job.do_eval or task.has("dev") or not held_out.exists():
            return self._sources(task)
        sources = {"dev": reopen_rows(held_out, settings)}
        if self._job.do_predict:
            sources["test"] = task.source("test")
        return sources

    def _read(
        self,
        sources: Mapping[str, Source],
        encoder: TextEncoder,
        problem: Problem,
        settings: ClassifierSettings,
    ) -> None:
        if "dev" in sources:
            self._dev = LabelledRows.of(
                self._encode(
                    sources["dev"],
                    encoder,
                    "dev",
                    problem,
                    settings.labels,
                    settings.label_separator,
                )
            )
        if "test" in sources:
            self._test = self._encode(sources["test"], encoder, "test")

    def _use(
        self,
        model: BertClassifier,
        problem: Problem,
        settings: ClassifierSettings,
    ) -> None:
        self._predictor = Predictor(model)
        self._problem = problem
        self._labels = settings.labels

    # Evaluation and prediction.

    def _evaluate(self, data: LabelledRows) -> None:
        logits = self._predictor(
            batches_by_length(data.store, data.rows, self._job.eval_batch_size),
            len(data.rows),
        )
        evaluation = self._problem.evaluate(logits, data.targets, self._labels)
        results.write_evaluation(
            self._folder,
            evaluation,
            self._labels,
            {"global_step": self._steps_done(), "examples": len(data.rows)},
        )
        self._show_evaluation(evaluation, len(data.rows))

    def _steps_done(self) -> int:
        numbers = read_numbers(self._folder / run_folder.STATE)
        if numbers is None:
            return 0
        return int(numbers["best_step"] or numbers["step"])

    def _show_evaluation(self, evaluation: Evaluation, count: int) -> None:
        self._screen.say(
            f"evaluation of {count} examples: "
            + ", ".join(
                f"{name} {value:.4f}"
                for name, value in evaluation.scalars.items()
            )
        )
        per_label = evaluation.details.get("per_label", {})
        if per_label:
            self._screen.table(
                ("label", "precision", "recall", "f1", "examples"),
                [
                    (
                        label,
                        *(
                            f"{figures[name]:.3f}"
                            for name in ("precision", "recall", "f1")
                        ),
                        int(figures["support"]),
                    )
                    for label, figures in per_label.items()
                ],
            )
        self._screen.say(f"written: {self._folder / run_folder.EVAL_JSON}")

    def _predict(self, split: Split) -> None:
        rows = np.arange(len(split.store))
        logits = self._predictor(
            batches_by_length(split.store, rows, self._job.predict_batch_size),
            len(rows),
        )
        results.write_predictions(
            self._folder,
            self._problem,
            self._labels,
            split.source,
            self._problem.probabilities(logits),
        )
        self._screen.say(
            f"predicted {len(rows)} rows: "
            f"{self._folder / run_folder.PREDICTIONS}"
        )

    def _show_source(self, source: Source) -> None:
        description = source.describe()
        if description is None:
            return
        self._screen.table(
            ("what", "is", "because of"),
            description.decisions,
            title=str(source.path),
        )
        self._screen.table(
            ("id", "text", "second text", "label"),
            [
                (one.guid, one.text_a, one.text_b or "", one.label or "")
                for one in description.first
            ],
        )
