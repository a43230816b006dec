"""The flags of every script that trains, and the settings made from them.

What one training alone has, or means otherwise (`--jit_compile`,
`--save_checkpoints_steps`), is defined in its own script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from absl import flags

if TYPE_CHECKING:
    from bert_keras3.training.settings import Computing

# `--help` shows them among the flags of the script that asks for them.
flags.disclaim_key_flags()


def define() -> None:
    """Defines the flags, for the script that calls this."""
    flags.DEFINE_list(
        "allow_missing",
        [],
        "Beginnings of names of encoder weights that the checkpoint may lack, "
        "such as bert/pooler.",
    )
    flags.DEFINE_integer("train_batch_size", 32, "Examples of an update.")
    flags.DEFINE_float("learning_rate", 5e-5, "The highest rate.")
    flags.DEFINE_enum(
        "optimizer",
        "adam_weight_decay",
        ["adam_weight_decay", "adamw", "lamb"],
        "The original's Adam; the same with bias correction; LAMB, for very "
        "large batches.",
    )
    flags.DEFINE_bool(
        "lazy_embeddings",
        False,
        "Leave the vectors of words that a batch neither has nor asks for "
        "alone: neither momentum nor decay moves them.",
    )
    flags.DEFINE_integer(
        "gradient_accumulation_steps",
        1,
        "Parts that each batch is passed through in, to save memory; the "
        "update is that of the whole batch.",
    )
    flags.DEFINE_enum(
        "mixed_precision",
        None,
        ["off", "bfloat16", "float16"],
        "Compute in 16 bits, weights in 32; by default bfloat16 on GPUs that "
        "multiply it, else off.",
    )
    flags.DEFINE_integer(
        "concurrency",
        None,
        "Parts of a training batch, and batches of an evaluation, that are "
        "computed at the same time; by default 2 on two cores, else 1. Dropout "
        "draws otherwise for another number.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "remat",
        False,
        "Compute layers again in the backward pass: less memory, more time, "
        "the same numbers.",
    )
    flags.DEFINE_integer(
        "seed", 12345, "Equal seeds give equal bits on one machine."
    )
    flags.DEFINE_integer(
        "eval_steps",
        None,
        "While training, evaluate after every so many steps too.",
    )
    flags.DEFINE_integer(
        "eval_batch_size", 8, "Examples of an evaluation's batch."
    )
    flags.DEFINE_enum(
        "distribution",
        "off",
        ["off", "mirrored", "multi_worker", "tpu"],
        "Who shares each batch out: all devices of this machine, or the "
        "workers that TF_CONFIG names (start_workers.py starts some).",
    )
    flags.DEFINE_bool("tensorboard", False, "Write events for TensorBoard.")
    _define_those_of_tpus()


def _define_those_of_tpus() -> None:
    """The original's, of which nothing is left to choose here."""
    flags.DEFINE_bool("use_tpu", False, "The same as --distribution=tpu.")
    for name in ("tpu_name", "tpu_zone", "gcp_project", "master"):
        flags.DEFINE_string(name, None, "Without effect; set TPU_NAME instead.")
    flags.DEFINE_integer("num_tpu_cores", 8, "Without effect, as above.")
    flags.DEFINE_integer("iterations_per_loop", 1000, "Without effect.")


def shared_choices(values: flags.FlagValues) -> dict[str, Any]:
    """Returns what every training's `TrainingChoices` take, by field."""
    names = (
        *("train_batch_size", "learning_rate", "optimizer", "lazy_embeddings"),
        *("gradient_accumulation_steps", "seed", "eval_steps", "tensorboard"),
        "save_checkpoints_steps",
    )
    chosen = {name: values[name].value for name in names}
    return {**chosen, "computing": _computing(values)}


def _computing(values: flags.FlagValues) -> Computing:
    from bert_keras3.training.computing import default_precision
    from bert_keras3.training.settings import Computing

    return Computing(
        values.mixed_precision or default_precision(),
        values.jit_compile,
        values.remat,
    )


def concurrency(values: flags.FlagValues) -> int:
    """Returns how much is computed at the same time; wants TensorFlow."""
    from bert_keras3.training.computing import has_gpu

    wanted = _wanted_concurrency(values)
    # A GPU is one device for all that is computed.
    return 1 if values.concurrency is None and has_gpu() else wanted


def threads(values: flags.FlagValues) -> int | None:
    """Returns how many threads are to share an operation; None: all.

    This is for `entry.load_tensorflow`, which comes before `concurrency`.

    Raises:
        UserError: several devices are to compute several things at a time.
    """
    from bert_keras3.training.concurrency import suitable_threads

    return suitable_threads(_wanted_concurrency(values))


def _wanted_concurrency(values: flags.FlagValues) -> int:
    from bert_keras3.safekeeping.errors import UserError
    from bert_keras3.training.concurrency import suitable_concurrency

    several = distribution(values) != "off"
    if values.concurrency is None:
        return 1 if several or values.jit_compile else suitable_concurrency()
    if several and values.concurrency > 1:
        raise UserError(
            f"--concurrency={values.concurrency}: several devices compute at "
            "the same time anyhow; leave it or --distribution out"
        )
    return int(values.concurrency)


def distribution(values: flags.FlagValues) -> str:
    """Returns who shares the batches out, a key of `DISTRIBUTIONS`."""
    return "tpu" if values.use_tpu else str(values.distribution)
