"""How long and in how much memory shards of rows are predicted on Beam.

The same simulated rows are predicted by the plain script, as one file, and on
Apache Beam's direct runner, as shards; each contender is a process of its own,
in turn, several times over.

    python -m benchmarks.batch_inference --model_dir=out --rows=100000
    python -m benchmarks.batch_inference --rows=10000 --rows=1000000 \
        --contender=runner --shards=1

`--model_dir` is the --output_dir of a classifier of single texts; by default a
tiny one with random weights is made. Prints one JSON object a contender and
number of rows: seconds (best and median) with all imports, rows a second, how
many times that is of the plain script's seconds, and the greatest memory of
any one process, in MB (on Linux; `runner, 2 processes` is without it, since
its workers are no children of the process that is measured).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.environment import environment
from benchmarks.exit_codes import exit_after

_PROCESSES = "--direct_running_mode=multi_processing,--direct_num_workers=2"
CONTENDERS = {
    "plain": [],
    "runner": ["--runner=DirectRunner"],
    "runner, 2 processes": [
        "--runner=DirectRunner",
        f"--runner_options={_PROCESSES}",
    ],
}
# Words are drawn from the first of a vocabulary that are whole ones; texts
# have so many of them.
_NUM_WORDS = 5000
_FEWEST, _MOST = 4, 40
_ROWS_AT_ONCE = 10_000


def make_model(folder: pathlib.Path) -> None:
    """Makes a classifier of one layer, with random weights."""
    from bert_keras3.finetuning.run_folder import (
        FinetuningFolder,
        RunSettings,
        new_model,
    )
    from modeling import BertConfig

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"word{number}" for number in range(1000)]
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    run = FinetuningFolder(folder)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    settings = RunSettings(
        task_name="csv",
        problem="single_label",
        labels=("no", "yes"),
        max_seq_length=64,
        do_lower_case=True,
        columns={
            "text": 1,
            "text_pair": None,
            "label": [],
            "id": 0,
            "names": ["id", "text"],
            "header": True,
        },
    )
    run.write_encoder_files(config, folder / "vocab.txt")
    run.save_model(new_model(config, settings.task))
    run.write_settings(settings)


def write_rows(
    folder: pathlib.Path, words: list[str], num_rows: int, num_shards: int
) -> None:
    """Writes the same rows as `all.csv` and as shards."""
    with open(folder / "all.csv", "w", encoding="utf-8", newline="") as whole:
        writer = csv.writer(whole)
        writer.writerow(["id", "text"])
        rows = _rows(words, num_rows)
        for shard in range(num_shards):
            number = (shard + 1) * num_rows // num_shards
            number -= shard * num_rows // num_shards
            path = folder / f"shard-{shard:05d}.csv"
            with open(path, "w", encoding="utf-8", newline="") as file:
                part = csv.writer(file)
                part.writerow(["id", "text"])
                for _ in range(number):
                    row = next(rows)
                    writer.writerow(row)
                    part.writerow(row)


def _rows(words: list[str], number: int) -> Iterator[tuple[int, str]]:
    rng = np.random.default_rng(0)
    for start in range(0, number, _ROWS_AT_ONCE):
        lengths = rng.integers(_FEWEST, _MOST, _ROWS_AT_ONCE)
        chosen = rng.integers(0, len(words), lengths.sum())
        ends = lengths.cumsum()
        for place, (end, length) in enumerate(zip(ends, lengths, strict=True)):
            text = " ".join(words[n] for n in chosen[end - length : end])
            yield start + place, text


def run(
    contender: str, model: pathlib.Path, rows: pathlib.Path, batch_size: int
) -> tuple[float, float]:
    """Predicts the rows once; returns seconds and the most MB."""
    name = "all.csv" if contender == "plain" else "shard-*.csv"
    with tempfile.TemporaryDirectory(dir=rows) as folder:
        command = [
            sys.executable,
            "run_classifier.py",
            "--do_predict",
            f"--output_dir={model}",
            f"--test_file={rows / name}",
            f"--predict_batch_size={batch_size}",
            *CONTENDERS[contender],
        ]
        if contender != "plain":
            command.append(f"--predictions_dir={folder}")
        start = time.perf_counter()
        with subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            errors = process.stderr.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise subprocess.CalledProcessError(
                process.returncode, command, stderr=errors
            )
    return seconds, _megabytes(used)


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024


def main() -> None:
    """Prints a line for each contender and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_dir", type=pathlib.Path)
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument(
        "--contender", action="append", choices=tuple(CONTENDERS)
    )
    parser.add_argument("--folder", help="for the rows and what is written")
    parser.add_argument(
        "--make_model", type=pathlib.Path, help="makes it, and nothing else"
    )
    given = parser.parse_args()
    if given.make_model is not None:
        make_model(given.make_model)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as top:
        model = given.model_dir
        if model is None:
            model = pathlib.Path(top, "model")
            # The memory of this process would count as that of its children.
            module = "benchmarks.batch_inference"
            command = [sys.executable, "-m", module, f"--make_model={model}"]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        lines = (model / "vocab.txt").read_text("utf-8").splitlines()
        words = [one for one in lines if one.isalnum()][:_NUM_WORDS]
        for num_rows in given.rows or [100_000]:
            rows = pathlib.Path(top, f"rows{num_rows}")
            rows.mkdir()
            write_rows(rows, words, num_rows, given.shards)
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(given.rounds):
                for name in given.contender or CONTENDERS:
                    found.setdefault(name, []).append(
                        run(name, model, rows, given.batch_size)
                    )
            plain = [one for one, _ in found.get("plain", [])]
            for name, taken in found.items():
                seconds = [one for one, _ in taken]
                line = {
                    "contender": name,
                    "rows": num_rows,
                    "shards": given.shards,
                    "seconds": round(min(seconds), 2),
                    "median": round(statistics.median(seconds), 2),
                    "rows_per_second": round(num_rows / min(seconds), 1),
                    "of_plain": (
                        round(min(seconds) / min(plain), 3) if plain else None
                    ),
                    "megabytes": (
                        None
                        if "processes" in name
                        else round(max(one for _, one in taken))
                    ),
                    **environment(),
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    exit_after(main)
