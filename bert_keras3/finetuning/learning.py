"""Makes a classifier by training: from flags and files to the best weights.

The training itself is in `train`; here the data is read, the first weights
are loaded and whatever can be wrong is found before anything is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.answering import ReadyClassifier
from bert_keras3.finetuning.checks import check_class_weight, check_metric
from bert_keras3.finetuning.choices import Job
from bert_keras3.finetuning.data import Split, TextEncoder
from bert_keras3.finetuning.data_report import write_report
from bert_keras3.finetuning.encoder_files import find_files
from bert_keras3.finetuning.folder_checks import check_same_task
from bert_keras3.finetuning.heldout import check_fraction
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.reading import Reader
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.finetuning.sources import Source, find_task
from bert_keras3.finetuning.train import (
    LabelledRows,
    identity_of,
    split_off_dev,
    steps_of,
    train,
)
from bert_keras3.inputs.report import num_shared
from bert_keras3.training.computing import computing_in, make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.screen import Screen
from bert_keras3.training.session import Session
from bert_keras3.training.state import refuse_another_training


def learn(
    job: Job,
    folder: RunFolder,
    reader: Reader,
    opened: Session,
) -> ReadyClassifier:
    """Trains a classifier, or goes on with a training that was stopped.

    Args:
        job: what is to be done.
        folder: of the run.
        reader: of the job's files.
        opened: what trains, and where to show it.

    Returns:
        The classifier with its best weights, and the rows to ask it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    screen, devices = opened.screen, opened.devices
    files = find_files(job.encoder)
    files.check_weights()
    encoder = reader.text_encoder(files)
    task = find_task(job.data)
    if not job.overwrite_output_dir:
        check_same_task(folder, {"task_name": task.name})
    sources = reader.sources(task)
    if job.do_eval and "dev" not in sources:
        check_fraction(job.data.dev_fraction)
    source = sources["train"]
    reader.show(source)
    problem, why = task.problem(source)
    screen.say(f"problem: {problem.name} ({why})")
    best_metric = (
        job.training.best_metric or task.metric or problem.default_metric
    )
    check_metric(best_metric, problem)
    check_class_weight(job.training.class_weight, problem)

    split = reader.encode(
        source,
        encoder,
        "train",
        problem,
        task.labels,
        job.data.label_separator,
    )
    labels = split.labels
    screen.say(f"labels: {', '.join(labels)}")
    check_metric(best_metric, problem, len(labels))
    settings = reader.settings(task, problem, labels, source, files)
    if not job.overwrite_output_dir:
        check_same_task(folder, dataclasses.asdict(settings))
    data, dev = _rows(job, split, sources, encoder, reader, screen)
    steps_of(len(data.rows), job.training)  # whether there are any
    test = None
    if "test" in sources:
        test = reader.encode(sources["test"], encoder, "test")

    make_deterministic(job.training.seed)
    computing = job.training.computing
    with devices.scope(), computing_in(computing.mixed_precision):
        model, report = files.make_classifier(labels)
    model.unpad = job.unpad
    screen.say(report)
    model.bert.encoder.remat = computing.remat
    if job.training.lora_rank is not None:
        with devices.scope():
            add_lora(model, job.training.lora_rank)
    identity = {
        "task_name": settings.task_name,
        "labels": list(labels),
        "max_seq_length": settings.max_seq_length,
        "do_lower_case": settings.do_lower_case,
        "config": files.config.to_dict(),
        "best_metric": best_metric,
        **identity_of(model, data, dev, job.training),
    }
    if job.overwrite_output_dir:
        folder.clear()
    else:
        refuse_another_training(folder / run_folder.STATE, identity)
    folder.begin(settings, files.config, files.vocab_file)
    write_report(folder, reader.report)
    if dev is not None and dev.store is data.store:
        source.write_rows(dev.rows, folder / run_folder.DEV_SPLIT)
    predictor = Predictor(
        model,
        concurrency=job.concurrency,
        jit_compile=computing.jit_compile,
    )
    classifier = ReadyClassifier(predictor, problem, labels, dev, test)
    train(
        model,
        problem,
        data,
        dev,
        job.training,
        folder,
        best_metric=best_metric,
        identity=identity,
        predictor=classifier.predictor,
        eval_limit=job.eval_limit,
        concurrency=job.concurrency,
        opened=opened,
    )
    if not devices.is_chief:
        return classifier
    if job.training.lora_rank is None:
        folder.load_weights(model)
        return classifier
    # What was kept is the sum: a plain model without the thin matrices.
    with computing_in(computing.mixed_precision):
        model = folder.load_model()
    model.unpad = job.unpad
    predictor = Predictor(
        model,
        concurrency=job.concurrency,
        jit_compile=computing.jit_compile,
    )
    return dataclasses.replace(classifier, predictor=predictor)


def _rows(
    job: Job,
    split: Split,
    sources: Mapping[str, Source],
    encoder: TextEncoder,
    reader: Reader,
    screen: Screen,
) -> tuple[LabelledRows, LabelledRows | None]:
    """Returns what to train on, and what to evaluate on, if anything."""
    if not job.do_eval:
        return LabelledRows.of(split), None
    if "dev" not in sources:
        data, dev = split_off_dev(
            split, job.data.dev_fraction, job.training.seed
        )
        reader.report["train"]["held_out"] = len(dev.rows)
        screen.say(
            f"held out {len(dev.rows)} of {len(split.store)} rows "
            f"for evaluation; they are in {run_folder.DEV_SPLIT}"
        )
        return data, dev
    dev_split = reader.encode(
        sources["dev"],
        encoder,
        "dev",
        split.problem,
        split.labels,
        job.data.label_separator,
    )
    common = num_shared(split.report, dev_split.report)
    reader.report["dev"]["texts_shared_with_train"] = common
    if common:
        screen.say(
            f"note: texts of {dev_split.source.path} that are also in "
            f"{split.source.path}: {common}; the evaluation flatters"
        )
    return LabelledRows.of(split), LabelledRows.of(dev_split)
