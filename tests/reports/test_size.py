"""A page stays below 2 MB, whatever the data."""

from __future__ import annotations

import pytest

from bert_keras3.finetuning.run_folder import REPORT
from bert_keras3.reports.job import run
from bert_keras3.reports.settings import ReportChoices

LABELS = tuple(f"label {number} {'long ' * 30}" for number in range(1000))


@pytest.mark.slow
def test_a_hundred_thousand_long_rows_of_a_thousand_labels(
    write_run, screen, tmp_path
):
    rows, dev = [], []
    for number in range(100_000):
        label = LABELS[number % 1000]
        said = label if number % 3 else LABELS[(number * 7) % 1000]
        odds = {said: 0.7, LABELS[0 if said != LABELS[0] else 1]: 0.3}
        dev.append((f"{number} <&> " + "long text 长 " * 20, label))
        rows.append(
            {
                "label": label,
                "predicted": said,
                "label_probability": 0.5,
                "probabilities": odds,
            }
        )
    # One of ten million characters.
    dev[0] = ("a<b " * 2_500_000, dev[0][1])
    figures = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 100}
    confusion = [
        [100 * (a == b) + (a + b) % 7 for b in range(1000)] for a in range(1000)
    ]
    folder = write_run(
        tmp_path / "large",
        dev[:2000],
        dev,
        rows,
        {"loss": 0.3, "accuracy": 2 / 3},
        labels=LABELS,
        confusion=confusion,
        details={"per_label": dict.fromkeys(LABELS, figures)},
    )
    run([folder.path], ReportChoices(report_reasons=0), screen)
    assert (folder / REPORT).stat().st_size < 2_000_000
