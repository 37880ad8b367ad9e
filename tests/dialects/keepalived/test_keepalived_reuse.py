"""What is remembered from load to load, and folded within one, changes nothing but the time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pykeepalived.diagnostics import Diagnostic
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.load import LoadResult
from pykeepalived.dialects.keepalived.reuse import Memory
from pykeepalived.model import Config, User
from tests.dialects.keepalived.fake_host import FILES, FakeHost

HERE = Path(__file__).parent
CORPUS = sorted([*(HERE / "valid").glob("*.conf"), *(HERE / "broken").glob("*.conf")])
WITH_SERVERS = [path for path in CORPUS if "virtual_server " in path.read_text(encoding="latin-1")]
STEPS = 12

PLAIN = """virtual_server 10.0.{v}.1 80 {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.1.{v}.1 80 {{
        weight 2
        TCP_CHECK {{
            connect_timeout 3
        }}
    }}
    real_server 10.1.{v}.2 80 {{
        weight 2
        TCP_CHECK {{
            connect_timeout 3
        }}
    }}
}}
"""

#: With scripts, quotes and comments.
SCRIPTED = """virtual_server 10.0.{v}.1 80 {{
    lb_algo rr  # web
    lb_kind NAT
    protocol TCP
    quorum_up "/usr/bin/true up"
    real_server 10.1.{v}.1 80 {{
        weight 2
        notify_down /usr/bin/sh nobody
        MISC_CHECK {{  ! asks
            misc_path "/usr/bin/true 10.1.{v}.1"
        }}
    }}
    real_server 10.1.{v}.2 80 {{
        weight 2
        MISC_CHECK {{
            misc_path "/usr/bin/true"
            user nobody
        }}
    }}
}}
"""


def _load(path: Path, memory: Memory, host: FakeHost | None = None) -> LoadResult:
    return load(path.name, config_id="lb1", host=host or FakeHost(), randint=lambda low, _: low, memory=memory)


def _outcome(result: LoadResult) -> tuple[Config, list[Diagnostic], tuple[str, ...]]:
    return result.config, result.findings.items, tuple(source.name for source in result.sources)


def _same(path: Path, memory: Memory, host: FakeHost | None = None) -> LoadResult:
    plain = _load(path, Memory(enabled=False), host)
    reused = _load(path, memory, host)
    assert _outcome(reused) == _outcome(plain)
    return reused


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")


def _edited(lines: list[str], chance: random.Random, stock: list[str]) -> list[str]:
    """One line more, less, twice, changed in a word, or changed with another."""
    edited = list(lines) or [""]
    place = chance.randrange(len(edited))
    match chance.randrange(6):
        case 0:
            del edited[place]
        case 1:
            edited.insert(place, edited[chance.randrange(len(edited))])
        case 2:
            edited[place] = chance.choice(stock)
        case 3:
            words = edited[place].split(" ")
            words[chance.randrange(len(words))] = chance.choice(
                ["7", "{", "}", "10.9.9.9", "$v", "#", '"', "@lb1", "x"]
            )
            edited[place] = " ".join(words)
        case 4:
            edited.insert(place, chance.choice(stock))
        case 5:
            other = chance.randrange(len(edited))
            edited[place], edited[other] = edited[other], edited[place]
    return edited


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_second_load_finds_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    memory = Memory()
    _same(path, memory)
    _same(path, memory)


@pytest.mark.parametrize("path", WITH_SERVERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_edits_of_one_line_between_loads(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(path.stem)
    first = [*path.read_text(encoding="latin-1").split("\n"), *PLAIN.format(v=200).split("\n")]
    stock = first + "".join(PLAIN.format(v=v) for v in (200, 201)).split("\n")
    memory = Memory()
    file = tmp_path / "edited.conf"
    lines = first
    for step in range(STEPS):
        _write(file, "\n".join(lines))
        _same(file, memory)
        lines = _edited(first if step % 4 == 3 else lines, chance, stock)


@pytest.mark.parametrize("kind", [PLAIN, SCRIPTED], ids=["plain", "scripted"])
def test_random_edits_of_many_servers(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(4)
    first = "".join(kind.format(v=v) for v in range(6)).split("\n")
    stock = [
        *first,
        "global_defs {",
        "    smtp_alert on",
        "    enable_script_security",
        "    script_user nobody",
        "    notify_up /no/such/script",
        "    quorum_down true",
        "    checker_log_all_failures",
        "smtp_helo_name x",
        "\ttime out",
    ]
    memory = Memory()
    file = tmp_path / "many.conf"
    lines = first
    for step in range(400):
        _write(file, "\n".join(lines))
        _same(file, memory)
        lines = _edited(first if step % 5 == 4 else lines, chance, stock)


def _objects(config: Config) -> set[int]:
    return {id(server) for server in config.virtual_servers}


def test_a_changed_line_builds_one_server_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "many.conf"
    memory = Memory()
    text = "".join(PLAIN.format(v=v) for v in range(20))
    _write(file, text)
    before = _same(file, memory).config
    # Moved by a comment, and one server with another weight.
    _write(file, "# a line more\n" + text.replace("10.1.7.1 80 {\n        weight 2", "10.1.7.1 80 {\n        weight 3"))
    after = _same(file, memory).config
    assert len(_objects(before) & _objects(after)) == 19
    assert after.virtual_servers[7].real_servers[0].weight == 3


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ("global_defs {\n    router_id other\n}\n", 20),
        ("global_defs {\n    checker_log_all_failures\n}\n", 0),
        ("global_defs {\n    smtp_alert\n}\n", 0),
    ],
)
def test_settings_that_count(settings: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "many.conf"
    memory = Memory()
    text = "".join(PLAIN.format(v=v) for v in range(20))
    _write(file, text)
    before = _same(file, memory).config
    # Behind the servers: what counts is known only at the end.
    _write(file, text + settings)
    assert len(_objects(before) & _objects(_same(file, memory).config)) == kept


def test_a_duplicate_of_a_remembered_server_is_still_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "twice.conf"
    memory = Memory()
    _write(file, PLAIN.format(v=1))
    _same(file, memory)
    _write(file, PLAIN.format(v=1) * 2)
    (finding,) = _same(file, memory).findings.items
    assert finding.id == "duplicate-service"
    assert finding.span is not None and finding.span.line == 18
    assert finding.secondary[0].span.line == 1


@pytest.mark.parametrize("more", ["x", " # x", "}", " router_id x {", "\n", "\nvrrp_instance x {"])
def test_more_behind_a_block_that_ended_the_file(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = Memory()
    text = PLAIN.format(v=1).removesuffix("\n")
    _write(tmp_path / "end.conf", text)
    _same(tmp_path / "end.conf", memory)
    assert len(memory.servers) == 1
    _write(tmp_path / "end.conf", text + more)
    _same(tmp_path / "end.conf", memory)


def test_nothing_of_a_file_stays_when_another_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = Memory()
    _write(tmp_path / "one.conf", PLAIN.format(v=1))
    _write(tmp_path / "two.conf", "global_defs {\n}\n")
    _same(tmp_path / "one.conf", memory)
    assert len(memory.servers) == 1
    _same(tmp_path / "two.conf", memory)
    assert not memory.servers


def test_another_dataplane_is_asked_about_servers_that_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, memory = tmp_path / "lvs.conf", Memory()
    servers = "".join(PLAIN.format(v=number) for number in range(3)).replace("lb_kind NAT", "lb_kind TUN")
    found = []
    for dataplane in ("ipvs", "nftables", "ipvs", "nftables"):
        _write(path, f"global_defs {{\n    lvs_dataplane {dataplane}\n}}\n{servers}")
        found.append(sum(item.id == "needs-ipvs" for item in _same(path, memory).findings.items))
    # A finding for each of two real servers, at the one word.
    assert found == [0, 6, 0, 6]


def test_scripts_that_change_between_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remembered server runs what its scripts are today, and what is wrong with them is said again."""
    monkeypatch.chdir(tmp_path)
    path, memory = tmp_path / "scripts.conf", Memory()
    _write(path, "".join(SCRIPTED.format(v=v) for v in range(20)))
    first = _same(path, memory).config
    again = _same(path, memory).config
    # The first block stands for the one finding about all scripts: it is read anew.
    assert len(_objects(first) & _objects(again)) >= 19
    with monkeypatch.context() as patch:
        patch.delitem(FILES, "/usr/bin/true")
        assert "script-not-found" in {item.id for item in _same(path, memory).findings.items}
    assert _same(path, memory).config == first
    other = FakeHost()
    other.accounts["nobody"] = User("nobody", 4000, 4000)
    changed = _same(path, memory, other).config
    assert changed.virtual_servers[7] != first.virtual_servers[7]


WITH_VARIABLES = """$KIND=NAT
$NET=10.1
$CHECK= \\
    TCP_CHECK { \\
        connect_timeout $LIMIT \\
        retry 1 \\
    }
$PLAIN= \\
    TCP_CHECK { \\
        connect_timeout 4 \\
    }
$LIMIT=3
$EMPTY=
virtual_server 10.0.1.1 80 {
    lb_algo rr
    lb_kind $KIND
    protocol TCP
    real_server ${NET}.1.1 80 {  # $NET
        weight 2 $EMPTY
        $PLAIN
    }
    real_server ${NET}.1.2 80 {
        $CHECK
    }
}
$V=2
virtual_server 10.0.${V}.1 $PORT {
    lb_algo rr
    lb_kind ${KIND}
    protocol TCP
    virtualhost "www.${V}.example.org"
    real_server ${NET}.2.1 80 {
        weight $LIMIT
        $PLAIN
    }
}
$V=3
virtual_server 10.0.${V}.1 80 {
    lb_algo rr
    lb_kind ${KIND}
    protocol TCP
    real_server ${NET}.2.1 80 {
        wieght $LIMIT
        $PLAIN
    }
}
"""
#: What a line may become, most of it not plain.
_PIECES = (
    "$KIND", "${NET}", "$V=7", "$KIND=DR", "$NET=10.2", "$PLAIN", "$CHECK", "$LIMIT=0", "${_PWD}", "$UNKNOWN",
    "${UNKNOWN}", "$KIND=${NET}", '$NET="a b"', "$EMPTY=#", "$LIMIT=3 {", "# $PLAIN", "weight $LIMIT", "weight ${V}0",
    "virtual_server",
)  # fmt: skip


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_variables_with_plain_values_fold_and_change_nothing(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "variables.conf"
    memory = Memory()
    _write(file, WITH_VARIABLES.replace("\n", ends))
    _same(file, memory)
    text = WITH_VARIABLES.replace("$CHECK", "$PLAIN").replace("$PORT", "80").replace("wieght", "weight")
    _write(file, text.replace("\n", ends))
    before = _same(file, memory).config
    assert _objects(_same(file, memory).config) == _objects(before)
    # The text of the first server is the same, what it stands for is not.
    _write(file, text.replace("$NET=10.1", "$NET=10.2").replace("\n", ends))
    after = _same(file, memory).config
    assert not _objects(after) & _objects(before)
    assert after.virtual_servers[0].real_servers[0].address == "10.2.1.1"


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_to_variables_changes_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    memory = Memory()
    lines = WITH_VARIABLES.split("\n")
    for _ in range(STEPS):
        lines = _edited(lines, chance, [*WITH_VARIABLES.split("\n"), *_PIECES])
        _write(tmp_path / "damaged.conf", "\n".join(lines))
        _same(tmp_path / "damaged.conf", memory)
