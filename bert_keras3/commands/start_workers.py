r"""Starts several worker processes for one training run on this machine.

    python start_workers.py --num_workers=2 run_classifier.py --do_train \
        --distribution=multi_worker --train_file=tickets.csv \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out
    start_workers --num_workers=2 run_classifier --do_train \
        --distribution=multi_worker --train_file=tickets.csv \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out

The first command starts a script by its path, the second an installed command.
All flags after the script or command are passed on to it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sys

from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import flag

# A --flagfile may contain the flag.
_SHARED = r" --?(distribution[ =]multi_worker|flagfile)"


@dataclasses.dataclass(frozen=True)
class Workers:
    """How many workers to start."""

    num_workers: int = flag(
        2,
        "Number of worker processes to start on this machine.",
        group="What to do",
        least=1,
    )


COMMAND = flags.Command(__doc__, Workers)


def find_script(name: str) -> list[str]:
    """Returns the command line of a script or an installed command.

    Raises:
        UserError: there is no such script or command.
    """
    if os.path.isfile(name):
        return [sys.executable, name]
    # pip installs commands beside Python, which need not be on the PATH.
    beside = os.path.join(os.path.dirname(sys.executable), name)
    installed = shutil.which(beside) or shutil.which(name)
    if installed is not None:
        return [installed]
    raise UserError(
        f"{name}: there is no such script; name run_classifier.py or "
        "run_pretraining.py, with its path if it is not in this folder, or "
        "an installed command such as run_classifier"
    )


def check_command(command: list[str]) -> None:
    """Checks that the workers share one training.

    Raises:
        UserError: without --distribution=multi_worker, each would do the whole
            job and overwrite the files of the others.
    """
    if not re.search(_SHARED, " ".join(command)):
        raise UserError(
            f"{command[0]}: without --distribution=multi_worker every worker "
            "would do the whole job, in one folder; add it"
        )


def main(command: list[str]) -> None:
    """Starts the workers and waits for them."""
    from bert_keras3.training.cluster import run_workers

    num_workers = COMMAND.read(Workers).num_workers
    if not command:
        raise UserError(
            "there is nothing to start: name a script and its flags, such as "
            "run_classifier.py --do_train --distribution=multi_worker …"
        )
    program = find_script(command[0])
    check_command(command)
    status = run_workers([*program, *command[1:]], num_workers)
    # −n means that signal n killed a worker; shells exit with 128 + n then.
    sys.exit(status if status >= 0 else 128 - status)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run_with_rest(main, COMMAND)
