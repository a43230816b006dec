"""The task of a trained classifier, whose labels are recorded beside it."""

from __future__ import annotations

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.checkpoint import read_labels
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.safekeeping.errors import UserError


def task_of_classifier(
    checkpoint: Checkpoint,
    data: DataChoices,
    labels: tuple[str, ...] | None,
    name: str = SingleLabel.name,
) -> Task:
    """Returns the task of a trained classifier.

    Args:
        checkpoint: of the classifier.
        data: given by the user.
        labels: the labels, if the data set defines them. Else they are those
            of --labels_file, or those in the run folder of the weights, or the
            numbers from 0.
        name: of the task, if --problem_type does not give it.

    Raises:
        UserError: the checkpoint has no classifier, or --labels_file does not
            fit it.
    """
    task = TASKS[data.problem_type or name]
    if labels is not None:
        return task(labels)
    count = checkpoint.num_labels
    if not count:
        raise UserError(
            f"{checkpoint.source}: has no `output_weights`, so it is no "
            "trained classifier. Train one with --do_train."
        )
    if data.labels_file is not None:
        return task(read_labels(data.labels_file, count))
    if checkpoint.weights_file is not None:
        beside = FinetuningFolder(checkpoint.weights_file.parent)
        if beside.holds_a_model:
            recorded = beside.read_settings().labels
            if len(recorded) == count:
                return task(recorded)
    return task(tuple(map(str, range(count))))
