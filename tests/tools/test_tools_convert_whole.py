"""Towards ldirectord.cf nothing is dropped in silence: each attribute of the model shows in the text or in the list."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from pykeepalived.model import (
    AddressSelector,
    BfdCheck,
    BfdInstance,
    CheckerSpec,
    Config,
    DnsCheck,
    Family,
    FileCheck,
    Forwarding,
    ForwardingMethod,
    GarpGroup,
    GlobalDefs,
    GrpcCheck,
    HttpCheck,
    HttpUrl,
    IpPrefix,
    MiscCheck,
    PingCheck,
    Protocol,
    RealServer,
    Script,
    SmtpCheck,
    SorryServer,
    SyncGroup,
    TcpCheck,
    TrackFile,
    TrackGroup,
    TrackProcess,
    UdpCheck,
    User,
    VirtualAddress,
    VirtualRoute,
    VirtualRule,
    VirtualServer,
    VirtualServerGroup,
    VrrpInstance,
    VrrpScript,
)
from pykeepalived.model.checks import CheckTiming, SocketOptions, TlsClient
from pykeepalived.model.links import InterfaceDelay, PolledLink
from pykeepalived.model.lvs import RecoveryRule
from pykeepalived.tools.convert import Format, convert

SOCKET = SocketOptions(address="10.1.1.1", port=80)
SCRIPT = Script(("/bin/true", "a"), User("root", 0, 0))
TIMING = CheckTiming()
TCP = TcpCheck(socket=SOCKET)
CHECKS: dict[str, Any] = {
    "tcp": TCP,
    "http": HttpCheck(socket=SOCKET, urls=(HttpUrl(path="/a", regex="good"),)),
    "https": HttpCheck(socket=SOCKET, urls=(HttpUrl(path="/a", regex="good"),), tls=True),
    "smtp": SmtpCheck(socket=SOCKET, helo_name="lb1"),
    "dns": DnsCheck(socket=SOCKET, name="example.org"),
    "misc": MiscCheck(script=SCRIPT, timeout_us=5_000_000),
    "udp": UdpCheck(socket=SOCKET),
    "ping": PingCheck(socket=SOCKET),
    "grpc": GrpcCheck(socket=SOCKET),
    "file": FileCheck(track_file="f"),
    "bfd": BfdCheck(name="b"),
}
#: Another value than the one above, where its type does not tell one.
VALUES: dict[str, Any] = {
    "address": "10.1.1.9", "bind_address": "10.1.1.8", "path": "/b", "digest": "0" * 32, "regex": "bad",
    "scheduler": "rr", "persistence_prefix": 24, "urls": (HttpUrl(path="/a", regex="good"), HttpUrl(path="/z")),
    "status_codes": ((404, 404),), "regex_options": ("caseless",), "regex_stack": (1, 2), "json": ("a", "b"),
    "selector": AddressSelector("10.0.0.2", 80), "protocol": Protocol.UDP, "timeout_us": 9_000_000,
    "delay_loop_us": 20_000_000, "delay_before_retry_us": 2_000_000, "warmup_us": 3_000_000,
    "payload": b"ab", "reply": b"ab", "reply_mask": b"\xff\xff", "family": Family.INET6, "scheduler_flags": 1,
    "persistence_timeout_s": 50, "weight": 5, "port": 8080,
}  # fmt: skip
#: Not attributes of keepalived.conf, or of what stands elsewhere.
OF_LDIRECTORD = {
    "maintenance_names", "monitor_words", "cleanstop", "fallback_command", "monitor_file", "mail", "service_name",
    "comment",
}  # fmt: skip
#: Checks that are listed as a whole.
LOST_WHOLE = {"udp", "grpc", "file", "bfd"}
#: Changes that mean the same in an ldirectord.cf, with the reason.
SAME = {
    "service.family": "an address has its own",
    "service.forwarding": "its servers have theirs",
    "service.inhibit_on_failure": "its servers have theirs",
    "timing.first_failure_counts": "no word of keepalived.conf, what keepalived does",
    "timing.alpha": "follows the server's",
    "timing.rise": "no word of keepalived.conf",
    "ping.socket.port": "a ping has none",
    "sorry.weight": "no word of keepalived.conf",
    "service.alpha": "every server waits for its first good check, which is said",
}


def served(check: Any = TCP, timing: CheckTiming = TIMING, **more: Any) -> VirtualServer:
    server = RealServer(address="10.1.1.1", port=80, checkers=(CheckerSpec(question=check, timing=timing),))
    sorry = SorryServer(address="10.1.1.7", port=80)
    whole: dict[str, Any] = {"protocol": Protocol.TCP, "real_servers": (server,), "sorry_server": sorry} | more
    return VirtualServer(selector=AddressSelector("10.0.0.1", 80), **whole)


def other(kind: Any, name: str, value: Any) -> Any:
    """A value that differs from `value`."""
    if name in VALUES:
        return VALUES[name]
    if get_origin(kind) in (types.UnionType, Union):
        kind = next(each for each in get_args(kind) if each is not types.NoneType)
    if kind is bool:
        return not value
    if kind is int:
        return (value or 0) + 3
    if kind is str:
        return (value or "") + "x"
    if kind is Script:
        return SCRIPT
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(each for each in kind if each is not value)
    if kind is RecoveryRule:
        return RecoveryRule(slow_start_us=5_000_000)
    if kind is TlsClient:
        return TlsClient(ca="/ca")
    raise AssertionError(f"no other value for {name}: {kind}")


def changes(value: Any, *, skip: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """The struct with one field changed, for each field."""
    hints = get_type_hints(type(value))
    for field in value.__struct_fields__:
        if field not in skip | OF_LDIRECTORD:
            changed = other(hints[field], field, getattr(value, field))
            assert changed != getattr(value, field), field
            yield field, msgspec.structs.replace(value, **{field: changed})


def cases() -> Iterator[Any]:
    def case(name: str, before: VirtualServer, after: VirtualServer) -> Any:
        return pytest.param(before, after, id=name)

    plain = served()
    server, sorry = plain.real_servers[0], plain.sorry_server
    parts = frozenset({"real_servers", "sorry_server", "forwarding", "checkers"})
    for field, changed in changes(plain, skip=parts):
        yield case(f"service.{field}", plain, changed)
    yield case("service.sorry_server", served(sorry_server=None), plain)
    for field, changed in changes(server, skip=parts):
        yield case(f"server.{field}", plain, served(real_servers=(changed,)))
    for field, changed in changes(sorry, skip=parts):
        yield case(f"sorry.{field}", plain, served(sorry_server=changed))
    tunnel = Forwarding(ForwardingMethod.TUN)
    for field, changed in changes(tunnel):
        for what, holder in (("server", server), ("sorry", sorry)):
            before, after = (msgspec.structs.replace(holder, forwarding=each) for each in (tunnel, changed))
            key = "real_servers" if what == "server" else "sorry_server"
            texts = [served(**{key: (each,) if what == "server" else each}) for each in (before, after)]
            yield case(f"{what}.forwarding.{field}", *texts)
    for field, timing in changes(TIMING):
        yield case(f"timing.{field}", plain, served(timing=timing))
    yield from (case(name, *pair) for name, pair in of_checks())


def of_checks() -> Iterator[tuple[str, tuple[VirtualServer, VirtualServer]]]:
    for name, check in CHECKS.items():
        before = served(check)
        for field, changed in changes(check, skip=frozenset({"socket", "script"})):
            yield f"{name}.{field}", (before, served(changed))
        if hasattr(check, "socket"):
            for field, where in changes(check.socket):
                yield f"{name}.socket.{field}", (before, served(msgspec.structs.replace(check, socket=where)))
        for url in getattr(check, "urls", ()):
            for field, asked in changes(url):
                yield f"{name}.url.{field}", (before, served(msgspec.structs.replace(check, urls=(asked,))))


def converted(service: VirtualServer) -> tuple[str, tuple[str, ...]]:
    config = Config(virtual_servers=(service,))
    result = convert({"x": ""}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=config)
    return result.text, result.notes


#: What stands at the top level beside virtual servers, by attribute of the model, with what the list calls it.
ELSEWHERE: dict[str, tuple[Any, str]] = {
    "static_addresses": ((VirtualAddress(prefix=IpPrefix("10.0.0.9", 24)),), "static_ipaddress"),
    "static_routes": ((VirtualRoute(words=("10.9.0.0/16",)),), "static_routes"),
    "static_rules": ((VirtualRule(words=("table", "9")),), "static_rules"),
    "instances": ((VrrpInstance(name="VI_1", interface="eth0", vrid=1),), "vrrp_instance VI_1"),
    "sync_groups": ((SyncGroup(name="G1", members=("VI_1",)),), "vrrp_sync_group G1"),
    "garp_groups": ((GarpGroup(interfaces=("eth0",)),), "garp_group"),
    "scripts": ((VrrpScript(name="S1", script=SCRIPT),), "vrrp_script S1"),
    "track_files": ((TrackFile(name="F1", path="/f"),), "track_file F1"),
    "track_processes": ((TrackProcess(name="P1", process="p"),), "vrrp_track_process P1"),
    "track_groups": ((TrackGroup("T1", ("VI_1",)),), "track_group T1"),
    "bfd_instances": ((BfdInstance(name="B1", neighbor="10.0.0.8"),), "bfd_instance B1"),
    "interface_delays": ((InterfaceDelay("eth0", 1, 1),), "interface_up_down_delays"),
    "polled_links": ((PolledLink("eth0"),), "linkbeat_interfaces"),
    "poll_all_links": (True, "linkbeat_use_polling"),
    "virtual_server_groups": ((VirtualServerGroup("unused"),), "virtual_server_group unused"),
    "tls_client": (TlsClient(ca="/ca"), "SSL"),
    "unowned_blocks": (("some_block x",), "some_block x"),
    "globals": (GlobalDefs(router_id="r"), "global_defs: router_id"),
}
#: What is written, or is no part of a keepalived.conf.
CARRIED = {"virtual_servers", "ldirectord", "ldirectord_servers"}


@pytest.mark.parametrize("field", [name for name in Config.__struct_fields__ if name not in CARRIED])
def test_each_block_of_the_top_level_is_listed(field: str) -> None:
    value, said = ELSEWHERE[field]
    config = Config(virtual_servers=(served(),), **{field: value})
    result = convert({"x": ""}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=config)
    assert any(said in note for note in result.notes)
    assert said in result.text


@pytest.mark.parametrize(("before", "after"), [*cases()])
def test_each_attribute_of_a_service_shows(
    before: VirtualServer, after: VirtualServer, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    if name.partition(".")[0] in LOST_WHOLE:
        assert any(f"check `{name.partition('.')[0]}`" in note for note in converted(after)[1])
        return
    assert (converted(before) == converted(after)) is (name in SAME), name
