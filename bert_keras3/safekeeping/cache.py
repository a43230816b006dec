"""Where downloads are kept from one run to the next.

What is fetched, and how it is checked, is said where it is fetched.
"""

from __future__ import annotations

import os
import pathlib

_NAME = "bert-keras3"


def cache_folder() -> pathlib.Path:
    """Returns this program's folder in `$XDG_CACHE_HOME` or `~/.cache`.

    It need not exist. As the XDG base directory specification has it, a path
    that is not absolute counts as none.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return pathlib.Path(base, _NAME)
