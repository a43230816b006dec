"""How a training went: its curves, its time, and what stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.reports.charts import line_chart
from bert_keras3.reports.figures import best_metric_of, number
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.views import Chart
from bert_keras3.reports.wording import Wording

Series = tuple[np.ndarray, np.ndarray]


def _series(lines: Sequence[Mapping[str, Any]], name: str) -> Series:
    """Returns steps and values of a number that every tenth step has."""
    some = [line for line in lines if isinstance(line.get(name), (int, float))]
    return (
        np.array([line["step"] for line in some], np.float64),
        np.array([line[name] for line in some], np.float64),
    )


def _evaluated(record: RunRecord) -> list[dict[str, Any]]:
    """Returns the evaluations during training, each with its step."""
    return [
        {**line["evaluation"], "step": line["step"]}
        for line in record.log
        if "evaluation" in line
    ]


def curves(record: RunRecord, t: Wording) -> list[Chart]:
    """Draws loss, metric, learning rate and memory by step."""
    log, evaluated = record.log, _evaluated(record)
    if not len(_series(log, "loss")[0]):
        return []
    best = best_metric_of(record)
    of_evaluation = _series(evaluated, "loss")
    memory = _series(log, "peak_memory")
    loss = {
        t("training_loss"): _series(log, "loss"),
        t("evaluation_loss"): of_evaluation,
    }
    others = {
        t.name(best): _series(evaluated if best != "loss" else (), best),
        t("learning_rate"): _series(log, "learning_rate"),
        t("memory"): (memory[0], memory[1] / 2**20),
    }
    charts = [(t("loss"), loss)]
    charts += [(name, {name: points}) for name, points in others.items()]
    drawn: list[Chart] = []
    for y_title, lines in charts:
        lines = {name: one for name, one in lines.items() if len(one[0])}
        if lines:
            svg = line_chart(lines, x_title=t("step"), y_title=y_title)
            note = _overfitting(*of_evaluation, t) if not drawn else ""
            names = tuple(lines) if len(lines) > 1 else ()
            drawn.append(Chart("", svg, note, names))
    return drawn


def last_evaluation(record: RunRecord, t: Wording) -> str:
    """Says what the last evaluation during training found, if any."""
    evaluated = _evaluated(record)
    if not evaluated:
        return ""
    step = evaluated[-1].pop("step")
    figures = ", ".join(
        f"{t.name(name)} {number(value)}"
        for name, value in evaluated[-1].items()
        if isinstance(value, (int, float))
    )
    return t("last_evaluation", step=step, figures=figures)


def _overfitting(steps: np.ndarray, losses: np.ndarray, t: Wording) -> str:
    """Says from which step on the evaluation loss rises, if it does."""
    if len(losses) < 2:
        return ""
    best = int(losses.argmin())
    if best == len(losses) - 1 or losses[-1] < 1.05 * losses[best]:
        return ""
    return t("overfitting", step=int(steps[best]))


def facts(record: RunRecord, t: Wording) -> list[str]:
    """Says how many steps there were, how fast, and which was the best."""
    found = []
    log, progress = record.log, record.progress
    timed = [line for line in log if "seconds" in line]
    if timed:
        last = timed[-1]
        seconds = max(last["seconds"], 1e-3)
        found.append(
            t(
                "facts",
                steps=f"{last['step']:,}",
                time=_duration(seconds),
                speed=number(last["step"] / seconds),
                memory=f"{last['peak_memory'] / 2**20:,.0f}",
            )
        )
    elif log:
        found.append(t("steps_done", steps=f"{log[-1]['step']:,}"))
    if progress.get("best_step") is not None:
        found.append(
            t(
                "best_after",
                step=f"{progress['best_step']:,}",
                metric=t.name(best_metric_of(record)),
                value=number(progress["best_value"]),
            )
        )
    if progress.get("stopped_early"):
        found.append(t("stopped_early"))
    return found


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
