"""How fast text becomes pretraining records, and in how much memory.

Each contender writes the records of the same text in a process of its own,
in turn, several times over, so that other load of the machine falls on all of
them. The clock starts when everything is imported.

    python -m benchmarks.pretraining_data --vocab_file=vocab.txt \
        --text_file=wikipedia.txt --original=path/to/google-research/bert
    python -m benchmarks.pretraining_data --vocab_file=vocab.txt \
        --text_file=wikipedia.txt --corpus_mb=1000 --contenders=independent

Prints one JSON object a contender: instances per second (best and median of
the rounds), how many times that is of the original, and the greatest memory
that any one process took. `--corpus_mb` repeats the text up to that size, each
time with the first word of every line moved to its end once more.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after

ORIGINAL_SCRIPT = "create_pretraining_data.py"


def run_original(arguments: argparse.Namespace, output: str) -> float:
    """Runs the original's script under TensorFlow 2; returns seconds."""
    import logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow.compat.v1 as tf

    # The script imports it as `tensorflow`.
    sys.modules["tensorflow"] = tf
    # It logs its first instances, which the others do not.
    logging.disable(logging.CRITICAL)
    sys.path.insert(0, arguments.original)
    script = os.path.join(arguments.original, ORIGINAL_SCRIPT)
    sys.argv = [
        script,
        f"--input_file={arguments.text_file}",
        f"--output_file={output}",
        f"--vocab_file={arguments.vocab_file}",
        f"--dupe_factor={arguments.dupe_factor}",
    ]
    start = time.perf_counter()
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as done:
        if done.code:
            raise
    return time.perf_counter() - start


def run_ours(
    arguments: argparse.Namespace, output: str, streams: str, workers: int
) -> float:
    """Runs this project's; returns seconds."""
    from bert_keras3.parallel_work.workers import Progress
    from bert_keras3.pretraining_data import preparation
    from bert_keras3.pretraining_data.settings import Settings

    settings = Settings(
        input_files=(arguments.text_file,),
        output_files=(output,),
        vocab_file=arguments.vocab_file,
        dupe_factor=arguments.dupe_factor,
        random_streams=streams,
        num_workers=workers,
    )
    start = time.perf_counter()
    preparation.prepare(settings, Progress(), lambda line: None)
    return time.perf_counter() - start


Run = Callable[[argparse.Namespace, str], float]

CONTENDERS: Mapping[str, Run] = {
    "the original": run_original,
    "original streams, 1 worker": lambda arguments, output: run_ours(
        arguments, output, "original", 1
    ),
    "independent streams, 1 worker": lambda arguments, output: run_ours(
        arguments, output, "independent", 1
    ),
    "independent streams, 2 workers": lambda arguments, output: run_ours(
        arguments, output, "independent", 2
    ),
}


def run_child(arguments: argparse.Namespace) -> None:
    """Runs one contender and prints what it took."""
    from bert_keras3.inputs import records

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        output = os.path.join(folder, "out.tfrecord")
        seconds = CONTENDERS[arguments.child](arguments, output)
        # Kilobytes, as Linux counts them.
        peaks = [
            resource.getrusage(who).ru_maxrss / 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        number = sum(1 for _ in records.open_records(output).lengths)
    print(json.dumps([number, seconds, max(peaks)]))


def grow(text_file: str, megabytes: float, target: str) -> None:
    """Writes a text of a size by repeating another in variations."""
    lines = pathlib.Path(text_file).read_text("utf-8").split("\n")
    size = written = turn = 0
    with open(target, "w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            for line in lines:
                words = line.split()
                at = turn % max(1, len(words))
                size = file.write(" ".join(words[at:] + words[:at]) + "\n")
                written += size
            turn += 1


def measure(arguments: argparse.Namespace) -> None:
    """Runs all contenders in turn and prints a line for each."""
    names = [
        name
        for name in CONTENDERS
        if arguments.contenders in name
        and (name != "the original" or arguments.original)
    ]
    found: dict[str, list[tuple[int, float, float]]] = {
        name: [] for name in names
    }
    passed_on = [
        f"--{flag}={value}"
        for flag, value in vars(arguments).items()
        if value is not None and flag not in ("child", "rounds")
    ]
    for _ in range(arguments.rounds):
        for name in names:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.pretraining_data"),
                    *passed_on,
                    f"--child={name}",
                ],
                stdout=subprocess.PIPE,
                check=True,
            )
            last_line = done.stdout.decode().strip().split("\n")[-1]
            found[name].append(tuple(json.loads(last_line)))
    baseline = max(
        (number / seconds for number, seconds, _ in found.get(names[0], ())),
        default=None,
    )
    for name, runs in found.items():
        speeds = [number / seconds for number, seconds, _ in runs]
        print(
            json.dumps(
                {
                    "benchmark": "pretraining_data",
                    "contender": name,
                    "text_mb": os.path.getsize(arguments.text_file) / 1e6,
                    "instances": runs[0][0],
                    "n": len(runs),
                    "instances_per_second_max": round(max(speeds)),
                    "instances_per_second_median": round(
                        statistics.median(speeds)
                    ),
                    "times_the_original": round(max(speeds) / baseline, 2)
                    if baseline and names[0] == "the original"
                    else None,
                    "peak_mb": round(max(peak for _, _, peak in runs)),
                    **environment("numpy"),
                }
            ),
            flush=True,
        )


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab_file", required=True)
    parser.add_argument("--text_file", required=True)
    parser.add_argument("--original", help="a checkout of the original")
    parser.add_argument("--dupe_factor", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus_mb", type=float)
    parser.add_argument("--contenders", default="", help="part of their names")
    parser.add_argument("--folder", help="for temporary files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(arguments)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.corpus_mb:
            target = os.path.join(folder, "text.txt")
            grow(arguments.text_file, arguments.corpus_mb, target)
            arguments.text_file = target
            arguments.corpus_mb = None
        measure(arguments)


if __name__ == "__main__":
    exit_after(main)
