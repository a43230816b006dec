"""What a person should know of the data: in lines, and as a JSON file.

The counting is done by `inputs.report` while the data is encoded.
"""

from __future__ import annotations

import json
from typing import Any

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.data import Split
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.safekeeping.files import atomic_write

# With more unknown tokens, the vocabulary is hardly that of the texts.
_MANY_UNKNOWN = 0.2


def report_lines(split: Split, max_seq_length: int) -> list[str]:
    """Returns what a person should know of a file, most important first."""
    report = split.report
    mean_length = report.num_tokens / max(1, report.num_rows)
    summary = (
        f"{split.source.path}: {report.num_rows} rows, {mean_length:.1f} "
        f"tokens each on average; {report.unknown_rate:.2%} of them unknown"
    )
    lines = [summary]
    if report.unknown_rate > _MANY_UNKNOWN:
        lines.append(
            "note: so many unknown tokens make a poor classifier; is the "
            "vocabulary of another language, or the encoding a wrong guess?"
        )
    if report.num_truncated:
        lines.append(
            f"note: {_rows(report.num_truncated, 'are')} longer than "
            f"--max_seq_length={max_seq_length} and cut off there"
        )
    if report.num_empty:
        places = ", ".join(map(str, report.empty_lines))
        more = " …" if report.num_empty > len(report.empty_lines) else ""
        lines.append(
            f"note: {_rows(report.num_empty, 'have')} an empty text "
            f"(line{'s' * (report.num_empty > 1)} {places}{more})"
        )
    if report.num_duplicates:
        conflicts = (
            f", {report.num_conflicts} of them with another label"
            if report.num_conflicts
            else ""
        )
        lines.append(
            f"note: {_rows(report.num_duplicates, 'repeat')} an earlier "
            f"text{conflicts}"
        )
    return lines


def _rows(number: int, verb: str) -> str:
    """Returns "2 rows have", or "1 row has" for the same verb."""
    if number != 1:
        return f"{number} rows {verb}"
    singular = {"are": "is", "have": "has", "repeat": "repeats"}
    return f"1 row {singular[verb]}"


def report_values(split: Split) -> dict[str, Any]:
    """Returns what there is to tell of one file, as values that JSON has.

    Args:
        split: the file.

    Returns:
        Counts, the labels with their frequencies, and what was decided about
        the file and its columns.
    """
    report = split.report
    description = split.source.describe()
    values: dict[str, Any] = {
        "file": str(split.source.path),
        "rows": report.num_rows,
        "tokens": report.num_tokens,
        "unknown_rate": report.unknown_rate,
        "truncated": report.num_truncated,
        "empty": report.num_empty,
        "empty_lines": list(report.empty_lines),
        "duplicates": report.num_duplicates,
        "duplicates_with_another_label": report.num_conflicts,
        "mean_characters": report.mean_length,
        "most_characters": report.longest,
        "longest_line": report.longest_line,
    }
    if split.problem is not None:
        values["problem"] = split.problem.name
        values["labels"] = split.problem.count(split.targets, split.labels)
    if description is not None:
        values["decided"] = {
            one.what: {"value": one.value, "because": one.how}
            for one in description.decisions
        }
    return values


def write_report(folder: RunFolder, files: dict[str, dict[str, Any]]) -> None:
    """Writes the report, whole; what it says of other files stays.

    Args:
        folder: of the run.
        files: {"train", "dev" or "test": values of `report_values`}.
    """
    path = folder / run_folder.DATA_REPORT
    try:
        earlier = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        earlier = {}
    with atomic_write(path) as file:
        json.dump({**earlier, **files}, file, ensure_ascii=False, indent=2)
        file.write("\n")
