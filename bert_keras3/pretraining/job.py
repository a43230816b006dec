"""One pretraining job from files to files: checks, training, evaluation.

    flags ─▶ checkpoint ─▶ records ─▶ model ─▶ train ─▶ evaluate ─▶ files

Mistakes in flags and files are reported before anything is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.pretraining.batches import RecordForm, TrainingMasks
from bert_keras3.pretraining.checked_records import (
    PER_TOKEN,
    CheckedRecords,
    open_checked_records,
)
from bert_keras3.pretraining.checkpoint_files import (
    CHECKPOINTS,
    GOOGLE,
    CheckpointFiles,
)
from bert_keras3.pretraining.evaluation import Evaluation, example_figures
from bert_keras3.pretraining.objective import Guide, heads_for, loss, new_model
from bert_keras3.pretraining.settings import (
    WITHOUT_EFFECT,
    Job,
    TrainingChoices,
)
from bert_keras3.pretraining_data import masking
from bert_keras3.pretraining_data.masking import MASK, Vocabulary
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training import session
from bert_keras3.training.devices import (
    check_not_distributed,
    make_deterministic,
)
from bert_keras3.training.predict import Predictor
from bert_keras3.training.run_folder import (
    EVAL_JSON,
    EVAL_TEXT,
    STATE,
    RunFiles,
    RunFolder,
)
from bert_keras3.training.session import (
    Plan,
    Screen,
    Session,
    begin,
    identity_of,
    open_session,
    train,
)
from bert_keras3.training.settings import ModelChoices
from bert_keras3.training.state import checksum, read_numbers
from bert_keras3.training.step import LossFunction
from modeling import BertWithHeads
from tokenization.packing import check_max_seq_length
from tokenization.tokenizers import read_tokens
from tokenization.vocab import require_special_tokens

SETTINGS = "pretraining.json"
FILES = RunFiles(signs=(SETTINGS,), kept=CHECKPOINTS)

# Weights of the pretraining heads, which a checkpoint may lack.
_HEADS = "cls/"


def run(job: Job, screen: Screen, guide: Guide | None = None) -> None:
    """Runs a job.

    Args:
        job: its settings.
        screen: where to print.
        guide: what a training learns from beside the records.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    check_job(job)
    with open_session(job.output_dir, screen, job.distribution) as session:
        session.devices.check(
            job.training.train_batch_size,
            job.training.gradient_accumulation_steps,
            job.training.computing,
        )
        folder = RunFolder(session.output_dir, FILES)
        folder.check_is_folder()
        start = _open_checkpoint(_model_choices(job, folder, screen))
        if guide is not None:
            start = guide.start(start)
        if job.do_train:
            _check_folder(job, folder, start)
        # The folder may be evaluated while another process trains in it.
        with session.locked() if job.do_train else contextlib.nullcontext():
            _run(job, folder, session, start, guide)


def _run(
    job: Job,
    folder: RunFolder,
    session: Session,
    start: Checkpoint,
    guide: Guide | None,
) -> None:
    """Runs a job whose flags and folder have been checked."""
    screen, computing = session.screen, job.training.computing
    _check_length(job, start)
    to_train, to_evaluate = _open_records(job, start, screen)
    heads = heads_for(job.sentence_objective)
    if guide is not None:
        heads = guide.heads
    make_deterministic(job.training.seed)
    with session.making_model(computing.mixed_precision):
        model = new_model(
            start.config,
            heads,
            lazy_embeddings=job.training.lazy_embeddings,
        )
        loaded = "no --init_checkpoint: all weights are random"
        if start.has_weights:
            allowed = (
                _HEADS,
                *start.may_start_random,
                *job.model.allow_missing,
            )
            loaded = start.load_into(model, allowed).line()
    model.bert.encoder.remat = computing.remat
    for note in start.notes:
        screen.say(f"note: {note}")
    screen.say(loaded)
    evaluation = None
    if to_evaluate is not None:
        predictor = Predictor(
            model,
            example_figures,
            concurrency=job.concurrency,
            jit_compile=computing.jit_compile,
        )
        evaluation = Evaluation(
            predictor,
            to_evaluate,
            job.eval_batch_size,
            job.max_eval_steps,
            job.sentence_objective,
        )
    if job.do_train and to_train is not None:
        training = _TrainingRun(
            job, folder, session, start, model, to_train, guide
        )
        training.run(evaluation)
    if evaluation is not None and session.devices.is_chief:
        common = evaluation.records.num_also_in(to_train) if to_train else 0
        _write_evaluation(job, folder, evaluation, common, screen)


# Checks and files.


def check_job(job: Job) -> None:
    """Checks the flags of a job.

    Raises:
        UserError: there is nothing to do, a value is out of its range, or two
            flags contradict each other.
    """
    if not (job.do_train or job.do_eval):
        raise UserError(
            "there is nothing to do: give --do_train or --do_eval, or both"
        )
    check_ranges(job)
    if job.masking is not None and job.masking.strategy == masking.NO_MASKS:
        raise UserError(
            "--masking=none is for create_pretraining_data.py, which then "
            "leaves the masks to this script; name here how they are drawn, "
            "or leave --masking out to take those of the records"
        )
    check_max_seq_length(job.max_seq_length, job.sentence_objective != "none")
    masking.check_settings(
        job.masking
        or MaskingSettings(max_predictions_per_seq=job.max_predictions_per_seq),
        job.max_seq_length,
    )
    if job.input_file is None and (job.do_train or job.eval_file is None):
        raise UserError(
            "--input_file is missing: name the records to train on"
            + ("" if job.do_train else ", or an --eval_file")
        )
    if job.eval_file is not None and not job.do_eval:
        raise UserError(
            f"--eval_file={job.eval_file} is to be evaluated; add --do_eval, "
            "or leave it out"
        )
    if job.do_train:
        check_training(job.training, do_eval=job.do_eval)
    else:
        check_not_distributed(job.distribution)


def check_training(choices: TrainingChoices, *, do_eval: bool) -> None:
    """Checks the flags of a training.

    Args:
        choices: given by the user.
        do_eval: whether the job evaluates.

    Raises:
        UserError: a value is out of its range, or a flag needs another one.
    """
    check_ranges(choices)
    session.check_training(choices, do_eval=do_eval)
    if choices.with_optimizer and choices.checkpoint_format != GOOGLE:
        raise UserError(
            f"--with_optimizer: --checkpoint_format="
            f"{choices.checkpoint_format} has no place for the optimizer's "
            "slots; only google has"
        )


def _check_folder(job: Job, folder: RunFolder, start: Checkpoint) -> None:
    """Checks that a training would not overwrite files of other origin."""
    weights = start.weights_file
    if (
        weights is not None
        and folder.path.exists()
        and weights.parent.samefile(folder.path)
    ):
        raise UserError(
            f"--output_dir={folder.path}: holds the --init_checkpoint, "
            "whose files would be replaced; give another folder"
        )
    if not job.overwrite_output_dir:
        folder.refuse_foreign_files()


def _model_choices(job: Job, folder: RunFolder, screen: Screen) -> ModelChoices:
    """Returns where the model is; without training, in the output folder."""
    if job.do_train or not folder.holds_a_run:
        if not job.do_train and job.model.init_checkpoint is None:
            raise UserError(
                f"{folder.path}: has no pretrained model to evaluate. "
                "Train one with --do_train, or name one with "
                "--init_checkpoint"
            )
        return job.model
    given = job.model.init_checkpoint
    if given is not None:
        screen.say(
            f"note: the model in {folder.path} is evaluated, not "
            f"--init_checkpoint={given}"
        )
    return dataclasses.replace(
        job.model, init_checkpoint=str(folder.path), bert_config_file=None
    )


def _open_checkpoint(choices: ModelChoices) -> Checkpoint:
    """Opens the checkpoint that the model starts from.

    Raises:
        UserError: a file does not exist or cannot be read, or the vocabulary
            has more tokens than the model.
    """
    if choices.init_checkpoint is None and choices.bert_config_file is None:
        raise UserError(
            "there is no model: give a --bert_config_file to start from "
            "random weights, or an --init_checkpoint to go on from"
        )
    start = checkpointing.start_from(
        choices.init_checkpoint, choices.bert_config_file, choices.vocab_file
    )
    tokens = start.vocabulary
    if tokens is not None and len(tokens) > start.config.vocab_size:
        raise UserError(
            f"{start.vocab_file}: has {len(tokens)} tokens, and the model "
            f"rows for {start.config.vocab_size} (vocab_size); use the "
            "configuration and the vocabulary that belong together"
        )
    return start


def _check_length(job: Job, start: Checkpoint) -> None:
    longest = start.config.max_position_embeddings
    if job.max_seq_length > longest:
        raise UserError(
            f"--max_seq_length={job.max_seq_length}: the model has "
            f"positions for {longest} tokens "
            "(`max_position_embeddings`); give at most that, and make "
            "the records so"
        )


# Records.


def _open_records(
    job: Job, start: Checkpoint, screen: Screen
) -> tuple[CheckedRecords | None, CheckedRecords | None]:
    """Returns the records to train on and those to evaluate on, or None.

    Prints how many of them are the same.
    """
    to_train = None
    if job.input_file is not None:
        to_train = _open(job, "input_file", job.input_file, start)
        screen.say(to_train.line())
    if not job.do_eval:
        return to_train, None
    if job.eval_file is None:
        screen.say(
            "note: there is no --eval_file, so the records of "
            "--input_file are evaluated, as in the original; if the "
            "model was trained on them, the metrics are too good"
        )
        return to_train, to_train
    to_evaluate = _open(job, "eval_file", job.eval_file, start)
    screen.say(to_evaluate.line())
    common = to_evaluate.num_also_in(to_train) if to_train else 0
    if common:
        screen.say(
            f"note: {common} of the {len(to_evaluate)} records of "
            "--eval_file are also in --input_file; the metrics are too good"
        )
    return to_train, to_evaluate


def _open(
    job: Job, flag: str, pattern: str, start: Checkpoint
) -> CheckedRecords:
    masks = None
    if job.masking is not None:
        masks = TrainingMasks(job.masking, _masking_vocabulary(start))
    form = RecordForm(job.max_seq_length, job.max_predictions_per_seq, masks)
    return open_checked_records(
        flag, pattern, start.config, form, skip_corrupt=job.skip_corrupt
    )


def _masking_vocabulary(start: Checkpoint) -> Vocabulary:
    """Returns the vocabulary for drawing masks.

    Raises:
        UserError: there is no vocabulary, or it lacks a special token.
    """
    if start.vocab_file is None:
        raise UserError(
            "--masking: masks drawn while training need the vocabulary; "
            "name it with --vocab_file"
        )
    entries = read_tokens(start.vocab_file)
    require_special_tokens(entries, start.vocab_file, ("[CLS]", "[SEP]", MASK))
    return Vocabulary.of(entries)


# Training.


@dataclasses.dataclass(frozen=True)
class _TrainingRun:
    """One training, from the initial weights to the last checkpoint."""

    job: Job
    folder: RunFolder
    session: Session
    start: Checkpoint
    model: BertWithHeads
    records: CheckedRecords
    guide: Guide | None

    def run(self, evaluation: Evaluation | None) -> None:
        """Trains to the last step; the last weights are the result.

        Args:
            evaluation: of the current weights; None without --do_eval.
        """
        job, folder, choices = self.job, self.folder, self.job.training
        FORMATS[choices.checkpoint_format].check(self.start)
        files = CheckpointFiles(
            folder.path,
            self.start,
            format=choices.checkpoint_format,
            with_optimizer=choices.with_optimizer,
            keep=choices.keep_checkpoint_max,
        )
        identity = self.identity()
        trained: keras.Model = self.model
        minimized: LossFunction = loss
        if self.guide is not None:
            trained, minimized, more = self.guide.objective(
                self.session, self.model
            )
            identity |= more
        begin(folder, identity, overwrite=job.overwrite_output_dir)
        if job.overwrite_output_dir:
            files.remove_all()
        folder.write_json(SETTINGS, dataclasses.asdict(job))
        is_new = self.session.devices.is_chief and not (folder / STATE).exists()
        if evaluation is not None and is_new:
            before = evaluation()
            self.session.screen.say(f"before training: {_shown(before)}")
            # Overwritten by the evaluation of the last weights.
            folder.write_json(EVAL_JSON, {"before": before})

        def save(optimizer: keras.optimizers.Optimizer) -> None:
            files.save(self.model, optimizer)

        result = train(
            Plan(
                trained,
                minimized,
                self.records.training_batches(
                    choices.train_batch_size,
                    choices.seed,
                    lazily=choices.lazy_embeddings,
                ),
                identity,
                save,
                choices.num_train_steps,
                choices.num_warmup_steps,
                per_token=PER_TOKEN,
                evaluate=evaluation if choices.eval_steps else None,
                save_weights_steps=choices.save_checkpoints_steps,
                concurrency=job.concurrency,
            ),
            choices,
            folder,
            self.session,
        )
        self.session.screen.say(
            f"{result.step} steps done; the model is in {folder.path}"
        )

    def identity(self) -> dict[str, Any]:
        """Returns the values that identify this training."""
        form, masking = self.records.form, None
        if form.masks is not None:
            masking = dataclasses.asdict(form.masks.settings)
            masking["ngram_weights"] = list(masking["ngram_weights"])
            masking["vocabulary"] = checksum(form.masks.vocabulary.ids)
        return {
            **identity_of(
                self.job.training,
                self.model,
                [self.records.identity()],
                without_effect=WITHOUT_EFFECT,
            ),
            "sentence_objective": self.job.sentence_objective,
            "max_seq_length": form.max_seq_length,
            "max_predictions_per_seq": form.max_predictions_per_seq,
            "masking": masking,
            "config": self.start.config.to_dict(),
        }


# Evaluation.


def _write_evaluation(
    job: Job,
    folder: RunFolder,
    evaluation: Evaluation,
    num_trained_on: int,
    screen: Screen,
) -> None:
    found = evaluation()
    before = (folder.read_json(EVAL_JSON) or {}).get("before")
    numbers = read_numbers(folder / STATE)
    steps_done = 0 if numbers is None else int(numbers["step"])
    folder.write_evaluation(
        {**found, "global_step": steps_done},
        {
            **found,
            "global_step": steps_done,
            "examples": evaluation.num_examples,
            "examples_left_out": len(evaluation.records)
            - evaluation.num_examples,
            "examples_also_trained_on": num_trained_on,
            "eval_files": list(evaluation.records.found.paths),
            **({"before": before} if before else {}),
        },
    )
    if before and job.do_train:
        screen.say(f"before training: {_shown(before)}")
    screen.say(f"evaluation: {_shown(found)}")
    screen.say(f"written: {folder / EVAL_TEXT}")


def _shown(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in found.items())
