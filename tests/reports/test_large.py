"""A report on SST-2, whose 67,349 rows are trained on and evaluated."""

from __future__ import annotations

import csv
import resource
import sys
import time

import numpy as np
import pytest

from bert_keras3.finetuning.run_folder import REPORT
from bert_keras3.reports.job import run
from bert_keras3.reports.settings import ReportChoices


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of memory")
def test_sst2_takes_seconds_and_little_memory(
    shared, write_run, screen, tmp_path
):
    path = shared / "datasets/sst2_glue/train_full.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [(text, label) for text, label in rows[1:]]
    assert len(texts) == 67349
    rng = np.random.default_rng(0)
    sure = (0.5 + rng.random(len(texts)) / 2).tolist()
    is_right = (rng.random(len(texts)) < 0.9).tolist()
    predictions = []
    for (_, label), right, share in zip(texts, is_right, sure, strict=True):
        said = label if right else str(1 - int(label))
        odds = {said: share, str(1 - int(said)): 1 - share}
        predictions.append(
            {
                "label": label,
                "predicted": said,
                "label_probability": odds[label],
                "probabilities": odds,
            }
        )
    folder = write_run(
        tmp_path / "sst2",
        texts,
        texts,
        predictions,
        {"loss": 0.3, "accuracy": sum(is_right) / len(texts)},
        labels=("0", "1"),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    run([folder.path], ReportChoices(report_reasons=0), screen)
    # Seen: 4 s and 53 MB.
    assert time.process_time() - started < 20
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 300 * 1024
    assert (folder / REPORT).stat().st_size < 2_000_000
