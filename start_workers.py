r"""Starts the workers of one training on this machine.

    python start_workers.py --num_workers=2 run_classifier.py --do_train \
        --distribution=multi_worker --train_file=… --output_dir=out

Flags before the script are of this one, all others are the script's.
"""

from __future__ import annotations

import sys

from absl import flags

from console import entry

FLAGS = flags.FLAGS

# What follows the script's name is the script's.
FLAGS.set_gnu_getopt(False)

flags.DEFINE_integer("num_workers", 2, "How many processes.", lower_bound=1)


def main(command: list[str]) -> None:
    """Hands the flags to `training.loopback`."""
    from safekeeping.errors import UserError
    from training.loopback import run_workers

    if not command:
        raise UserError(
            "there is nothing to start: name a script and its flags, such as "
            "run_classifier.py --do_train --distribution=multi_worker …"
        )
    status = run_workers([sys.executable, *command], FLAGS.num_workers)
    # A worker that was killed by signal n has −n; shells say 128 + n.
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    entry.run_with_rest(main)
