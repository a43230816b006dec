"""Flags that are out of range or at odds, told before any file is opened.

What can only be told from the files is checked where they are read.
"""

from __future__ import annotations

from bert_keras3.finetuning.problem import Problem
from bert_keras3.finetuning.sources import CSV, DataChoices
from bert_keras3.finetuning.train import TrainingChoices
from bert_keras3.optimization import check_learning_rate
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.ranges import Range, check_range
from bert_keras3.training.callbacks import require_tensorboard
from bert_keras3.training.computing import check_compiled
from bert_keras3.training.step import check_micro_batches

TRAINING_RANGES = (
    Range("train_batch_size", 1),
    Range("num_train_epochs", 0),
    Range("warmup_proportion", 0, 1),
    Range("gradient_accumulation_steps", 1),
    Range("seed", 0, 2**32 - 1),
    Range("eval_steps", 1),
    Range("early_stopping_patience", 1),
    Range("save_checkpoints_steps", 1),
    Range("lora_rank", 1),
)

# What only an evaluation can answer.
_NEED_AN_EVALUATION = ("best_metric", "eval_steps", "early_stopping_patience")


def check_training(choices: TrainingChoices, *, do_eval: bool) -> None:
    """Checks how to train.

    Args:
        choices: what the user said.
        do_eval: whether there will be evaluations meanwhile.

    Raises:
        UserError: a number is out of range, or a flag needs another one.
    """
    for allowed in TRAINING_RANGES:
        check_range(getattr(choices, allowed.name), allowed)
    check_learning_rate(choices.learning_rate)
    check_micro_batches(
        choices.gradient_accumulation_steps, choices.train_batch_size
    )
    for name in _NEED_AN_EVALUATION:
        value = getattr(choices, name)
        if value is not None and not do_eval:
            raise UserError(
                f"--{name}={value} asks for evaluations while training; add "
                "--do_eval, or leave it out"
            )
    check_compiled(choices.computing, lazy_embeddings=choices.lazy_embeddings)
    if choices.lazy_embeddings and choices.lora_rank is not None:
        raise UserError(
            "--lazy_embeddings and --lora_rank: with LoRA the word table is "
            "not trained at all; leave --lazy_embeddings out"
        )
    if choices.tensorboard:
        require_tensorboard()


def check_data(choices: DataChoices, *, do_train: bool) -> None:
    """Checks what was said of the data.

    Args:
        choices: what the user said.
        do_train: whether a classifier is trained.

    Raises:
        UserError: a flag would have no effect, or `dev_fraction` is no part.
    """
    check_range(choices.dev_fraction, Range("dev_fraction", 0, 1))
    if choices.labels_file is not None and do_train:
        raise UserError(
            f"--labels_file={choices.labels_file} names the labels of a "
            "classifier that is not trained; with --do_train they are those "
            "of the training data. Leave it out"
        )
    if choices.task_name.lower() == CSV:
        return
    own = {
        "train_file": choices.train_file,
        "dev_file": choices.dev_file,
        "test_file": choices.test_file,
        "text_column": choices.file.text,
        "text_pair_column": choices.file.text_pair,
        "label_column": choices.file.label,
        "id_column": choices.file.id,
        "labels_file": choices.labels_file,
        "skip_labels": ",".join(choices.skip_labels) or None,
    }
    for name, value in own.items():
        if value is not None:
            raise UserError(
                f"--{name}={value} is for files of your own; the files, "
                f"columns and labels of --task_name={choices.task_name} are "
                "known. Leave it out, or give --task_name=csv"
            )


def check_metric(
    metric: str, problem: Problem, num_labels: int | None = None
) -> None:
    """Checks the metric that is to decide which weights are best.

    Args:
        metric: its name.
        problem: whose evaluations must have it.
        num_labels: how many labels there are, if that is known yet.

    Raises:
        UserError: there is no such metric; the message names those there are.
    """
    names = problem.metrics(num_labels)
    if metric not in names:
        labels = "" if num_labels is None else f" with {num_labels} labels"
        raise UserError(
            f"--best_metric={metric}: an evaluation of a {problem.name} "
            f"problem{labels} has {', '.join(sorted(names))}; give one of "
            "these"
        )


def check_class_weight(class_weight: str | None, problem: Problem) -> None:
    """Checks that there are classes to weigh, if weights are wanted.

    Raises:
        UserError: examples have not one label each.
    """
    if class_weight is not None and not problem.has_classes:
        raise UserError(
            f"--class_weight={class_weight} is for problems with one label "
            f"an example; this one is {problem.name}. Leave it out"
        )
