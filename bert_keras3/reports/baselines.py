"""What a model must beat: the commonest label, and a bag of words.

The bag of words is a linear model over the TF-IDF weights of words and pairs
of words that follow one another, or of ideographs, trained on the same rows.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.finetuning.dataset import Source
from bert_keras3.finetuning.task import LabelSource
from bert_keras3.reports.record import RunRecord

MAJORITY, BAG_OF_WORDS = "majority", "bag_of_words"

# Words, or single ideographs, kana and Hangul syllables.
_TOKEN = (
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+"
)
# Of the texts that a bag of words is trained on: some seconds.
_MOST_CHARACTERS = 20_000_000
_MOST_OF_A_TEXT = 2000


def predictions(record: RunRecord, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what both baselines predict for evaluated examples.

    Args:
        record: of a run whose task has a `label_reader`.
        rows: int [E], ascending, of the evaluated file, from 1.

    Returns:
        {baseline: predictions, as the targets of the task are}.

    Raises:
        UserError: a file cannot be read.
    """
    source = record.trained_on()
    # How often each text was held out: the model has learnt from its repeats.
    held_out: collections.Counter[int] = collections.Counter()
    if record.held_out is not None:
        held_out.update(fingerprint(one.texts) for one in record.held_out)
    task: Any = record.settings.task
    reader = task.label_reader(
        LabelSource(
            source.path,
            record.settings.labels,
            source.label_columns,
            source.label_separator,
        )
    )

    def texts() -> Iterator[str]:
        for one in itertools.islice(source, 0, None, _every(record)):
            number = fingerprint(one.texts)
            if held_out[number]:
                held_out[number] -= 1
                continue
            reader.add(one)
            yield _joined(one.texts)

    vectors = Vectors()
    of_training = vectors.fit(texts())
    _, targets = reader.finish()
    evaluated = chosen(record.evaluated(), rows)
    of_evaluation = vectors.of(_joined(one.texts) for _, one in evaluated)
    words = _predicted(of_training, targets, of_evaluation)
    return {
        MAJORITY: np.repeat(_commonest(targets)[None], len(rows), 0),
        BAG_OF_WORDS: words,
    }


def chosen(source: Source, rows: np.ndarray) -> Iterator[tuple[int, Any]]:
    """Yields some examples of a file, each with its row.

    Args:
        source: the file.
        rows: ascending, from 1.
    """
    wanted = iter(rows.tolist())
    following = next(wanted, None)
    for number, example in enumerate(source, 1):
        if number == following:
            yield number, example
            following = next(wanted, None)
            if following is None:
                return


def fingerprint(texts: Sequence[str]) -> int:
    """Returns a number that different texts do not share."""
    text = "\x1f".join(one.strip() for one in texts)
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _every(record: RunRecord) -> int:
    """Returns of how many training rows one is read, evenly spaced."""
    about = record.data_report.get("train", {})
    characters = about.get("rows", 0) * min(
        about.get("mean_characters", 0.0), _MOST_OF_A_TEXT
    )
    return max(1, -(-int(characters) // _MOST_CHARACTERS))


def _joined(texts: Sequence[str]) -> str:
    return "\n".join(text[:_MOST_OF_A_TEXT] for text in texts)


def _commonest(targets: np.ndarray) -> np.ndarray:
    """Label ids, flags of labels or numbers → the one that is said always."""
    if np.issubdtype(targets.dtype, np.floating) and targets.ndim == 1:
        return np.asarray(targets.mean(dtype=np.float64))
    if targets.ndim == 1:
        return np.asarray(np.bincount(targets).argmax())
    sums = targets.sum(0, dtype=np.int64)
    return np.asarray(np.arange(len(sums)) == sums.argmax())


class Vectors:
    """TF-IDF weights of words and pairs of words, hashed: memory is flat."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import (
            HashingVectorizer,
            TfidfTransformer,
        )

        self._counts = HashingVectorizer(
            token_pattern=_TOKEN,
            ngram_range=(1, 2),
            n_features=1 << 18,
            alternate_sign=False,
            norm=None,
            dtype=np.float32,
        )
        self._weights = TfidfTransformer(sublinear_tf=True)

    def fit(self, texts: Iterable[str]) -> Any:
        """Returns the weights of texts to train on, sparse [N, 262144]."""
        counts = self._counts.transform(texts)
        self._weights.fit(counts)
        # Words that were not trained on say nothing: with a weight they would
        # only take length from those that do.
        seen = np.bincount(counts.indices, minlength=counts.shape[1]) > 0
        self._weights.idf_ = np.where(seen, self._weights.idf_, 0.0)
        return self._weights.transform(counts)

    def of(self, texts: Iterable[str]) -> Any:
        """Returns the weights of other texts."""
        return self._weights.transform(self._counts.transform(texts))


def _predicted(vectors: Any, targets: np.ndarray, others: Any) -> np.ndarray:
    """Trains a linear model and applies it to other vectors."""
    from sklearn.linear_model import Ridge, RidgeClassifier

    is_number = np.issubdtype(targets.dtype, np.floating) and targets.ndim == 1
    model = (Ridge if is_number else RidgeClassifier)(solver="sparse_cg")
    # It labels what is not in a class −1.
    model.fit(vectors, targets if is_number else targets.astype(np.int64))
    predicted: np.ndarray = model.predict(others)
    return predicted
