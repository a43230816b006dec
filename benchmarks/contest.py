r"""How fast the model is beside its peers: prediction, fine-tuning, memory.

Every contender computes the same batches with the same weights in a process
of its own, in turns, so that other load of the machine falls on all; one that
is not installed is left out. The contenders are in `contenders`; `weights` and
`batches` make what they compute.

    pip install -e '.[benchmarks]'
    python -m benchmarks.contest --task=predict --shape=BERT-Base \
        --vocab_file=vocab.txt --text_file=dev.tsv

Prints one JSON object a contender: seconds for all batches (the sum of each
batch's best and median time), useful GFLOP/s of the best, that beside a plain
matrix product in the same run, how many times faster or slower ours is, and
how far the outputs are from ours. `benchmarks.tables` makes tables of these.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.batches import make_batches, make_texts
from benchmarks.contender_inputs import (
    LENGTHS,
    SPAN,
    TAG,
    Batch,
    ContenderInputs,
    save_batches,
)
from benchmarks.contender_process import Contender, Place, take_turns
from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from benchmarks.token_batches import make_token_batches
from benchmarks.weights import (
    SHAPES,
    as_sentence_transformer,
    config_of,
    convert_run,
    useful_flops,
    write_weights,
)
from bert_keras3.training.concurrency import suitable_concurrency
from modeling.config import BertConfig
from tokenization.vocab import load_vocab

OURS = "ours"
VECTORS = "vectors"
# As in `contenders.matrix_product`, which would import TensorFlow here.
PRODUCT_FLOPS = 2.0 * 2048 * 768 * 3072
PRODUCTS: Mapping[str, Place] = {
    "NumPy product": ("matrix_product", "of_numpy"),
    "TensorFlow product": ("matrix_product", "of_tensorflow"),
}

# {task: {contender: (module, function)}}; the others are compared with the
# first. A third entry is how many batches are computed at the same time.
TASKS: Mapping[str, Mapping[str, Place]] = {
    "predict": {
        OURS: ("ours", "predict", suitable_concurrency()),
        f"{OURS}, --concurrency=1": ("ours_one_at_a_time", "predict"),
        "CTranslate2": ("c_translate", "predict"),
        "CTranslate2, two at a time": ("c_translate", "predict_two", 2),
        "ONNX Runtime, fused": ("onnx_runtime", "predict"),
        "OpenVINO": ("open_vino", "predict"),
        "Hugging Face": ("hugging_face", "predict"),
        "KerasHub": ("keras_hub_models", "predict"),
        "KerasHub, padded to 128": ("keras_hub_models", "predict_fixed"),
    },
    "train": {
        OURS: ("ours", "train"),
        f"{OURS}, --concurrency=1": ("ours_one_at_a_time", "train"),
        "Hugging Face": ("hugging_face", "train"),
        "KerasHub": ("keras_hub_models", "train"),
    },
    "memory": {
        OURS: ("ours", "train"),
        "Hugging Face": ("hugging_face", "train"),
        f"{OURS}, --remat": ("ours", "train_with_remat"),
    },
    **{
        f"{kind}{ending}": {
            OURS: ("ours_tokens", f"{what}_{kind}s", at_once),
            "Hugging Face": ("hugging_face_tokens", f"{what}_{kind}s"),
            f"Hugging Face, padded to {LENGTHS[kind]}": (
                "hugging_face_tokens",
                f"{what}_{kind}s_fixed",
            ),
        }
        for kind in (SPAN, TAG)
        for ending, what, at_once in (
            ("", "predict", suitable_concurrency()),
            ("-train", "train", 1),
        )
    },
    VECTORS: {
        OURS: ("ours_vectors", "encode"),
        f"{OURS}, batches of 256": ("ours_vectors", "encode_256"),
        "sentence-transformers": ("sentence_transformers_vectors", "encode"),
        "sentence-transformers, batches of 256": (
            "sentence_transformers_vectors",
            "encode_256",
        ),
        "sentence-transformers, ONNX": (
            "sentence_transformers_vectors",
            "encode_onnx",
        ),
        "sentence-transformers, ONNX, batches of 256": (
            "sentence_transformers_vectors",
            "encode_onnx_256",
        ),
    },
    "int8": {
        f"{OURS}, SavedModel, float32": ("ours_exported", "saved_model"),
        f"{OURS}, SavedModel, int8": ("ours_exported", "saved_model_int8"),
        f"{OURS}, LiteRT, float32": ("ours_exported", "litert"),
        f"{OURS}, LiteRT, int8": ("ours_exported", "litert_int8"),
        f"{OURS}, ONNX, float32": ("ours_exported", "onnx"),
        f"{OURS}, ONNX, int8": ("ours_exported", "onnx_int8"),
        "CTranslate2, float32": ("c_translate", "classify"),
        "CTranslate2, int8": ("c_translate", "classify_int8"),
    },
}
ORDERS = ("random", "sorted")
BOTH = "both"
IS_TRAINING = ("train", "memory", f"{SPAN}-train", f"{TAG}-train")
# Of the batches whose memory is measured: no padding, one step.
MEMORY_LENGTH = 128


def figures(
    contenders: Sequence[Contender],
    batches: Sequence[Batch],
    part: slice,
    flops: float,
) -> Iterator[dict[str, Any]]:
    """Yields a line for every contender but the products.

    Args:
        contenders: after their turns.
        batches: what they computed.
        part: which of the batches the lines are about.
        flops: useful ones, of those.
    """
    best = {
        contender.name: float(contender.seconds[:, part].min(0).sum())
        for contender in contenders
    }
    first = next(name for name in best if name not in PRODUCTS)
    outputs = {
        contender.name: contender.ready["outputs"] for contender in contenders
    }
    targets = [
        batch.get("targets", np.zeros(len(batch["input_ids"])))
        for batch in batches[part]
    ]
    product = max(
        (
            PRODUCT_FLOPS / contender.seconds.min()
            for contender in contenders
            if contender.name in PRODUCTS
        ),
        default=None,
    )
    for contender in contenders:
        if contender.name in PRODUCTS:
            continue
        speed = flops / best[contender.name]
        line = {
            "contender": contender.name,
            "n": len(contender.times),
            "batches": len(targets),
            "batch_size": len(targets[0]),
            "tokens": int(sum(b["input_mask"].sum() for b in batches[part])),
            "min_seconds": best[contender.name],
            "median_seconds": float(
                np.median(contender.seconds[:, part], 0).sum()
            ),
            "useful_gflops": speed / 1e9,
            "peak_mb": contender.last["peak_mb"],
            "peak_mb_of_imports": contender.last["peak_mb_of_imports"],
            "versions": contender.ready["versions"],
        }
        if product is not None:
            line["product_gflops"] = product / 1e9
            line["of_product"] = speed / product
        if first.startswith(OURS):
            line["ours_is_times"] = best[contender.name] / best[first]
            apart = np.subtract(outputs[contender.name][0], outputs[first][0])
            line["max_difference"] = float(np.abs(apart).max())
        answers = outputs[contender.name][part]
        has_targets = "targets" in batches[part][0]
        if (
            has_targets
            and len(answers) == len(targets)
            and np.ndim(answers[0]) == 2
        ):
            classes = np.argmax(answers, -1)
            line["accuracy"] = float(np.mean(classes == np.array(targets)))
        yield line


def prepare(
    arguments: argparse.Namespace, orders: Sequence[str]
) -> tuple[ContenderInputs, list[Batch], BertConfig]:
    """Makes the weights and the batches, one order after the other."""
    cache = arguments.work_dir / arguments.shape
    weights = cache / "weights"
    if arguments.model_dir is None:
        vocab_file = arguments.vocab_file
        config = config_of(arguments.shape, len(load_vocab(vocab_file)))
        write_weights(weights, config, vocab_file)
        if arguments.task == VECTORS:
            cache = arguments.work_dir / f"{arguments.shape}-{VECTORS}"
            weights = as_sentence_transformer(weights, cache / "weights")
    else:
        cache = arguments.work_dir / arguments.model_dir.name
        weights = cache / "weights"
        config = convert_run(arguments.model_dir, weights)
    batches = [
        batch for order in orders for batch in _batches(arguments, order)
    ]
    given = ContenderInputs(
        weights, cache, cache / "batches.npz", arguments.model_dir or cache
    )
    save_batches(given.batches, batches)
    return given, batches, config


def _batches(arguments: argparse.Namespace, order: str) -> list[Batch]:
    """Makes the batches of one order."""
    kind = arguments.task.partition("-")[0]
    if kind in LENGTHS:
        return make_token_batches(
            kind,
            arguments.text_file,
            arguments.vocab_file,
            order=order,
            batch_size=arguments.batch_size,
            num_batches=arguments.batches,
        )
    if arguments.task == VECTORS:
        return [
            make_texts(
                arguments.text_file,
                arguments.vocab_file,
                order=order,
                number=arguments.batch_size * arguments.batches,
            )
        ]
    is_memory = arguments.task == "memory"
    return make_batches(
        arguments.text_file,
        arguments.vocab_file,
        order=order,
        batch_size=arguments.batch_size,
        num_batches=1 if is_memory else arguments.batches,
        length=MEMORY_LENGTH if is_memory else None,
    )


def parse() -> argparse.Namespace:
    """Returns the settings of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contest",
        description="How fast the model is beside its peers.",
    )
    add = parser.add_argument
    add("--task", choices=TASKS, required=True)
    add("--shape", choices=SHAPES, default="BERT-Base")
    add("--order", choices=(*ORDERS, BOTH), default=BOTH)
    add("--model_dir", type=pathlib.Path, help="of a run, for --task=int8")
    add("--vocab_file", type=pathlib.Path, required=True, help="uncased")
    add(
        "--text_file",
        type=pathlib.Path,
        required=True,
        help="one sentence a line, or SST-2's dev.tsv; a file of questions "
        "for --task=span, of tagged texts for --task=tag",
    )
    add("--batch_size", type=int, default=32)
    add("--batches", type=int, default=6, help="the most batches")
    add("--rounds", type=int, default=3, help="turns of every contender")
    add("--contenders", help="parts of names, with commas; default: all")
    add(
        "--work_dir",
        type=pathlib.Path,
        default=pathlib.Path(".benchmarks"),
        help="for weights and what is converted from them; kept",
    )
    return parser.parse_args()


def main() -> None:
    """Runs the contenders in turns and prints their figures."""
    arguments = parse()
    orders = ORDERS if arguments.order == BOTH else (arguments.order,)
    given, batches, config = prepare(arguments, orders)
    wanted = (arguments.contenders or "").split(",")
    contenders = {
        name: place
        for name, place in TASKS[arguments.task].items()
        if any(part in name for part in wanted)
    }
    ran = take_turns(
        {**PRODUCTS, **contenders}, given, arguments.rounds, len(orders)
    )
    for number, order in enumerate(orders):
        size = len(batches) // len(orders)
        part = slice(number * size, (number + 1) * size)
        flops = sum(
            useful_flops(batch, config, training=arguments.task in IS_TRAINING)
            for batch in batches[part]
        )
        for line in figures(ran, batches, part, flops):
            context = {
                "benchmark": arguments.task,
                "shape": given.cache.name,
                "order": order,
            }
            print(json.dumps(context | line | environment()), flush=True)


if __name__ == "__main__":
    exit_after(main)
