"""The text forms of metrics: Prometheus 0.0.4 and OpenMetrics 1.0.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = Mapping[str, Any]
_TOTAL: Final = "_total"
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family(msgspec.Struct, kw_only=True):
    """A metric with all its samples. `kind` is counter, gauge or histogram."""

    name: str
    kind: str
    help: str
    samples: Sequence[tuple[Labels, Any]]
    """The value of a histogram is what `runtime.histogram` tells: microseconds, shown in seconds."""


def render(families: Iterable[Family], *, open_metrics: bool = False) -> bytes:
    """All families that have samples, those of one name together."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _lines(family, open_metrics=open_metrics)
    if open_metrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _lines(family: Family, *, open_metrics: bool) -> Iterator[str]:
    name, kind = family.name, family.kind
    if open_metrics and kind == "counter":
        # There a counter's samples end in _total, and its name does not.
        name, kind = (name.removesuffix(_TOTAL), kind) if name.endswith(_TOTAL) else (name, "unknown")
    yield f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}"
    yield f"# TYPE {name} {'untyped' if kind == 'unknown' and not open_metrics else kind}"
    for labels, value in family.samples:
        if family.kind == "histogram":
            yield from _buckets(family.name, labels, value)
        else:
            yield f"{family.name}{_labels(labels)} {_number(value)}"


def _buckets(name: str, labels: Labels, told: Mapping[str, Any]) -> Iterator[str]:
    below = 0
    for bound_us, count in zip([*told["bounds_us"], None], told["counts"], strict=True):
        below += count
        end = "+Inf" if bound_us is None else repr(bound_us / 1_000_000)
        yield f"{name}_bucket{_labels({**labels, 'le': end})} {below}"
    yield f"{name}_sum{_labels(labels)} {_number(told['sum_us'] / 1_000_000)}"
    yield f"{name}_count{_labels(labels)} {below}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return repr(value) if isinstance(value, float) else str(int(value))
