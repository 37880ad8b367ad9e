"""Writes docs/control.md and docs/control.schema.json from the rows of the control socket's requests.

    python -m pykeepalived.tools.control_doc [DIRECTORY]

A test fails when either is older than the rows.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived.runtime import control, control_shapes, control_shapes_explain
from pykeepalived.runtime.event_ring import EVENTS_KEPT
from pykeepalived.runtime.requests import ROWS, RequestRow
from pykeepalived.units import SECOND_US

_HEAD: Final = f"""\
# The control socket

Made by `make man` from the rows in `pykeepalived/runtime/requests` and the shapes in `control_shapes*.py`; the same as
JSON Schema: [control.schema.json](control.schema.json).

Every daemon listens on a unix stream socket, without any configuration: `/run/pykeepalived/control.sock`, for a daemon
with a pid file of its own `/run/pykeepalived/NAME-NUMBER/control.sock`, for ldirectord
`/run/pykeepalived/ldirectord.NAME/control.sock`. `PYKEEPALIVED_CONTROL_SOCKET` names another place. A request is one
line of JSON, and so is its answer:

```
→ {{"version": 1, "command": "explain", "arguments": {{"name": "VI_1"}}}}
← {{"version": 1, "ok": true, "result": {{…}}}}
← {{"version": 1, "ok": false, "error": "no instance, sync group, virtual server or real server is called 'VI_1'"}}
```

A connection may carry any number of requests, one after the other. Within version {control.PROTOCOL_VERSION} fields may
be added to an answer, so ignore what you do not know; nothing is renamed or taken away. An answer that comes is from a
living daemon: there is no file that outlives it.

**Rights.** root and the daemon's own user may do everything. `control_group GROUP` in global_defs lets the members of a
group do the same, `control_read_group GROUP` lets them make the requests marked *read*. The kernel's word for who they
are counts (SO_PEERCRED, SO_PEERGROUPS), at the moment of connecting. Everybody else is hung up on.

**Limits.** A request has at most {control.REQUEST_LIMIT // 1024} KiB. A client that takes longer than
{control.CLIENT_TIME_US // SECOND_US} s to ask, or to take its answer, is cut off. {control.CLIENT_LIMIT} clients may
be connected, {control.STREAM_LIMIT} of them may follow a stream; one that follows and does not read is cut off when
{control.STREAM_BACKLOG // 1024} KiB wait for it, and begins again with `since`. Who has sent
{control.NONSENSE_LIMIT} lines that are no requests is hung up on. The last {EVENTS_KEPT:,} events are
kept.
"""


def document() -> str:
    """docs/control.md."""
    parts = [_HEAD, "## Requests\n"]
    for row in ROWS.values():
        parts.append(_request(row))
    parts.append("## Shapes\n\nA type with `| None` may be null. A field with a value behind `=` may be missing.\n")
    for shape in _shapes():
        source = textwrap.dedent(inspect.getsource(shape)).rstrip()
        parts.append(f"```python\n{source}\n```\n")
    return "\n".join(parts)


def _request(row: RequestRow) -> str:
    right = "root and `control_group`" if row.steers else "*read*"
    lines = [f"### {row.name}\n", f"{row.help}\n", f"Right: {right}. Answer: `{row.answer.__name__}`.\n"]
    properties = _schema(row.arguments).get("properties", {})
    for name, about in properties.items():
        about_ = {key: value for key, value in about.items() if key not in {"description", "default"}}
        default = f", default `{json.dumps(about['default'])}`" if "default" in about else ", required"
        said = f" {about['description']}" if "description" in about else ""
        lines.append(f"- `{name}` (`{json.dumps(about_)}`{default}){said}")
    return "\n".join(lines) + ("\n" if properties else "")


def _schema(kind: Any) -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([kind])
    found: dict[str, Any] = components.get(kind.__name__, {})
    return found


def _shapes() -> list[type[msgspec.Struct]]:
    found = [
        item
        for module in (control_shapes, control_shapes_explain)
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, msgspec.Struct) and item.__module__ == module.__name__
    ]
    return [item for item in found if item.__struct_fields__]


def schema() -> str:
    """docs/control.schema.json: arguments and answer of each request."""
    kinds = [kind for row in ROWS.values() for kind in (row.arguments, row.answer)]
    references, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    requests = {
        row.name: {
            "arguments": references[2 * number],
            "result": references[2 * number + 1],
            "right": "steer" if row.steers else "read",
            "streams": row.streams,
        }
        for number, row in enumerate(ROWS.values())
    }
    for each in components.values():
        # Forbidden only in our own tests: clients have to live with new fields.
        if each.get("additionalProperties") is False:
            del each["additionalProperties"]
    body = {"version": control.PROTOCOL_VERSION, "requests": requests, "$defs": components}
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


FILES: Final = {"control.md": document, "control.schema.json": schema}


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, made in FILES.items():
        (directory / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
