"""--clean: what it does to texts, it does everywhere."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Predictor
from bert_keras3.serving.exporter import export
from tokenization.cleaning import clean

RULES = ("html", "repeats")


@pytest.fixture
def cleaning(job, train_rows, write_csv, tmp_path):
    """The job on texts with tags, with --clean and on texts cleaned before."""
    rows = [(n, f"<p>{text}!!!</p>", label) for n, text, label in train_rows]
    cleaned = [(n, clean(text, RULES), label) for n, text, label in rows]
    jobs = []
    for name, content, rules in (
        ("tags", rows, RULES),
        ("cleaned", cleaned, ()),
    ):
        file = str(write_csv(tmp_path / f"{name}.csv", content))
        data = dataclasses.replace(
            job.data, train_file=file, test_file=file, clean=rules
        )
        jobs.append(
            dataclasses.replace(
                job, output_dir=tmp_path / name, data=data, do_predict=True
            )
        )
    return *jobs, [text for _, text, _ in rows]


def predictions(job):
    with open(job.output_dir / "predictions.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_as_if_the_texts_were_clean(cleaning, screen, tmp_path):
    """The same bits; and every export, and the folder as a checkpoint."""
    job, beside, texts = cleaning
    run(job, screen)
    run(beside, screen)
    wanted = predictions(beside)
    assert predictions(job) == wanted

    probabilities = [[float(x) for x in [*row.values()][2:]] for row in wanted]
    for format_name in ("saved_model", "onnx", "litert"):
        folder = tmp_path / format_name
        export(job.output_dir, folder, format_name=format_name)
        found = Predictor(folder).predict(texts)
        np.testing.assert_allclose(
            [one.probabilities for one in found],
            probabilities,
            rtol=0,
            atol=2e-6,
        )

    again = dataclasses.replace(job, do_train=False, do_eval=False)
    data = dataclasses.replace(job.data, train_file=None, clean=())
    again = dataclasses.replace(again, data=data)
    run(again, screen)
    assert predictions(again) == wanted
    encoder = dataclasses.replace(
        job.encoder, init_checkpoint=str(job.output_dir)
    )
    copy = dataclasses.replace(
        again, output_dir=tmp_path / "copy", encoder=encoder
    )
    run(copy, screen)
    assert predictions(copy) == wanted
    data = dataclasses.replace(data, clean=("digits",))
    with pytest.raises(UserError, match="trained with html,repeats"):
        run(dataclasses.replace(again, data=data), screen)


def test_a_rule_that_is_none(job, screen):
    data = dataclasses.replace(job.data, clean=("tags",))
    with pytest.raises(UserError, match=r"--clean: 'tags' is no rule"):
        run(dataclasses.replace(job, data=data), screen)
    assert not job.output_dir.exists()
