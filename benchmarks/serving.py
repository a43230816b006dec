r"""How long a raw sentence takes, by each form of export and by a peer.

    pip install -e '.[benchmarks,onnx,litert]'
    python -m benchmarks.serving --model_dir=out --text_file=dev.tsv

As in `contest`, every contender has a process of its own and they take turns;
one that is not installed is left out. In a turn each sentence is predicted
alone, one after the other, and then all of them at once. Prints one JSON
object a contender: median and best milliseconds of a sentence alone, sentences
per second of all at once, the memory of the process, and how far the
probabilities are from the first contender's.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.contender_inputs import Batch, ContenderInputs, save_batches
from benchmarks.contender_process import Contender, take_turns
from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from benchmarks.weights import convert_run
from bert_keras3.safekeeping.errors import UserError

PEER = "Hugging Face pipeline"
CONTENDERS: Mapping[str, tuple[str, str]] = {
    "SavedModel, its signature for ids": ("predictors", "ids"),
    "SavedModel, its signature for strings": ("predictors", "strings"),
    "Predictor, SavedModel": ("predictors", "saved_model"),
    "Predictor, ONNX": ("predictors", "onnx"),
    "Predictor, ONNX, int8": ("predictors", "onnx_int8"),
    "Predictor, LiteRT": ("predictors", "litert"),
    "Predictor, LiteRT, int8": ("predictors", "litert_int8"),
    PEER: ("hugging_face", "pipeline"),
}
# What they load, as `contenders.predictors` names it.
EXPORTS = (
    ("saved_model", None),
    ("onnx", None),
    ("onnx", "int8"),
    ("litert", None),
    ("litert", "int8"),
)


def sentences(text_file: pathlib.Path, number: int) -> list[str]:
    """Returns some lines of a file, drawn from all of it.

    Args:
        text_file: one sentence a line, or sentence, tab and label under a
            line of headings, as SST-2's files.
        number: how many at most.
    """
    lines = text_file.read_text("utf-8").splitlines()
    if lines[0].lower() == "sentence\tlabel":
        del lines[0]
    chosen = np.random.default_rng(1).permutation(len(lines))[:number]
    return [lines[row].partition("\t")[0].strip() for row in chosen]


def prepare(
    model_dir: pathlib.Path, cache: pathlib.Path, texts: Sequence[str]
) -> ContenderInputs:
    """Makes what the contenders load, unless it is there."""
    from bert_keras3.serving import export
    from bert_keras3.serving.versions import versions

    for format_name, quantize in EXPORTS:
        folder = cache / f"{format_name}-{quantize or 'float32'}"
        if versions(folder):
            continue
        try:
            export(
                model_dir, folder, format_name=format_name, quantize=quantize
            )
        except UserError as error:  # the package of a format is missing
            print(f"left out: {error}", file=sys.stderr)
    weights = cache / "weights"
    convert_run(model_dir, weights)
    batches: list[Batch] = [{"texts": np.array([text])} for text in texts]
    batches.append({"texts": np.array(texts)})
    given = ContenderInputs(weights, cache, cache / "sentences.npz", model_dir)
    save_batches(given.batches, batches)
    return given


def figures(contenders: Sequence[Contender]) -> Iterator[dict[str, Any]]:
    """Yields a line for every contender."""
    medians = {
        contender.name: np.median(contender.seconds[:, :-1])
        for contender in contenders
    }
    first, *_ = contenders
    for contender in contenders:
        alone, together = contender.seconds[:, :-1], contender.seconds[:, -1]
        apart = np.subtract(
            contender.ready["outputs"][-1], first.ready["outputs"][-1]
        )
        line = {
            "contender": contender.name,
            "n": alone.shape[1],
            "rounds": alone.shape[0],
            "median_ms": 1000 * float(medians[contender.name]),
            "min_ms": 1000 * float(np.median(alone.min(0))),
            "sentences_per_second": alone.shape[1] / float(together.min()),
            "peak_mb": contender.last["peak_mb"],
            "max_difference": float(np.abs(apart).max()),
            "versions": contender.ready["versions"],
        }
        if PEER in medians:
            line["times_of_peer"] = float(
                medians[contender.name] / medians[PEER]
            )
        yield line


def main() -> None:
    """Runs the contenders in turns and prints their figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="How long a raw sentence takes.",
    )
    add = parser.add_argument
    add("--model_dir", type=pathlib.Path, required=True, help="of a run")
    add("--text_file", type=pathlib.Path, required=True)
    add("--sentences", type=int, default=100)
    add("--rounds", type=int, default=3, help="turns of every contender")
    add(
        "--work_dir",
        type=pathlib.Path,
        default=pathlib.Path(".benchmarks"),
        help="for exports and weights; kept",
    )
    arguments = parser.parse_args()
    given = prepare(
        arguments.model_dir,
        arguments.work_dir / arguments.model_dir.name,
        sentences(arguments.text_file, arguments.sentences),
    )
    for line in figures(take_turns(CONTENDERS, given, arguments.rounds)):
        line = {"benchmark": "serving", **line, **environment()}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    exit_after(main)
