"""One fine-tuning job from files to files: train, evaluate, predict.

Where the classifier comes from is told by `learning` (training) and
`readiness` (it is there already), what it is asked by `answering`.
"""

from __future__ import annotations

import shutil

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.answering import evaluate, predict
from bert_keras3.finetuning.checks import check_data, check_training
from bert_keras3.finetuning.choices import Job
from bert_keras3.finetuning.folder_checks import check_inputs_stay
from bert_keras3.finetuning.learning import learn
from bert_keras3.finetuning.readiness import take_checkpoint, take_folder
from bert_keras3.finetuning.reading import Reader
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.ranges import Range, check_range
from bert_keras3.training.devices import check_not_distributed
from bert_keras3.training.screen import Screen
from bert_keras3.training.session import Session, open_session


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
    with open_session(job.output_dir, screen, job.distribution) as opened:
        folder = RunFolder(opened.output_dir)
        _check(job, folder)
        opened.devices.check(
            job.training.train_batch_size,
            job.training.gradient_accumulation_steps,
            job.training.computing,
        )
        scratch = folder / run_folder.SCRATCH
        with opened.locked():
            # Of a run that was killed.
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                _do(job, folder, opened)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


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
    else:
        check_not_distributed(job.distribution)
    for name in ("eval_batch_size", "predict_batch_size", "batch_tokens"):
        if (value := getattr(job, name)) is not None:
            check_range(value, Range(name, 1))
    if folder.path.exists() and not folder.path.is_dir():
        raise UserError(
            f"--output_dir={folder.path}: is a file; give a folder, which "
            "need not exist yet"
        )
    check_inputs_stay(job, folder)
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


def _do(job: Job, folder: RunFolder, opened: Session) -> None:
    screen = opened.screen
    reader = Reader(job, folder / run_folder.SCRATCH, screen)
    if job.do_train:
        classifier = learn(job, folder, reader, opened)
        if not opened.devices.is_chief:
            return
    elif not folder.holds_a_model or (
        job.overwrite_output_dir and job.encoder.init_checkpoint is not None
    ):
        classifier = take_checkpoint(job, folder, reader, screen)
    else:
        classifier = take_folder(job, folder, reader, screen)
    if classifier.dev is not None:
        evaluate(classifier, classifier.dev, folder, screen, job.eval_limit)
    if classifier.test is not None:
        predict(classifier, classifier.test, folder, screen, job.predict_limit)
