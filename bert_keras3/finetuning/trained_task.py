"""The task of a trained classifier that is given as a checkpoint.

Its labels and its kind are those that the files beside the weights say:
`config.json` of a Hugging Face folder, `classifier.json` of a run folder.
"""

from __future__ import annotations

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.architectures import FINE_TUNED
from bert_keras3.checkpointing.checkpoint import read_labels
from bert_keras3.finetuning.run_folder import settings_beside
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.safekeeping.errors import UserError

_OF_TEXTS = ("single_label", "multi_label", "regression")
# The program that takes a checkpoint of each task.
_SCRIPTS = {
    **dict.fromkeys(_OF_TEXTS, "run_classifier.py"),
    "choice": "run_classifier.py --problem_type=choice",
    "tagging": "run_tagger.py",
    "span": "run_squad.py",
}


def check_trained_for(checkpoint: Checkpoint, *tasks: str) -> None:
    """Checks that a checkpoint's files do not name another task.

    Nor two of its outputs alike.

    Args:
        checkpoint: that is to be used without a training.
        tasks: keys of `tasks.TASKS`.

    Raises:
        UserError: they do, or two outputs have one name.
    """
    found = checkpoint.task
    if found is not None and found not in tasks:
        raise UserError(
            f"{checkpoint.source}: was trained for {FINE_TUNED[found].words} "
            f"({checkpoint.architecture}); use it with {_SCRIPTS[found]}"
        )
    labels = checkpoint.named_labels
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise UserError(
            f"{checkpoint.source}: names {len(twice)} of its outputs "
            f"{twice[0]!r}; give each a name of its own in `id2label`"
        )


def task_of_classifier(
    checkpoint: Checkpoint,
    data: DataChoices,
    labels: tuple[str, ...] | None,
    name: str = "single_label",
) -> Task:
    """Returns the task of a trained classifier.

    Args:
        checkpoint: of the classifier.
        data: given by the user.
        labels: the labels, if the data set defines them. Else they are those
            of --labels_file, or those that the checkpoint has names of, or
            the numbers from 0.
        name: of the task, if neither --problem_type nor the checkpoint says
            it.

    Raises:
        UserError: the checkpoint has no classifier of texts, or
            --labels_file does not fit it.
    """
    check_trained_for(checkpoint, *_OF_TEXTS)
    named = checkpoint.named_labels
    if labels is not None:
        return TASKS[data.problem_type or name](_in_order_of(named, labels))
    task = TASKS[data.problem_type or checkpoint.task or name]
    count = checkpoint.num_labels
    if not count:
        raise UserError(
            f"{checkpoint.source}: has no `output_weights`, so it is no "
            "trained classifier. Train one with --do_train."
        )
    if data.labels_file is not None:
        return task(read_labels(data.labels_file, count))
    trained = settings_beside(checkpoint)
    if (
        trained is not None
        and trained.labels == named
        and isinstance(trained.task, task)
    ):
        return trained.task  # with its options
    return task(named or tuple(map(str, range(count))))


def _in_order_of(
    named: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns a data set's labels in the order of a classifier's outputs.

    Others' models of MNLI have "ENTAILMENT" before "CONTRADICTION", or the
    other way around.

    Args:
        named: the names of its outputs, upper case or lower.
        labels: of the data set; returned as they are if they are others.
    """
    by_name = {label.lower(): label for label in labels}
    outputs = [name.lower() for name in named]
    if sorted(outputs) != sorted(by_name):
        return labels
    return tuple(by_name[name] for name in outputs)
