"""Which devices a training runs on, by the name that `--distribution` has.

What they do together is in `devices`; where other workers are, in `cluster`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.cluster import Cluster, read_cluster
from bert_keras3.training.devices import ONE_DEVICE, Devices


def _off() -> Devices:
    return ONE_DEVICE


def _mirrored() -> Devices:
    """All devices of this machine; one is as without a strategy."""
    devices = tf.config.list_logical_devices(
        "GPU"
    ) or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    if len(names) == 1:
        return Devices(description=f"one device, {names[0]}, as without")
    return Devices(
        tf.distribute.MirroredStrategy(names),
        description=f"{len(names)} devices: {', '.join(names)}",
    )


def _multi_worker() -> Devices:
    cluster = read_cluster(os.environ)
    if len(cluster.addresses) == 1:
        return Devices(cluster=None, description="one worker, as without")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"{cluster.name_of(cluster.index)} could not join the others: "
            f"{error}"
        ) from error
    return Devices(
        strategy,
        cluster,
        f"{cluster.name_of(cluster.index)} of {len(cluster.addresses)} "
        f"workers, {strategy.num_replicas_in_sync} devices",
    )


def _tpu() -> Devices:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError, OSError) as error:
        raise UserError(
            "--distribution=tpu: TensorFlow finds no TPU on this machine "
            f"({str(error).splitlines()[0]}). Use a TPU VM with TensorFlow's "
            "build for it, or --distribution=off"
        ) from error
    strategy = tf.distribute.TPUStrategy(resolver)
    return Devices(
        strategy, description=f"{strategy.num_replicas_in_sync} TPU cores"
    )


DISTRIBUTIONS: dict[str, Callable[[], Devices]] = {
    "off": _off,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}


def check_not_distributed(distribution: str) -> None:
    """Checks that nothing is to be shared out where nothing is trained.

    Raises:
        UserError: `distribution` is not "off".
    """
    if distribution != "off":
        raise UserError(
            f"--distribution={distribution} shares a training out among "
            "devices; add --do_train, or leave it out"
        )


# What TensorFlow raises when another worker is gone; all but the first also
# when something else is wrong.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def devices_of(distribution: str) -> Iterator[Devices]:
    """Opens devices for the length of a job.

    To be entered before TensorFlow has done anything; workers leave it
    together.

    Args:
        distribution: key of `DISTRIBUTIONS`.

    Raises:
        UserError: the devices cannot be had, or another worker is gone.
    """
    devices = DISTRIBUTIONS[distribution]()
    try:
        yield devices
        devices.from_chief(None)
    except _LOST as error:
        if devices.cluster is None:
            raise
        gone = devices.cluster.silent()
        if not gone and not isinstance(error, tf.errors.UnavailableError):
            raise
        raise UserError(_left_alone(devices.cluster, gone, error)) from error


def _left_alone(
    cluster: Cluster, gone: Sequence[int], error: tf.errors.OpError
) -> str:
    names = " and ".join(map(cluster.name_of, gone)) or "another worker"
    reason = error.message.strip().splitlines()[-1]
    for line in error.message.splitlines():
        if "aborted by" in line:
            reason = line.strip()
    return (
        f"{cluster.name_of(cluster.index)} cannot go on: {names} stopped. "
        "What was saved is whole: start all workers with the same commands, "
        f"and they go on from there. (TensorFlow: {reason})"
    )
