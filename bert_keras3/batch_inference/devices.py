"""How a worker computes, where no flag says it.

The defaults are those of the plain commands, found out by each worker for its
own machine.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.training.environment import set_threads, set_up_environment


@dataclasses.dataclass(frozen=True)
class DeviceChoices:
    """What flags say, None where they do not.

    Attributes:
        mixed_precision: a key of `training.settings.PRECISIONS`.
        concurrency: number of batches computed at the same time.
        processes: how many workers share a machine, if that is known.
    """

    mixed_precision: str | None = None
    concurrency: int | None = None
    processes: int | None = None

    def prepare(self) -> tuple[str, int]:
        """Loads TensorFlow; returns `mixed_precision` and `concurrency`."""
        set_up_environment()
        set_threads(self.threads)
        from bert_keras3.training.devices import default_precision, has_gpu

        concurrency = self._concurrency
        if self.concurrency is None and has_gpu():
            # Parallel computations would share the GPU.
            concurrency = 1
        return self.mixed_precision or default_precision(), concurrency

    @property
    def threads(self) -> int | None:
        """How many threads an operation has; None: TensorFlow's default."""
        # Not above: commands import this file, and --help needs no NumPy.
        from bert_keras3.training.concurrency import (
            suitable_threads,
            usable_cores,
        )

        if self._has_machine:
            return suitable_threads(self._concurrency)
        return max(1, usable_cores() // (self.processes or 1))

    @property
    def _concurrency(self) -> int:
        if self.concurrency is not None:
            return self.concurrency
        from bert_keras3.training.concurrency import suitable_concurrency

        return suitable_concurrency() if self._has_machine else 1

    @property
    def _has_machine(self) -> bool:
        return self.processes in (None, 1)
