"""One fine-tuning job from files to files: train, evaluate, predict.

    checkpoint ─▶ files ─▶ checks ─▶ encode ─▶ train or load ─▶ answer ─▶ write

Everything that can be wrong is found before the output folder is touched,
but for what only training can show.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from typing import Any

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
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
    new_model,
)
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import (
    Evaluation,
    Examples,
    LabelSource,
    Task,
    options_of,
)
from bert_keras3.finetuning.training import TrainingRun, steps_of
from bert_keras3.inputs.batches import BatchLimit
from bert_keras3.inputs.report import num_shared
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.devices import computing_in, make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.run_folder import EVAL_JSON, STATE
from bert_keras3.training.session import Screen, Session, begin, open_session
from bert_keras3.training.state import read_numbers
from modeling import BertWithHeads

# Lengths of batches are multiples of this where each is compiled for itself.
_LENGTH_STEP = 32

# New for every task, so a checkpoint may lack them or have other ones.
_HEAD = ("output_weights$", "output_bias$")


def run(job: Job, screen: Screen) -> None:
    """Does a job.

    Args:
        job: what is to be done.
        screen: where to show it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
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
                _Job(job, folder, session).go()
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class _Ready:
    """A model with its weights, and what it is to be used on."""

    predictor: Predictor
    task: Task
    dev: Examples | None
    """To evaluate on, if that is wanted."""
    test: Examples | None
    """To predict, if that is wanted."""


class _Job:
    """One job while it runs."""

    def __init__(
        self,
        job: Job,
        folder: FinetuningFolder,
        session: Session,
    ) -> None:
        self._job = job
        self._folder = folder
        self._session = session
        self._screen = session.screen
        self._say = session.screen.say
        # What was found out about each file, for the data report.
        self._report: dict[str, dict[str, Any]] = {}

    def go(self) -> None:
        """Gets a model ready and writes what it answers."""
        job, folder = self._job, self._folder
        is_given = job.encoder.init_checkpoint is not None
        if job.do_train:
            ready = self._train()
        elif folder.holds_a_model and not (
            job.overwrite_output_dir and is_given
        ):
            ready = self._open_folder()
        else:
            ready = self._take_checkpoint()
        if not self._session.devices.is_chief:
            return
        if ready.dev is not None:
            self._evaluate(ready.task, ready.predictor, ready.dev)
        if ready.test is not None:
            self._predict(ready.task, ready.predictor, ready.test)

    # Where the model comes from: a training, the folder, or a checkpoint.

    def _train(self) -> _Ready:
        """Trains a model, or goes on with a training that was stopped."""
        job, folder, training = self._job, self._folder, self._job.training
        checkpoint = self._open_checkpoint()
        checkpoint.check_encoder(job.encoder.allow_missing)
        encoder = self._text_encoder(checkpoint)
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {"task_name": dataset.name})
        sources = self._sources(dataset)
        if job.do_eval and "dev" not in sources:
            check_fraction(job.data.dev_fraction)
        source = sources["train"]
        self._show(source)
        wanted, why = dataset.task(source)
        self._say(f"problem: {wanted.name} ({why})")
        best_metric = (
            training.best_metric or dataset.metric or wanted.default_metric
        )
        checks.check_metric(best_metric, wanted)
        checks.check_class_weight(training.class_weight, wanted)

        file = self._encode("train", source, encoder, wanted, dataset.labels)
        task = file.task
        self._say(f"labels: {', '.join(task.labels)}")
        checks.check_metric(best_metric, task)
        settings = self._settings(dataset.name, task, source, checkpoint)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, dataclasses.asdict(settings))
        examples, dev = self._split(file, sources, encoder)
        steps_of(len(examples), training)  # whether there are any
        test = None
        if "test" in sources:
            test = self._encode(
                "test", sources["test"], encoder, wanted
            ).examples

        make_deterministic(training.seed)
        with self._session.making_model(training.computing.mixed_precision):
            model, loaded = self._new_model(checkpoint, task)
        self._say(loaded)
        model.bert.encoder.remat = training.computing.remat
        if training.lora_rank is not None:
            with self._session.devices.scope():
                add_lora(model, training.lora_rank)
        training_run = TrainingRun(
            job,
            settings,
            checkpoint.config,
            model,
            task,
            examples,
            dev,
            best_metric,
        )
        identity = training_run.identity()
        begin(folder.run, identity, overwrite=job.overwrite_output_dir)
        folder.begin(settings, checkpoint)
        folder.write_data_report(self._report)
        if dev is not None and dev.store is examples.store:
            source.write_rows(dev.numbers, folder / run_folder.DEV_SPLIT)
        predictor = self._predictor(model, task)
        limit = self._limit(job.eval_batch_size)

        def evaluate() -> Mapping[str, float]:
            assert dev is not None
            outputs = dev.outputs(predictor, limit, task.inputs)
            return task.evaluate(outputs, dev).scalars

        training_run.train(
            identity,
            None if dev is None else evaluate,
            folder,
            self._session,
        )
        if self._session.devices.is_chief:
            predictor = self._with_best_weights(model, task, predictor)
        return _Ready(predictor, task, dev, test)

    def _new_model(
        self, checkpoint: Checkpoint, task: Task
    ) -> tuple[BertWithHeads, str]:
        """Makes a model to train: encoder loaded, head random if new."""
        model = new_model(checkpoint.config, task)
        if not checkpoint.has_weights:
            return model, "no --init_checkpoint: all weights are random"
        allowed = (*_HEAD, *self._job.encoder.allow_missing)
        return model, checkpoint.load_into(model, allowed).line()

    def _with_best_weights(
        self, model: BertWithHeads, task: Task, predictor: Predictor
    ) -> Predictor:
        """Returns a predictor of the model with the weights that were kept."""
        job, folder = self._job, self._folder
        if job.training.lora_rank is None:
            folder.load_weights(model)
            return predictor
        # What was kept is the sum: a plain model without the thin matrices.
        with computing_in(job.training.computing.mixed_precision):
            model = folder.load_model()
        return self._predictor(model, task)

    def _open_folder(self) -> _Ready:
        """Takes the model that the output folder holds."""
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
        dataset = kind_of(job.data).find(job.data, settings)
        held_out = dataset.held_out(folder / run_folder.DEV_SPLIT)
        sources = self._sources(dataset, held_out)
        encoder = TextEncoder(folder.load_tokenizer(), settings.max_seq_length)
        with computing_in(job.training.computing.mixed_precision):
            model = folder.load_model()
        ready = self._encode_for(model, settings, sources, encoder)
        folder.write_data_report(self._report)
        return ready

    def _take_checkpoint(self) -> _Ready:
        """Makes the folder that of a trained model read from a checkpoint."""
        job, folder = self._job, self._folder
        if not job.overwrite_output_dir:
            checks.refuse_unfinished(folder, job.encoder.init_checkpoint)
        checkpoint = self._open_checkpoint()
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {})
        task = dataset.task_of(checkpoint)
        encoder = self._text_encoder(checkpoint)
        with computing_in(job.training.computing.mixed_precision):
            model = new_model(checkpoint.config, task)
        report = checkpoint.load_into(model)
        # Loading lets heads be missing unless told otherwise.
        if report.missing or report.wrong_shape:
            raise UserError(
                f"{job.encoder.init_checkpoint}: is no classifier with "
                f"{len(task.labels)} labels: {report.line()}. Train one with "
                "--do_train, or correct --labels_file."
            )
        self._say(report.line())
        self._say(f"labels: {', '.join(task.labels)}")
        sources = self._sources(dataset)
        source = next(iter(sources.values()))
        settings = self._settings(dataset.name, task, source, checkpoint)
        ready = self._encode_for(model, settings, sources, encoder)
        if job.overwrite_output_dir:
            folder.run.clear()
        folder.begin(settings, checkpoint)
        folder.write_data_report(self._report)
        folder.save_model(model)
        return ready

    def _open_checkpoint(self) -> Checkpoint:
        """Opens the files that the model starts from."""
        encoder = self._job.encoder
        return checkpointing.start_from(
            encoder.init_checkpoint,
            encoder.bert_config_file,
            encoder.vocab_file,
            encoder.do_lower_case,
        )

    def _text_encoder(self, checkpoint: Checkpoint) -> TextEncoder:
        """Makes what turns texts into token ids for a checkpoint.

        Raises:
            UserError: the inputs would be longer than the model takes, or
                the vocabulary does not fit it.
        """
        encoder = TextEncoder(
            checkpoint.tokenizer(), self._job.encoder.longest_input
        )
        longest = checkpoint.config.max_position_embeddings
        if encoder.max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={encoder.max_seq_length}: the model has "
                f"positions for {longest} tokens "
                "(`max_position_embeddings`); give at most that"
            )
        remark = encoder.check(
            checkpoint.vocab_file, checkpoint.config.vocab_size
        )
        if remark:
            self._say(f"note: {remark}")
        self._say(
            f"do_lower_case: {checkpoint.do_lower_case} "
            f"({checkpoint.why_lower_case})"
        )
        return encoder

    def _settings(
        self,
        data_name: str,
        task: Task,
        source: Source,
        checkpoint: Checkpoint,
    ) -> RunSettings:
        """Returns what the folder keeps of how its data was read."""
        return RunSettings(
            task_name=data_name,
            problem=task.name,
            labels=task.labels,
            max_seq_length=self._job.encoder.longest_input,
            do_lower_case=checkpoint.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=source.label_separator,
            init_checkpoint=self._job.encoder.init_checkpoint,
            options=options_of(task),
        )

    # The files of examples.

    def _sources(
        self, dataset: Dataset, held_out: Source | None = None
    ) -> dict[str, Source]:
        """Opens every file that will be wanted, the training file first.

        Args:
            dataset: tells which files there are.
            held_out: stands in for a dev file.
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
        return sources

    def _encode(
        self,
        name: str,
        source: Source,
        encoder: TextEncoder,
        task: Task,
        labels: tuple[str, ...] | None = None,
    ) -> EncodedFile:
        """Encodes a file, and shows what is odd about it.

        Args:
            name: of the split; a "test" has no labels.
            source: the file.
            encoder: of its texts.
            task: what the examples are for; its labels do not count.
            labels: the names to hold to; None to collect them.
        """
        label_source = None
        if name != "test":
            label_source = LabelSource(
                source.path,
                labels,
                source.label_columns,
                source.label_separator,
            )
        file = encode(
            source,
            encoder,
            self._folder / run_folder.SCRATCH / name,
            task,
            label_source,
        )
        for line in file.lines(encoder.max_seq_length):
            self._say(line)
        self._report[name] = file.values()
        if self._job.unpad:
            share = file.store.share_of_padding(encoder.max_seq_length)
            self._say(
                f"nothing is computed for padding, which would be {share:.0%} "
                f"of rows of --max_seq_length={encoder.max_seq_length} tokens"
            )
        if self._job.training.computing.jit_compile:
            store = dataclasses.replace(file.store, length_step=_LENGTH_STEP)
            file = dataclasses.replace(file, store=store)
        return file

    def _encode_for(
        self,
        model: BertWithHeads,
        settings: RunSettings,
        sources: Mapping[str, Source],
        encoder: TextEncoder,
    ) -> _Ready:
        """Encodes what a model that is there already is to be used on."""
        task = settings.task
        found = {
            name: self._encode(
                name, source, encoder, task, settings.labels
            ).examples
            for name, source in sources.items()
        }
        predictor = self._predictor(model, task)
        return _Ready(predictor, task, found.get("dev"), found.get("test"))

    def _split(
        self,
        file: EncodedFile,
        sources: Mapping[str, Source],
        encoder: TextEncoder,
    ) -> tuple[Examples, Examples | None]:
        """Returns what to train on, and what to evaluate on, if anything."""
        job, examples = self._job, file.examples
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
                f"for evaluation; they are in {run_folder.DEV_SPLIT}"
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
                f"{file.source.path}: {common}; the evaluation flatters"
            )
        return examples, dev_file.examples

    def _show(self, source: Source) -> None:
        """Shows what was found out about a file, with its first rows."""
        description = source.describe()
        if description is None:
            return
        self._screen.table(
            ("what", "is", "because of"),
            description.decisions,
            title=str(source.path),
        )
        self._screen.table(description.headers, description.first)

    # What the model answers.

    def _predictor(self, model: BertWithHeads, task: Task) -> Predictor:
        model.unpad = self._job.unpad
        return Predictor(
            model,
            per_token=task.per_token,
            concurrency=self._job.concurrency,
            jit_compile=self._job.training.computing.jit_compile,
        )

    def _limit(self, batch_size: int) -> BatchLimit:
        return BatchLimit(batch_size, self._job.batch_tokens)

    def _evaluate(
        self, task: Task, predictor: Predictor, dev: Examples
    ) -> None:
        """Writes and shows how the model does on labelled examples."""
        outputs = dev.outputs(
            predictor, self._limit(self._job.eval_batch_size), task.inputs
        )
        evaluation = task.evaluate(outputs, dev)
        context = {"global_step": self._steps_done(), "examples": len(dev)}
        self._folder.write_evaluation(evaluation, task.labels, context)
        self._show_evaluation(evaluation, len(dev))
        self._say(f"written: {self._folder / EVAL_JSON}")

    def _steps_done(self) -> int:
        numbers = read_numbers(self._folder / STATE)
        if numbers is None:
            return 0
        return int(numbers["best_step"] or numbers["step"])

    def _show_evaluation(self, evaluation: Evaluation, count: int) -> None:
        self._say(
            f"evaluation of {count} examples: "
            + ", ".join(
                f"{name} {value:.4f}"
                for name, value in evaluation.scalars.items()
            )
        )
        per_label = evaluation.details.get("per_label", {})
        if per_label:
            names = ("precision", "recall", "f1")
            self._screen.table(
                ("label", *names, "examples"),
                [
                    (
                        label,
                        *(f"{figures[name]:.3f}" for name in names),
                        int(figures["support"]),
                    )
                    for label, figures in per_label.items()
                ],
            )

    def _predict(
        self, task: Task, predictor: Predictor, test: Examples
    ) -> None:
        """Writes what the model says of every example of a file."""
        outputs = test.outputs(
            predictor, self._limit(self._job.predict_batch_size), task.inputs
        )
        path = task.write_predictions(self._folder.path, outputs, test)
        self._say(f"predicted {len(test)} rows: {path}")
