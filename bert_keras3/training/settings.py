"""Settings that fine-tuning and pretraining share, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses
import os

from bert_keras3.safekeeping.settings import flag

OFF = "off"
# {name: Keras dtype policy}. Weights, optimizer slots and losses are float32
# under each of them.
PRECISIONS = {
    OFF: "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@dataclasses.dataclass(frozen=True)
class ModelChoices:
    """The pretrained model to start from."""

    init_checkpoint: str | None = flag(
        None,
        "Pretrained checkpoint to start from: a Google checkpoint, a Hugging "
        "Face folder, a KerasHub preset, a .keras or .weights.h5 file, an "
        "--output_dir of this program, a .zip archive of one of these or its "
        "https:// address, or the name of a model published by Google, such as "
        "uncased_L-12_H-768_A-12, which is downloaded. By default training "
        "starts from random weights.",
        group="Model",
        placeholder="CHECKPOINT",
    )
    bert_config_file: str | None = flag(
        None,
        "JSON file with the model configuration: number of layers, hidden "
        "size and so on (bert_config.json). By default the one beside "
        "--init_checkpoint; needed to start from random weights.",
        group="Model",
        placeholder="FILE",
        aliases=("albert_config_file",),
    )
    vocab_file: str | None = flag(
        None,
        "Vocabulary file: vocab.txt, tokenizer.json or a SentencePiece .model "
        "file. By default the one beside --init_checkpoint; run_classifier "
        "needs it to start from random weights.",
        group="Model",
        placeholder="FILE",
        aliases=("spm_model_file",),
    )
    allow_missing: tuple[str, ...] = flag(
        (),
        "Encoder weights that --init_checkpoint may lack; they then start "
        "from random values. Comma-separated beginnings of weight names "
        "(regular expressions), such as bert/pooler. By default a missing "
        "weight is an error.",
        group="Model",
        needs=("init_checkpoint",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskedModel:
    """The model that answers, where nothing is trained."""

    init_checkpoint: str = flag(
        help="Pretrained or fine-tuned model: a Google checkpoint, a Hugging "
        "Face or sentence-transformers folder, a KerasHub preset, a .keras or "
        ".weights.h5 file, an --output_dir of this program, a .zip archive of "
        "one of these or its https:// address, or the name of a model "
        "published by Google, such as uncased_L-12_H-768_A-12, which is "
        "downloaded.",
        group="Model",
        placeholder="CHECKPOINT",
    )
    bert_config_file: str | None = flag(
        None,
        "JSON file with the model configuration. By default the one beside "
        "--init_checkpoint.",
        group="Model",
        placeholder="FILE",
        aliases=("albert_config_file",),
    )
    vocab_file: str | None = flag(
        None,
        "Vocabulary file: vocab.txt, tokenizer.json or a SentencePiece .model "
        "file. By default the one beside --init_checkpoint.",
        group="Model",
        placeholder="FILE",
        aliases=("spm_model_file",),
    )
    do_lower_case: bool | None = flag(
        None,
        "Convert the text to lower case and strip accents, as uncased models "
        "require. By default as the files beside --init_checkpoint say.",
        group="Model inputs",
    )


@dataclasses.dataclass(frozen=True)
class Computing:
    """Settings that change speed and memory, and results by rounding only."""

    mixed_precision: str = flag(
        OFF,
        "Mixed precision: compute in this 16-bit format and keep the weights "
        "in float32; off: compute in float32. By default bfloat16 on GPUs "
        "that support it, otherwise off.",
        group="Speed and memory",
        choices=tuple(PRECISIONS),
        found_out=True,
    )
    jit_compile: bool = flag(
        False,
        "Compile the model with XLA, once for each batch shape. "
        "run_classifier then pads batches to multiples of 32 tokens, so that "
        "there are few shapes.",
        group="Speed and memory",
    )
    remat: bool = flag(
        False,
        "Gradient checkpointing: recompute the activations of each layer in "
        "the backward pass instead of storing them. Takes less memory and "
        "more time; the results are the same.",
        group="Speed and memory",
        needs=("do_train",),
    )


FLOAT32 = Computing()
"""Plain float32, nothing compiled."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training."""

    train_batch_size: int = flag(
        32,
        "Training batch size: number of examples per training step, over all "
        "devices together.",
        group="Training",
        needs=("do_train",),
        least=1,
    )
    learning_rate: float = flag(
        5e-5,
        "Peak learning rate. It rises linearly from 0 during warm-up and then "
        "falls linearly to 0 at the end of training.",
        group="Training",
        above=0,
        below=1,
        hint="usual are 1e-5 to 1e-4 for fine-tuning, 2e-5 to 1e-3 for "
        "pretraining, and more for small models",
        needs=("do_train",),
    )
    optimizer: str = flag(
        "adam_weight_decay",
        "Optimizer. adam_weight_decay: Adam with decoupled weight decay and "
        "without bias correction, as in google-research/bert; adamw: the same "
        "with bias correction; lamb: for very large batches.",
        group="Further training settings",
        needs=("do_train",),
        choices=("adam_weight_decay", "adamw", "lamb"),
    )
    lazy_embeddings: bool = flag(
        False,
        "Update only the word embeddings of tokens that occur in the batch, "
        "as input or as a masked token to predict. By default momentum and "
        "weight decay change all word embeddings in every step.",
        group="Further training settings",
        needs=("do_train",),
    )
    gradient_accumulation_steps: int = flag(
        1,
        "Number of micro-batches that each batch is split into to save "
        "memory. The weights are updated once, with the gradient of the whole "
        "batch. At most --train_batch_size.",
        group="Speed and memory",
        needs=("do_train",),
        least=1,
    )
    seed: int = flag(
        12345,
        "Random seed. The same seed and the same flags give the same weights, "
        "bit for bit, on the same machine.",
        group="Further training settings",
        aliases=("random_seed",),
        least=0,
        most=2**32 - 1,
    )
    eval_steps: int | None = flag(
        None,
        "Number of training steps between additional evaluations; needs "
        "--do_train and --do_eval. By default run_classifier evaluates only "
        "after every epoch, and run_pretraining only before the first step "
        "and after the last.",
        group="Evaluation and prediction",
        needs=("do_train",),
        least=1,
    )
    save_checkpoints_steps: int = flag(
        1000,
        "Number of training steps between two saves of the state from which "
        "the same command resumes interrupted training. run_pretraining also "
        "writes a checkpoint each time.",
        group="Checkpoints and logs",
        needs=("do_train",),
        least=1,
    )
    tensorboard: bool = flag(
        False,
        "Write the loss, the learning rate and the metrics for TensorBoard "
        "into the folder tensorboard in --output_dir. Needs the package "
        "tensorboard.",
        group="Checkpoints and logs",
        needs=("do_train",),
    )
    computing: Computing = FLOAT32


WITHOUT_EFFECT = ("tensorboard", "save_checkpoints_steps")
"""Fields of `TrainingSettings` that do not influence the trained weights, and
so may differ when a training is resumed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Settings of a job: what to do, where, on which devices."""

    output_dir: str | os.PathLike[str] = flag(
        help="Folder for all that the run writes: the model, the results and "
        "the state from which interrupted training resumes. It is created if "
        "it does not exist.",
        group="What to do",
        placeholder="FOLDER",
    )
    do_train: bool = flag(
        False,
        "Train the model. The same command resumes training that was "
        "interrupted.",
        group="What to do",
    )
    do_eval: bool = flag(
        False,
        "Evaluate the model; with --do_train, during training as well.",
        group="What to do",
    )
    overwrite_output_dir: bool = flag(
        False,
        "Delete the run in --output_dir and start again. By default "
        "interrupted training resumes, and training with other settings in "
        "the same folder is refused.",
        group="Checkpoints and logs",
    )
    eval_batch_size: int = flag(
        8,
        "Evaluation batch size: number of examples per batch.",
        group="Evaluation and prediction",
        needs=("do_eval",),
        least=1,
    )
    training: TrainingSettings
    distribution: str = flag(
        "off",
        "Devices that share each training batch (data parallelism). off: one "
        "device; mirrored: all GPUs of this machine; multi_worker: the "
        "machines or processes listed in the environment variable TF_CONFIG "
        "(start_workers starts several on one machine); tpu: the cores of a "
        "TPU.",
        group="Several devices or machines",
        choices=("off", "mirrored", "multi_worker", "tpu"),
    )
    concurrency: int = flag(
        1,
        "Number of parts of each training batch, or of evaluation or "
        "prediction batches, that are computed in parallel. Another number "
        "gives other dropout masks. By default 2 on a CPU with two cores, "
        "without --distribution and --jit_compile; otherwise 1.",
        group="Speed and memory",
        least=1,
        found_out=True,
    )


@dataclasses.dataclass(frozen=True)
class TpuFlags:
    """The TPU flags of google-research/bert."""

    use_tpu: bool = flag(
        False,
        "The same as --distribution=tpu, for training.",
        group="Compatibility with google-research/bert",
        needs=("do_train",),
    )
    tpu_name: str | None = flag(
        None,
        "Has no effect: the TPU is the one that the environment variable "
        "TPU_NAME names.",
        group="Compatibility with google-research/bert",
        placeholder="NAME",
    )
    tpu_zone: str | None = flag(
        None,
        "Has no effect: the TPU is the one that the environment variable "
        "TPU_NAME names.",
        group="Compatibility with google-research/bert",
        placeholder="NAME",
    )
    gcp_project: str | None = flag(
        None,
        "Has no effect: the TPU is the one that the environment variable "
        "TPU_NAME names.",
        group="Compatibility with google-research/bert",
        placeholder="NAME",
    )
    master: str | None = flag(
        None,
        "Has no effect: the TPU is the one that the environment variable "
        "TPU_NAME names.",
        group="Compatibility with google-research/bert",
        placeholder="ADDRESS",
    )
    num_tpu_cores: int = flag(
        8,
        "Has no effect: all cores of the TPU are used.",
        group="Compatibility with google-research/bert",
    )
    iterations_per_loop: int = flag(
        1000,
        "Has no effect: training steps are not grouped.",
        group="Compatibility with google-research/bert",
    )
