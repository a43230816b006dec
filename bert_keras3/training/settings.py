"""The settings of every training, whatever it trains.

Each kind of training adds fields of its own. No library is loaded here, so
that flags can be defined from these fields at once.
"""

from __future__ import annotations

import dataclasses
import os

from bert_keras3.safekeeping.settings import flag

OFF = "off"
# {name: Keras' policy}; weights, slots and losses are float32 in all of them.
PRECISIONS = {
    OFF: "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@dataclasses.dataclass(frozen=True)
class ModelChoices:
    """The pretrained model to begin with; None means: find it out."""

    init_checkpoint: str | None = flag(
        None,
        "Pretrained weights to start from: a Google checkpoint, a Hugging "
        "Face folder, a .keras or .h5 file, an output folder of this "
        "program, a .zip file or an https:// address of one of these, or the "
        "name of a model that Google published. By default all weights are "
        "random.",
        group="Model",
    )
    bert_config_file: str | None = flag(
        None,
        "JSON file with the sizes of the model (bert_config.json). By "
        "default the one beside --init_checkpoint.",
        group="Model",
        aliases=("albert_config_file",),
    )
    vocab_file: str | None = flag(
        None,
        "Vocabulary of the model: vocab.txt, tokenizer.json or a "
        "SentencePiece .model file. By default the one beside "
        "--init_checkpoint.",
        group="Model",
        aliases=("spm_model_file",),
    )
    allow_missing: tuple[str, ...] = flag(
        (),
        "Encoder weights that --init_checkpoint may lack; they are then "
        "random. Beginnings of weight names, separated by commas, such as "
        "bert/pooler.",
        group="Model",
    )


@dataclasses.dataclass(frozen=True)
class Computing:
    """How to compute; none of it changes what is computed, but to rounding."""

    mixed_precision: str = flag(
        OFF,
        "Compute in 16 bits and keep the weights in 32 bits. By default "
        "bfloat16 on GPUs that support it, otherwise off.",
        group="Speed and memory",
        choices=tuple(PRECISIONS),
        found_out=True,
    )
    jit_compile: bool = flag(
        False,
        "Compile the model with XLA, once for each shape of a batch. In "
        "fine-tuning, batches are then padded to multiples of 32 tokens, so "
        "that there are few shapes.",
        group="Speed and memory",
    )
    remat: bool = flag(
        False,
        "Compute each layer again in the backward pass instead of storing "
        "its activations: less memory, more time, the same numbers.",
        group="Speed and memory",
    )


PLAIN = Computing()


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How to train."""

    train_batch_size: int = flag(
        32,
        "Number of training examples in a batch; each batch is one training "
        "step.",
        group="Training",
        least=1,
    )
    learning_rate: float = flag(
        5e-5,
        "Highest learning rate, reached at the end of warm-up; it falls to 0 "
        "at the end of training. Above 0 and below 1.",
        group="Training",
    )
    optimizer: str = flag(
        "adam_weight_decay",
        "Optimizer. adam_weight_decay is the original's Adam, adamw is the "
        "same with bias correction, lamb is for very large batches.",
        group="Training",
        choices=("adam_weight_decay", "adamw", "lamb"),
    )
    lazy_embeddings: bool = flag(
        False,
        "Update only the word embeddings of tokens that the batch contains "
        "or has to predict; by default momentum and weight decay move all of "
        "them at every step.",
        group="Training",
    )
    gradient_accumulation_steps: int = flag(
        1,
        "Number of micro-batches that each batch is split into to save "
        "memory; the update is that of the whole batch.",
        group="Speed and memory",
        least=1,
    )
    seed: int = flag(
        12345,
        "Seed of all random numbers. The same seed gives the same weights, "
        "bit for bit, on the same machine.",
        group="Training",
        least=0,
        most=2**32 - 1,
    )
    eval_steps: int | None = flag(
        None,
        "While training, also evaluate after every so many steps; needs "
        "--do_eval. By default fine-tuning evaluates after every epoch, and "
        "pretraining before the first step and after the last.",
        group="Training",
        least=1,
    )
    save_checkpoints_steps: int = flag(
        1000,
        "Number of steps between two saves of the training's state, from "
        "which the same command continues after a stop. Pretraining also "
        "writes a checkpoint each time.",
        group="Training",
        least=1,
    )
    tensorboard: bool = flag(
        False,
        "Write the loss, the learning rate and the metrics for TensorBoard, "
        "in a folder of --output_dir.",
        group="Training",
    )
    computing: Computing = PLAIN


WITHOUT_EFFECT = ("tensorboard", "save_checkpoints_steps")
"""Fields that change no number, and so may change between two runs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSettings:
    """What every job of a training is told."""

    output_dir: str | os.PathLike[str] = flag(
        help="Folder of the run: the model, the results and the state from "
        "which a stopped training continues. It need not exist.",
        group="What to do",
    )
    do_train: bool = flag(False, "Train the model.", group="What to do")
    do_eval: bool = flag(
        False,
        "Evaluate the model; with --do_train, while training too (see "
        "--eval_steps).",
        group="What to do",
    )
    overwrite_output_dir: bool = flag(
        False,
        "Delete the run that is in --output_dir and start again. By default "
        "a stopped training continues, and another training in the same "
        "folder is refused.",
        group="Training",
    )
    eval_batch_size: int = flag(
        8,
        "Number of examples in a batch of an evaluation.",
        group="Evaluation and prediction",
        least=1,
    )
    training: TrainingSettings
    distribution: str = flag(
        "off",
        "Devices that share each batch. mirrored: all GPUs of this machine; "
        "multi_worker: the machines or processes that the environment "
        "variable TF_CONFIG lists (start_workers starts some on this "
        "machine); tpu: the cores of a TPU; off: one device.",
        group="Devices",
        choices=("off", "mirrored", "multi_worker", "tpu"),
    )
    concurrency: int = flag(
        1,
        "Number of parts of a training batch, or of batches of an "
        "evaluation, that are computed at the same time. Another number "
        "draws other dropout masks. By default 2 on a CPU of two cores, "
        "otherwise 1.",
        group="Speed and memory",
        least=1,
        found_out=True,
    )


@dataclasses.dataclass(frozen=True)
class TpuFlags:
    """The original's flags for TPUs."""

    use_tpu: bool = flag(
        False, "The same as --distribution=tpu.", group="Devices"
    )
    tpu_name: str | None = flag(
        None,
        "Has no effect: set the environment variable TPU_NAME instead.",
        group="Accepted, without effect",
    )
    tpu_zone: str | None = flag(
        None,
        "Has no effect: set the environment variable TPU_NAME instead.",
        group="Accepted, without effect",
    )
    gcp_project: str | None = flag(
        None,
        "Has no effect: set the environment variable TPU_NAME instead.",
        group="Accepted, without effect",
    )
    master: str | None = flag(
        None,
        "Has no effect: set the environment variable TPU_NAME instead.",
        group="Accepted, without effect",
    )
    num_tpu_cores: int = flag(
        8,
        "Has no effect: all cores of the TPU are used.",
        group="Accepted, without effect",
    )
    iterations_per_loop: int = flag(
        1000,
        "Has no effect: steps are not grouped into loops.",
        group="Accepted, without effect",
    )
