"""The devices that train: precision, determinism, data parallelism.

With several devices each gets a shard of every batch: of 32 examples on two
GPUs, 16 each. The optimizer sums the gradients over the devices before it
clips them, so the update is that of the whole batch on one device.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.cluster import Cluster, read_cluster
from bert_keras3.training.concurrency import EXAMPLE
from bert_keras3.training.settings import FLOAT32, OFF, PRECISIONS, Computing

# The least compute capability of NVIDIA GPUs that multiply bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)

# Errors of TensorFlow when another worker stops; all but the first have other
# causes, too.
_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)

# How long a worker that has failed may take to close its port.
_ENDING_SECONDS = 15.0

Part = tuple[dict[str, tf.Tensor], tf.Tensor]
"""A part of a batch, and its fraction of the examples of the batch."""

PartsFunction = Callable[[Sequence[Part]], tuple[tf.Tensor, tf.Tensor]]
"""What a device computes from its parts: (summed over devices, not summed)."""


def check_compiled(computing: Computing, *, lazy_embeddings: bool) -> None:
    """Checks that `--jit_compile` can compile the training step.

    Raises:
        UserError: --lazy_embeddings is given, whose shapes vary.
    """
    if computing.jit_compile and lazy_embeddings:
        raise UserError(
            "--lazy_embeddings and --jit_compile: how many different tokens a "
            "batch has is not known when it is compiled; leave one of them out"
        )


def has_gpu() -> bool:
    """Returns whether TensorFlow finds a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def default_precision() -> str:
    """Returns the fastest safe precision: bfloat16 if all GPUs support it.

    Off on CPUs, where 16 bits are slower; never float16, whose range is small.
    """
    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in gpus
    ]
    capable = all(one and one >= _BFLOAT16_CAPABILITY for one in capabilities)
    return "bfloat16" if gpus and capable else OFF


def make_deterministic(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow and selects deterministic kernels.

    Two runs on one machine then give the same bits. Must be called before the
    model is created.

    Args:
        seed: a whole number from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Sets the precision of the layers created in the block.

    Args:
        precision: a key of `PRECISIONS`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def loss_scaled(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """Adds loss scaling to an optimizer if the precision is float16.

    The loss is multiplied by a factor, and the gradients are divided by it
    before they are clipped and applied, so that small ones are not rounded to
    0. A step with a gradient that is not finite is skipped and halves the
    factor.

    Args:
        optimizer: applies the gradients.
        precision: a key of `PRECISIONS`.
    """
    if precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of one training.

    Without a strategy there is one device, and all methods do nothing.
    """

    strategy: tf.distribute.Strategy | None = None
    cluster: Cluster | None = None
    description: str = "one device"

    @property
    def count(self) -> int:
        """Number of devices on all machines together."""
        if self.strategy is None:
            return 1
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.cluster is None or self.cluster.is_chief

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which model and optimizer must be created."""
        if self.strategy is None:
            return contextlib.nullcontext()
        scope: contextlib.AbstractContextManager[Any] = self.strategy.scope()
        return scope

    @contextlib.contextmanager
    def folder(
        self, output_dir: str | os.PathLike[str]
    ) -> Iterator[str | os.PathLike[str]]:
        """Yields the folder in the chief, a temporary one in other workers."""
        if self.is_chief:
            yield output_dir
            return
        with tempfile.TemporaryDirectory() as nowhere:
            yield os.path.join(nowhere, "out")

    def check(
        self,
        batch_size: int,
        micro_batches: int,
        computing: Computing = FLOAT32,
    ) -> None:
        """Checks that each batch can be divided equally among the devices.

        Args:
            batch_size: number of examples over all devices together.
            micro_batches: number of micro-batches that each device splits its
                shard into.
            computing: the settings of the computation.

        Raises:
            UserError: it cannot, or several devices do not support the
                settings.
        """
        if self.strategy is not None:
            for flag, chosen in (
                ("--jit_compile", computing.jit_compile),
                (
                    "--mixed_precision=float16",
                    computing.mixed_precision == "float16",
                ),
            ):
                if chosen:
                    raise UserError(
                        f"{flag} is for one device; leave it or --distribution "
                        "out"
                    )
        if batch_size % self.count:
            raise UserError(
                f"--train_batch_size={batch_size}: is shared out among "
                f"{self.count} devices; give a multiple of that"
            )
        if batch_size < self.count * micro_batches:
            raise UserError(
                f"--gradient_accumulation_steps={micro_batches}: each of "
                f"{self.count} devices has {batch_size // self.count} of the "
                f"--train_batch_size={batch_size} examples; give at most that"
            )

    def graph(
        self,
        function: PartsFunction,
        signature: Mapping[str, tf.TensorSpec],
        micro_batches: int,
    ) -> Callable[[Mapping[str, np.ndarray]], tuple[tf.Tensor, tf.Tensor]]:
        """Returns one graph that runs a function on every device.

        Args:
            function: gets the micro-batches of one device.
            signature: of the whole batch, which every process passes in.
            micro_batches: number of micro-batches per device.

        Returns:
            A function of the batch that returns the sum of the first values
            over all devices, and the second value of this process' first
            device.
        """
        strategy = self.strategy
        assert strategy is not None

        def on_device(
            features: dict[str, tf.Tensor],
        ) -> tuple[tf.Tensor, tf.Tensor]:
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group * micro_batches
            in_all = context.num_replicas_in_sync * micro_batches
            return function(
                [
                    _shard(features, first + number, in_all)
                    for number in range(micro_batches)
                ]
            )

        @tf.function(input_signature=[dict(signature)])
        def on_all(
            features: dict[str, tf.Tensor],
        ) -> tuple[tf.Tensor, tf.Tensor]:
            summed, own = strategy.run(on_device, args=(features,))
            return (
                strategy.reduce(tf.distribute.ReduceOp.SUM, summed, axis=None),
                strategy.experimental_local_results(own)[0],
            )

        return lambda batch: on_all(dict(batch))

    def from_chief(self, value: Any) -> Any:
        """Broadcasts the chief's value to every worker.

        Args:
            value: a JSON value; ignored in workers other than the chief.
        """
        if self.cluster is None:
            return value
        text = json.dumps(value).encode() if self.is_chief else b""
        length = self._array_from_chief(np.array([len(text)], np.int32))
        padded = np.zeros(length[0], np.uint8)
        if self.is_chief:
            padded[:] = np.frombuffer(text, np.uint8)
        return json.loads(self._array_from_chief(padded).tobytes())

    def align(
        self,
        variables: Sequence[keras.Variable],
        random_states: Sequence[keras.Variable],
    ) -> None:
        """Copies the chief's variables to every worker.

        Args:
            variables: Keras variables, in the same order in every process.
            random_states: those of them that seed dropout. The index of the
                device is added to each, so that masks differ.
        """
        if self.strategy is None:
            return
        if self.cluster is not None:
            for variable in variables:
                variable.assign(self._array_from_chief(variable.numpy()))
        here = len(self.strategy.extended.worker_devices)
        before = 0 if self.cluster is None else self.cluster.index * here
        for variable in random_states:
            for number, own in enumerate(
                self.strategy.experimental_local_results(variable.value)
            ):
                own.assign(own + tf.cast([before + number, 0], own.dtype))

    def _array_from_chief(self, array: np.ndarray) -> np.ndarray:
        """Broadcasts an array, as a sum in which other workers add 0."""
        data = array.tobytes()
        numbers = np.zeros(-(-len(data) // 4), np.int32)
        if self.is_chief:
            numbers.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        found = _sum_of_first(self.strategy, numbers).numpy().tobytes()
        return np.frombuffer(found[: len(data)], array.dtype).reshape(
            array.shape
        )


ONE_DEVICE = Devices()


def _shard(features: Mapping[str, Any], number: Any, in_all: int) -> Part:
    """Returns part number `number` of `in_all` parts of about equal size.

    The rows of one example stay together.
    """
    groups = features.get(EXAMPLE)
    if groups is None:
        size = tf.shape(next(iter(features.values())))[0]
    else:
        size = groups[-1] + 1
    begin, end = number * size // in_all, (number + 1) * size // in_all
    share = tf.cast(end - begin, tf.float32) / tf.cast(size, tf.float32)
    if groups is None:
        return {name: rows[begin:end] for name, rows in features.items()}, share
    ends = tf.searchsorted(groups, tf.stack([begin, end]))
    part = {name: rows[ends[0] : ends[1]] for name, rows in features.items()}
    return part | {EXAMPLE: part[EXAMPLE] - begin}, share


@tf.function(reduce_retracing=True)
def _sum_of_first(strategy: Any, numbers: tf.Tensor) -> tf.Tensor:
    """Sums int32 arrays over the first devices of all workers."""

    def own(numbers: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.where(is_first, numbers, 0)
        )

    results = strategy.run(own, args=(numbers,))
    return strategy.experimental_local_results(results)[0]


def _off() -> Devices:
    return ONE_DEVICE


def _mirrored() -> Devices:
    """All GPUs, else all CPUs, of this machine; no strategy for one."""
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
    """Checks that `--distribution` is not given without `--do_train`.

    Raises:
        UserError: `distribution` is not "off".
    """
    if distribution != "off":
        raise UserError(
            f"--distribution={distribution} shares a training out among "
            "devices; add --do_train, or leave it out"
        )


@contextlib.contextmanager
def devices_of(distribution: str) -> Iterator[Devices]:
    """Opens the devices for the duration of a job.

    Must be entered before TensorFlow has created any tensor. At the end,
    workers wait for each other.

    Args:
        distribution: key of `DISTRIBUTIONS`.

    Raises:
        UserError: the devices are not available, or another worker stopped.
    """
    devices = DISTRIBUTIONS[distribution]()
    try:
        yield devices
        devices.from_chief(None)
    except _WORKER_ERRORS as error:
        if devices.cluster is None:
            raise
        gone = _stopped_ones(devices.cluster)
        if not gone and not isinstance(error, tf.errors.UnavailableError):
            raise
        raise UserError(
            _worker_stopped(devices.cluster, gone, error)
        ) from error


def _stopped_ones(cluster: Cluster) -> list[int]:
    """Waits a little: a worker that is ending may answer for a moment."""
    deadline = time.monotonic() + _ENDING_SECONDS
    while not (gone := cluster.unreachable()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return gone


def _worker_stopped(
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
