"""What a model must beat: the commonest label, and a bag of words.

The bag of words is a linear model over the TF-IDF weights of words and pairs
of words that follow one another, or of ideographs, trained on the same rows.
"""

from __future__ import annotations

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
    held_out: set[int] = set()
    if record.held_out is not None:
        held_out = {fingerprint(one.texts) for one in record.held_out}
    examples = [
        one
        for one in itertools.islice(source, 0, None, _every(record))
        if fingerprint(one.texts) not in held_out
    ]
    evaluated = chosen(record.evaluated(), rows)
    task: Any = record.settings.task
    reader = task.label_reader(
        LabelSource(
            source.path,
            record.settings.labels,
            source.label_columns,
            source.label_separator,
        )
    )
    for one in examples:
        reader.add(one)
    _, targets = reader.finish()
    words = _bag_of_words(
        (_joined(one.texts) for one in examples),
        targets,
        (_joined(one.texts) for _, one in evaluated),
    )
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


def _bag_of_words(
    texts: Iterable[str], targets: np.ndarray, evaluated: Iterable[str]
) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge, RidgeClassifier

    words = TfidfVectorizer(
        token_pattern=_TOKEN,
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=200_000,
        dtype=np.float32,
    )
    vectors = words.fit_transform(texts)
    is_number = np.issubdtype(targets.dtype, np.floating) and targets.ndim == 1
    model = (Ridge if is_number else RidgeClassifier)(solver="sparse_cg")
    # It labels what is not in a class −1.
    model.fit(vectors, targets if is_number else targets.astype(np.int64))
    predicted: np.ndarray = model.predict(words.transform(evaluated))
    return predicted
