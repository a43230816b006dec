r"""Writes the vectors that a BERT model computes for texts.

    python extract_features.py --input_file=texts.txt \
        --output_file=vectors.jsonl --layers=-1,-2,-3,-4 \
        --init_checkpoint=uncased_L-12_H-768_A-12
    python extract_features.py --input_file=reviews.csv --id_column=id \
        --output_file=vectors.npz --format=npz --pooling=mean \
        --init_checkpoint=uncased_L-12_H-768_A-12

The first command writes a vector for every token and layer, as the original;
the second one vector for each text. docs/vectors.md shows which pooling suits
what.

Command lines for extract_features.py of google-research/bert work unchanged.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.commands import entry, flags
from bert_keras3.parallel_work.pipelines import local_processes, require_beam
from bert_keras3.parallel_work.settings import RunnerFlags, check_runner
from bert_keras3.training.environment import load_tensorflow
from bert_keras3.vectors.settings import Extraction

COMMAND = flags.Command(__doc__, Extraction, RunnerFlags)


def main() -> None:
    """Hands the flags to `vectors.extraction`."""
    from bert_keras3.training.concurrency import (
        suitable_concurrency,
        suitable_threads,
    )

    wanted = COMMAND.read(Extraction)
    beyond = COMMAND.read(RunnerFlags)
    check_runner(beyond)
    if beyond.runner is not None:
        _extract_shards(wanted, beyond)
        return
    concurrency = COMMAND.values.concurrency or suitable_concurrency()
    load_tensorflow(suitable_threads(concurrency))

    from bert_keras3.commands.screen import Screen
    from bert_keras3.training.devices import has_gpu
    from bert_keras3.vectors.extraction import extract

    if COMMAND.values.concurrency is None and has_gpu():
        # Parallel computations would share the GPU.
        concurrency = 1
    extract(dataclasses.replace(wanted, concurrency=concurrency), Screen())


def _extract_shards(wanted: Extraction, beyond: RunnerFlags) -> None:
    require_beam(str(beyond.runner))
    from bert_keras3.batch_inference.devices import DeviceChoices

    processes = local_processes(str(beyond.runner), beyond.runner_options)
    devices = DeviceChoices(None, COMMAND.values.concurrency, processes)
    # It may compute in this process, which passes its environment on if not.
    load_tensorflow(devices.threads if processes is None else None)
    from bert_keras3.batch_inference.vectors import extract_shards
    from bert_keras3.commands.screen import Screen

    extract_shards(wanted, devices, beyond, Screen())


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
