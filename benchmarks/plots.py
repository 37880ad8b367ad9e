"""Two kinds of plot as SVG text: figures beside a line at 1 with their spreads, and growth; all axes logarithmic."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_FONT = 'font-family="sans-serif" font-size="12"'
_COLOURS = ("#2a6fbb", "#c2570c", "#3b7d3b", "#7a4fa3", "#8c6d1f", "#1c8c8c")


class Bar(NamedTuple):
    """A figure of ours as a multiple of the peer's (or of what was promised), its spread, and where it has to stay."""

    name: str
    middle: float
    low: float
    high: float
    most: float | None = None


def bars(items: Sequence[Bar], line: str) -> str:
    """A bar for each figure from 0.01 to 10, its spread as a whisker, a red mark at what was promised.

    `line` says what the line at 1 is.
    """
    low, high, left, width, step = -2.0, 1.0, 440, 380, 20

    def x(value: float) -> float:
        return left + width * (min(high, max(low, math.log10(max(value, 1e-9)))) - low) / (high - low)

    height = 48 + step * len(items)
    parts = [_head(left + width + 60, height)]
    for mark in (0.01, 0.1, 1, 10):
        colour = "#000" if mark == 1 else "#bbb"
        parts.append(f'<line x1="{x(mark):.0f}" y1="20" x2="{x(mark):.0f}" y2="{height - 20}" stroke="{colour}"/>')
        parts.append(f'<text x="{x(mark):.0f}" y="14" text-anchor="middle" {_FONT}>{mark:g}</text>')
    for number, bar in enumerate(items):
        y = 26 + step * number
        colour = _COLOURS[0] if bar.middle <= 1 else _COLOURS[1]
        parts.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end" {_FONT}>{html.escape(bar.name)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y}" width="{max(1.0, x(bar.middle) - left):.1f}" height="14" fill="{colour}"/>'
        )
        if bar.high > bar.low:
            parts.append(
                f'<line x1="{x(bar.low):.1f}" y1="{y + 7}" x2="{x(bar.high):.1f}" y2="{y + 7}" stroke="#222"/>'
            )
        if bar.most is not None:
            at = x(bar.most)
            parts.append(
                f'<line x1="{at:.1f}" y1="{y - 2}" x2="{at:.1f}" y2="{y + 16}" stroke="#d00" stroke-width="2"/>'
            )
        parts.append(f'<text x="{left + width + 8}" y="{y + 11}" {_FONT}>{bar.middle:.2g}</text>')
    words = f"1 is {html.escape(line)}; red: what was promised"
    parts.append(f'<text x="{left + width}" y="{height - 5}" text-anchor="end" {_FONT}>{words}</text>')
    return "\n".join([*parts, "</svg>\n"])


def growth(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """A line for each name through its (size, value) points, both axes logarithmic."""
    points = [point for line in lines.values() for point in line]
    left, top, width, height = 70, 20, 520, 300
    x0, x1 = _span([point[0] for point in points])
    y0, y1 = _span([point[1] for point in points])

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + width * (math.log10(point[0]) - x0) / (x1 - x0)
        return x, top + height * (1 - (math.log10(max(point[1], 1e-9)) - y0) / (y1 - y0))

    parts = [_head(left + width + 40, top + height + 45 + 16 * len(lines))]
    for power in range(x0, x1 + 1):
        x, _ = place((10.0**power, 10.0**y0))
        parts.append(f'<line x1="{x:.0f}" y1="{top}" x2="{x:.0f}" y2="{top + height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{top + height + 15}" text-anchor="middle" {_FONT}>{10**power:,}</text>')
    for power in range(y0, y1 + 1):
        _, y = place((10.0**x0, 10.0**power))
        parts.append(f'<line x1="{left}" y1="{y:.0f}" x2="{left + width}" y2="{y:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end" {_FONT}>{10.0**power:g}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, sorted(line)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + height + 50 + 16 * number
        parts.append(f'<text x="{left}" y="{y}" fill="{colour}" {_FONT}>{html.escape(name)}</text>')
    below = top + height + 32
    parts.append(f'<text x="{left + width}" y="{below}" text-anchor="end" {_FONT}>{html.escape(across)}</text>')
    parts.append(f'<text x="{left}" y="14" {_FONT}>{html.escape(up)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _span(values: Sequence[float]) -> tuple[int, int]:
    logs = [math.log10(max(value, 1e-9)) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


def _head(width: float, height: float) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<rect width="100%" height="100%" fill="#fff"/>'
