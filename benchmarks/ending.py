"""How every benchmark ends: one line for a mistake, and exit code 2.

What a mistake is and how it is shown is `console.entry`'s matter; here what
only benchmarks leave to the system becomes one: files that are not there, and
children that have told theirs.
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

    The environment stays as it is: what it does to the speed is measured.

    Args:
        main: reads its flags itself.
    """
    entry.exit_after(lambda: _tell(main))


def _tell(main: Callable[[], None]) -> None:
    """Runs a benchmark.

    Raises:
        UserError: a file that was named is not there.
        SystemExit: a child ended with a mistake, and has told it.
    """
    try:
        main()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{error.filename}: there is no such file") from error
    except subprocess.CalledProcessError as error:
        if error.returncode != entry.USER_MISTAKE:
            raise
        sys.exit(entry.USER_MISTAKE)
