"""Runs Apache Beam pipelines, wherever their workers are.

The direct runner with `--direct_running_mode=multi_processing` waits for ever
for a worker process that was killed. Such a pipeline is run in a process group
of its own, which ends as soon as one of them, or this process, is lost.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from bert_keras3.safekeeping.errors import UserError

# Adds the steps of a job to an `apache_beam.Pipeline`; can be pickled.
Build = Callable[[Any], None]

_MULTI_PROCESSING = "multi_processing"
# How the runner calls the threads that wait for a worker process each.
_WAITING = "run_worker"


class WorkerLostError(UserError):
    """A process was killed; the results of the others are still valid."""


def require_beam(runner: str) -> Any:
    """Returns the package `apache_beam`.

    Raises:
        UserError: it is not installed.
    """
    # Of what is missing that only some file systems need.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(
            f"--runner={runner} needs the package `apache-beam`: "
            "pip install 'bert-keras3[beam]'"
        ) from error
    finally:
        logging.disable(before)
    return apache_beam


def local_processes(runner: str, options: Sequence[str]) -> int | None:
    """Returns how many worker processes a pipeline has on this machine.

    Args:
        runner: as Beam calls it.
        options: of the pipeline, as on a command line.

    Returns:
        Their number; None if the runner is another than the direct one, or
        has no processes but this one.

    Raises:
        UserError: an option has a value that it cannot have.
    """
    from apache_beam.options.pipeline_options import DirectOptions

    if not runner.lower().endswith("directrunner"):
        return None
    direct = _options(runner, options).view_as(DirectOptions)
    if direct.direct_running_mode != _MULTI_PROCESSING:
        return None
    return int(direct.direct_num_workers) or os.cpu_count() or 1


def run_pipeline(runner: str, options: Sequence[str], build: Build) -> None:
    """Runs a pipeline to its end.

    Args:
        runner: as Beam calls it: DirectRunner, FlinkRunner, DataflowRunner…
        options: of the pipeline, as on a command line.
        build: adds its steps.

    Raises:
        UserError: Beam is not installed, there is no such runner, or an
            option is wrong.
        WorkerLostError: a worker process on this machine was killed.
        RuntimeError: a step failed; the message has its traceback.
    """
    require_beam(runner)
    if local_processes(runner, options) is None:
        _run_here(runner, options, build)
    else:
        _run_apart(runner, options, build)


def _options(runner: str, options: Sequence[str]) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        return PipelineOptions(list(options))
    except SystemExit as error:
        # Its parser has said on standard error what is wrong.
        raise UserError(
            f"--runner_options={','.join(options)}: Apache Beam does not "
            f"accept these for --runner={runner}"
        ) from error


def _run_here(runner: str, options: Sequence[str], build: Build) -> None:
    beam = require_beam(runner)
    try:
        pipeline = beam.Pipeline(
            runner=runner, options=_options(runner, options)
        )
    except (ValueError, ImportError) as error:
        raise UserError(f"--runner={runner}: {error}") from error
    with pipeline:
        build(pipeline)


def _run_apart(runner: str, options: Sequence[str], build: Build) -> None:
    """Runs a pipeline in a process that has its workers in its own group."""
    # Forking a process that has threads can hang it.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_lead_group,
        args=(theirs, runner, options, pickle.dumps(build)),
    )
    process.start()
    assert process.pid is not None
    theirs.close()
    try:
        try:
            mistake, fault = ours.recv()
        except EOFError:
            raise _lost() from None
    finally:
        # Before it leads a group, there is none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
    if mistake is not None:
        raise UserError(mistake)
    if fault is not None:
        raise RuntimeError(fault)


def _lost() -> WorkerLostError:
    return WorkerLostError(
        "a worker process was killed, most likely for want of memory; run the "
        "same command again, with fewer processes "
        "(--runner_options=--direct_num_workers=…) if need be, to go on"
    )


def _lead_group(
    report: Any, runner: str, options: Sequence[str], build: bytes
) -> None:
    """Runs a pipeline and reports (the user's mistake, another fault)."""
    os.setsid()
    # What the runner and its workers log, and do not show their errors by.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def on_error(error: threading.ExceptHookArgs) -> None:
        if error.thread is not None and error.thread.name == _WAITING:
            # The other side reads that nothing more comes.
            report.close()
            os.killpg(0, signal.SIGKILL)
        elif not str(error.exc_type.__module__).startswith("grpc"):
            threading.__excepthook__(error)

    threading.excepthook = on_error
    mistake = fault = None
    try:
        _run_here(runner, options, pickle.loads(build))
    except UserError as error:
        mistake = str(error)
    except Exception:  # noqa: BLE001, since the parent raises it
        fault = traceback.format_exc()
    report.send((mistake, fault))


def _end_with_parent() -> None:
    """Ends the group when the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)
