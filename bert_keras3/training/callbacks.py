"""Keras callbacks: progress bar, log file, TensorBoard, periodic saving."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.training.fit import lower_is_better

LOG_EVERY = 10
_SECONDS_BETWEEN_LINES = 30.0
_BAR_WIDTH = 12
# The bar, the steps and both times.
_BESIDE_NUMBERS = 52


def _shown(logs: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}"
        for name, value in logs.items()
        if isinstance(value, (int, float)) and name != "step"
    )


class ProgressBar(keras.callbacks.Callback):
    """A bar with what a person wants to know; lines without a terminal.

    Loss, learning rate, tokens a second, the most memory so far, the best
    evaluation and the time left.

    The loss shown is the mean since it was last shown: reading it at every
    step would make the program wait for the GPU.
    """

    def __init__(
        self,
        best_metric: str | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes a bar.

        Args:
            best_metric: of which the best value is shown.
            console: to print on; standard error by default.
            clock: monotonic, in seconds.
        """
        super().__init__()
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._bar: Progress | None = None
        self._unshown: list[Mapping[str, Any]] = []
        self._best_metric = best_metric
        self._best: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the bar at the first step of this run."""
        # Keras turns all numbers of logs into floats.
        self._first = int(logs["step"])
        self._total = int(logs["num_train_steps"])
        self._started = self._last_line = self._clock()
        self._last_shown = self._started
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(_BAR_WIDTH),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=self._console,
            )
            self._bar.add_task("", total=self._total, numbers="")
            self._bar.update(self._bar.task_ids[0], completed=self._first)
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves on by a step."""
        self._unshown.append(logs)
        now = self._clock()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=batch)
            if batch % LOG_EVERY == 0 or batch == self._total:
                room = self._console.width - _BESIDE_NUMBERS
                numbers = _as_fit(self._numbers(now), room)
                self._bar.update(self._bar.task_ids[0], numbers=numbers)
        elif (
            now - self._last_line >= _SECONDS_BETWEEN_LINES
            or batch == self._total
        ):
            self._last_line = now
            done = batch - self._first
            left = (now - self._started) / done * (self._total - batch)
            self._console.print(
                f"step {batch}/{self._total}: {', '.join(self._numbers(now))}, "
                f"{left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )

    def _numbers(self, now: float) -> list[str]:
        """Returns what is shown of the steps since it was last."""
        losses = [float(logs["loss"]) for logs in self._unshown]
        learning_rate = float(self._unshown[-1]["learning_rate"])
        tokens = sum(logs["tokens"] for logs in self._unshown)
        seconds, self._last_shown = now - self._last_shown, now
        self._unshown.clear()
        shown = [
            f"mean loss {sum(losses) / len(losses):.4f}",
            f"learning rate {learning_rate:.3g}",
        ]
        if tokens and seconds > 0:
            shown.append(f"{tokens / seconds:.0f} tokens/s")
        shown.append(f"{_peak_memory() / 1e6:.0f} MB")
        if self._best is not None:
            shown.append(f"best {self._best_metric} {self._best:.4f}")
        return shown

    def on_test_begin(self, logs: Any = None) -> None:
        """Notes when an evaluation begins, which counts in no speed."""
        self._paused = self._clock()

    def on_test_end(self, logs: Any = None) -> None:
        """Shows an evaluation."""
        self._last_shown += self._clock() - self._paused
        self._note_best(logs.get(self._best_metric))
        self._console.print(
            f"step {int(logs['step'])}: {_shown(logs)}", highlight=False
        )

    def _note_best(self, value: float | None) -> None:
        if value is None or self._best_metric is None:
            return
        is_better = self._best is None or (
            value < self._best
            if lower_is_better(self._best_metric)
            else value > self._best
        )
        if is_better:
            self._best = value

    def on_train_end(self, logs: Any = None) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()


def _as_fit(parts: Sequence[str], room: int) -> str:
    """Joins the first parts for which there is room."""
    shown = ""
    for part in parts:
        longer = f"{shown}, {part}" if shown else part
        if len(longer) > room:
            break
        shown = longer
    return shown


def _step_of(line: str) -> int:
    return int(json.loads(line)["step"])


def _is_logged(step: int, num_train_steps: int) -> bool:
    return step % LOG_EVERY == 0 or step in (1, num_train_steps)


def _peak_memory() -> int:
    """Returns the most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In bytes on macOS, in KiB on Linux.
    return peak if sys.platform == "darwin" else peak * 1024


class TrainingLog(keras.callbacks.Callback):
    """A file of JSON lines: every tenth step, every evaluation.

    Beside the loss and the learning rate, a step has the seconds since the
    training began, without the time between the runs of a resumed one, and
    the most memory that the process has had, in bytes.

    A resumed training continues the file; lines of steps after the saved
    state are deleted first.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes a log; the file is opened when training begins.

        Args:
            path: of the file.
            clock: monotonic, in seconds.
        """
        super().__init__()
        self._path = pathlib.Path(path)
        self._clock = clock
        self._file: IO[str] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Deletes the lines of steps that are repeated."""
        first = int(logs["step"])
        kept = []
        if first and self._path.exists():
            with self._path.open(encoding="utf-8") as file:
                for line in file:
                    # A full disk may have cut the last line short.
                    if line.endswith("\n") and _step_of(line) <= first:
                        kept.append(line)
        with atomic_write(self._path) as file:
            file.writelines(kept)
        seconds = (json.loads(line).get("seconds", 0.0) for line in kept)
        self._began = self._clock() - max(seconds, default=0.0)
        self._total = int(logs["num_train_steps"])
        self._file = self._path.open("a", encoding="utf-8")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes the loss and the learning rate of a step."""
        if _is_logged(batch, self._total):
            self._write(
                {
                    "step": batch,
                    "loss": float(logs["loss"]),
                    "learning_rate": float(logs["learning_rate"]),
                    "seconds": round(self._clock() - self._began, 3),
                    "peak_memory": _peak_memory(),
                }
            )

    def on_test_end(self, logs: Any = None) -> None:
        """Writes an evaluation's metrics."""
        metrics = {name: logs[name] for name in logs if name != "step"}
        self._write({"step": int(logs["step"]), "evaluation": metrics})

    def _write(self, entry: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def require_tensorboard() -> None:
    """Checks that event files can be written.

    Raises:
        UserError: the package `tensorboard` is not installed.
    """
    # tf.summary.scalar needs it.
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--tensorboard needs the package `tensorboard`: "
            "pip install 'bert-keras3[tensorboard]'"
        )


class TensorBoardScalars(keras.callbacks.Callback):
    """Loss, learning rate and evaluations for TensorBoard.

    (Keras' own callback depends on Keras' own training loop.)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Makes the callback; the event file is created when training begins.

        Raises:
            UserError: the package `tensorboard` is not installed.
        """
        super().__init__()
        require_tensorboard()
        import tensorflow as tf

        self._summary = tf.summary
        self._folder = os.fspath(folder)

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens an event file."""
        self._total = int(logs["num_train_steps"])
        self._writer = self._summary.create_file_writer(self._folder)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes loss and learning rate, at the same steps as `TrainingLog`."""
        if _is_logged(batch, self._total):
            self._write(
                batch,
                {
                    f"train/{name}": float(logs[name])
                    for name in ("loss", "learning_rate")
                },
            )

    def on_test_end(self, logs: Any = None) -> None:
        """Writes an evaluation's metrics."""
        self._write(
            int(logs["step"]),
            {
                f"evaluation/{name}": value
                for name, value in logs.items()
                if name != "step" and isinstance(value, (int, float))
            },
        )

    def _write(self, step: int, scalars: Mapping[str, float]) -> None:
        with self._writer.as_default():
            for name, value in scalars.items():
                self._summary.scalar(name, value, step=step)

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the event file."""
        self._writer.close()


class SaveEvery(keras.callbacks.Callback):
    """Calls a function every N steps, except after the last step."""

    def __init__(self, steps: int, save: Callable[[], None]) -> None:
        """Makes a callback.

        Args:
            steps: N.
            save: the function.
        """
        super().__init__()
        self._steps = steps
        self._save = save

    def on_train_begin(self, logs: Any = None) -> None:
        """Remembers the number of steps."""
        self._last = int(logs["num_train_steps"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves after every N steps."""
        if batch % self._steps == 0 and batch != self._last:
            self._save()
