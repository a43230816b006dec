"""What the tests of questions share: the reference's files, read.

`cases.json.gz` is part of the project; the rest of the reference, whole data
sets, is in the folder of the fixture `shared`.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import pathlib
from typing import Any

import numpy as np

from bert_keras3.inputs.feature_store import store_in_memory
from bert_keras3.inputs.questions import read_questions
from bert_keras3.question_answering.windows import (
    WindowMaker,
    WindowSettings,
)
from tokenization.tokenizers import FullTokenizer

SETS = ("xquad_en", "xquad_zh", "squad2", "cmrc")
SIZES = ((384, 128), (128, 32))
KINDS = ("random", "peaked", "ties")


def load(path: pathlib.Path) -> Any:
    """Reads a JSON file, gzipped or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def load_if_there(path: pathlib.Path) -> Any:
    return load(path) if path.exists() else {}


def examples_of(file, folder):
    """Reads the questions of a file that is given as values."""
    path = folder / "questions.json"
    path.write_text(json.dumps(file), "utf-8")
    return list(read_questions(path))


def with_first_answer(examples):
    """The original stops at several answers to train on."""
    for one in examples:
        yield dataclasses.replace(one, answers=one.answers[:1])


def tokenizer_of(shared, name):
    """The tokenizer that a set's reference was made with."""
    kind = "chinese" if name in ("cmrc", "xquad_zh") else "uncased"
    return FullTokenizer(
        shared / "vocabularies" / f"bert-base-{kind}-vocab.txt"
    )


def store_of(examples, tokenizer, settings):
    """The windows of examples to predict, as a store."""
    maker = WindowMaker(tokenizer, settings, "predict")
    rows = (
        (number, row)
        for number, example in enumerate(examples)
        for row in maker.rows(example)
    )
    return store_in_memory(rows, maker.columns)


def logits_of(folder, recipe, name, kind):
    """The logits of a run, [2, windows, length], as its README says."""
    one = recipe["logits"][name]
    random = np.random.default_rng(one["seed"])
    base = random.standard_normal(tuple(one["shape"])).astype(np.float32)
    if kind == "ties":
        return np.rint(base) + 0
    if kind == "peaked":
        for window, start, end in np.load(folder / f"{name}_logits.npz")[
            "gold"
        ]:
            base[0, window, start] += np.float32(8)
            base[1, window, end] += np.float32(8)
    return base


def as_files(answers):
    """Answers as the contents of the three files."""
    predictions, n_best, odds = {}, {}, {}
    for answer in answers:
        predictions[answer.question_id] = answer.text
        n_best[answer.question_id] = [
            {
                "text": one.text,
                "probability": one.probability,
                "start_logit": one.start_logit,
                "end_logit": one.end_logit,
            }
            for one in answer.n_best
        ]
        odds[answer.question_id] = answer.null_odds
    return predictions, n_best, odds


def settings_of(case, is_version_2):
    return WindowSettings(
        case["max_seq_length"],
        case["doc_stride"],
        case["max_query_length"],
        is_version_2,
    )
