"""Charts as SVG that takes its colours from the page, light or dark.

Coordinates are in units of the picture, whose width is `_WIDTH`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 460, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 22, 34
# More points than these are no longer told apart.
_MOST_POINTS = 300
_MOST_DOTS = 1500

Points = tuple[np.ndarray, np.ndarray]


def line_chart(
    series: Mapping[str, Points],
    *,
    x_title: str,
    y_title: str,
    are_shares: bool = False,
) -> str:
    """Draws lines; of more than 300 points, means of as many stretches.

    Args:
        series: {name: (x [P], y [P])}; the first in the first colour.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
        are_shares: whether both axes go from 0 to 1.
    """
    thinned = {name: _thinned(*points) for name, points in series.items()}
    axes = _Axes.around(list(thinned.values()), x_title, y_title)
    if are_shares:
        axes = _Axes((0.0, 1.0), (0.0, 1.0), x_title, y_title)
    parts = []
    for number, (name, (x, y)) in enumerate(thinned.items()):
        path = " ".join(
            f"{axes.x(one):.1f},{axes.y(other):.1f}"
            for one, other in zip(x, y, strict=True)
        )
        parts.append(
            f'<polyline class="line c{number}" points="{path}">'
            f"<title>{escape(name)}</title></polyline>"
        )
        if len(x) <= 30:
            parts += [
                f'<circle class="dot c{number}" cx="{axes.x(one):.1f}" '
                f'cy="{axes.y(other):.1f}" r="3"><title>{escape(name)}: '
                f"{_figure(other)} ({_figure(one)})</title></circle>"
                for one, other in zip(x, y, strict=True)
            ]
    return axes.picture(parts)


def reliability_chart(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    x_title: str,
    y_title: str,
) -> str:
    """Draws how often predictions are right, by tenths of confidence.

    Args:
        confidence: float [E], from 0 to 1.
        right: float [E], from 0 to 1.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
    """
    axes = _Axes((0.0, 1.0), (0.0, 1.0), x_title, y_title)
    tenth = np.clip((confidence * 10).astype(int), 0, 9)
    counts = np.bincount(tenth, minlength=10)
    means = [
        np.bincount(tenth, weights=values, minlength=10) / np.maximum(counts, 1)
        for values in (confidence, right)
    ]
    parts = [_guide(axes, 0.0, 1.0)]
    most = max(1, int(counts.max()))
    for count, x, y in zip(counts.tolist(), *means, strict=True):
        if count:
            radius = 3 + 9 * math.sqrt(count / most)
            parts.append(
                f'<circle class="dot c0" cx="{axes.x(x):.1f}" '
                f'cy="{axes.y(y):.1f}" r="{radius:.1f}"><title>'
                f"{_figure(x)} → {_figure(y)}, n = {count}</title></circle>"
            )
    return axes.picture(parts)


def scatter_chart(
    x: np.ndarray,
    y: np.ndarray,
    *,
    x_title: str,
    y_title: str,
    diagonal: bool = False,
) -> str:
    """Draws dots, at most 1500 evenly spaced ones.

    Args:
        x: float [P].
        y: float [P].
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
        diagonal: whether to draw the line of equal values.
    """
    step = max(1, -(-len(x) // _MOST_DOTS))
    x, y = x[::step], y[::step]
    axes = _Axes.around([(x, y)], x_title, y_title)
    parts = []
    if diagonal:
        low = max(axes.x_range[0], axes.y_range[0])
        high = min(axes.x_range[1], axes.y_range[1])
        parts.append(_guide(axes, low, high))
    parts += [
        f'<circle class="speck" cx="{axes.x(one):.1f}" '
        f'cy="{axes.y(other):.1f}" r="2"/>'
        for one, other in zip(x, y, strict=True)
    ]
    return axes.picture(parts)


def histogram(
    values: np.ndarray, *, x_title: str, y_title: str, bins: int = 30
) -> str:
    """Draws how often values occur."""
    counts, edges = np.histogram(values, bins)
    axes = _Axes(
        (float(edges[0]), float(edges[-1])),
        (0.0, float(max(1, counts.max()))),
        x_title,
        y_title,
    )
    floor = axes.y(0)
    return axes.picture(
        [
            f'<rect class="bar" x="{axes.x(low) + 0.5:.1f}" '
            f'y="{axes.y(count):.1f}" '
            f'width="{max(0.5, axes.x(high) - axes.x(low) - 1):.1f}" '
            f'height="{floor - axes.y(count):.1f}"><title>{_figure(low)} – '
            f"{_figure(high)}: {count}</title></rect>"
            for count, low, high in zip(
                counts.tolist(), edges[:-1], edges[1:], strict=True
            )
            if count
        ]
    )


def interval_chart(
    rows: Sequence[tuple[str, float, float, float]], highest: float
) -> str:
    """Draws values with their intervals, one below the other.

    Args:
        rows: (name, value, lower end, upper end).
        highest: the end of the axis, such as 1 or 100; it begins at 0 or at
            the lowest value.
    """
    lowest = min(0.0, *(low for _, _, low, _ in rows))
    left, width, line = 150, _WIDTH - 150 - 64, 30
    height = line * len(rows) + 8

    def place(value: float) -> float:
        return left + width * (value - lowest) / (highest - lowest)

    parts = []
    for number, (name, value, low, high) in enumerate(rows):
        y = line * number + line / 2 + 4
        parts.append(
            f'<text class="name" x="{left - 10}" y="{y + 4:.1f}" '
            f'text-anchor="end">{escape(name)}</text>'
            f'<rect class="track" x="{left}" y="{y - 6:.1f}" '
            f'width="{width}" height="12" rx="3"/>'
            f'<rect class="{"bar" if not number else "bar other"}" '
            f'x="{place(min(0.0, value)):.1f}" y="{y - 6:.1f}" '
            f'width="{abs(place(value) - place(0.0)):.1f}" height="12" rx="3"/>'
            f'<text class="value" x="{left + width + 8}" y="{y + 4:.1f}">'
            f"{_figure(value)}</text>"
        )
        if low < high:
            parts.append(
                f'<path class="whisker" d="M{place(low):.1f},{y:.1f} '
                f"H{place(high):.1f} M{place(low):.1f},{y - 5:.1f} v10 "
                f'M{place(high):.1f},{y - 5:.1f} v10"/>'
            )
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">'
        + "".join(parts)
        + "</svg>"
    )


class _Axes:
    """Two axes with ticks at round numbers."""

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        x_title: str,
        y_title: str,
    ) -> None:
        self.x_range, self.y_range = _widened(x_range), _widened(y_range)
        self._titles = x_title, y_title

    @classmethod
    def around(
        cls, points: Sequence[Points], x_title: str, y_title: str
    ) -> _Axes:
        """Axes on which all points have room."""
        ranges = []
        for axis in (0, 1):
            every = np.concatenate([one[axis] for one in points])
            every = every[np.isfinite(every)]
            ranges.append(
                (float(every.min()), float(every.max()))
                if len(every)
                else (0.0, 1.0)
            )
        low, high = ranges[1]
        margin = (high - low) * 0.05
        # A value near 0 is seen to be so.
        if 0 <= low < 0.4 * high:
            return cls(ranges[0], (0.0, high + margin), x_title, y_title)
        return cls(ranges[0], (low - margin, high + margin), x_title, y_title)

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (value - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (value - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def picture(self, parts: Sequence[str]) -> str:
        floor, left = _HEIGHT - _BOTTOM, _LEFT
        ticks = []
        for value, label in _ticks(*self.y_range):
            y = self.y(value)
            ticks.append(
                f'<line class="grid" x1="{left}" x2="{_WIDTH - _RIGHT}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/><text class="tick" '
                f'x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">'
                f"{label}</text>"
            )
        ticks += [
            f'<text class="tick" x="{self.x(value):.1f}" y="{floor + 15}" '
            f'text-anchor="middle">{label}</text>'
            for value, label in _ticks(*self.x_range)
        ]
        x_title, y_title = map(escape, self._titles)
        return Markup(
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{y_title}">'
            + "".join(ticks)
            + f'<line class="axis" x1="{left}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{floor}" y2="{floor}"/>'
            f'<text class="title" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" '
            f'text-anchor="end">{x_title}</text>'
            f'<text class="title" x="0" y="{_TOP - 10}">{y_title}</text>'
            + "".join(parts)
            + "</svg>"
        )


def _guide(axes: _Axes, low: float, high: float) -> str:
    """Draws the line of equal values."""
    return (
        f'<line class="guide" x1="{axes.x(low):.1f}" y1="{axes.y(low):.1f}" '
        f'x2="{axes.x(high):.1f}" y2="{axes.y(high):.1f}"/>'
    )


def _widened(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if low < high:
        return low, high
    return low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Returns four to eight round numbers between two numbers, as read."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= 6:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    labels = [_figure(value) for value in values]
    if len(set(labels)) < len(labels):
        # Of a narrow range, such as of predictions that hardly differ.
        labels = [f"{value:.8g}" for value in values]
    return list(zip(values, labels, strict=True))


def _figure(value: float) -> str:
    """Returns a number as short as it can be read."""
    if abs(value) >= 10_000 and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _thinned(x: np.ndarray, y: np.ndarray) -> Points:
    """Returns the means of consecutive points, at most 300 of them."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) <= _MOST_POINTS:
        return x, y
    starts = np.linspace(0, len(x), _MOST_POINTS, endpoint=False).astype(int)
    sizes = np.diff([*starts.tolist(), len(x)])
    return (
        np.add.reduceat(x, starts) / sizes,
        np.add.reduceat(y, starts) / sizes,
    )
