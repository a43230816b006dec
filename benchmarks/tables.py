"""Writes the tables of README.md from the lines that the benchmarks printed.

    python -m benchmarks.tables

Reads every line in `results/*.jsonl`; of lines about the same measurement
the last counts. What is between `<!-- name -->` and `<!-- end -->` in the
README is replaced, the rest is left as it is.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.exit_codes import exit_after
from bert_keras3.safekeeping.files import atomic_write

FOLDER = pathlib.Path(__file__).parent
README = FOLDER / "README.md"
RESULTS = FOLDER / "results"

Line = Mapping[str, Any]
# What differs between lines of one benchmark.
KEYS = (
    "benchmark",
    "shape",
    "order",
    "contender",
    "text_file",
    "text_mb",
)


def read_lines() -> list[Line]:
    """Returns the last line of every measurement, in the order of the first."""
    found: dict[tuple[Any, ...], Line] = {}
    for path in sorted(RESULTS.glob("*.jsonl")):
        for text in path.read_text("utf-8").splitlines():
            line = json.loads(text)
            found[tuple(line.get(key) for key in KEYS)] = line
    return list(found.values())


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; all columns but the first are numbers."""
    lines = [headers, ["---", *("---:" for _ in headers[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def grid(
    lines: Sequence[Line],
    corner: str,
    column: Callable[[Line], str],
    cell: Callable[[Line], str],
) -> str:
    """Returns a table of contenders down and something else across."""
    cells: dict[str, dict[str, str]] = {}
    for line in lines:
        cells.setdefault(line["contender"], {})[column(line)] = cell(line)
    columns = list(dict.fromkeys(column(line) for line in lines))
    return markdown(
        [corner, *columns],
        (
            [name, *(row.get(column, "–") for column in columns)]
            for name, row in cells.items()
        ),
    )


def made_with(lines: Sequence[Line]) -> str:
    """Returns date, machine and versions of all lines of a table."""
    versions: dict[str, str] = {}
    for line in lines:
        versions |= line.get("versions", {})
    dates = sorted({line["date"] for line in lines if "date" in line})
    machines = {
        f"{line['cores']} cores, {line['machine']}, Python {line['python']}"
        for line in lines
        if "cores" in line
    }
    packages = ", ".join(f"{name} {versions[name]}" for name in versions)
    return f"{' to '.join(dates)}; {'; '.join(sorted(machines))}; {packages}."


def _speed(line: Line) -> str:
    text = f"{line['useful_gflops']:.0f}"
    if "of_product" in line:
        text += f" ({line['of_product']:.2f})"
    if line["contender"] != "ours" and "ours_is_times" in line:
        text += f", ours {line['ours_is_times']:.2f} ×"
    return text


def speeds(lines: Sequence[Line]) -> str:
    """Useful GFLOP/s (share of the product), and how much faster ours is."""
    return grid(
        lines,
        "useful GFLOP/s",
        lambda line: f"{line['shape']}, {line['order']}",
        _speed,
    )


def memory(lines: Sequence[Line]) -> str:
    """Peak memory of processes, and before the weights are loaded."""
    return markdown(
        ["MB", "peak of the process", "of that, imported code"],
        (
            [
                line["contender"],
                f"{line['peak_mb']:,.0f}",
                f"{line['peak_mb_of_imports']:,.0f}",
            ]
            for line in lines
        ),
    )


def int8(lines: Sequence[Line]) -> str:
    """Accuracy, and speed relative to the first line."""
    first = lines[0]["min_seconds"]
    return markdown(
        ["", "accuracy", "useful GFLOP/s", "times as fast"],
        (
            [
                line["contender"],
                f"{line['accuracy']:.4f}",
                f"{line['useful_gflops']:.0f}",
                f"{first / line['min_seconds']:.2f}",
            ]
            for line in lines
        ),
    )


def serving(lines: Sequence[Line]) -> str:
    """One sentence at a time, all at once, and peak memory."""
    return markdown(
        ["", "ms a sentence", "of the pipeline's", "sentences/s", "MB"],
        (
            [
                line["contender"],
                f"{line['median_ms']:.1f}",
                f"{line['times_of_peer']:.2f}"
                if "times_of_peer" in line
                else "–",
                f"{line['sentences_per_second']:.0f}",
                f"{line['peak_mb']:,.0f}",
            ]
            for line in lines
        ),
    )


def pretraining_step(lines: Sequence[Line]) -> str:
    """Seconds of the best step, relative to the original's graph."""
    return markdown(
        ["", "seconds a step", "times the original"],
        (
            [
                line["contender"],
                f"{line['seconds_per_step_best']:.2f}",
                f"{line['times_the_original_best']:.2f}",
            ]
            for line in lines
        ),
    )


# {name in the README: how its lines become a table}
TABLES: Mapping[str, Callable[[Sequence[Line]], str]] = {
    "predict": speeds,
    "train": speeds,
    "memory": memory,
    "int8": int8,
    "pretraining_step": pretraining_step,
    "serving": serving,
}


def filled(readme: str, lines: Sequence[Line]) -> str:
    """Returns the README with the tables of these lines."""
    for name, table in TABLES.items():
        chosen = [
            line for line in lines if line["benchmark"].split("/")[0] == name
        ]
        if chosen:
            text = f"{table(chosen)}\n\n{made_with(chosen)}"
            readme = re.sub(
                rf"(<!-- {name} -->\n).*?(<!-- end -->)",
                lambda found, text=text: (  # type: ignore[misc]
                    f"{found[1]}{text}\n{found[2]}"
                ),
                readme,
                flags=re.DOTALL,
            )
    return readme


def main() -> None:
    """Rewrites the README and says so."""
    lines = read_lines()
    readme = filled(README.read_text("utf-8"), lines)
    with atomic_write(README) as file:
        file.write(readme)
    print(f"written: {README}, from {len(lines)} measurements in {RESULTS}")


if __name__ == "__main__":
    exit_after(main)
