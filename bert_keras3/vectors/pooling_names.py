"""The names of the ways of pooling: no library is imported, for `--help`."""

from __future__ import annotations

from collections.abc import Mapping

NONE = "none"
"""A vector for each token, nothing is pooled."""

# {name: (mode, layers)}; the layers' mean is pooled.
POOLINGS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "cls": ("cls", (-1,)),
    "mean": ("mean", (-1,)),
    "max": ("max", (-1,)),
    "last4": ("mean", (-1, -2, -3, -4)),
    "first_last": ("mean", (0, -1)),
}
"""The ways that a user can choose."""

FIXED = ("last4", "first_last")
"""Those that have layers of their own."""
