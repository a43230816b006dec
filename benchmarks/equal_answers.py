"""Whether an exported classifier predicts what the training's folder does.

    python -m benchmarks.equal_answers --model_dir=out --test_file=dev.tsv

Predicts every row of a file with `run_classifier.py --do_predict`, with the
reloaded `.keras` model, one row at a time, and with a fresh export in batches,
and prints one JSON line with the greatest differences. The file must have the
columns that the classifier was trained on. The folder is copied, not changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.exit_codes import exit_after
from bert_keras3.training.environment import load_tensorflow


def predicted(
    model_dir: pathlib.Path, test_file: str
) -> tuple[list[str], np.ndarray]:
    """Returns the labels and the probabilities [N, C] of `--do_predict`."""
    script = pathlib.Path(__file__).parents[1] / "run_classifier.py"
    subprocess.run(
        [
            sys.executable,
            str(script),
            "--do_predict",
            f"--test_file={test_file}",
            f"--output_dir={model_dir}",
        ],
        check=True,
        stdout=sys.stderr,
    )
    with open(
        model_dir / "predictions.csv", encoding="utf-8", newline=""
    ) as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    return labels, np.loadtxt(model_dir / "test_results.tsv", ndmin=2)


def by_model(folder: Any, rows: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Returns the probabilities of each row, computed alone: [N, C]."""
    from tokenization.packing import pack, pad

    settings, model = folder.read_settings(), folder.load_model()
    tokenizer = folder.load_tokenizer()
    scores = []
    for row in rows:
        packed = pack(
            *(tokenizer.encode(text) for text in row),
            max_seq_length=settings.max_seq_length,
            cls_id=tokenizer.vocab["[CLS]"],
            sep_id=tokenizer.vocab["[SEP]"],
        )
        outputs = model(pad([packed]), training=False)
        scores.append(np.asarray(settings.task.scores(outputs)))
    return np.concatenate(scores)


def main() -> None:
    """Compares the three predictions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_dir", required=True, type=pathlib.Path)
    parser.add_argument("--test_file", required=True)
    flags = parser.parse_args()
    load_tensorflow()
    from bert_keras3.finetuning.labelled_data import find_labelled_data
    from bert_keras3.finetuning.run_folder import FinetuningFolder
    from bert_keras3.finetuning.settings import DataChoices
    from bert_keras3.serving import Predictor, export

    with tempfile.TemporaryDirectory() as scratch:
        folder = FinetuningFolder(pathlib.Path(scratch) / "run")
        shutil.copytree(flags.model_dir, folder.path)
        settings = folder.read_settings()
        dataset = find_labelled_data(
            DataChoices(test_file=flags.test_file), settings
        )
        pairs = settings.takes_pairs
        rows: list[Any] = [
            (one.text_a, one.text_b or "") if pairs else (one.text_a,)
            for one in dataset.source("test")
        ]
        labels, written = predicted(folder.path, flags.test_file)
        model = by_model(folder, rows)
        answers: list[Any] = Predictor(
            export(folder.path, pathlib.Path(scratch) / "exported")
        ).predict(rows if pairs else [row[0] for row in rows])
        exported = np.array([one.probabilities for one in answers])
        print(
            json.dumps(
                {
                    "measurement": "equal answers",
                    "rows": len(rows),
                    "labels_that_differ": sum(
                        one.label != label
                        for one, label in zip(answers, labels, strict=True)
                    ),
                    "exported_from_predicted": float(
                        np.abs(exported - written).max()
                    ),
                    "exported_from_model": float(
                        np.abs(exported - model).max()
                    ),
                }
            )
        )


if __name__ == "__main__":
    exit_after(main)
