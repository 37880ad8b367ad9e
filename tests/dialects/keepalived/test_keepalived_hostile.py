"""Damaged and hostile files: never an exception, and time that grows with the file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykeepalived.diagnostics.render import full, json, short
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.tables import all_rows
from pykeepalived.syntax import Limits
from tests.dialects.keepalived.fake_host import FakeHost

HERE = Path(__file__).parent
TEXTS = [path.read_bytes() for path in sorted((HERE / "valid").glob("*.conf"))]
PIECES = [
    b"{",
    b"}",
    b'"',
    b"'",
    b"\\",
    b"$",
    b"${A}",
    b"$A=",
    b"~SEQ(i,1,3)",
    b"~LST(",
    b"@x ",
    b"#",
    b"\0",
    b"\xff",
    b"\n",
    b" ",
    b"include x",
    b"-1",
    b"99999999999999999999999",
    b"1e9",
    b"0x",
    b"fe80::1%eth0",
    b"\xc3\xa9",
]
WORDS = sorted({row.name.encode() for _, row in all_rows()})


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    result = load(str(path), host=FakeHost(), limits=Limits(generated_lines=2_000))
    for item in result.findings.items:
        short(item)
        full(item)
    json(result.findings.items)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        action = draw(st.sampled_from(["cut", "insert", "copy", "byte"]))
        end = min(len(data), at + draw(st.integers(1, 40)))
        if action == "cut":
            del data[at:end]
        elif action == "insert":
            data[at:at] = draw(st.sampled_from(PIECES) | st.sampled_from(WORDS))
        elif action == "copy":
            to = draw(st.integers(0, len(data)))
            data[to:to] = data[at:end]
        elif data:
            data[min(at, len(data) - 1)] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
def test_damage_never_raises(tmp_path: Path, data: bytes) -> None:
    check(tmp_path / "keepalived.conf", data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(
        st.sampled_from(PIECES) | st.sampled_from(WORDS) | st.binary(max_size=4) | st.sampled_from([b" {\n", b"\n}\n"]),
        max_size=60,
    )
)
def test_word_salad_never_raises(tmp_path: Path, data: list[bytes]) -> None:
    check(tmp_path / "keepalived.conf", b" ".join(data))


@pytest.mark.parametrize(
    "data",
    [
        b"{ " * 200_000,
        b"}\n" * 50_000,
        b"a {\n" * 20_000,
        b"nonsense words here\n" * 20_000,
        b'"' * 60_000,
        b"$A=${B}${B}\n$B=${A}${A}\nx ${A}\n",
        b"~SEQ(i,1,1000000000) ~SEQ(j,1,1000000000) $i$j\n",
        b"~SEQ(i,1,50) " * 4_000 + b"x\n",
        b"x " * 30_000 + b"\n",
        b"x" * 1_000_000 + b"\n",
        b"include *\n",
        b"vrrp_instance " + b"A" * 60_000 + b" {\n}\n",
        b"global_defs {\n router_id " + b"\\'" * 20_000 + b"\n}\n",
        b"vrrp_script a {\n script '" + b"\\" * 20_000 + b"\n}\n",
        b"virtual_server_group g {\n" + b"1-" * 20_000 + b"\n}\n",
        b"$A= \\\n" * 30_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bombs_end_soon(tmp_path: Path, data: bytes) -> None:
    start = time.process_time()
    check(tmp_path / "keepalived.conf", data)
    assert time.process_time() - start < 10


def services(count: int) -> str:
    lines = []
    for number in range(count):
        high, low = divmod(number, 100)
        if number % 10 == 0:
            lines.append(f"virtual_server 10.{high}.{low}.1 80 {{\n    delay_loop 6\n    lb_algo rr\n    lb_kind NAT")
            lines.append("    protocol TCP\n")
        lines.append(
            f"    real_server 192.{high % 200}.{low}.{number % 10 + 1} 80 {{\n        weight 1\n        TCP_CHECK {{"
        )
        lines.append(
            "            connect_timeout 3\n            retry 3\n            delay_before_retry 3\n        }\n    }"
        )
        if number % 10 == 9:
            lines.append("}")
    return "\n".join(lines) + "\n"


def seconds_for(path: Path, count: int) -> float:
    path.write_text(services(count))
    best = 99.0
    for _ in range(3):
        start = time.process_time()
        result = load(str(path), host=FakeHost())
        best = min(best, time.process_time() - start)
        assert sum(len(service.real_servers) for service in result.config.virtual_servers) == count
        assert result.findings.items == []
    return best


def test_time_grows_with_the_file(tmp_path: Path) -> None:
    small = seconds_for(tmp_path / "small.conf", 1_000)
    large = seconds_for(tmp_path / "large.conf", 8_000)
    # Measured: 0.05 s and 0.4 s. The bounds leave room for a busy machine and still refuse anything quadratic.
    assert small < 0.5
    assert large < small * 24
