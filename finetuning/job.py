"""One fine-tuning job from files to files: train, evaluate, predict.

Ties the rooms together: data is read in `sources` and `data`, the weights
come from `checkpointing`, the loop is `training`'s, the files that result are
written by `run_folder` and `results`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from finetuning import results, run_folder
from finetuning.classifier import BertClassifier
from finetuning.data import (
    Split,
    TextEncoder,
    encode,
    report_lines,
)
from finetuning.encoder_files import EncoderChoices, EncoderFiles, find_files
from finetuning.problem import Evaluation, LabelSource, Problem
from finetuning.problems import PROBLEMS
from finetuning.run_folder import ClassifierSettings, RunFolder
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
    split_off_dev,
    train,
)
from inputs.batches import batches_by_length
from inputs.report import num_shared
from safekeeping.errors import UserError
from training.determinism import make_deterministic
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

    Args:
        job: what is to be done.
        screen: where to show it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    if not (job.do_train or job.do_eval or job.do_predict):
        raise UserError(
            "there is nothing to do: give --do_train, --do_eval or "
            "--do_predict, or several of them"
        )
    folder = RunFolder(job.output_dir)
    scratch = folder / run_folder.SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    try:
        _Run(job, folder, screen).go()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Run:
    """One job while it runs: what is known so far."""

    def __init__(self, job: Job, folder: RunFolder, screen: Screen) -> None:
        self._job = job
        self._folder = folder
        self._screen = screen
        self._scratch = folder / run_folder.SCRATCH

    def go(self) -> None:
        job = self._job
        dev = None
        if job.do_train:
            dev = self._train()
        elif not self._folder.holds_a_model:
            self._take_checkpoint_as_it_is()
        if job.do_eval or job.do_predict:
            self._settings = self._folder.read_settings()
            self._model = self._folder.load_model()
            self._predictor = Predictor(self._model)
            self._problem = PROBLEMS[self._settings.problem]
            self._encoder = TextEncoder(
                self._folder.load_tokenizer(), self._settings.max_seq_length
            )
        if job.do_eval:
            self._evaluate(dev)
        if job.do_predict:
            self._predict()

    # Training.

    def _train(self) -> LabelledRows | None:
        job, screen = self._job, self._screen
        files = find_files(job.encoder)
        task = find_task(job.data)
        source = task.source("train")
        self._show_source(source)
        problem, why = task.problem(source)
        screen.say(f"problem: {problem.name} ({why})")
        encoder = self._text_encoder(files)

        train_split = self._encode(
            source, encoder, "train", problem, task.labels
        )
        screen.say(f"labels: {', '.join(train_split.labels)}")
        data, dev = self._data(task, train_split, encoder, problem)
        held_out = dev is not None and dev.store is data.store
        settings = ClassifierSettings(
            task_name=task.name,
            problem=problem.name,
            labels=train_split.labels,
            max_seq_length=encoder.max_seq_length,
            do_lower_case=files.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=job.data.label_separator,
            init_checkpoint=job.encoder.init_checkpoint,
        )
        self._check_same_task(settings)

        best_metric = (
            job.training.best_metric or task.metric or problem.default_metric
        )
        make_deterministic(job.training.seed)
        model, report = files.make_classifier(train_split.labels)
        screen.say(report)
        if job.overwrite_output_dir:
            self._folder.clear()
        self._folder.path.mkdir(parents=True, exist_ok=True)
        self._folder.write_settings(settings)
        self._folder.write_encoder_files(files.config, files.vocab_file)
        if dev is not None and held_out:
            source.write_rows(dev.rows, self._folder / run_folder.DEV_SPLIT)
        result = train(
            model,
            problem,
            data,
            dev,
            job.training,
            self._folder,
            best_metric=best_metric,
            identity={
                "task_name": settings.task_name,
                "labels": list(settings.labels),
                "max_seq_length": settings.max_seq_length,
                "do_lower_case": settings.do_lower_case,
                "config": files.config.to_dict(),
            },
            eval_batch_size=job.eval_batch_size,
        )
        if result.resumed_from == result.step:
            screen.say(
                f"the training in {self._folder.path} is complete: "
                f"{result.step} steps were done before, so no more were. "
                "--overwrite_output_dir starts anew."
            )
        else:
            if result.resumed_from:
                screen.say(f"went on after step {result.resumed_from}")
            if result.stopped_early:
                screen.say(f"stopped early after step {result.step}")
        if result.best_step is not None:
            screen.say(
                f"best after step {result.best_step}: "
                f"{best_metric} {result.best_value:.4f}"
            )
        return dev

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
    ) -> Split:
        """Encodes a file; its labels too, if the problem is told."""
        targets = None
        if problem is not None:
            targets = problem.make_targets(
                LabelSource(
                    source.path,
                    labels,
                    source.label_columns,
                    self._job.data.label_separator,
                )
            )
        split = encode(source, encoder, targets, self._scratch / name)
        for line in report_lines(split, encoder.max_seq_length):
            self._screen.say(line)
        return split

    def _data(
        self,
        task: Task,
        split: Split,
        encoder: TextEncoder,
        problem: Problem,
    ) -> tuple[LabelledRows, LabelledRows | None]:
        """Returns what to train on and what to evaluate on, if anything."""
        if not self._job.do_eval:
            return LabelledRows.of(split), None
        if not task.has("dev"):
            data, dev = split_off_dev(
                split,
                self._job.data.dev_fraction,
                self._job.training.seed,
                problem,
            )
            self._screen.say(
                f"held out {len(dev.rows)} of {len(split.store)} rows for "
                f"evaluation; they are in {run_folder.DEV_SPLIT}"
            )
            return data, dev
        dev_split = self._encode(
            task.source("dev"), encoder, "dev", problem, split.labels
        )
        common = num_shared(split.report, dev_split.report)
        if common:
            self._screen.say(
                f"note: {common} texts of {dev_split.source.path} are also "
                f"in {split.source.path}; the evaluation flatters"
            )
        return LabelledRows.of(split), LabelledRows.of(dev_split)

    def _check_same_task(self, settings: ClassifierSettings) -> None:
        if self._job.overwrite_output_dir:
            return
        if not self._folder.holds_a_run:
            self._refuse_foreign_files()
            return
        earlier = self._folder.read_settings()
        for name in ("task_name", "problem", "labels"):
            before, now = getattr(earlier, name), getattr(settings, name)
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

    # A classifier that was trained elsewhere.

    def _take_checkpoint_as_it_is(self) -> None:
        """Makes the folder that of a classifier read from a checkpoint."""
        job = self._job
        if job.encoder.init_checkpoint is None:
            raise UserError(
                f"{self._folder.path}: has no trained classifier. Train one "
                "with --do_train, or give a checkpoint that has "
                "`output_weights` as --init_checkpoint."
            )
        files = find_files(job.encoder)
        task = find_task(job.data)
        labels = task.labels or files.labels(job.data.labels_file)
        encoder = self._text_encoder(files)
        model = BertClassifier(files.config, labels)
        self._screen.say(files.load_all(model))
        self._folder.path.mkdir(parents=True, exist_ok=True)
        split = "dev" if job.do_eval else "test"
        source = task.source(split)
        self._folder.write_encoder_files(files.config, files.vocab_file)
        self._folder.save_model(model)
        self._folder.write_settings(
            ClassifierSettings(
                task_name=task.name,
                problem=job.data.problem_type or "single_label",
                labels=labels,
                max_seq_length=encoder.max_seq_length,
                do_lower_case=files.do_lower_case,
                columns=source.columns,
                takes_pairs=source.takes_pairs,
                label_separator=job.data.label_separator,
                init_checkpoint=job.encoder.init_checkpoint,
            )
        )

    # Evaluation and prediction, both from the folder alone.

    def _evaluate(self, data: LabelledRows | None) -> None:
        if data is None:
            data = LabelledRows.of(
                self._encode(
                    self._dev_source(),
                    self._encoder,
                    "dev",
                    self._problem,
                    self._settings.labels,
                )
            )
        logits = self._predictor(
            batches_by_length(data.store, data.rows, self._job.eval_batch_size),
            len(data.rows),
        )
        evaluation = self._problem.evaluate(
            logits, data.targets, self._settings.labels
        )
        results.write_evaluation(
            self._folder,
            evaluation,
            self._settings.labels,
            {"global_step": self._steps_done(), "examples": len(data.rows)},
        )
        self._show_evaluation(evaluation, len(data.rows))

    def _dev_source(self) -> Source:
        task = find_task(self._job.data, self._settings)
        held_out = self._folder / run_folder.DEV_SPLIT
        if not task.has("dev") and held_out.exists():
            return reopen_rows(held_out, self._settings)
        return task.source("dev")

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

    def _predict(self) -> None:
        task = find_task(self._job.data, self._settings)
        source = task.source("test")
        split = self._encode(source, self._encoder, "test")
        rows = np.arange(len(split.store))
        logits = self._predictor(
            batches_by_length(split.store, rows, self._job.predict_batch_size),
            len(rows),
        )
        results.write_predictions(
            self._folder,
            self._problem,
            self._settings.labels,
            source,
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
