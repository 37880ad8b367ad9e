"""From words of the file to what the process does with them: pools, tunnels, addresses, files, limits of scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.diagnostics import Severity
from pykeepalived.dialects.keepalived import LoadResult, load
from pykeepalived.lvs.desired import entry, named_destinations, service_keys, services_of
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import TunnelType
from pykeepalived.netio import addresses, netlink
from tests.dialects.keepalived.fake_host import FakeHost

SERVER = "virtual_server 192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n%s\n}\n"
REAL = "real_server 192.0.2.%d 80 {\n%s\n}\n"
INSTANCE = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.0.0.51\n}\n%s}\n"


def read(tmp_path: Path, text: str, host: FakeHost | None = None) -> LoadResult:
    path = tmp_path / "keepalived.conf"
    path.write_text(text)
    return load(str(path), host=host or FakeHost())


def pool(tmp_path: Path, words: str) -> Pool:
    [ref] = services_of(read(tmp_path, SERVER % words).config)
    return Pool(ref)


@pytest.mark.shows("virtual_server.{quorum,hysteresis}")
def test_how_many_are_enough(tmp_path: Path) -> None:
    three = "".join(REAL % (10 + number, "") for number in range(3))
    assert (pool(tmp_path, three).thresholds.quorum, pool(tmp_path, three).thresholds.hysteresis) == (1, 0)
    demanding = pool(tmp_path, f"quorum 3\nhysteresis 1\n{three}").thresholds
    assert (demanding.quorum, demanding.hysteresis) == (3, 1)


@pytest.mark.shows("virtual_server.{sorry_server_inhibit,sorry_server_lvs_method}")
def test_the_sorry_server(tmp_path: Path) -> None:
    words = "sorry_server 192.0.2.99 80\n%s" + REAL % (10, "")

    def method(more: str) -> str:
        [server] = read(tmp_path, SERVER % (words % more)).config.virtual_servers
        [key] = service_keys(server, ())
        found = entry(server, key, named_destinations(server)).destinations
        return next(item.forwarding.method.value for at, item in found.items() if at.address == "192.0.2.99")

    assert (method(""), method("sorry_server_lvs_method DR\n")) == ("NAT", "DR")
    resting = pool(tmp_path, words % "sorry_server_inhibit\n").service.server.sorry_server
    assert resting is not None
    assert resting.inhibit


@pytest.mark.shows("virtual_server.lb_kind.{type,port,nocsum,csum,remcsum}")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("TUN", (TunnelType.IPIP, 0, "nocsum")),
        ("TUN type gue port 5555 nocsum", (TunnelType.GUE, 5555, "nocsum")),
        ("TUN type gue port 5555 remcsum", (TunnelType.GUE, 5555, "remcsum")),
        ("TUN type gre csum", (TunnelType.GRE, 0, "csum")),
    ],
)
def test_tunnels(words: str, expected: tuple[TunnelType, int, str], tmp_path: Path) -> None:
    text = SERVER.replace("lb_kind NAT", f"lb_kind {words}") % (REAL % (10, ""))
    [server] = read(tmp_path, text).config.virtual_servers
    [key] = service_keys(server, ())
    ((_, found),) = entry(server, key, named_destinations(server)).destinations.items()
    tunnel = found.forwarding
    assert (tunnel.tunnel_type, tunnel.tunnel_port, tunnel.tunnel_checksum) == expected


@pytest.mark.shows("virtual_server_group.{inet,inet6}")
@pytest.mark.parametrize(("word", "family"), [("inet", Family.INET), ("inet6", Family.INET6)])
def test_the_family_of_a_mark_in_a_group(word: str, family: Family, tmp_path: Path) -> None:
    real = "real_server 2001:db8::1 80 {\n}\n" if family is Family.INET6 else REAL % (10, "")
    text = (
        f"virtual_server_group g {{\nfwmark 7 {word}\n}}\nvirtual_server group g {{\nlb_kind DR\nlb_algo rr\n{real}}}\n"
    )
    config = read(tmp_path, text).config
    (key,) = service_keys(config.virtual_servers[0], config.virtual_server_groups)
    assert (key.fwmark, key.family) == (7, family)


@pytest.mark.shows("{virtual_server,virtual_server.real_server}.virtualhost")
def test_whose_name_a_check_says(tmp_path: Path) -> None:
    check = "HTTP_GET {\nurl {\npath /\n}\n}\n"

    def name(service: str, server: str) -> str | None:
        [found] = read(tmp_path, SERVER % (service + REAL % (10, server + check))).config.virtual_servers
        question: Any = found.real_servers[0].checkers[0].question
        return question.urls[0].virtualhost or question.virtualhost

    assert name("", "") is None
    assert name("virtualhost all.example\n", "") == "all.example"
    assert name("virtualhost all.example\n", "virtualhost one.example\n") == "one.example"


@pytest.mark.shows("virtual_server.real_server.SMTP_CHECK.host.{retry,delay_before_retry,warmup,delay_loop,alpha}")
def test_times_of_one_mail_host(tmp_path: Path) -> None:
    host = "host {\nconnect_ip 192.0.2.77\nretry 5\ndelay_before_retry 6\nwarmup 7\ndelay_loop 8\nalpha\n}\n"
    for words, expected in (("", (60, 60, False)), (host, (8, 7, True))):
        [found] = read(tmp_path, SERVER % (REAL % (10, f"SMTP_CHECK {{\n{words}}}"))).config.virtual_servers
        timing = found.real_servers[0].checkers[0].timing
        assert (timing.delay_loop_us // 10**6, timing.warmup_us // 10**6, timing.alpha) == expected
    assert (timing.retry, timing.delay_before_retry_us) == (5, 6_000_000)


@pytest.mark.shows("static_ipaddress.{peer,mngtmpaddr,autojoin,no_track}")
def test_what_the_kernel_is_told_of_an_address(tmp_path: Path) -> None:
    pytest.importorskip("pyroute2")
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: PLC0415

    def told(line: str) -> Any:
        (address,) = read(tmp_path, f"static_ipaddress {{\n{line} dev eth0\n}}\n").config.static_addresses
        message = ifaddrmsg(netlink.request(20, 0, 7, addresses.encode(address, 3)))
        message.decode()
        return message, address

    message, _ = told("10.0.0.1 peer 10.0.9.1")
    assert (message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")) == ("10.0.0.1", "10.0.9.1")
    for line, flag in (("2001:db8::1/64 mngtmpaddr", 0x100), ("239.1.1.1/32 autojoin", 0x400)):
        assert told(line)[0].get_attr("IFA_FLAGS", 0) & flag
        assert not told(line.rsplit(" ", 1)[0])[0].get_attr("IFA_FLAGS", 0) & flag
    assert [told(f"10.0.0.1/24 {word}")[1].no_track for word in ("", "no_track")] == [False, True]


@pytest.mark.shows("global_defs.dynamic_interfaces")
def test_interfaces_that_come_later(tmp_path: Path) -> None:
    text = INSTANCE.replace("eth0", "eth9") % ""
    assert read(tmp_path, text).exit_class
    assert not read(tmp_path, "global_defs {\ndynamic_interfaces\n}\n" + text).exit_class


@pytest.mark.shows("global_defs.include_check")
@pytest.mark.parametrize(("word", "said"), [("", False), ("include_check", True)])
def test_an_include_that_finds_nothing(word: str, said: bool, tmp_path: Path) -> None:
    text = f"global_defs {{\n{word}\n}}\ninclude {tmp_path}/not-there.conf\n" + INSTANCE % ""
    found = [item for item in read(tmp_path, text).findings.items if item.severity is Severity.ERROR]
    assert bool(found) is said


class Linked(FakeHost):
    """Where /usr/bin/true is a link to /bin/sh."""

    def real_path(self, path: str) -> str:
        return "/bin/sh" if path == "/usr/bin/true" else super().real_path(path)


@pytest.mark.shows("global_defs.use_symlink_paths")
@pytest.mark.parametrize("word", ["", "use_symlink_paths"])
def test_scripts_run_by_the_path_as_written(word: str, tmp_path: Path) -> None:
    """Which is what the word asks for; without it keepalived starts what the link leads to."""
    text = f"global_defs {{\nenable_script_security\nscript_user root\n{word}\n}}\n"
    script = (
        read(tmp_path, text + INSTANCE % "notify_master /usr/bin/true\n", Linked()).config.instances[0].notify_master
    )
    assert script is not None
    assert script.argv == ("/usr/bin/true",)


@pytest.mark.shows("global_defs.lvs_dataplane")
def test_the_chosen_dataplane_is_opened(tmp_path: Path) -> None:
    chosen = [
        read(tmp_path, f"global_defs {{\nlvs_dataplane {word}\n}}\n").config.globals.lvs_dataplane
        for word in ("ipvs", "nftables", "auto")
    ]
    opened = []
    for word in chosen:
        try:
            dataplane = open_dataplane(word, lambda _: None)
        except DataplaneUnavailable as problem:
            opened.append(str(problem))
            continue
        opened.append(type(dataplane).__name__)
        dataplane.close()
    assert "ipvs" in opened[0].lower()
    assert "nft" in opened[1].lower()
    assert opened[2] in (opened[0], opened[1])


@pytest.mark.shows("global_defs.{startup_script_timeout,shutdown_script_timeout}")
def test_limits_of_the_scripts_around_everything(tmp_path: Path) -> None:
    words = (
        "global_defs {\nstartup_script /usr/bin/true\nstartup_script_timeout 3\n"
        "shutdown_script /usr/bin/true\nshutdown_script_timeout 4\n}\n"
    )
    found = read(tmp_path, words).config.globals
    assert (found.startup_script_timeout_us, found.shutdown_script_timeout_us) == (3_000_000, 4_000_000)


#: Words that keepalived takes and does nothing with, so nothing but themselves may change.
IDLE = (
    (INSTANCE, "debug 3\n", "instances"),
    (SERVER, "lb_algo sh\nhashed\n" + REAL % (10, ""), "virtual_servers"),
    (SERVER, REAL % (10, "HTTP_GET {\nenable_sni\nsni_name x\nurl {\npath /\n}\n}\n"), "virtual_servers"),
    (SERVER, REAL % (10, "PING_CHECK {\nbind_port 99\n}\n"), "virtual_servers"),
)


@pytest.mark.shows(
    "vrrp_instance.debug", "virtual_server.hashed", "virtual_server.real_server.HTTP_GET.{enable_sni,sni_name}",
    "virtual_server.real_server.PING_CHECK.bind_port",
)  # fmt: skip
@pytest.mark.parametrize(("frame", "words", "part"), IDLE)
def test_words_that_do_nothing_are_taken(frame: str, words: str, part: str, tmp_path: Path) -> None:
    result = read(tmp_path, frame % words)
    assert not [item for item in result.findings.items if item.severity is Severity.ERROR]
    (found,) = getattr(result.config, part)
    assert msgspec.json.encode(found)


@pytest.mark.shows("vrrp_instance.linkbeat_use_polling", "vrrp_sync_group.global_tracking")
def test_obsolete_words_are_named(tmp_path: Path) -> None:
    group = "vrrp_sync_group G {\ngroup {\nA\n}\nglobal_tracking\n}\n"
    for text, word in (
        (INSTANCE % "linkbeat_use_polling\n", "linkbeat_use_polling"),
        (group + INSTANCE % "", "global_tr"),
    ):
        assert any(word in item.message for item in read(tmp_path, text).findings.items)
