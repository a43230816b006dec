"""Settings of distillation, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag

FIRST, LAST, TOP = "first", "last", "top"
UNIFORM, EVERY_OTHER = "uniform", "every_other"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """The teacher, and what the student learns from it."""

    teacher: str = flag(
        help="Trained model to learn from: an --output_dir of this program, "
        "or a fine-tuned checkpoint in any format that --init_checkpoint "
        "takes.",
        group="Teacher and student",
        placeholder="CHECKPOINT",
    )
    num_student_layers: int | None = flag(
        None,
        "Number of layers of a student that begins as a part of the teacher: "
        "its embeddings, some of its layers, its head. As many as the teacher "
        "has for a student of its size. By default a student is "
        "--init_checkpoint, or random with --bert_config_file.",
        group="Teacher and student",
        least=1,
    )
    take_layers: tuple[str, ...] = flag(
        (UNIFORM,),
        "Which layers of the teacher the student begins with. uniform: evenly "
        "spaced, the last one among them (2, 4, 6 of 6); every_other: the "
        "first and every second one from there (1, 3, 5); first; last; or "
        "their numbers from 1, such as 1,4,6.",
        group="Teacher and student",
        placeholder="LAYERS",
        needs=("num_student_layers",),
    )
    temperature: float = flag(
        2.0,
        "Temperature that the logits of both are divided by in the loss "
        "between them. Above 1, small probabilities count for more.",
        group="Teacher and student",
        above=0,
    )
    label_weight: float = flag(
        0.5,
        "Weight in the loss of the task's own loss on labelled examples.",
        group="Teacher and student",
        least=0,
    )
    logits_weight: float = flag(
        0.5,
        "Weight in the loss of the divergence of the student's probabilities "
        "from the teacher's, times the temperature squared; for regression "
        "of the squared error.",
        group="Teacher and student",
        least=0,
    )
    unlabelled_file: str | None = flag(
        None,
        "File with examples without labels, as a --test_file. The student is "
        "trained on them, too, with what the teacher says of them.",
        group="Teacher and student",
        placeholder="FILE",
    )
    online: bool = flag(
        False,
        "Compute what the teacher says anew in every step, where the disk is "
        "too small for it. By default it is computed once, before the first "
        "step, and kept in --output_dir until the training is finished.",
        group="Teacher and student",
    )
