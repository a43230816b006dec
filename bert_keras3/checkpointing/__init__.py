"""Reads and writes checkpoints; every format reads to {google_name: array}.

`open` opens a checkpoint with all that belongs to it, `start_from` the same or
random weights for a training; `read`, `bert_config` and `load` give a part of
it, `locate` finds the files, `write` writes any format.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_keras3.checkpointing.arrays import Array, Arrays
    from bert_keras3.checkpointing.checkpoint import Checkpoint
    from bert_keras3.checkpointing.formats import write
    from bert_keras3.checkpointing.loading import Mismatch, Report
    from bert_keras3.checkpointing.opening import (
        Location,
        bert_config,
        load,
        locate,
        read,
        start_from,
    )
    from bert_keras3.checkpointing.opening import open_checkpoint as open  # noqa: A004

__all__ = [
    "Array",
    "Arrays",
    "Checkpoint",
    "Location",
    "Mismatch",
    "Report",
    "bert_config",
    "load",
    "locate",
    "open",
    "read",
    "start_from",
    "write",
]


def __getattr__(name: str) -> Any:
    """Imports a name, and TensorFlow with it, on first access."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bert_keras3.checkpointing import (
        arrays,
        checkpoint,
        formats,
        loading,
        opening,
    )

    homes = (opening, formats, loading, checkpoint, arrays)
    found = {"open": "open_checkpoint"}.get(name, name)
    home = next(one for one in homes if hasattr(one, found))
    return getattr(home, found)
