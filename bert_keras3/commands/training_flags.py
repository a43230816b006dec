"""What a training's settings are on this machine, once TensorFlow is loaded."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from bert_keras3.commands import entry
from bert_keras3.commands.flags import FLAGS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.settings import OFF, JobSettings

_J = TypeVar("_J", bound=JobSettings)


def on_this_machine(job: _J) -> _J:
    """Loads TensorFlow and fills in what depends on the devices.

    Args:
        job: as the flags say it; `--mixed_precision` and `--concurrency` may
            have been left out.

    Raises:
        UserError: several devices are to compute several things at a time.
    """
    from bert_keras3.training.concurrency import suitable_threads

    if FLAGS.use_tpu:
        job = dataclasses.replace(job, distribution="tpu")
    wanted = _concurrency(job)
    entry.load_tensorflow(suitable_threads(wanted))

    from bert_keras3.training.computing import default_precision, has_gpu

    if FLAGS.concurrency is None and has_gpu():
        # A GPU is one device for all that is computed.
        wanted = 1
    computing = job.training.computing
    if FLAGS.mixed_precision is None:
        computing = dataclasses.replace(
            computing, mixed_precision=default_precision()
        )
    return dataclasses.replace(
        job,
        training=dataclasses.replace(job.training, computing=computing),
        concurrency=wanted,
    )


def _concurrency(job: JobSettings) -> int:
    """Returns how much is computed at the same time on a CPU."""
    from bert_keras3.training.concurrency import suitable_concurrency

    several = job.distribution != OFF
    if FLAGS.concurrency is None:
        if several or job.training.computing.jit_compile:
            return 1
        return suitable_concurrency()
    if several and job.concurrency > 1:
        raise UserError(
            f"--concurrency={job.concurrency}: several devices compute at "
            "the same time anyhow; leave it or --distribution out"
        )
    return job.concurrency
