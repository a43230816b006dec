r"""How fast extract_features.py is beside the original's graph.

From a file of texts to a file of vectors of their tokens: reading, tokenizing,
computing and writing, in turn, several times over. Ours loads the weights and
builds its graph each time, as the command does; the original's graph is built
once, and that is not counted, so that the file should have a thousand texts or
more.

    python -m benchmarks.token_vectors --text_file=texts.txt \
        --checkpoint=uncased_L-12_H-768_A-12/bert_model.ckpt \
        --bert_config_file=uncased_L-12_H-768_A-12/bert_config.json \
        --vocab_file=uncased_L-12_H-768_A-12/vocab.txt \
        --original=path/to/google-research/bert

Prints one JSON object a contender: seconds (least and median over all rounds),
how many times faster than the original that is, and how far the values in the
files are from the original's. `ours, npz` writes a NumPy file instead, and
`ours, mean` one vector a text.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from bert_keras3.training.concurrency import (
    suitable_concurrency,
)

ORIGINAL = "original"
# What ours does beside the original's work.
OURS: Mapping[str, Mapping[str, Any]] = {
    "ours": {},
    "ours, npz": {"format": "npz"},
    "ours, mean": {"format": "npz", "pooling": "mean"},
}

Run = Callable[[str, str], None]


def make_original(given: argparse.Namespace) -> Run:
    """Builds the original's graph."""
    from benchmarks.contenders import original_graph

    return original_graph.token_vectors(
        given.original,
        given.bert_config_file,
        given.vocab_file,
        given.checkpoint,
        list(map(int, given.layers.split(","))),
        (given.batch_size, given.max_seq_length),
    )


def make_ours(given: argparse.Namespace, settings: Mapping[str, Any]) -> Run:
    """Returns the whole of the command, the loading of weights included."""
    from bert_keras3.vectors.extraction import extract
    from bert_keras3.vectors.settings import Extraction

    screen: Any = types.SimpleNamespace(say=lambda line: None)

    def run(input_file: str, output_file: str) -> None:
        wanted = Extraction(
            input_file=input_file,
            output_file=output_file,
            init_checkpoint=given.checkpoint,
            bert_config_file=given.bert_config_file,
            vocab_file=given.vocab_file,
            do_lower_case=True,
            layers=()
            if "pooling" in settings
            else tuple(given.layers.split(",")),
            max_seq_length=given.max_seq_length,
            batch_size=given.batch_size,
            concurrency=suitable_concurrency(),
            **settings,
        )
        extract(wanted, screen)

    return run


def numbers_in(path: pathlib.Path) -> Iterator[np.ndarray]:
    """Yields the values of each text in a file of JSON lines, [S, L, D]."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield np.array(
                [
                    [layer["values"] for layer in token["layers"]]
                    for token in json.loads(line)["features"]
                ]
            )


def difference(path: pathlib.Path, other: pathlib.Path) -> float:
    """Returns the largest difference of any value."""
    return max(
        float(np.abs(values - others).max())
        for values, others in zip(
            numbers_in(path), numbers_in(other), strict=True
        )
    )


def main() -> None:
    """Has the contenders take turns and prints their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("checkpoint", "bert_config_file", "vocab_file", "original"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--text_file", required=True)
    parser.add_argument("--layers", default="-1,-2,-3,-4")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    runs = {ORIGINAL: make_original(given)}
    for name, settings in OURS.items():
        runs[name] = make_ours(given, settings)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: pathlib.Path(folder, f"{number}.out")
            for number, name in enumerate(runs)
        }
        for number in range(given.rounds + 1):
            for name, run in runs.items():
                files[name].unlink(missing_ok=True)
                started = time.perf_counter()
                run(given.text_file, str(files[name]))
                if number:
                    seconds[name].append(time.perf_counter() - started)
        apart = difference(files["ours"], files[ORIGINAL])
    for name, times in seconds.items():
        line = {
            "contender": name,
            "n": len(times),
            "min_seconds": min(times),
            "median_seconds": statistics.median(times),
            "original_is_times": min(seconds[ORIGINAL]) / min(times),
            **({"max_difference": apart} if name == "ours" else {}),
        }
        print(json.dumps(line | environment("tensorflow", "keras")))


if __name__ == "__main__":
    exit_after(main)
