"""How long it takes to choose answers, beside the original's loop.

    python -m benchmarks.answers --questions_file=dev-v2.0.json \
        --vocab_file=vocab.txt --original=path/to/google-research/bert

Both get the same windows of a whole file and the same logits, drawn at random
and higher where training's answers are, and write the same files:
`write_predictions` of the original's `run_squad.py`, as it is, and
`question_answering.answers`, in version 1, since in version 2 the original
stops at the first question whose n best are all none. Reading the questions
and making windows is not counted. Prints a JSON line for each: questions,
windows, seconds of the best round, and how many answers differ.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from bert_keras3.inputs.feature_store import FeatureStore, store_in_memory
from bert_keras3.inputs.questions import QuestionExample, read_questions
from bert_keras3.question_answering.answer_files import (
    N_BEST,
    NULL_ODDS,
    PREDICTIONS,
    write_answers,
)
from bert_keras3.question_answering.answers import (
    AnswerSettings,
    WindowScores,
    find_answers,
)
from bert_keras3.question_answering.windows import (
    WindowMaker,
    WindowSettings,
)
from tokenization.tokenizers import FullTokenizer

_LENGTH, _STRIDE, _QUERY = 384, 128, 64
_N_BEST, _LONGEST = 20, 30


def windows_of(
    questions: list[QuestionExample], tokenizer: FullTokenizer
) -> FeatureStore:
    """Returns the windows of all questions, with their positions."""
    settings = WindowSettings(_LENGTH, _STRIDE, _QUERY, True)
    maker = WindowMaker(tokenizer, settings, "evaluate")
    return store_in_memory(
        (
            (number, row)
            for number, question in enumerate(questions)
            for row in maker.rows(question)
        ),
        maker.columns,
    )


def make_logits(store: FeatureStore) -> np.ndarray:
    """Returns start and end logits, float32 [2, windows, length]."""
    random = np.random.default_rng(0)
    shape = (2, len(store), _LENGTH)
    logits = random.normal(size=shape).astype(np.float32)
    windows = np.arange(len(store))
    for number, name in enumerate(("start_position", "end_position")):
        logits[number, windows, store.arrays[name]] += np.float32(8)
    return logits


def ours(
    questions: list[QuestionExample],
    store: FeatureStore,
    logits: np.ndarray,
    tokenizer: FullTokenizer,
) -> Callable[[pathlib.Path], float]:
    """Returns what writes the files into a folder, and the seconds."""
    settings = AnswerSettings(_N_BEST, _LONGEST)
    rows = np.arange(len(store))

    def run(folder: pathlib.Path) -> float:
        began = time.perf_counter()
        scores = WindowScores(store, rows, logits[0], logits[1])
        answers = find_answers(questions, scores, tokenizer, settings)
        write_answers(answers, folder, has_null_odds=False)
        return time.perf_counter() - began

    return run


def originals(
    checkout: str, questions_file: str, vocab_file: str, logits: np.ndarray
) -> Callable[[pathlib.Path], float]:
    """Returns the same for the original, from its own windows."""
    from benchmarks.contenders.original_graph import load_original

    original = load_original(checkout, "run_squad")
    script, flags = original.run_squad, original.run_squad.FLAGS
    flags(["run_squad.py", *_required(questions_file, vocab_file)])
    examples = script.read_squad_examples(questions_file, is_training=False)
    features: list[Any] = []
    script.convert_examples_to_features(
        examples=examples,
        tokenizer=original.tokenization.FullTokenizer(vocab_file, True),
        max_seq_length=_LENGTH,
        doc_stride=_STRIDE,
        max_query_length=_QUERY,
        is_training=False,
        output_fn=features.append,
    )
    results = [
        script.RawResult(feature.unique_id, *pair)
        for feature, *pair in zip(
            features, *(part.tolist() for part in logits), strict=True
        )
    ]

    def run(folder: pathlib.Path) -> float:
        began = time.perf_counter()
        script.write_predictions(
            examples,
            features,
            results,
            _N_BEST,
            _LONGEST,
            True,
            *(str(folder / name) for name in (PREDICTIONS, N_BEST, NULL_ODDS)),
        )
        return time.perf_counter() - began

    return run


def _required(questions_file: str, vocab_file: str) -> list[str]:
    """Returns the flags without which the original does not begin."""
    return [
        f"--predict_file={questions_file}",
        f"--vocab_file={vocab_file}",
        "--bert_config_file=none",
        "--output_dir=none",
    ]


def _differing(first: pathlib.Path, second: pathlib.Path) -> int:
    """Returns how many answers of two folders differ."""
    answers: list[Mapping[str, str]] = [
        json.loads((folder / PREDICTIONS).read_text("utf-8"))
        for folder in (first, second)
    ]
    return sum(answers[0][name] != answers[1][name] for name in answers[0])


def parse() -> argparse.Namespace:
    """Returns the settings of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.answers",
        description="How long it takes to choose answers.",
    )
    add = parser.add_argument
    add("--questions_file", required=True, help="in the form of SQuAD 2.0")
    add("--vocab_file", required=True, help="uncased")
    add("--original", help="a checkout of google-research/bert")
    add("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Runs both in turns and prints their figures."""
    arguments = parse()
    tokenizer = FullTokenizer(arguments.vocab_file)
    questions = list(read_questions(arguments.questions_file))
    store = windows_of(questions, tokenizer)
    logits = make_logits(store)
    contenders = {"ours": ours(questions, store, logits, tokenizer)}
    if arguments.original:
        contenders["the original"] = originals(
            arguments.original,
            arguments.questions_file,
            arguments.vocab_file,
            logits,
        )
    with tempfile.TemporaryDirectory() as name:
        folders = {one: pathlib.Path(name) / one for one in contenders}
        for folder in folders.values():
            folder.mkdir()
        seconds: dict[str, list[float]] = {one: [] for one in contenders}
        for _ in range(arguments.rounds):
            for one, run in contenders.items():
                seconds[one].append(run(folders[one]))
        for one in contenders:
            line = {
                "benchmark": "answers",
                "contender": one,
                "questions": len(questions),
                "windows": len(store),
                "n": arguments.rounds,
                "min_seconds": min(seconds[one]),
                "median_seconds": float(np.median(seconds[one])),
                "ours_is_times": min(seconds[one]) / min(seconds["ours"]),
                "differing": _differing(folders["ours"], folders[one]),
            }
            print(json.dumps(line | environment()), flush=True)


if __name__ == "__main__":
    exit_after(main)
