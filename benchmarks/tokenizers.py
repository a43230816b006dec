"""How fast text becomes token ids: in Python, in the graph, with the peers.

All contenders tokenize the same lines in turn, several times over, so that
other load of the machine falls on all of them.

    pip install -e '.[benchmarks]'
    python -m benchmarks.tokenizers --vocab_file=vocab.txt \
        --text_file=sst2.txt --text_file=news.txt --table

Prints one JSON object a measurement, or with `--table` a Markdown table of
tokens per second. `--original` adds the original, from the tokenization.py of
a checkout of google-research/bert.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# TensorFlow's messages would mix with the results.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_text

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from tokenization import FullTokenizer
from tokenization.in_graph import GraphTokenizer

PACKAGES = ("tensorflow", "tensorflow-text", "tokenizers")
# What the table's ratios refer to.
BASELINE = "Hugging Face, encode_batch"

Ids = list[list[int]]
Run = Callable[[], Any]


class Setting(NamedTuple):
    """What every contender tokenizes, and how."""

    vocab_file: pathlib.Path
    do_lower_case: bool
    texts: list[str]
    batch_size: int


class Contender(NamedTuple):
    """A way to tokenize all texts.

    Attributes:
        prepare: returns what is timed; called before every run, not timed.
        ids: turns the outcome of a run into token ids, a list a text.
    """

    prepare: Callable[[], Run]
    ids: Callable[[Any], Ids]


def same(ids: Ids) -> Ids:
    """Returns ids that are lists already."""
    return ids


def in_python(setting: Setting) -> Iterator[tuple[str, Contender]]:
    """Yields ours, with an empty and with a full cache of words."""
    seen = FullTokenizer(setting.vocab_file, setting.do_lower_case)

    def encode_all(tokenizer: FullTokenizer) -> Run:
        return lambda: [tokenizer.encode(text) for text in setting.texts]

    def with_empty_cache() -> Run:
        return encode_all(
            FullTokenizer.from_vocab(seen.vocab, setting.do_lower_case)
        )

    yield "ours in Python, first sight", Contender(with_empty_cache, same)
    encode_all(seen)()
    yield (
        "ours in Python, seen words",
        Contender(lambda: encode_all(seen), same),
    )


def batches(setting: Setting, size: int) -> list[tf.Tensor]:
    """Returns the texts as tensors of one batch each."""
    starts = range(0, len(setting.texts), size)
    return [
        tf.constant(setting.texts[start : start + size]) for start in starts
    ]


def concatenated(results: Sequence[tf.RaggedTensor]) -> Ids:
    """Returns the ids of all batches."""
    return [row for result in results for row in result.to_list()]


def in_batches(
    setting: Setting, tokenize: Callable[[tf.Tensor], Any], size: int
) -> Contender:
    """Returns a tokenizer in the graph as a contender."""
    tensors = batches(setting, size)
    return Contender(
        lambda: lambda: [tokenize(tensor) for tensor in tensors], concatenated
    )


def in_graph(setting: Setting) -> Iterator[tuple[str, Contender]]:
    """Yields ours in the graph, in batches and text by text."""
    tokenizer = GraphTokenizer(setting.vocab_file, setting.do_lower_case)
    for size in (setting.batch_size, 1):
        name = f"ours in the graph, batches of {size}"
        yield name, in_batches(setting, tokenizer, size)


def tensorflow_text_own(setting: Setting) -> Iterator[tuple[str, Contender]]:
    """Yields the nearest ready-made operation, which is not exact."""
    vocab = FullTokenizer(setting.vocab_file).vocab
    tokenizer = tensorflow_text.FastBertTokenizer(
        vocab=list(vocab),
        token_out_type=tf.int32,
        lower_case_nfd_strip_accents=setting.do_lower_case,
    )
    tokenize = tf.function(
        tokenizer.tokenize,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    name = f"FastBertTokenizer, batches of {setting.batch_size}"
    yield name, in_batches(setting, tokenize, setting.batch_size)


def hugging_face(setting: Setting) -> Iterator[tuple[str, Contender]]:
    """Yields Hugging Face's tokenizer, on all cores, with and without offsets.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = importlib.import_module("tokenizers")
    vocab = FullTokenizer(setting.vocab_file).vocab
    tokenizer = package.BertWordPieceTokenizer(
        vocab, lowercase=setting.do_lower_case
    )._tokenizer

    for name in ("encode_batch", "encode_batch_fast"):
        encode = getattr(tokenizer, name)

        def run(encode: Callable[..., Any] = encode) -> Any:
            return encode(setting.texts, add_special_tokens=False)

        yield (
            f"Hugging Face, {name}",
            Contender(
                lambda run=run: run,  # type: ignore[misc]
                lambda encodings: [encoding.ids for encoding in encodings],
            ),
        )


def original(
    setting: Setting, path: pathlib.Path
) -> Iterator[tuple[str, Contender]]:
    """Yields the original, with stand-ins for its TensorFlow 1."""
    spec = importlib.util.spec_from_file_location("original", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    with stand_ins():
        spec.loader.exec_module(module)
        tokenizer = module.FullTokenizer(
            str(setting.vocab_file), setting.do_lower_case
        )

    def run() -> Ids:
        return [
            tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
            for text in setting.texts
        ]

    yield "the original", Contender(lambda: run, same)


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Puts a `six` and a `tensorflow.gfile` where the original finds them."""
    six = types.ModuleType("six")
    six.__dict__.update(PY2=False, PY3=True)
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.__dict__["gfile"] = tf.io.gfile
    real = {name: sys.modules.get(name) for name in ("six", "tensorflow")}
    sys.modules.update(six=six, tensorflow=tensorflow)
    try:
        yield
    finally:
        for name, module in real.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def contenders(
    setting: Setting, original_file: pathlib.Path | None
) -> dict[str, Contender]:
    """Returns all contenders that can run here, by name."""
    found = [
        *in_python(setting),
        *in_graph(setting),
        *tensorflow_text_own(setting),
    ]
    if original_file:
        found.extend(original(setting, original_file))
    try:
        found.extend(hugging_face(setting))
    except ModuleNotFoundError as error:
        print(f"left out: {error}", file=sys.stderr)
    return dict(found)


def measure(
    setting: Setting, rivals: Mapping[str, Contender], repeats: int
) -> Iterator[dict[str, Any]]:
    """Yields a measurement of every contender.

    Args:
        setting: the texts and the vocabulary.
        rivals: the contenders by name; they take turns.
        repeats: how many turns, after one that is not counted.
    """
    full = FullTokenizer(setting.vocab_file, setting.do_lower_case)
    expected = [full.encode(text) for text in setting.texts]
    differ = {}
    for name, rival in rivals.items():
        ids = rival.ids(rival.prepare()())
        pairs = zip(ids, expected, strict=True)
        differ[name] = sum(row != right for row, right in pairs)
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, rival in rivals.items():
            run = rival.prepare()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    tokens = sum(map(len, expected))
    for name, times in seconds.items():
        yield {
            "contender": name,
            "vocab_file": setting.vocab_file.name,
            "do_lower_case": setting.do_lower_case,
            "texts": len(setting.texts),
            "tokens": tokens,
            "texts_that_differ": differ[name],
            "repeats": repeats,
            "min_seconds": min(times),
            "median_seconds": statistics.median(times),
            "tokens_per_second": round(tokens / min(times)),
        }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns tokens per second by contender and text file, in Markdown."""
    files = list(dict.fromkeys(result["text_file"] for result in results))
    cells: dict[str, dict[str, str]] = {}
    speeds = {
        (result["contender"], result["text_file"]): result["tokens_per_second"]
        for result in results
    }
    for result in results:
        name, file = result["contender"], result["text_file"]
        cell = f"{speeds[name, file] / 1000:,.0f}"
        if (BASELINE, file) in speeds:
            cell += f" ({speeds[name, file] / speeds[BASELINE, file]:.1f} ×)"
        if result["texts_that_differ"]:
            cell += f", {result['texts_that_differ']} texts differ"
        cells.setdefault(name, {})[file] = cell
    lines = [
        ["thousand tokens a second", *files],
        ["---", *("---:" for _ in files)],
        *(
            [name, *(row[file] for file in files)]
            for name, row in cells.items()
        ),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the settings of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tokenizers",
        description="How fast text becomes ids.",
    )
    add = parser.add_argument
    add("--vocab_file", type=pathlib.Path, required=True)
    add(
        "--text_file",
        type=pathlib.Path,
        action="append",
        required=True,
        help="one text a line; may be given several times",
    )
    add(
        "--do_lower_case",
        action=argparse.BooleanOptionalAction,
        default=True,
    )
    add("--lines", type=int, default=2000, help="the most lines of a file")
    add("--batch_size", type=int, default=256)
    add("--repeats", type=int, default=7)
    add("--original", type=pathlib.Path, help="its tokenization.py")
    add("--table", action="store_true", help="Markdown instead of JSON")
    return parser.parse_args(arguments)


def main() -> None:
    """Measures and prints."""
    flags = parse()
    results = []
    for path in flags.text_file:
        texts = path.read_text("utf-8", "ignore").split("\n")[: flags.lines]
        setting = Setting(
            flags.vocab_file, flags.do_lower_case, texts, flags.batch_size
        )
        rivals = contenders(setting, flags.original)
        for result in measure(setting, rivals, flags.repeats):
            result = {
                "benchmark": "tokenizers",
                "text_file": path.name,
            } | result
            results.append(result)
            if not flags.table:
                print(json.dumps(result | environment(*PACKAGES)), flush=True)
    if flags.table:
        print(table(results))


if __name__ == "__main__":
    exit_after(main)
