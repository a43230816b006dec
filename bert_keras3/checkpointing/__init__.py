"""Weights in and out: every format reads to {google_name: array}.

`read` and `bert_config` open a checkpoint, `load` puts it into a model and
reports, `locate` says which files are meant; `read_checkpoint` and `write`
take everything that belongs to one.
"""

from bert_keras3.checkpointing.arrays import Array, Arrays
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.formats import (
    bert_config,
    chosen_config,
    read,
    read_checkpoint,
    write,
)
from bert_keras3.checkpointing.loading import Mismatch, Report, load
from bert_keras3.checkpointing.location import Location, locate

__all__ = [
    "Array",
    "Arrays",
    "Checkpoint",
    "Location",
    "Mismatch",
    "Report",
    "bert_config",
    "chosen_config",
    "load",
    "locate",
    "read",
    "read_checkpoint",
    "write",
]
