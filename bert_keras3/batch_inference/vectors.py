"""Texts → vectors, a file of them for each file of texts."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

from bert_keras3 import checkpointing
from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.filesystems import absolute
from bert_keras3.batch_inference.job import Inputs, answer_inputs
from bert_keras3.batch_inference.shards import Results
from bert_keras3.batch_inference.work import VectorWork
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import digest
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.session import Screen
from bert_keras3.vectors.files import check_writable
from bert_keras3.vectors.settings import Extraction

# Fields of an extraction that do not influence its vectors beyond rounding.
_WITHOUT_EFFECT = (
    *("input_file", "output_file", "batch_size", "concurrency"),
    *("use_tpu", "master", "num_tpu_cores"),
)


def extract_shards(
    wanted: Extraction,
    devices: DeviceChoices,
    flags: RunnerFlags,
    screen: Screen,
) -> None:
    """Writes a file of vectors for each file of the input.

    Args:
        wanted: which vectors of which files.
        devices: how workers compute.
        flags: the runner.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong, or a worker was killed.
    """
    assert flags.runner is not None
    check_ranges(wanted)
    check_writable(wanted.output_file, wanted.format)
    folder, name = os.path.split(absolute(wanted.output_file))
    if wanted.output_file.endswith("/"):
        raise UserError(
            f"--output_file={wanted.output_file}: give a name, such as "
            "vectors.jsonl; each file of the input gets one with its number"
        )
    work = VectorWork(wanted, devices)
    answer_inputs(
        work,
        _identity(wanted),
        Inputs(wanted.input_file, "input_file"),
        Results(folder, pathlib.PurePath(name).stem, "output_file"),
        flags,
        screen,
    )


def _identity(wanted: Extraction) -> dict[str, Any]:
    """Returns what the vectors depend on beside the texts.

    Raises:
        UserError: there is no such checkpoint.
    """
    weights = checkpointing.open(
        wanted.init_checkpoint,
        wanted.bert_config_file,
        wanted.vocab_file,
        wanted.do_lower_case,
    ).weights_file
    return {
        "weights": digest(weights) if weights and weights.is_file() else None,
        **{
            name: value
            for name, value in dataclasses.asdict(wanted).items()
            if name not in _WITHOUT_EFFECT
        },
    }
