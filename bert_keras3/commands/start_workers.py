r"""Starts the workers of one training on this machine.

    python start_workers.py --num_workers=2 run_classifier.py --do_train \
        --distribution=multi_worker --train_file=… --output_dir=out

Flags before the script are of this one, all others are the script's.
"""

from __future__ import annotations

import os
import re
import sys

from absl import flags

from bert_keras3.commands import entry

FLAGS = flags.FLAGS

# What follows the script's name is the script's.
FLAGS.set_gnu_getopt(False)

# A file of flags may say so as well.
_SHARED = r" --?(distribution[ =]multi_worker|flagfile)"

flags.DEFINE_integer("num_workers", 2, "How many processes.", lower_bound=1)


def check_command(command: list[str]) -> None:
    """Checks that the workers would share one training.

    Raises:
        UserError: there is no such script, or each would do all of the work
            and write over the others' files.
    """
    from bert_keras3.safekeeping.errors import UserError

    script = command[0]
    if not os.path.isfile(script):
        raise UserError(
            f"{script}: there is no such script; name run_classifier.py or "
            "run_pretraining.py, with its path if it is not in this folder"
        )
    if not re.search(_SHARED, " ".join(command)):
        raise UserError(
            f"{script}: without --distribution=multi_worker every worker "
            "would do the whole job, in one folder; add it"
        )


def main(command: list[str]) -> None:
    """Hands the flags to `training.cluster`."""
    from bert_keras3.safekeeping.errors import UserError
    from bert_keras3.training.cluster import run_workers

    if not command:
        raise UserError(
            "there is nothing to start: name a script and its flags, such as "
            "run_classifier.py --do_train --distribution=multi_worker …"
        )
    check_command(command)
    status = run_workers([sys.executable, *command], FLAGS.num_workers)
    # A worker that was killed by signal n has −n; shells say 128 + n.
    sys.exit(status if status >= 0 else 128 - status)


def command() -> None:
    """Runs the script with the arguments of the process."""
    entry.run_with_rest(main)
