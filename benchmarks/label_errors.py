"""How many wrong labels --find_label_errors finds, where it is known.

    python -m benchmarks.label_errors --train_file=train.csv \
        --label_column=category --share=0.05 --output=noisy.csv
    python run_classifier.py --find_label_errors --train_file=noisy.csv …
    python -m benchmarks.label_errors --train_file=train.csv \
        --label_column=category --noisy_file=noisy.csv \
        --issues=out/label_issues.csv

The first command gives a share of the rows another label, drawn by a seed; the
last prints precision and recall of what was found.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Mapping, Sequence

from benchmarks.exit_codes import exit_after

_UNLIKELY = "unlikely label"


def _read(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def with_errors(
    rows: Sequence[Mapping[str, str]], column: str, share: float, seed: int
) -> list[dict[str, str]]:
    """Returns the rows, a share of which has another label of the file.

    Args:
        rows: of the file.
        column: of the labels.
        share: of the rows that change.
        seed: of which rows change, and to what.
    """
    draw = random.Random(seed)
    labels = sorted({row[column] for row in rows})
    changed = [dict(row) for row in rows]
    for row in draw.sample(changed, round(share * len(changed))):
        row[column] = draw.choice([one for one in labels if one != row[column]])
    return changed


def figures(
    clean: Sequence[Mapping[str, str]],
    noisy: Sequence[Mapping[str, str]],
    column: str,
    found: Sequence[int],
) -> dict[str, float]:
    """Returns precision and recall of rows, numbered from 0, as errors."""
    wrong = {
        number
        for number, (one, other) in enumerate(zip(clean, noisy, strict=True))
        if one[column] != other[column]
    }
    right = len(wrong & set(found))
    return {
        "changed": len(wrong),
        "found": len(found),
        "precision": right / max(1, len(found)),
        "recall": right / max(1, len(wrong)),
    }


def main() -> None:
    """Writes a file with errors, or prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_file", required=True)
    parser.add_argument("--label_column", required=True)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output")
    parser.add_argument("--noisy_file")
    parser.add_argument("--issues")
    given = parser.parse_args()
    rows = _read(given.train_file)
    if given.output:
        changed = with_errors(rows, given.label_column, given.share, given.seed)
        with open(given.output, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(changed)
        return
    # Without an id column, an id is the number of the row, from 1.
    found = [
        int(row["id"]) - 1
        for row in _read(given.issues)
        if row["reason"] == _UNLIKELY
    ]
    noisy = _read(given.noisy_file)
    print(json.dumps(figures(rows, noisy, given.label_column, found)))


if __name__ == "__main__":
    exit_after(main)
