"""The files of a fine-tuning job: found, checked, encoded, split.

    flags ─▶ checkpoint ─▶ its tokenizer ─▶ data files ─▶ examples

Nothing is written but the encoded examples.
"""

from __future__ import annotations

import dataclasses
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
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.encoding import EncodedFile, TextEncoder, encode
from bert_keras3.finetuning.long_texts import with_long_texts
from bert_keras3.finetuning.objective import Guide
from bert_keras3.finetuning.opened_model import padded_as
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import LabelSource, Task, options_of
from bert_keras3.finetuning.training import epoch_size, steps_of
from bert_keras3.inputs.report import num_shared
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Screen


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


class JobData:
    """What a job reads.

    Attributes:
        report: {split: report on its file}.
    """

    def __init__(
        self,
        job: Job,
        folder: FinetuningFolder,
        screen: Screen,
        guide: Guide | None,
    ) -> None:
        """Takes the job, its folder, and where to print."""
        self._guide = guide
        self._job = job
        self._folder = folder
        self._screen = screen
        self._say = screen.say
        self.report: dict[str, dict[str, Any]] = {}

    def open_checkpoint(self) -> Checkpoint:
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

    def text_encoder(self, checkpoint: Checkpoint) -> TextEncoder:
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

    def training_data(self, checkpoint: Checkpoint) -> TrainingData:
        """Reads and encodes all files, and checks what depends on them."""
        job, folder, training = self._job, self._folder, self._job.training
        encoder = self.text_encoder(checkpoint)
        dataset = kind_of(job.data).find(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {"task_name": dataset.name})
        sources = self.sources(dataset)
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

        file = self.encode("train", source, encoder, task, labels)
        self.say_labels(file.task)
        checks.check_metric(best_metric, file.task)
        settings = self.settings(dataset.name, file.task, source, checkpoint)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, dataclasses.asdict(settings))
        train, dev = self._split(file, sources, encoder)
        unlabelled = None
        further = self._guide and self._guide.unlabelled(settings)
        if further:
            unlabelled = self.encode(
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
            split: self.encode(
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

    def say_labels(self, task: Task) -> None:
        """Prints the labels of a task, if it has several."""
        # A single one is the name of a number, such as a score.
        if len(task.labels) > 1:
            self._say(f"labels: {', '.join(task.labels)}")

    def settings(
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

    def sources(
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

    def encode(
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
        self.report[split] = file.values()
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
            self.report["train"]["held_out"] = len(dev)
            self._say(
                f"held out {len(dev)} of {len(examples)} rows "
                "for evaluation; they are in "
                f"{self._folder.dev_split(file.source.suffix).name}"
            )
            return train, dev
        dev_file = self.encode(
            "dev", sources["dev"], encoder, file.task, file.task.labels
        )
        common = num_shared(file.report, dev_file.report)
        self.report["dev"]["texts_shared_with_train"] = common
        if common:
            self._say(
                f"note: texts of {dev_file.source.path} that are also in "
                f"{file.source.path}: {common}; the metrics are too good"
            )
        return examples, dev_file.examples
