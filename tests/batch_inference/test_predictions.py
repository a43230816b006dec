"""Shards are answered as the plain script answers each file by itself."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.finetuning.job import run

pytest.importorskip("apache_beam", reason="needs the extra `beam`")
from bert_keras3.batch_inference import predictions
from bert_keras3.batch_inference.predictions import predict_shards

DIRECT = PredictionFlags(runner="DirectRunner")


def predict(job, screen, folder, flags=DIRECT):
    flags = dataclasses.replace(flags, predictions_dir=str(folder))
    predict_shards(job, DeviceChoices(), flags, screen)


FILES = {
    "single_label": ("predictions.csv", "test_results.tsv"),
    "choice": ("predictions.csv", "test_results.tsv"),
    "tagging": ("predictions.jsonl",),
    "span": ("predictions.json", "nbest_predictions.json"),
}


def assert_same(found, expected):
    """Fractions may be rounded otherwise in batches of other rows."""
    fraction = r"-?\d+\.\d+(?:e-\d+)?"
    assert re.sub(fraction, "0.5", found) == re.sub(fraction, "0.5", expected)
    np.testing.assert_allclose(
        [float(one) for one in re.findall(fraction, found)],
        [float(one) for one in re.findall(fraction, expected)],
        atol=2e-6,
    )


def cases():
    """The slow ones look at all kinds of rows, and at all of the files."""
    for problem in FILES:
        is_fast = problem in ("single_label", "span")
        marks = () if is_fast else pytest.mark.slow
        yield pytest.param(problem, 3, marks=marks)
        yield pytest.param(problem, None, marks=pytest.mark.slow)


@pytest.mark.parametrize(("problem", "at_once"), [*cases()])
def test_the_answers_of_the_plain_script(
    make_job, problem, at_once, screen, tmp_path, monkeypatch
):
    """Whether all rows of a shard are computed at once or three at a time."""
    if at_once is not None:
        monkeypatch.setattr(predictions, "_EXAMPLES_AT_ONCE", at_once)
    job, files = make_job(problem)
    predict(job, screen, tmp_path)
    for number, file in enumerate(files):
        if number != 1 and at_once is not None:
            continue
        data = dataclasses.replace(job.data, test_file=str(file))
        run(dataclasses.replace(job, data=data), screen)
        for name in FILES[problem]:
            expected = (job.output_dir / name).read_text("utf-8")
            stem, _, ending = name.partition(".")
            found = tmp_path / f"{stem}-0000{number}-of-00003.{ending}"
            assert_same(found.read_text("utf-8"), expected)
    counts = json.loads((tmp_path / "predictions.counts.json").read_text())
    assert counts["rows"] == 20
    assert counts["shards"] == counts["finished"] == 3
    assert counts["failures"] == 0
    assert counts["tokens"] > 3 * 20
