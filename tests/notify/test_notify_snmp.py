"""SNMP without a master agent: the codec, how names are found, the MIB modules, and masters that mean no good."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.table import DestinationKey
from pykeepalived.model import Config, GlobalDefs
from pykeepalived.model.agents import AgentSettings
from pykeepalived.notify.snmp import agent, codec, modules
from pykeepalived.notify.snmp.codec import BadPdu, Kind, Reader, SearchRange, Tag, VarBind
from pykeepalived.notify.snmp.facts import Counted, Facts, Traffic
from pykeepalived.notify.snmp.tree import Tree
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.agent_facts import FactSource
from pykeepalived.runtime.program import Context
from pykeepalived.tools import mibs
from pykeepalived.units import SECOND_US

OIDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40).map(tuple)
VALUES = st.one_of(
    st.tuples(st.just(Tag.INTEGER), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from([Tag.COUNTER, Tag.GAUGE, Tag.TICKS]), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(Tag.COUNTER64), st.integers(0, 2**64 - 1)),
    st.tuples(st.sampled_from([Tag.STRING, Tag.ADDRESS]), st.binary(max_size=50)),
    st.tuples(st.just(Tag.OID), OIDS),
    st.tuples(st.sampled_from([Tag.NULL, Tag.NO_OBJECT, Tag.NO_INSTANCE, Tag.END]), st.none()),
)


@given(OIDS, VALUES)
def test_values_come_back_as_they_were(name: codec.Oid, value: tuple[Tag, object]) -> None:
    bind = VarBind(name, value[0], value[1])  # type: ignore[arg-type]
    assert Reader(codec.put_varbind(bind)).varbind() == bind


@given(st.binary(max_size=200), st.sampled_from(["ranges", "varbind", "octets", "oid", "response", "bulk"]))
def test_bytes_of_strangers_are_refused_by_name(data: bytes, what: str) -> None:
    reader = Reader(data)
    try:
        getattr(reader, what)()
    except BadPdu as refused:
        assert str(refused)


@pytest.mark.parametrize(
    "head",
    [
        codec.HEADER.pack(2, Kind.GET, 0x10, 0, 1, 1, 1, 0),
        codec.HEADER.pack(1, Kind.GET, 0x10, 0, 1, 1, 1, 3),
        codec.HEADER.pack(1, Kind.GET, 0x10, 0, 1, 1, 1, codec.PDU_LIMIT + 4),
        codec.HEADER.pack(1, Kind.GET, 0, 0, 1, 1, 1, 0),
    ],
    ids=["version", "unaligned", "too-long", "byte-order"],
)
def test_a_wrong_header_is_refused(head: bytes) -> None:
    with pytest.raises(BadPdu):
        codec.read_head(head)


# ---- names ----


def a_tree() -> Tree:
    settings = GlobalDefs(router_id="lb1", agents=AgentSettings(enable_snmp_vrrp=True))
    return Tree(modules.GLOBAL.tables, Facts(Config(globals=settings), version="v"))


ROUTER_ID = (*modules.GLOBAL.subtree, 2, 0)


def test_get_and_next_follow_the_rfc() -> None:
    tree = a_tree()
    assert tree.get(ROUTER_ID) == VarBind(ROUTER_ID, Tag.STRING, b"lb1")
    assert tree.get((*ROUTER_ID, 1)).tag is Tag.NO_INSTANCE
    assert tree.get((*modules.GLOBAL.subtree, 99, 0)).tag is Tag.NO_OBJECT
    assert tree.next(ROUTER_ID[:-2]).name == (*modules.GLOBAL.subtree, 1, 0)
    assert tree.next(ROUTER_ID, include=True).name == ROUTER_ID
    # The scalars of mail stand between two scalars of global, and those without a value are passed over.
    assert tree.next(ROUTER_ID).name == (*modules.GLOBAL.subtree, 3, 3, 0)
    assert tree.next(ROUTER_ID, ROUTER_ID).tag is Tag.END
    assert tree.next((*modules.GLOBAL.subtree, 12, 0)).tag is Tag.END


def test_bulk_is_bounded_and_in_rows() -> None:
    ranges = [SearchRange((*modules.GLOBAL.subtree,), (), False), SearchRange(ROUTER_ID, (), True)]
    found = agent.lookup(a_tree(), Kind.GET_BULK, ranges, 1, 60000)
    assert len(found) <= 501
    assert found[0].name == (*modules.GLOBAL.subtree, 1, 0)
    assert found[1].name == ROUTER_ID
    assert found[-1].tag is Tag.END


# ---- a master that means no good ----


class Silent:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def info(self, text: str) -> None: ...

    def error(self, text: str) -> None:
        self.errors.append(text)


@contextmanager
def master(tmp_path: Path) -> Iterator[tuple[Reactor, socket.socket, agent.Agent, Silent]]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "master"))
    listener.listen()
    reactor, log, tree = Reactor(), Silent(), a_tree()
    subject = agent.Agent(reactor, log, lambda give: give(tree))
    subject.configure(f"unix:{tmp_path}/master", [modules.GLOBAL.subtree])
    connection = None
    try:
        reactor.call_later(30 * SECOND_US, reactor.stop)
        run_until(reactor, lambda: subject._connected)
        connection, _ = listener.accept()
        connection.settimeout(30)
        yield reactor, connection, subject, log
    finally:
        subject.close()
        listener.close()
        if connection is not None:
            connection.close()


def run_until(reactor: Reactor, done: object) -> None:
    def look() -> None:
        if done():  # type: ignore[operator]
            reactor.stop()
        else:
            reactor.call_later(1000, look)

    reactor.call_soon(look)
    reactor.run()


def receive(connection: socket.socket) -> tuple[codec.Head, bytes]:
    head = codec.read_head(connection.recv(codec.HEADER.size, socket.MSG_WAITALL))
    return head, connection.recv(head.length, socket.MSG_WAITALL) if head.length else b""


@pytest.mark.parametrize(
    ("says", "word"),
    [
        (b"\xff" * 20, "no AgentX"),
        (codec.pdu(Kind.GET, 1, 1, 1, b"\xff\0\0\0"), "no AgentX"),
        (codec.pdu(Kind.RESPONSE, 7, 0, 1, codec.response_payload(257, 0)), "refuses a session"),
        (b"", "closed"),
    ],
    ids=["garbage", "short-range", "refusal", "end"],
)
def test_a_bad_master_is_left_and_tried_again(tmp_path: Path, says: bytes, word: str) -> None:
    with master(tmp_path) as (reactor, connection, subject, log):
        assert receive(connection)[0].kind == Kind.OPEN
        if says:
            connection.sendall(says)
        else:
            connection.shutdown(socket.SHUT_RDWR)
        run_until(reactor, lambda: log.errors)
        assert word in log.errors[0]
        assert subject._retry is not None and not subject.has_session


def test_a_session_registers_answers_and_refuses_to_be_written_to(tmp_path: Path) -> None:
    with master(tmp_path) as (reactor, connection, subject, _):
        head, _payload = receive(connection)
        connection.sendall(codec.pdu(Kind.RESPONSE, 7, 0, head.packet, codec.response_payload(0, 0)))
        run_until(reactor, lambda: subject.has_session)
        head, payload = receive(connection)
        assert (head.kind, Reader(payload[4:]).oid()[0]) == (Kind.REGISTER, modules.GLOBAL.subtree)
        ask = codec.put_oid(ROUTER_ID) + codec.put_oid(())
        connection.sendall(codec.pdu(Kind.GET, 7, 5, 9, ask) + codec.pdu(Kind.TEST_SET, 7, 5, 10, ask))
        reactor.call_later(SECOND_US // 5, reactor.stop)
        reactor.run()
        head, payload = receive(connection)
        reader = Reader(payload)
        assert (head.packet, reader.response()[1], reader.varbind().value) == (9, 0, b"lb1")
        head, payload = receive(connection)
        assert (head.packet, Reader(payload).response()[1]) == (10, codec.NOT_WRITABLE)


def test_traps_that_wait_for_a_master_are_bounded() -> None:
    subject = agent.Agent(Reactor(), Silent(), lambda give: None)
    for number in range(agent.TRAPS_KEPT + 50):
        subject.notify((1, 3, number), [], (1, 3))
    assert len(subject._traps) == agent.TRAPS_KEPT


# ---- the modules ----

OBJECT = re.compile(
    r"^\s*(\w+)\s+(?:OBJECT-TYPE\s+SYNTAX\s+(?P<syntax>.*?)\s+(?:UNITS.*?)?MAX-ACCESS\s+(?P<access>[\w-]+).*?)"
    r"::=\s*\{\s*(\w+)\s+(\d+)\s*\}",
    re.DOTALL | re.MULTILINE,
)


def objects(text: str) -> dict[str, tuple[str, ...]]:
    """Name → type, access and place of every object of a module, without its words."""
    text = re.sub(r"--.*", "", re.sub(r'"[^"]*"', "", text))
    return {
        found[1]: (re.sub(r"[\s]", "", found["syntax"]), found["access"], found[4], found[5])
        for found in OBJECT.finditer(text)
    }


@pytest.mark.parametrize("text", mibs.MODULES, ids=lambda text: str(text.name))
def test_the_modules_are_those_of_the_tables(text: mibs.Text) -> None:
    there = Path("contrib/snmp", f"{text.name}.txt")
    assert there.read_text(encoding="utf-8") == mibs.module(text), f"run python -m pykeepalived.tools.mibs for {there}"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("KEEPALIVED-MIB", "KEEPALIVED-MIB"), ("VRRP-MIB", "VRRP-MIB"), ("VRRPV3-MIB", "VRRPv3-MIB")],
)
def test_names_numbers_and_types_are_those_of_debians_modules(ours: str, theirs: str) -> None:
    """Ours has more: columns of a newer version."""
    mine = objects(Path("contrib/snmp", f"{ours}.txt").read_text(encoding="utf-8"))
    known = objects(Path("/usr/share/snmp/mibs", f"{theirs}.txt").read_text(encoding="utf-8", errors="replace"))
    assert len(known) > 30
    assert {name: value for name, value in known.items() if mine.get(name) != value} == {}


# ---- words ----

A_SERVER = """
global_defs {
    router_id lb1
    %s
}
virtual_server 10.0.0.1 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    snmp_name shop
    real_server 10.0.1.1 80 {
        snmp_name first
        weight 3
        TCP_CHECK {
        }
    }
}
"""


def loaded(words: str, tmp_path: Path) -> Config:
    path = tmp_path / "conf"
    path.write_text(A_SERVER % words)
    found = load(str(path))
    assert "no-effect-yet" not in {item.id for item in found.findings.items}
    return found.config


@pytest.mark.shows("global_defs.{enable_snmp_keepalived,enable_snmp_rfcv2,enable_snmp_rfcv3,enable_snmp_checker}")
@pytest.mark.parametrize(
    ("words", "roots"),
    [
        ("enable_snmp_keepalived", (modules.GLOBAL, modules.VRRP)),
        ("enable_snmp_checker", (modules.GLOBAL, modules.CHECK)),
        ("enable_snmp_rfcv2", (modules.RFC2787,)),
        ("enable_snmp_rfcv3", (modules.RFC6527,)),
        ("enable_traps", ()),
    ],
)
def test_each_word_serves_its_subtrees(words: str, roots: tuple[modules.Module, ...], tmp_path: Path) -> None:
    settings = loaded(words, tmp_path).globals.agents
    assert modules.served(settings) == roots


@pytest.mark.shows("virtual_server.snmp_name", "virtual_server.real_server.snmp_name")
def test_servers_are_shown_by_their_names_and_with_what_the_kernel_counts(tmp_path: Path) -> None:
    config = loaded("enable_snmp_checker", tmp_path)
    key = Facts(config).services[0].keys[0]
    place = (key, DestinationKey("10.0.1.1", 80))
    traffic = Traffic((1, 2, 3, 1 << 33, 5), (6, 7, 8, 9, 10), 11, 12, 13)
    tree = Tree(modules.CHECK.tables, Facts(config, counted=Counted({key: traffic}, {place: traffic})))
    virtual, real = (*modules.CHECK.subtree, 3, 1), (*modules.CHECK.subtree, 4, 1)
    assert tree.get((*virtual, 71, 1)).value == b"shop"
    assert tree.get((*real, 55, 1, 1)).value == b"first"
    assert tree.get((*real, 4, 1, 1)).value == bytes((10, 0, 1, 1))
    assert tree.get((*real, 7, 1, 1)).value == 3
    assert [tree.get((*real, column, 1, 1)).value for column in (14, 15, 16, 17, 20, 22)] == [1, 11, 12, 13, 1 << 33, 6]
    assert tree.get((*virtual, 30, 1)).value == 1 << 33
    assert tree.get((*virtual, 36, 1)) == VarBind((*virtual, 36, 1), Tag.GAUGE, 10)


@pytest.mark.shows("global_defs.{snmp_vs_stats_update_interval,snmp_rs_stats_update_interval}")
@pytest.mark.parametrize(
    ("words", "fresh_us"),
    [("", 5_000_000), ("snmp_vs_stats_update_interval 2", 2_000_000), ("snmp_rs_stats_update_interval 0.5", 500_000)],
)
def test_counters_are_read_again_when_they_are_too_old(words: str, fresh_us: int, tmp_path: Path) -> None:
    config = loaded(f"enable_snmp_checker\n{words}", tmp_path)
    source = FactSource(Context(reactor=Reactor(), log=None, scripts=None, options=None, finished=None, emit=None))  # type: ignore[arg-type]
    source.configure(config)
    reads: list[int] = []

    def read() -> Counted:
        reads.append(1)
        return Counted()

    source._read = read  # type: ignore[method-assign]
    for now_us in (0, fresh_us - 1, fresh_us, fresh_us + 1):
        source._counters(now_us)
    assert len(reads) == 2
