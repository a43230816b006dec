r"""How much a raw sentence costs beside the model alone, and beside a peer.

    python -m benchmarks.serving --export_dir=exported \
        --vocab_file=out/vocab.txt --text_file=texts.txt \
        [--huggingface_dir=folder]

Prints one JSON line per measurement. Sides of a ratio are timed in turn, text
by text, so that what else the machine does falls on both; the ratio is that of
their medians. The peer needs the extra `huggingface` and a folder in that
format, of the same shape.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from absl import app, flags

from benchmarks.surroundings import surroundings

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "export_dir", None, "Written by export_saved_model.py.", required=True
)
flags.DEFINE_string(
    "vocab_file", None, "What the model was trained with.", required=True
)
flags.DEFINE_string("text_file", None, "One text a line.", required=True)
flags.DEFINE_string("huggingface_dir", None, "Of the peer, if there is one.")
flags.DEFINE_integer("num_texts", 200, "How many texts, from the first on.")
flags.DEFINE_integer("batch_size", 32, "Of the throughput measurement.")


def in_turn(
    texts: list[str], sides: dict[str, Callable[[str], Any]]
) -> dict[str, list[float]]:
    """Calls every side on each text, and returns their times in seconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for text in (*texts[:5], *texts):  # the first five warm up
        for name, call in sides.items():
            started = time.perf_counter()
            call(text)
            times[name].append(time.perf_counter() - started)
    return {name: values[5:] for name, values in times.items()}


def show(name: str, **figures: Any) -> None:
    """Prints one measurement."""
    packages = ("tensorflow", "transformers", "torch")
    loaded = [package for package in packages if package in sys.modules]
    line = {"benchmark": f"serving/{name}", **surroundings(*loaded), **figures}
    print(json.dumps(line))


def compare(
    name: str, texts: list[str], sides: dict[str, Callable[[str], Any]]
) -> None:
    """Shows the first side against the second."""
    times = in_turn(texts, sides)
    ours, theirs = times
    medians = {side: statistics.median(times[side]) for side in times}
    show(
        name,
        n=len(texts),
        median_ms={side: 1000 * value for side, value in medians.items()},
        min_ms={side: 1000 * min(times[side]) for side in times},
        ratio=medians[ours] / medians[theirs],
    )


def main(argv: list[str]) -> None:
    """Measures what the flags say."""
    pipeline = None
    if FLAGS.huggingface_dir is not None:
        # Before TensorFlow: the other order ended with a crash in an import.
        import transformers

        pipeline = transformers.pipeline(
            "text-classification", FLAGS.huggingface_dir, device="cpu"
        )
    import tensorflow as tf

    from serving import Predictor
    from serving.saved_model import IDS, STRINGS
    from serving.versions import latest_version
    from tokenization.in_graph import GraphTokenizer

    del argv
    lines = pathlib.Path(FLAGS.text_file).read_text("utf-8").splitlines()
    texts = lines[: FLAGS.num_texts]
    predictor = Predictor(FLAGS.export_dir, FLAGS.batch_size)
    signatures = tf.saved_model.load(
        os.fspath(latest_version(FLAGS.export_dir))
    ).signatures

    # The same ids for the model alone, made beforehand.
    told = predictor.description
    tokenizer = GraphTokenizer(FLAGS.vocab_file, told.do_lower_case)
    inputs = {
        text: tokenizer.pack(
            tokenizer(tf.constant([text])), max_seq_length=told.max_seq_length
        )
        for text in texts
    }
    compare(
        "one_raw_sentence",
        texts,
        {
            "text": lambda text: signatures[STRINGS](text=tf.constant([text])),
            "ids": lambda text: signatures[IDS](**inputs[text]),
        },
    )
    compare(
        "one_sentence_with_predictor",
        texts,
        {
            "predictor": lambda text: predictor.predict([text]),
            "ids": lambda text: signatures[IDS](**inputs[text]),
        },
    )
    started = time.perf_counter()
    predictor.predict(texts)
    show(
        "many_sentences",
        n=len(texts),
        batch_size=FLAGS.batch_size,
        texts_per_second=len(texts) / (time.perf_counter() - started),
    )
    if pipeline is not None:
        compare(
            "one_sentence_with_huggingface",
            texts,
            {
                "predictor": lambda text: predictor.predict([text]),
                "pipeline": pipeline,
            },
        )


if __name__ == "__main__":
    app.run(main)
