"""One fine-tuning job from files to files: train, evaluate, predict.

    flags ─▶ checkpoint ─▶ data files ─▶ token ids ─▶ training, or a trained
      model ─▶ evaluation and predictions ─▶ files

Mistakes in flags and files are reported before the output folder is changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning import checks, run_folder
from bert_keras3.finetuning.dataset import Dataset, Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.job_data import JobData, TrainingData
from bert_keras3.finetuning.long_texts import with_long_texts
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.objective import Guide, Objective, objective_of
from bert_keras3.finetuning.opened_model import (
    OpenedModel,
    open_model,
    predictor_of,
    uses_folder,
)
from bert_keras3.finetuning.provenance import provenance_of
from bert_keras3.finetuning.run_folder import FinetuningFolder, new_model
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import Task, options_of
from bert_keras3.finetuning.training import TrainingRun, with_class_weights
from bert_keras3.inputs.batches import BatchLimit
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.devices import computing_in, make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.run_folder import EVAL_JSON, STATE
from bert_keras3.training.session import Screen, Session, begin, open_session
from bert_keras3.training.state import read_numbers
from modeling import BertWithHeads
from modeling.heads import HEADS, POOLED


def run(job: Job, screen: Screen, guide: Guide | None = None) -> bool:
    """Runs a job.

    Args:
        job: its settings.
        screen: where to print.
        guide: what a training learns from beside the labels.

    Returns:
        Whether this process wrote the results: that of several which is the
        chief.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    with begun(job, screen, guide) as running:
        running.run()
        return running.is_chief


def keep_checkpoint(job: Job, screen: Screen) -> None:
    """Copies the trained model of --init_checkpoint into the folder.

    Args:
        job: of predictions; the columns are those of its files.
        screen: where to print.

    Raises:
        UserError: as for `run`.
    """
    with begun(job, screen) as running:
        running.keep_checkpoint()


@contextlib.contextmanager
def begun(
    job: Job, screen: Screen, guide: Guide | None = None
) -> Iterator[RunningJob]:
    """Yields a job whose flags are checked and whose folder is locked."""
    with open_session(job.output_dir, screen, job.distribution) as session:
        folder = FinetuningFolder(session.output_dir)
        checks.check_flags(job)
        checks.check_folder(job, folder)
        session.devices.check(
            job.training.train_batch_size,
            job.training.gradient_accumulation_steps,
            job.training.computing,
        )
        scratch = folder / run_folder.SCRATCH
        with session.locked():
            shutil.rmtree(scratch, ignore_errors=True)  # of a killed run
            try:
                yield RunningJob(job, folder, session, guide)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its weights, and the examples to use it on."""

    predictor: Predictor
    task: Task
    examples: Mapping[str, Examples]
    """{split: examples}: "dev" and "test", if given, and further splits."""
    dataset: Dataset
    step: int = 0
    """After how many steps the weights were so."""


class RunningJob:
    """A job that is running."""

    def __init__(
        self,
        job: Job,
        folder: FinetuningFolder,
        session: Session,
        guide: Guide | None = None,
    ) -> None:
        self._guide = guide
        self._job = job
        self._folder = folder
        self._session = session
        self._screen = session.screen
        self._say = session.screen.say
        self._data = JobData(job, folder, session.screen, guide)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return self._session.devices.is_chief

    def run(self) -> None:
        """Trains or loads a model, evaluates it and writes predictions."""
        job = self._job
        if job.do_train:
            trained = self.train(self.prepare())
        elif uses_folder(job, self._folder):
            trained = self._open_folder()
        else:
            trained = self._take_checkpoint()
        self.use(trained)

    def use(self, trained: TrainedModel) -> None:
        """Evaluates a model and writes predictions, as the job says."""
        if self._session.devices.is_chief:
            if self._job.calibrates and "dev" in trained.examples:
                trained = self._calibrated(trained)
            self._evaluate(trained)
            self._predict(trained)

    def part(self, job: Job) -> RunningJob:
        """Returns a job on the same data, such as one of a search.

        Args:
            job: whose folder lies in that of this one.
        """
        folder = FinetuningFolder(job.output_dir)
        part = RunningJob(job, folder, self._session, self._guide)
        part._data.report = self._data.report
        return part

    # The model is trained, or it is in the folder or a checkpoint.

    def prepare(self) -> TrainingData:
        """Opens the checkpoint, and reads and encodes all files.

        Raises:
            UserError: one of them is wrong; nothing has been written.
        """
        checkpoint = self._data.open_checkpoint()
        checkpoint.check_encoder(self._job.encoder.allow_missing)
        return self._data.training_data(checkpoint)

    def train(
        self,
        data: TrainingData,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> TrainedModel:
        """Trains a model, or resumes an interrupted training.

        Args:
            data: returned by `prepare`.
            callbacks: of the training, beside its own.
        """
        job, folder, checkpoint = self._job, self._folder, data.checkpoint
        training = self._training_of(data)
        model, identity = training.model, training.identity()
        begin(folder.run, identity, overwrite=job.overwrite_output_dir)
        folder.begin(data.settings, checkpoint)
        folder.write_data_report(self._data.report)
        self._write_provenance("training", checkpoint)
        dev = data.dev
        if dev is not None and dev.store is data.train.store:
            path = folder.dev_split(data.source.suffix)
            data.source.write_rows(dev.numbers, path)
        predictor = predictor_of(job, model, data.task)
        examples = dict(data.others)
        if dev is not None:
            examples = {"dev": dev, **examples}
        trained = TrainedModel(predictor, data.task, examples, data.dataset)

        def evaluate() -> Mapping[str, float]:
            assert dev is not None
            outputs = self.outputs(trained, dev, job.eval_batch_size)
            return data.task.evaluate(outputs, dev).scalars

        training.train(
            identity,
            None if dev is None else evaluate,
            folder,
            self._session,
            callbacks,
        )
        shutil.rmtree(folder / run_folder.TEACHER, ignore_errors=True)
        if self._session.devices.is_chief:
            predictor = self._with_best_weights(model, data.task, predictor)
        return dataclasses.replace(
            trained, predictor=predictor, step=self._step()
        )

    def _step(self) -> int:
        """Returns after how many steps the weights in the folder were so."""
        numbers = read_numbers(self._folder / STATE)
        if numbers is None:
            return 0
        return int(numbers["best_step"] or numbers["step"])

    def identity(self, data: TrainingData) -> dict[str, Any]:
        """Returns the values that identify a training on some data."""
        return self._training_of(data).identity()

    def _training_of(self, data: TrainingData) -> TrainingRun:
        """Makes a training with the model's first weights."""
        make_deterministic(self._job.training.seed)
        model = self._model_to_train(data.checkpoint, data.task)
        return TrainingRun(
            self._job,
            data.settings,
            data.checkpoint.config,
            model,
            data.task,
            self._objective(model, data),
            data.dev,
            data.best_metric,
        )

    def _objective(self, model: BertWithHeads, data: TrainingData) -> Objective:
        """Returns what the training minimizes."""
        examples, class_weight = data.train, self._job.training.class_weight
        if class_weight is not None:
            examples = with_class_weights(
                examples, len(data.task.labels), class_weight
            )
        if self._guide is None:
            return objective_of(data.task, model, examples)
        return self._guide.objective(
            self._session,
            self._folder,
            self._job,
            data.task,
            model,
            examples,
            data.unlabelled,
        )

    def _model_to_train(
        self, checkpoint: Checkpoint, task: Task
    ) -> BertWithHeads:
        """Creates the model: encoder from the checkpoint, new head random."""
        training = self._job.training
        loaded = "no --init_checkpoint: all weights are random"
        with self._session.making_model(training.computing.mixed_precision):
            model = new_model(checkpoint.config, task)
            if checkpoint.has_weights:
                allowed = (
                    *_head_weights(model),
                    *_unread_weights(model),
                    *checkpoint.may_start_random,
                    *self._job.encoder.allow_missing,
                )
                loaded = checkpoint.load_into(model, allowed).line()
        # A state replaces what was loaded.
        overwrite = self._job.overwrite_output_dir
        if overwrite or not (self._folder / STATE).exists():
            self._say(loaded)
        model.bert.encoder.remat = training.computing.remat
        if training.lora_rank is not None:
            with self._session.devices.scope():
                add_lora(model, training.lora_rank)
        return model

    def _with_best_weights(
        self, model: BertWithHeads, task: Task, predictor: Predictor
    ) -> Predictor:
        """Returns a predictor of the model with the weights that were saved."""
        job, folder = self._job, self._folder
        if job.training.lora_rank is None:
            folder.load_weights(model)
            return predictor
        # The saved model has W + A·B as its weights, and no A and B.
        with computing_in(job.training.computing.mixed_precision):
            model = folder.load_model()
        return predictor_of(job, model, task)

    def _open_folder(self) -> TrainedModel:
        """Uses the model in the output folder."""
        job, folder = self._job, self._folder
        checks.check_same_model(job, folder)
        settings = folder.read_settings()
        given = job.encoder.init_checkpoint
        if given not in (None, settings.init_checkpoint):
            self._say(
                f"note: the classifier in {folder.path} is used, not "
                f"--init_checkpoint={given}; --overwrite_output_dir puts that "
                "in its place"
            )
        opened = open_model(job, folder)
        held_out = opened.dataset.held_out(folder)
        sources = self._data.sources(opened.dataset, held_out)
        trained = self._trained_model(opened, sources)
        folder.write_data_report(self._data.report)
        return trained

    def _take_checkpoint(self) -> TrainedModel:
        """Copies a trained classifier from a checkpoint into the folder."""
        checkpoint, opened, sources = self._read_checkpoint()
        trained = self._trained_model(opened, sources)
        self._keep(checkpoint, opened)
        return trained

    def keep_checkpoint(self) -> None:
        """Does so without a look at the data beyond its columns."""
        checkpoint, opened, _ = self._read_checkpoint()
        self._keep(checkpoint, opened)

    def _keep(self, checkpoint: Checkpoint, opened: OpenedModel) -> None:
        folder = self._folder
        if self._job.overwrite_output_dir:
            folder.run.clear()
        folder.begin(opened.settings, checkpoint)
        folder.write_data_report(self._data.report)
        folder.save_model(opened.model)

    def _read_checkpoint(
        self,
    ) -> tuple[Checkpoint, OpenedModel, dict[str, Source]]:
        """Returns the checkpoint, its model, and the files of the job."""
        job, folder = self._job, self._folder
        if not job.overwrite_output_dir:
            checks.refuse_unfinished(folder, job.encoder.init_checkpoint)
        checkpoint = self._data.open_checkpoint()
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {})
        task = with_long_texts(dataset.task_of(checkpoint), job.data)
        encoder = self._data.text_encoder(checkpoint)
        with computing_in(job.training.computing.mixed_precision):
            model = new_model(checkpoint.config, task)
        unread = _unread_weights(model)
        report = checkpoint.load_into(model, (*_head_weights(model), *unread))
        unfit = (*report.missing, *(one.name for one in report.wrong_shape))
        if not all(name.startswith(unread) for name in unfit):
            labels = ""
            if task.labels:
                labels = f" with {len(task.labels)} labels"
            raise UserError(
                f"{job.encoder.init_checkpoint}: is no {task.name} model"
                f"{labels}: {report.line()}. Train one with --do_train, or "
                "give the checkpoint of one."
            )
        self._say(report.line())
        self._data.say_labels(task)
        sources = self._data.sources(dataset)
        source = next(iter(sources.values()))
        settings = self._data.settings(dataset.name, task, source, checkpoint)
        opened = OpenedModel(model, settings, encoder, dataset)
        return checkpoint, opened, sources

    def _write_provenance(
        self, what: str, checkpoint: Checkpoint | None = None
    ) -> None:
        files = {split: one["file"] for split, one in self._data.report.items()}
        if checkpoint is not None and checkpoint.weights_file is not None:
            files["checkpoint"] = checkpoint.weights_file
        self._folder.write_provenance(what, provenance_of(self._job, files))

    def _trained_model(
        self, opened: OpenedModel, sources: Mapping[str, Source]
    ) -> TrainedModel:
        """Encodes the files to use a model on that is not trained here."""
        task = opened.settings.task
        checks.check_calibration(self._job, task)
        found = {
            split: self._data.encode(
                split, source, opened.encoder, task, opened.settings.labels
            ).examples
            for split, source in sources.items()
        }
        predictor = predictor_of(self._job, opened.model, task)
        return TrainedModel(
            predictor, task, found, opened.dataset, self._step()
        )

    # Evaluation and predictions.

    def outputs(
        self, trained: TrainedModel, examples: Examples, batch_size: int
    ) -> Outputs:
        """Computes the outputs of a model for examples."""
        limit = BatchLimit(batch_size, self._job.batch_tokens)
        return examples.outputs(trained.predictor, limit, trained.task.inputs)

    def _folder_of(self, split: str) -> FinetuningFolder:
        """Returns where the results for a split are written."""
        if split in ("dev", "test"):
            return self._folder
        return FinetuningFolder(self._folder / split)

    def _calibrated(self, trained: TrainedModel) -> TrainedModel:
        """Fits settings of the task on the "dev" examples, and keeps them."""
        dev = trained.examples["dev"]
        outputs = self.outputs(trained, dev, self._job.eval_batch_size)
        task = trained.task.calibrated(outputs, dev)
        options = options_of(task)
        settings = self._folder.read_settings()
        self._folder.write_settings(
            dataclasses.replace(settings, options=options)
        )
        fitted = ", ".join(
            f"{name} {value}" for name, value in task.fitted().items()
        )
        self._say(f"calibrated on {len(dev)} examples: {fitted}")
        return dataclasses.replace(trained, task=task)

    def _evaluate(self, trained: TrainedModel) -> None:
        """Writes and prints the metrics of the "dev" examples, if any."""
        task = trained.task
        if any(split.startswith("dev") for split in trained.examples):
            self._write_provenance("evaluation")
        for split, examples in trained.examples.items():
            if not split.startswith("dev"):
                continue
            outputs = self.outputs(trained, examples, self._job.eval_batch_size)
            evaluation = task.evaluate(outputs, examples)
            context = {"global_step": trained.step, "examples": len(examples)}
            folder = self._folder_of(split)
            folder.write_evaluation(evaluation, task.labels, context)
            evaluation.show(self._screen, len(examples))
            self._say(f"written: {folder / EVAL_JSON}")

    def _predict(self, trained: TrainedModel) -> None:
        """Writes the predictions for the "test" examples, if any."""
        for split, examples in trained.examples.items():
            if not split.startswith("test"):
                continue
            outputs = self.outputs(
                trained, examples, self._job.predict_batch_size
            )
            folder = self._folder_of(split).path
            folder.mkdir(exist_ok=True)
            path = trained.task.write_answers(
                folder,
                examples.source,
                trained.task.answers(outputs, examples),
            )
            number = len(examples)
            self._say(f"predicted {number} row{'s' * (number != 1)}: {path}")
            submission = trained.dataset.write_submission(
                split, path, self._folder.path
            )
            if submission is not None:
                self._say(f"to submit: {submission}")


def _head_weights(model: BertWithHeads) -> Iterator[str]:
    """Yields patterns of what a pretrained checkpoint may lack."""
    for weight in model.weights:
        if not weight.path.startswith(f"{model.bert.name}/"):
            yield f"{re.escape(weight.path)}$"


def _unread_weights(model: BertWithHeads) -> tuple[str, ...]:
    """Returns how the names of weights begin that no head reads.

    Hugging Face's taggers and models of questions have no pooler.
    """
    if any(HEADS[head].reads == POOLED for head in model.heads):
        return ()
    return (f"{model.bert.name}/pooler/",)
