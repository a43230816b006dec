"""A benchmark with two files to evaluate on has a page for each."""

from __future__ import annotations

import json
import re

from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.provenance import provenance_of
from bert_keras3.finetuning.run_folder import (
    REPORT,
    FinetuningFolder,
    RunSettings,
)
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    LabelledJob,
    TrainingChoices,
)
from bert_keras3.reports.job import run
from bert_keras3.reports.settings import ReportChoices

LABELS = ("contradiction", "entailment", "neutral")


def write_file(path, premise):
    """A file of MNLI, of whose columns 9, 10 and the last are read."""
    rows = [[f"column {number}" for number in range(11)] + ["gold_label"]]
    for number, label in enumerate(LABELS * 4):
        texts = [f"{premise} {number}", f"It is {label}."]
        rows.append([str(number)] * 8 + [*texts, "x", label])
    path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")


def test_mnli(screen, tmp_path):
    data_dir = tmp_path / "MNLI"
    data_dir.mkdir()
    files = {
        "train": data_dir / "train.tsv",
        "dev": data_dir / "dev_matched.tsv",
        "dev_mismatched": data_dir / "dev_mismatched.tsv",
    }
    for path, premise in zip(
        files.values(), ("Learnt", "Alike", "Unlike"), strict=True
    ):
        write_file(path, premise)
    folder = FinetuningFolder(tmp_path / "out")
    folder.path.mkdir()
    folder.write_settings(
        RunSettings("mnli", "single_label", LABELS, 16, True, takes_pairs=True)
    )
    job = LabelledJob(
        output_dir=folder.path,
        data=DataChoices(task_name="MNLI", data_dir=str(data_dir)),
        encoder=EncoderChoices(),
        training=TrainingChoices(),
    )
    for what in ("training", "evaluation"):
        folder.write_provenance(what, provenance_of(job, files))
    folder.write_data_report({split: {"rows": 12} for split in files})
    for split, accuracy in (("dev", 1.0), ("dev_mismatched", 0.0)):
        rows = [
            {
                "label": label,
                "predicted": label if accuracy else LABELS[number % 3 - 1],
                "label_probability": 0.5,
                "probabilities": {label: 0.5},
            }
            for number, label in enumerate(LABELS * 4)
        ]
        where = folder if split == "dev" else FinetuningFolder(folder / split)
        where.write_evaluation(
            Evaluation(
                {"loss": 0.7, "accuracy": accuracy},
                rows=lambda rows=rows: rows,
            ),
            LABELS,
            {"global_step": 3, "examples": 12},
        )

    run([folder.path], ReportChoices(), screen)
    pages = [folder / REPORT, folder / "dev_mismatched" / REPORT]
    assert screen.lines == [f"report: {page}" for page in pages]
    for page, mine, value, other in zip(
        pages,
        ("Alike", "Unlike"),
        ("accuracy 1:", "accuracy 0:"),
        ("dev_mismatched/report.html", "../report.html"),
        strict=True,
    ):
        text = page.read_text("utf-8")
        found = re.search(r'<script type="application/json".*?>(.*?)<', text)
        shown = json.loads(found[1])["rows"]
        assert len(shown) == 12
        assert all(mine in row["texts"][0][0] for row in shown)
        assert value in text
        assert f'<a href="{other}">' in text
    # They are deleted with the run.
    folder.run.clear()
    assert not any(page.exists() for page in pages)
