"""Run folders as a training leaves them, without one."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.provenance import provenance_of
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    LabelledJob,
    TrainingChoices,
)
from bert_keras3.training.run_folder import LOG

HOSTILE = '</script><b>good</b> </textarea> <img src=x onerror="boom()"> & "it"'


class Transcript:
    """A screen that remembers what it was shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        self.lines += [title or "", *(str(tuple(row)) for row in rows)]


@pytest.fixture
def screen() -> Transcript:
    return Transcript()


def write_csv(path: pathlib.Path, rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


@pytest.fixture(scope="session")
def write_run() -> Callable[..., FinetuningFolder]:
    """A function that writes the files of a run that has been evaluated."""

    def write(
        path: pathlib.Path,
        train: Any,
        dev: Any,
        rows: Any,
        scalars: Any,
        *,
        problem: str = "single_label",
        labels: tuple[str, ...] = (),
        confusion: Any = None,
        details: Any = None,
        seed: int = 1,
    ) -> FinetuningFolder:
        path.mkdir()
        files = {}
        for name, some in (("train", train), ("dev", dev)):
            files[name] = path.parent / f"{path.name}_{name}.csv"
            write_csv(files[name], some)
        data = DataChoices(
            train_file=str(files["train"]), dev_file=str(files["dev"])
        )
        source = kind_of(data).find(data).source("train")
        folder = FinetuningFolder(path)
        folder.write_settings(
            RunSettings("csv", problem, labels, 16, True, source.columns)
        )
        job = LabelledJob(
            output_dir=path,
            data=data,
            encoder=EncoderChoices(),
            training=TrainingChoices(seed=seed),
        )
        for what in ("training", "evaluation"):
            folder.write_provenance(what, provenance_of(job, files))
        folder.write_data_report(
            {
                "train": {
                    "rows": len(train),
                    "mean_characters": 20.0,
                    "empty": 0,
                    "labels": {label: len(train) for label in labels},
                }
            }
        )
        folder.write_evaluation(
            Evaluation(
                scalars,
                details or {},
                None if confusion is None else np.array(confusion),
                rows=lambda: rows,
            ),
            labels,
            {"global_step": 20, "examples": len(dev)},
        )
        with (path / LOG).open("w") as file:
            for step in (1, 10, 20):
                line = {
                    "step": step,
                    "loss": 1 / step,
                    "learning_rate": 1e-4 / step,
                    "seconds": 0.5 * step,
                    "peak_memory": 2**30,
                }
                file.write(json.dumps(line) + "\n")
            evaluation = {"step": 20, "evaluation": dict(scalars)}
            file.write(json.dumps(evaluation) + "\n")
        return folder

    return write


@dataclasses.dataclass(frozen=True)
class Reviews:
    """Reviews of a restaurant, of which a model has a fifth wrong."""

    train: Any
    dev: Any
    rows: Any
    scalars: Any
    confusion: Any


@pytest.fixture(scope="session")
def reviews() -> Reviews:
    """100 to train on; of 20, four are praise that is taken for blame."""
    train = [
        (f"the {word} was {good}", label)
        for number in range(10)
        for word in ("soup", "tea", "bread", "rice", "fish")
        for good, label in (("good", "praise"), ("bad", "blame"))
    ]
    dev = [(f"good {number}", "praise") for number in range(10)]
    dev += [(f"bad {number}", "blame") for number in range(10)]
    dev[0] = (HOSTILE, "praise")
    dev[19] = (train[1][0], "blame")
    rows = []
    for number, (_, label) in enumerate(dev):
        sure = 0.6 + 0.02 * number
        predicted = "blame" if number < 4 else label
        other = {"praise": "blame", "blame": "praise"}[predicted]
        rows.append(
            {
                "label": label,
                "predicted": predicted,
                "label_probability": sure if predicted == label else 1 - sure,
                "probabilities": {predicted: sure, other: 1 - sure},
            }
        )
    scalars = {"loss": 0.4, "accuracy": 0.8, "macro_f1": 0.79, "mcc": 0.65}
    return Reviews(train, dev, rows, scalars, [[10, 0], [4, 6]])
