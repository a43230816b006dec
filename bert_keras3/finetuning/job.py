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

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning import checks, run_folder
from bert_keras3.finetuning.dataset import (
    Dataset,
    Source,
    check_fraction,
    hold_out,
)
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoding import EncodedFile, TextEncoder, encode
from bert_keras3.finetuning.long_texts import with_long_texts
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.objective import Guide, Objective, objective_of
from bert_keras3.finetuning.provenance import provenance_of
from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
    new_model,
)
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import (
    Examples,
    LabelSource,
    Outputs,
    Task,
    options_of,
)
from bert_keras3.finetuning.training import (
    TrainingRun,
    epoch_size,
    steps_of,
    with_class_weights,
)
from bert_keras3.inputs.batches import BatchLimit
from bert_keras3.inputs.feature_store import FeatureStore
from bert_keras3.inputs.report import num_shared
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.devices import computing_in, make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.run_folder import EVAL_JSON, STATE
from bert_keras3.training.session import Screen, Session, begin, open_session
from bert_keras3.training.state import read_numbers
from modeling import BertWithHeads
from modeling.heads import HEADS, POOLED

# With --jit_compile, batches are padded to multiples of this, so that few
# shapes are compiled.
_LENGTH_STEP = 32


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
class TrainingData:
    """The encoded examples of a training job, and what follows from them."""

    checkpoint: Checkpoint
    """That training starts from."""
    settings: RunSettings
    task: Task
    best_metric: str
    source: Source
    """The training file."""
    train: Examples
    dev: Examples | None
    """To evaluate on; None without --do_eval."""
    unlabelled: Examples | None
    """To train on, too; only with a teacher."""
    others: Mapping[str, Examples]
    """{split: examples} to evaluate on or to predict after training."""
    dataset: Dataset


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A trained model, and how its data is read."""

    model: BertWithHeads
    settings: RunSettings
    """With the options of the job."""
    encoder: TextEncoder
    dataset: Dataset


def uses_folder(job: Job, folder: FinetuningFolder) -> bool:
    """Whether a job that trains none uses the model in the output folder."""
    is_given = job.encoder.init_checkpoint is not None
    return folder.holds_a_model and not (job.overwrite_output_dir and is_given)


def open_model(job: Job, folder: FinetuningFolder) -> OpenedModel:
    """Opens the model in the output folder.

    Raises:
        UserError: a file of it is damaged, or the flags of the job do not
            agree with it.
    """
    settings = folder.read_settings()
    dataset = kind_of(job.data, settings).find(job.data, settings)
    encoder = TextEncoder(folder.load_tokenizer(), settings.max_seq_length)
    with computing_in(job.training.computing.mixed_precision):
        model = folder.load_model()
    options = options_of(dataset.reopened(settings.task))
    settings = dataclasses.replace(settings, options=options)
    return OpenedModel(model, settings, encoder, dataset)


def predictor_of(job: Job, model: BertWithHeads, task: Task) -> Predictor:
    """Returns what computes the outputs of a model as the job says."""
    model.unpad = job.unpad
    return Predictor(
        model,
        per_token=task.per_token,
        concurrency=job.concurrency,
        jit_compile=job.training.computing.jit_compile,
    )


def padded_as(
    job: Job, store: FeatureStore, task: Task, max_seq_length: int
) -> FeatureStore:
    """Returns a store whose batches are padded as the job says."""
    if job.training.computing.jit_compile:
        store = dataclasses.replace(store, length_step=_LENGTH_STEP)
    if task.reads_padding and not job.unpad:
        store = dataclasses.replace(store, fixed_length=max_seq_length)
    return store


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
        # {split: report on its file}.
        self._report: dict[str, dict[str, Any]] = {}

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
        part._report = self._report
        return part

    # The model is trained, or it is in the folder or a checkpoint.

    def prepare(self) -> TrainingData:
        """Opens the checkpoint, and reads and encodes all files.

        Raises:
            UserError: one of them is wrong; nothing has been written.
        """
        checkpoint = self._open_checkpoint()
        checkpoint.check_encoder(self._job.encoder.allow_missing)
        return self._training_data(checkpoint)

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
        folder.write_data_report(self._report)
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
            data.task,
            model,
            examples,
            data.unlabelled,
        )

    def _training_data(self, checkpoint: Checkpoint) -> TrainingData:
        """Reads and encodes all files, and checks what depends on them."""
        job, folder, training = self._job, self._folder, self._job.training
        encoder = self._text_encoder(checkpoint)
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {"task_name": dataset.name})
        sources = self._sources(dataset)
        if job.do_eval and "dev" not in sources:
            check_fraction(job.data.dev_fraction)
        source = sources["train"]
        description = source.describe()
        if description is not None:
            description.show(self._screen, str(source.path))
        labels = dataset.labels
        if self._guide is None:
            task, why = dataset.task(source)
        else:
            task, why = self._guide.task(dataset), "as the teacher's"
            labels = task.labels
        task = with_long_texts(task, job.data)
        self._say(f"problem: {task.name} ({why})")
        best_metric = (
            training.best_metric or dataset.metric or task.default_metric
        )
        checks.check_metric(best_metric, task)
        checks.check_calibration(job, task)
        checks.check_class_weight(training.class_weight, task)

        file = self._encode("train", source, encoder, task, labels)
        self._say_labels(file.task)
        checks.check_metric(best_metric, file.task)
        settings = self._settings(dataset.name, file.task, source, checkpoint)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, dataclasses.asdict(settings))
        train, dev = self._split(file, sources, encoder)
        unlabelled = None
        further = self._guide and self._guide.unlabelled(settings)
        if further:
            unlabelled = self._encode(
                run_folder.UNLABELLED, further, encoder, file.task
            ).examples.with_rows()
        size = epoch_size(file.task, train)
        if not (size and len(train.rows)):
            raise UserError(
                f"{source.path}: none of its {file.report.num_rows} examples "
                f"can be learnt from ({'; '.join(file.notes)})"
            )
        steps_of(size, training)  # at least one
        others = {
            split: self._encode(
                split, one, encoder, file.task, file.task.labels
            ).examples
            for split, one in sources.items()
            if split not in ("train", "dev")
        }
        return TrainingData(
            checkpoint,
            settings,
            file.task,
            best_metric,
            source,
            train,
            dev,
            unlabelled,
            others,
            dataset,
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
        sources = self._sources(opened.dataset, held_out)
        trained = self._trained_model(opened, sources)
        folder.write_data_report(self._report)
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
        folder.write_data_report(self._report)
        folder.save_model(opened.model)

    def _read_checkpoint(
        self,
    ) -> tuple[Checkpoint, OpenedModel, dict[str, Source]]:
        """Returns the checkpoint, its model, and the files of the job."""
        job, folder = self._job, self._folder
        if not job.overwrite_output_dir:
            checks.refuse_unfinished(folder, job.encoder.init_checkpoint)
        checkpoint = self._open_checkpoint()
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {})
        task = with_long_texts(dataset.task_of(checkpoint), job.data)
        encoder = self._text_encoder(checkpoint)
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
        self._say_labels(task)
        sources = self._sources(dataset)
        source = next(iter(sources.values()))
        settings = self._settings(dataset.name, task, source, checkpoint)
        opened = OpenedModel(model, settings, encoder, dataset)
        return checkpoint, opened, sources

    def _say_labels(self, task: Task) -> None:
        # A single one is the name of a number, such as a score.
        if len(task.labels) > 1:
            self._say(f"labels: {', '.join(task.labels)}")

    def _open_checkpoint(self) -> Checkpoint:
        """Opens the checkpoint that the model starts from."""
        encoder = self._job.encoder
        checkpoint = checkpointing.start_from(
            encoder.init_checkpoint,
            encoder.bert_config_file,
            encoder.vocab_file,
            encoder.do_lower_case,
        )
        for note in checkpoint.notes:
            self._say(f"note: {note}")
        # Of data that is no text with labels there are no such flags.
        clean = getattr(self._job.data, "clean", ()) or checkpoint.clean
        checkpoint = dataclasses.replace(checkpoint, clean=clean)
        return (
            checkpoint if self._guide is None else self._guide.start(checkpoint)
        )

    def _text_encoder(self, checkpoint: Checkpoint) -> TextEncoder:
        """Returns the encoder of texts for a checkpoint.

        Raises:
            UserError: the model has too few positions for the inputs, or its
                vocabulary does not fit.
        """
        encoder = TextEncoder(
            checkpoint.tokenizer(), self._longest_input(checkpoint)
        )
        longest = checkpoint.config.max_position_embeddings
        if encoder.max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={encoder.max_seq_length}: the model has "
                f"positions for {longest} tokens "
                "(`max_position_embeddings`); give at most that"
            )
        note = encoder.check(
            checkpoint.vocab_file, checkpoint.config.vocab_size
        )
        if note:
            self._say(f"note: {note}")
        self._say(
            f"do_lower_case: {checkpoint.do_lower_case} "
            f"({checkpoint.why_lower_case})"
        )
        return encoder

    def _longest_input(self, checkpoint: Checkpoint) -> int:
        """Returns the maximum number of tokens per input."""
        given = self._job.encoder.max_seq_length
        if given is not None:
            return given
        trained = run_folder.settings_beside(checkpoint)
        if trained is not None:
            return trained.max_seq_length
        return self._job.encoder.default_max_seq_length

    def _settings(
        self,
        data_name: str,
        task: Task,
        source: Source,
        checkpoint: Checkpoint,
    ) -> RunSettings:
        """Returns the settings that the folder keeps."""
        return RunSettings(
            task_name=data_name,
            problem=task.name,
            labels=task.labels,
            max_seq_length=self._longest_input(checkpoint),
            do_lower_case=checkpoint.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=source.label_separator,
            init_checkpoint=self._job.encoder.init_checkpoint,
            options=options_of(task),
            clean=checkpoint.clean,
        )

    def _write_provenance(
        self, what: str, checkpoint: Checkpoint | None = None
    ) -> None:
        files = {split: one["file"] for split, one in self._report.items()}
        if checkpoint is not None and checkpoint.weights_file is not None:
            files["checkpoint"] = checkpoint.weights_file
        self._folder.write_provenance(what, provenance_of(self._job, files))

    # The data files.

    def _sources(
        self, dataset: Dataset, held_out: Source | None = None
    ) -> dict[str, Source]:
        """Opens all files that the job needs, the training file first.

        Args:
            dataset: of the job.
            held_out: used in place of a "dev" split.
        """
        job = self._job
        sources = {}
        if job.do_train:
            sources["train"] = dataset.source("train")
        if job.do_eval and held_out is not None:
            sources["dev"] = held_out
        elif job.do_eval and (dataset.has("dev") or not job.do_train):
            sources["dev"] = dataset.source("dev")
        if job.do_predict:
            sources["test"] = dataset.source("test")
        for split in ("dev", "test"):
            if split in sources:
                for name in dataset.further(split):
                    sources[name] = dataset.source(name)
        return sources

    def _encode(
        self,
        split: str,
        source: Source,
        encoder: TextEncoder,
        task: Task,
        labels: tuple[str, ...] | None = None,
    ) -> EncodedFile:
        """Encodes a file and prints the report on it.

        Args:
            split: its name; those of "test", "test_…" and `UNLABELLED` have
                no labels.
            source: the file.
            encoder: of the texts.
            task: of the examples; its labels are ignored.
            labels: the allowed labels; None: those of the file.
        """
        label_source = None
        if not split.startswith(("test", run_folder.UNLABELLED)):
            label_source = LabelSource(
                source.path,
                labels,
                source.label_columns,
                source.label_separator,
                is_training=split == "train",
            )
        folder = self._folder / run_folder.SCRATCH / split
        file = encode(source, encoder, folder, task, label_source)
        for line in file.lines(encoder.max_seq_length, unpad=self._job.unpad):
            self._say(line)
        self._report[split] = file.values()
        store = padded_as(self._job, file.store, task, encoder.max_seq_length)
        return dataclasses.replace(file, store=store)

    def _split(
        self,
        file: EncodedFile,
        sources: Mapping[str, Source],
        encoder: TextEncoder,
    ) -> tuple[Examples, Examples | None]:
        """Returns the examples to train on and those to evaluate on."""
        # Examples that nothing can be learnt from have no rows.
        job, examples = self._job, file.examples.with_rows()
        if not job.do_eval:
            return examples, None
        if "dev" not in sources:
            train, dev = hold_out(
                examples,
                job.data.dev_fraction,
                job.training.seed,
                stratify=file.task.has_classes,
            )
            self._report["train"]["held_out"] = len(dev)
            self._say(
                f"held out {len(dev)} of {len(examples)} rows "
                "for evaluation; they are in "
                f"{self._folder.dev_split(file.source.suffix).name}"
            )
            return train, dev
        dev_file = self._encode(
            "dev", sources["dev"], encoder, file.task, file.task.labels
        )
        common = num_shared(file.report, dev_file.report)
        self._report["dev"]["texts_shared_with_train"] = common
        if common:
            self._say(
                f"note: texts of {dev_file.source.path} that are also in "
                f"{file.source.path}: {common}; the metrics are too good"
            )
        return examples, dev_file.examples

    def _trained_model(
        self, opened: OpenedModel, sources: Mapping[str, Source]
    ) -> TrainedModel:
        """Encodes the files to use a model on that is not trained here."""
        task = opened.settings.task
        checks.check_calibration(self._job, task)
        found = {
            split: self._encode(
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
