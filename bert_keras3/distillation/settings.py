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
        help="Trained model to learn from: an --output_dir of this program, a "
        "SavedModel that was exported from one, or a fine-tuned checkpoint in "
        "any format that --init_checkpoint takes.",
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
    hidden_weight: float = flag(
        0.0,
        "Weight in the loss of the mean squared difference between the "
        "vectors of the teacher's layers and those of the student's, after a "
        "map that is learnt. The teacher is then computed in every step.",
        group="Teacher and student",
        least=0,
    )
    attention_weight: float = flag(
        0.0,
        "Weight in the loss of the divergence of the student's attention maps "
        "from those of the teacher's layers; both must have as many heads. "
        "The teacher is then computed in every step.",
        group="Teacher and student",
        least=0,
    )
    embedding_weight: float = flag(
        0.0,
        "Weight in the loss of the mean squared difference between the "
        "embeddings of tokens, after a map that is learnt. The teacher is "
        "then computed in every step.",
        group="Teacher and student",
        least=0,
    )
    layer_mapping: tuple[str, ...] = flag(
        (UNIFORM,),
        "Which layer of the teacher each layer of the student is compared "
        "with. uniform: evenly spaced, the last with the last; top: the last "
        "ones; or their numbers from 1, one for each layer of the student, "
        "such as 2,4,6.",
        group="Teacher and student",
        placeholder="LAYERS",
        needs=("hidden_weight", "attention_weight"),
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
        "step, and kept in --teacher_answers.",
        group="Teacher and student",
    )
    teacher_answers: str | None = flag(
        None,
        "Folder in which what the teacher says is kept, for further students "
        "that learn from the same teacher and the same texts. By default "
        "--output_dir, until the training is finished.",
        group="Teacher and student",
        placeholder="FOLDER",
        unless=(
            "online",
            "hidden_weight",
            "attention_weight",
            "embedding_weight",
        ),
    )

    @property
    def compared(self) -> tuple[str, ...]:
        """Which `ENCODED_OUTPUTS` of teacher and student are compared."""
        weights = {
            "layers": self.hidden_weight,
            "attention": self.attention_weight,
            "embeddings": self.embedding_weight,
        }
        return tuple(name for name, weight in weights.items() if weight)
