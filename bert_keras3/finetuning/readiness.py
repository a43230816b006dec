"""Takes a classifier that is there already, from a folder or a checkpoint.

One that has yet to be trained is the matter of `learning`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.answering import ReadyClassifier
from bert_keras3.finetuning.choices import Job
from bert_keras3.finetuning.classifier import BertClassifier
from bert_keras3.finetuning.data import TextEncoder
from bert_keras3.finetuning.data_report import write_report
from bert_keras3.finetuning.encoder_files import find_files
from bert_keras3.finetuning.folder_checks import (
    check_same_classifier,
    check_same_task,
)
from bert_keras3.finetuning.problems import PROBLEMS
from bert_keras3.finetuning.reading import Reader
from bert_keras3.finetuning.run_folder import ClassifierSettings, RunFolder
from bert_keras3.finetuning.single_label import SINGLE_LABEL
from bert_keras3.finetuning.sources import Source, Task, find_task, reopen_rows
from bert_keras3.finetuning.train import LabelledRows
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.computing import computing_in
from bert_keras3.training.predict import Predictor
from bert_keras3.training.screen import Screen


def take_checkpoint(
    job: Job, folder: RunFolder, reader: Reader, screen: Screen
) -> ReadyClassifier:
    """Makes a folder that of a classifier read from a checkpoint.

    Args:
        job: what is to be done.
        folder: of the run; the classifier is written there.
        reader: of the job's files.
        screen: where to show what is found.

    Returns:
        The classifier with the rows to ask it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    if folder.holds_a_run and not job.overwrite_output_dir:
        raise UserError(
            f"{folder.path}: holds a training that has saved no model "
            "yet. Finish it with its --do_train command, give another "
            "--output_dir, or --overwrite_output_dir to put "
            f"{job.encoder.init_checkpoint} in its place."
        )
    files = find_files(job.encoder)
    task = find_task(job.data)
    if not job.overwrite_output_dir:
        check_same_task(folder, {})
    labels = task.labels or files.labels(job.data.labels_file)
    encoder = reader.text_encoder(files)
    problem = PROBLEMS[job.data.problem_type or SINGLE_LABEL.name]
    with computing_in(job.training.computing.mixed_precision):
        model = BertClassifier(files.config, labels)
    screen.say(files.load_all(model))
    screen.say(f"labels: {', '.join(labels)}")
    sources = reader.sources(task)
    source = next(iter(sources.values()))
    settings = reader.settings(task, problem, labels, source, files)
    classifier = _ready(job, model, settings, sources, encoder, reader)
    if job.overwrite_output_dir:
        folder.clear()
    folder.begin(settings, files.config, files.vocab_file)
    write_report(folder, reader.report)
    folder.save_model(model)
    return classifier


def take_folder(
    job: Job, folder: RunFolder, reader: Reader, screen: Screen
) -> ReadyClassifier:
    """Reads the classifier that a folder holds.

    Args:
        job: what is to be done.
        folder: of the run.
        reader: of the job's files.
        screen: where to show what is found.

    Returns:
        The classifier with the rows to ask it.

    Raises:
        UserError: as for `take_checkpoint`.
    """
    check_same_classifier(job, folder)
    settings = folder.read_settings()
    given = job.encoder.init_checkpoint
    if given not in (None, settings.init_checkpoint):
        screen.say(
            f"note: the classifier in {folder.path} is used, not "
            f"--init_checkpoint={given}; --overwrite_output_dir puts that "
            "in its place"
        )
    task = find_task(job.data, settings)
    sources = _sources_for(job, task, folder, settings, reader)
    encoder = TextEncoder(folder.load_tokenizer(), settings.max_seq_length)
    with computing_in(job.training.computing.mixed_precision):
        model = folder.load_model()
    classifier = _ready(job, model, settings, sources, encoder, reader)
    write_report(folder, reader.report)
    return classifier


def _sources_for(
    job: Job,
    task: Task,
    folder: RunFolder,
    settings: ClassifierSettings,
    reader: Reader,
) -> dict[str, Source]:
    """Opens the files; the rows held out stand in for a dev file."""
    held_out = folder / run_folder.DEV_SPLIT
    if not job.do_eval or task.has("dev") or not held_out.exists():
        return reader.sources(task)
    sources = {"dev": reopen_rows(held_out, settings)}
    if job.do_predict:
        sources["test"] = task.source("test")
    return sources


def _ready(
    job: Job,
    model: BertClassifier,
    settings: ClassifierSettings,
    sources: Mapping[str, Source],
    encoder: TextEncoder,
    reader: Reader,
) -> ReadyClassifier:
    """Encodes what the classifier is to be asked."""
    problem = PROBLEMS[settings.problem]
    dev = test = None
    if "dev" in sources:
        dev = LabelledRows.of(
            reader.encode(
                sources["dev"],
                encoder,
                "dev",
                problem,
                settings.labels,
                settings.label_separator,
            )
        )
    if "test" in sources:
        test = reader.encode(sources["test"], encoder, "test")
    model.unpad = job.unpad
    predictor = Predictor(
        model,
        concurrency=job.concurrency,
        jit_compile=job.training.computing.jit_compile,
    )
    return ReadyClassifier(predictor, problem, settings.labels, dev, test)
