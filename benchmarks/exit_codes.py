"""How every benchmark ends: one line for a user's mistake, and exit code 2.

As the commands do (`commands.entry`); here, a file that is missing and a child
process that ended with exit code 2 are such mistakes too.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

from bert_keras3.commands import entry
from bert_keras3.safekeeping.errors import UserError


def exit_after(main: Callable[[], None]) -> NoReturn:
    """Runs a benchmark and exits.

    Environment variables stay as they are: they count among what is measured.

    Args:
        main: reads its flags itself.
    """
    entry.exit_after(lambda: _run(main))


def _run(main: Callable[[], None]) -> None:
    """Runs a benchmark.

    Raises:
        UserError: a file that was named is not there.
        SystemExit: a child ended with a mistake, which it has shown.
    """
    try:
        main()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{error.filename}: there is no such file") from error
    except subprocess.CalledProcessError as error:
        if error.returncode != entry.USER_MISTAKE:
            raise
        sys.exit(entry.USER_MISTAKE)
