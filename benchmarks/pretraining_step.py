r"""How fast a step of pretraining is beside the original's graph.

Both take the same batches of the same records, forward, backward, clipping
and update, each in a process of its own, in turn, several times over, so that
other load of the machine falls on both. Steps are timed after some that build
the graph and warm up.

    python create_pretraining_data.py --input_file=text.txt \
        --output_file=records.tfrecord --vocab_file=vocab.txt
    python -m benchmarks.pretraining_step --records=records.tfrecord \
        --bert_config_file=bert_config.json --batch_size=8 \
        --original=path/to/google-research/bert

Prints one JSON object a contender: seconds of a step (least and median over
all rounds), how many times faster than the original that is, and the share of
padding in the batches. `contenders.original_graph` has what the original needs
of TensorFlow 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from bert_keras3.training.concurrency import (
    suitable_concurrency,
    suitable_threads,
)

Batch = dict[str, np.ndarray]
# Takes a batch, returns its loss.
Step = Callable[[Batch], float]

LEARNING_RATE, STEPS_OF_TRAINING = 1e-4, 10_000


def make_original(arguments: argparse.Namespace) -> Step:
    """Builds the original's training graph."""
    from benchmarks.contenders import original_graph

    return original_graph.pretraining_step(
        arguments.original,
        arguments.bert_config_file,
        (arguments.batch_size, arguments.max_seq_length),
        arguments.max_predictions_per_seq,
        LEARNING_RATE,
        STEPS_OF_TRAINING,
    )


def make_ours(
    arguments: argparse.Namespace, concurrency: int, *, lean: bool = True
) -> Step:
    """Builds this project's step.

    Args:
        arguments: of the command.
        concurrency: micro-batches that are computed at the same time.
        lean: without work on padding, else as the original computes.
    """
    from bert_keras3.optimization import create_optimizer
    from bert_keras3.pretraining.checked_records import PER_TOKEN
    from bert_keras3.pretraining.objective import (
        loss,
        new_model,
        plain_loss,
    )
    from bert_keras3.training.step import StepSettings, TrainStep
    from modeling.config import BertConfig

    model = new_model(BertConfig.from_json_file(arguments.bert_config_file))

    step = TrainStep(
        model,
        loss if lean else plain_loss,
        create_optimizer(LEARNING_RATE, STEPS_OF_TRAINING, 0),
        StepSettings(concurrency=concurrency, per_token=PER_TOKEN),
    )
    return lambda batch: float(step(batch)["loss"])


ORIGINAL = "the original"
# Without oneDNN, which the commands here turn on.
AS_IT_COMES = "the original, as it comes"
OURS = "ours"
CONTENDERS: Mapping[str, Callable[[argparse.Namespace], Step]] = {
    ORIGINAL: make_original,
    AS_IT_COMES: make_original,
    OURS: lambda arguments: make_ours(arguments, suitable_concurrency()),
    f"{OURS}, --concurrency=1": lambda arguments: make_ours(arguments, 1),
    f"{OURS}, plain path": lambda arguments: make_ours(
        arguments, 1, lean=False
    ),
}


def settings_of(name: str) -> dict[str, str]:
    """Returns the environment variables of a contender."""
    if name == AS_IT_COMES:
        return {}
    settings = {"TF_ENABLE_ONEDNN_OPTS": "1"}
    threads = suitable_threads(suitable_concurrency())
    if name == OURS and threads is not None:
        settings["TF_NUM_INTRAOP_THREADS"] = str(threads)
    return settings


def read_batches(arguments: argparse.Namespace) -> list[Batch]:
    """Returns as many batches as there are steps in a round, shuffled."""
    from bert_keras3.inputs import records
    from bert_keras3.pretraining import batches

    dataset = batches.dataset(
        records.open_records(arguments.records),
        batches.RecordForm(
            arguments.max_seq_length, arguments.max_predictions_per_seq
        ),
        batches.BatchOrder(arguments.batch_size, seed=1),
    )
    return list(dataset.take(arguments.steps).as_numpy_iterator())


def run_child(arguments: argparse.Namespace) -> None:
    """Runs one contender and prints what each step took."""
    given = read_batches(arguments)
    step = CONTENDERS[arguments.child](arguments)
    for batch in given[: arguments.warm_up]:
        step(batch)
    seconds = []
    for batch in given:
        start = time.perf_counter()
        loss = step(batch)
        seconds.append(time.perf_counter() - start)
    real = np.mean([batch["input_mask"].mean() for batch in given])
    print(
        json.dumps(
            {"seconds": seconds, "loss": loss, "padding": 1 - float(real)}
        )
    )


def measure(arguments: argparse.Namespace) -> None:
    """Runs all contenders in turn and prints a line for each."""
    names = [
        name
        for name in CONTENDERS
        if arguments.contenders in name
        and (CONTENDERS[name] is not make_original or arguments.original)
    ]
    passed_on = [
        f"--{flag}={value}"
        for flag, value in vars(arguments).items()
        if value is not None and flag not in ("child", "rounds")
    ]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    inherited = dict(os.environ)
    for _ in range(arguments.rounds):
        for name in names:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.pretraining_step"),
                    *passed_on,
                    f"--child={name}",
                ],
                env={
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    **settings_of(name),
                    **inherited,
                },
                stdout=subprocess.PIPE,
                check=True,
            )
            last_line = done.stdout.decode().strip().split("\n")[-1]
            runs[name].append(json.loads(last_line))
    # Batches differ in how much of them is padding: a step is set against
    # the same step of the other rounds.
    sums = {
        name: {
            "best": float(np.min([r["seconds"] for r in found], axis=0).sum()),
            "median": float(
                np.median([r["seconds"] for r in found], axis=0).sum()
            ),
        }
        for name, found in runs.items()
    }
    for name, found in runs.items():
        print(
            json.dumps(
                {
                    "benchmark": "pretraining_step",
                    "contender": name,
                    "config": os.path.basename(arguments.bert_config_file),
                    "batch_size": arguments.batch_size,
                    "max_seq_length": arguments.max_seq_length,
                    "padding": round(found[0]["padding"], 3),
                    "n": arguments.rounds * arguments.steps,
                    **{
                        f"seconds_per_step_{which}": round(
                            value / arguments.steps, 4
                        )
                        for which, value in sums[name].items()
                    },
                    **{
                        f"times_the_original_{which}": round(
                            sums[ORIGINAL][which] / value, 2
                        )
                        for which, value in sums[name].items()
                        if ORIGINAL in sums
                    },
                    "last_loss": round(
                        statistics.median(run["loss"] for run in found), 3
                    ),
                    **environment("tensorflow", "keras"),
                }
            ),
            flush=True,
        )


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--bert_config_file", required=True)
    parser.add_argument("--original", help="a checkout of the original")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--max_predictions_per_seq", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8, help="of a round")
    parser.add_argument("--warm_up", type=int, default=2, help="steps before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", default="", help="part of their names")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(arguments)
    else:
        measure(arguments)


if __name__ == "__main__":
    exit_after(main)
