"""How every script starts and ends: flags, TensorFlow, messages, exit codes.

0 is success, 2 a mistake that the user can put right (one message, no
traceback), 128 + n the signal n (130: Ctrl-C); anything else is a fault of the
program.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import NoReturn, TypeVar

from bert_keras3.commands.flags import Command
from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.safekeeping.files import wanted_path
from bert_keras3.training.settings import OFF, JobSettings

USER_MISTAKE = 2
# As shells say it; 130 is Ctrl-C.
_SIGNALLED = 128
INTERRUPTED = _SIGNALLED + signal.SIGINT

# Where libraries write, whatever `sys.stderr` is.
_STDERR = 2

# Set before TensorFlow is imported, unless the user has set them.
_ENVIRONMENT = {
    # Only what stops the program: TensorFlow says the rest as exceptions.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Not on by default on every CPU; up to 1.6 times faster products.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "KERAS_BACKEND": "tensorflow",
}

_DISK_TROUBLES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EACCES: "there is no permission",
    errno.EPERM: "there is no permission",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "there is a folder where a file is wanted",
    errno.ENOTDIR: "there is a file where a folder is wanted",
}


def run(main: Callable[[], None], command: Command) -> NoReturn:
    """Parses the flags, runs a script's `main` and exits.

    Args:
        main: reads its flags itself; imports what is heavy itself, too, so
            that `--help` answers at once.
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
    """Does the same for a script that takes more than flags.

    Args:
        main: gets the arguments from the first that is no flag on.
        command: whose flags are parsed.
    """
    set_up_environment()
    exit_after(lambda: main(command.parse(sys.argv)))


def exit_after(main: Callable[[], None]) -> NoReturn:
    """Does something and ends the program as every script ends.

    Args:
        main: what is to be done.
    """
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
        # Whoever read the output has seen enough, as in `--help | head`.
        # Python would write what is left when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGNALLED + signal.SIGPIPE)
    except OSError as error:
        if error.errno not in _DISK_TROUBLES:
            raise
        # Of a renaming, the second name is the one that was asked for.
        path = error.filename2 or error.filename
        place = f"{wanted_path(str(path))}: " if path else ""
        _exit_with(
            f"{place}{_DISK_TROUBLES[error.errno]}. What was there before is "
            "untouched; put this right and run the same command again."
        )
    sys.exit(0)


def set_up_environment() -> None:
    """Sets what TensorFlow reads when it is imported.

    What the user has set stays as it is.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def load_tensorflow(threads: int | None = None) -> None:
    """Imports TensorFlow without what its libraries print while they load.

    Scripts that need it call this first; what it prints is shown after all
    if the import fails.

    Args:
        threads: that share an operation, unless the user has set it; by
            default as many as there are cores.
    """
    if threads is not None:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    with tempfile.TemporaryFile() as log:
        saved = os.dup(_STDERR)
        sys.stderr.flush()
        os.dup2(log.fileno(), _STDERR)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            # Its first look for devices prints, too.
            tf.config.list_physical_devices()
        except ImportError:
            log.seek(0)
            os.write(saved, log.read())
            raise
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)


def _exit_with(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(USER_MISTAKE)


_J = TypeVar("_J", bound=JobSettings)


def on_this_machine(job: _J, command: Command) -> _J:
    """Loads TensorFlow and fills in what depends on the devices.

    Args:
        job: as the flags say it; `--mixed_precision` and `--concurrency` may
            have been left out.
        command: whose flags they are.

    Raises:
        UserError: several devices are to compute several things at a time.
    """
    from bert_keras3.training.concurrency import suitable_threads

    given = command.values
    if given.use_tpu:
        job = dataclasses.replace(job, distribution="tpu")
    wanted = _concurrency(job, given.concurrency)
    load_tensorflow(suitable_threads(wanted))

    from bert_keras3.training.devices import default_precision, has_gpu

    if given.concurrency is None and has_gpu():
        # A GPU is one device for all that is computed.
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
    """Returns how much is computed at the same time on a CPU."""
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
