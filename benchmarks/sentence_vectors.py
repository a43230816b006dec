"""How well cosines of vectors agree with what people say of pairs of texts.

    python -m benchmarks.sentence_vectors --checkpoint=all-MiniLM-L6-v2 \
        --set STS-B=stsb-en-test.csv --set STS12=2012/a.tsv,2012/b.tsv

A set is one or more files of pairs, taken together: CSV with the columns
sentence, sentence, score, or TSV with score, sentence, sentence; without a
header, and an empty score leaves a row out. Every way of pooling is computed in
one pass over the different sentences of all sets. Prints a JSON line for each
set, then a table of Spearman's
correlation of cosine and score, times 100; `whitened` is the same after
whitening, fitted on the sentences of the set themselves, without their scores
(Su et al. 2021). With random weights instead of a model's (`--random_weights`),
the table shows what the architecture and the vocabulary alone do.
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, store_in_memory
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.concurrency import (
    suitable_concurrency,
    suitable_threads,
)
from bert_keras3.training.environment import load_tensorflow, set_up_environment
from bert_keras3.vectors.pooling_names import POOLINGS
from bert_keras3.vectors.search import normalized
from bert_keras3.vectors.whitening import Whitening

_BATCH = 32
_MOST_TOKENS = 128
_INPUTS = ("input_ids", "input_mask", "segment_ids")


class Pair(NamedTuple):
    """Two sentences, and how similar people find them."""

    first: str
    second: str
    score: float


def read_pairs(path: pathlib.Path) -> list[Pair]:
    """Reads one file.

    Raises:
        UserError: a row has not three cells.
    """
    is_tsv = path.suffix == ".tsv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = (
            [line.rstrip("\r\n").split("\t") for line in file]
            if is_tsv
            else list(csv.reader(file))
        )
    pairs = []
    for number, cells in enumerate(rows, 1):
        if len(cells) < 3:
            raise UserError(
                f"{path}, line {number}: {len(cells)} cells where a score and "
                "two sentences are expected"
            )
        first, second, score = cells[:3]
        if is_tsv:
            score, first, second = cells[:3]
        if score.strip():
            pairs.append(Pair(first.strip(), second.strip(), float(score)))
    return pairs


class Vectors:
    """The vectors of sentences by every way of pooling, each computed once."""

    def __init__(self, checkpoint_path: str, random_weights: bool) -> None:
        """Loads a model; only its configuration with random weights."""
        import keras

        from bert_keras3 import checkpointing
        from bert_keras3.training.predict import Predictor
        from bert_keras3.vectors.pooling import Pooling, pooled
        from bert_keras3.vectors.text_computer import TextComputer
        from modeling import BertModel

        config = checkpointing.bert_config(checkpoint_path)
        computer = TextComputer(checkpointing.open(checkpoint_path))
        bert = computer.bert
        if random_weights:
            keras.utils.set_random_seed(0)
            bert = BertModel(config)
        layers = config.num_hidden_layers
        ways = {
            name: Pooling.named(name, layers).checked(layers)
            for name in POOLINGS
        }

        def outputs(bert: BertModel, features: Mapping[str, Any]) -> Any:
            encoded = bert.encode(dict(features), outputs=("layers",))
            return {
                name: pooled(encoded, features, way)
                for name, way in ways.items()
            }

        longest = min(_MOST_TOKENS, config.max_position_embeddings)
        self._encoder = computer.encoder(longest)
        self._predictor = Predictor(
            bert, outputs, concurrency=suitable_concurrency()
        )
        self._known: dict[str, dict[str, np.ndarray]] = {}

    def of(self, sentences: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns {way of pooling: [N, D]}."""
        new = [
            one for one in dict.fromkeys(sentences) if one not in self._known
        ]
        if new:
            rows = [
                self._encoder.pack(InputExample("", sentence))
                for sentence in new
            ]
            store = store_in_memory(enumerate(rows), INPUT_COLUMNS)
            batches = batches_by_length(
                store, np.arange(len(rows)), BatchLimit(_BATCH), _INPUTS
            )
            found = self._predictor(batches, len(rows))
            for place, sentence in enumerate(new):
                self._known[sentence] = {
                    way: vectors[place] for way, vectors in found.items()
                }
        known = [self._known[sentence] for sentence in sentences]
        return {way: np.stack([one[way] for one in known]) for way in POOLINGS}


def spearman(vectors: np.ndarray, scores: Sequence[float]) -> float:
    """Returns the correlation of cosine and score, times 100.

    Args:
        vectors: of the first sentences of N pairs, then the second, [2N, D].
        scores: of the pairs.
    """
    first, second = np.split(vectors, 2)
    cosines = (normalized(first) * normalized(second)).sum(1)
    return 100 * float(scipy.stats.spearmanr(cosines, scores).statistic)


def figures(pairs: Sequence[Pair], vectors: Vectors) -> dict[str, float]:
    """Returns the correlation of each way of pooling."""
    sentences = [pair.first for pair in pairs] + [pair.second for pair in pairs]
    scores = [pair.score for pair in pairs]
    plain, whitened = {}, {}
    places = [*{one: place for place, one in enumerate(sentences)}.values()]
    for way, found in vectors.of(sentences).items():
        plain[way] = spearman(found, scores)
        white = Whitening.fit(found[places])(found)
        whitened[f"{way}, whitened"] = spearman(white, scores)
    return {**plain, **whitened}


def main() -> None:
    """Prints a line for each set, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument(
        "--set", required=True, action="append", metavar="NAME=FILE,FILE"
    )
    parser.add_argument("--random_weights", action="store_true")
    given = parser.parse_args()
    sets = {}
    for one in given.set:
        name, _, files = one.partition("=")
        sets[name] = [
            pair
            for file in files.split(",")
            for pair in read_pairs(pathlib.Path(file))
        ]
    set_up_environment()
    load_tensorflow(suitable_threads(suitable_concurrency()))
    vectors = Vectors(given.checkpoint, given.random_weights)
    columns = {}
    for name, pairs in sets.items():
        columns[name] = figures(pairs, vectors)
        line = {"set": name, "pairs": len(pairs), "spearman": columns[name]}
        print(json.dumps(line | environment()), flush=True)
    titles = [f"{name} ({len(pairs)})" for name, pairs in sets.items()]
    print(f"| pooling | {' | '.join(titles)} |")
    print(f"| --- |{' ---: |' * len(sets)}")
    for way in next(iter(columns.values())):
        cells = [f"{column[way]:.1f}" for column in columns.values()]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    exit_after(main)
