"""How every command starts and ends: flags, TensorFlow, messages, exit codes.

Exit codes: 0 for success; 2 for a mistake that the user can correct (one
message, no traceback); 128 + n for signal n, so 130 for Ctrl-C; anything else
is a fault of the program.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from bert_keras3.commands.flags import Command
from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.safekeeping.files import wanted_path
from bert_keras3.training.environment import (
    load_tensorflow,
    set_up_environment,
)
from bert_keras3.training.settings import OFF, JobSettings

USER_MISTAKE = 2
# Added to the number of a signal, as in shells.
_SIGNALLED = 128
INTERRUPTED = _SIGNALLED + signal.SIGINT

_DISK_TROUBLES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EACCES: "there is no permission",
    errno.EPERM: "there is no permission",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "there is a folder where a file is wanted",
    errno.ENOTDIR: "there is a file where a folder is wanted",
    errno.EEXIST: "there is a file where a folder is wanted",
    errno.ENAMETOOLONG: "the name is too long",
}


def run(main: Callable[[], None], command: Command) -> NoReturn:
    """Parses the flags, calls `main` and exits.

    Args:
        main: of the command; it imports heavy libraries itself, so that
            `--help` is fast.
        command: whose flags are parsed.
    """

    def without_rest(rest: list[str]) -> None:
        if rest:
            raise UserError(
                f"{rest[0]!r} is not a flag; flags are written --name=value "
                "(--help lists them)"
            )
        main()

    run_with_rest(without_rest, command)


def run_with_rest(
    main: Callable[[list[str]], None], command: Command
) -> NoReturn:
    """Does the same for a command that takes other arguments, too.

    Args:
        main: gets the arguments from the first that is not a flag.
        command: whose flags are parsed.
    """
    set_up_environment()

    def parse_and_call() -> None:
        rest = command.parse(sys.argv)
        for note in command.notes():
            # Not on the standard output, which other programs may read.
            sys.stderr.write(f"{note}\n")
        main(rest)

    exit_after(parse_and_call)


def exit_after(main: Callable[[], None]) -> NoReturn:
    """Calls `main` and exits with a message and an exit code."""
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        _exit_with(str(error))
    except StoppedError as stopped:
        sys.stderr.write(f"{stopped}\n")
        sys.exit(_SIGNALLED + stopped.signal)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has closed the pipe, as in `--help | head`. Without this,
        # Python would print an error when it flushes the output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGNALLED + signal.SIGPIPE)
    except OSError as error:
        if error.errno not in _DISK_TROUBLES:
            raise
        # When a temporary file is renamed, the second name is the final one.
        path = error.filename2 or error.filename
        place = f"{wanted_path(str(path))}: " if path else ""
        _exit_with(
            f"{place}{_DISK_TROUBLES[error.errno]}. What was there before is "
            "untouched; put this right and run the same command again."
        )
    sys.exit(0)


def _exit_with(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(USER_MISTAKE)


_J = TypeVar("_J", bound=JobSettings)


def with_device_defaults(job: _J, command: Command) -> _J:
    """Loads TensorFlow and sets the defaults that depend on the devices.

    These are `--mixed_precision` and `--concurrency`, if they are not given.

    Args:
        job: the settings from the flags.
        command: whose flags they are.

    Raises:
        UserError: --concurrency is given with several devices.
    """
    from bert_keras3.training.concurrency import suitable_threads

    given = command.values
    if given.use_tpu and job.do_train:
        job = dataclasses.replace(job, distribution="tpu")
    wanted = _concurrency(job, given.concurrency)
    load_tensorflow(suitable_threads(wanted))

    from bert_keras3.training.devices import default_precision, has_gpu

    if given.concurrency is None and has_gpu():
        # Parallel computations would share the GPU.
        wanted = 1
    computing = job.training.computing
    if given.mixed_precision is None:
        computing = dataclasses.replace(
            computing, mixed_precision=default_precision()
        )
    return dataclasses.replace(
        job,
        training=dataclasses.replace(job.training, computing=computing),
        concurrency=wanted,
    )


def _concurrency(job: JobSettings, given: int | None) -> int:
    """Returns the number of parallel computations on a CPU."""
    from bert_keras3.training.concurrency import suitable_concurrency

    several = job.distribution != OFF
    if given is None:
        if several or job.training.computing.jit_compile:
            return 1
        return suitable_concurrency()
    if several and job.concurrency > 1:
        raise UserError(
            f"--concurrency={job.concurrency}: several devices compute at "
            "the same time anyhow; leave it or --distribution out"
        )
    return job.concurrency
