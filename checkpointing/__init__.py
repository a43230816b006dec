"""Weights in and out: every format reads to {google_name: array}.

`read` and `bert_config` open a checkpoint, `load` puts it into a model and
reports, `locate` says which files are meant.
"""

from checkpointing.arrays import Array, Arrays
from checkpointing.formats import bert_config, read
from checkpointing.loading import Mismatch, Report, load
from checkpointing.location import Location, locate

__all__ = [
    "Array",
    "Arrays",
    "Location",
    "Mismatch",
    "Report",
    "bert_config",
    "load",
    "locate",
    "read",
]
