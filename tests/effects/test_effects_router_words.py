"""From words of a router that its core's tests take as given: the file, the router of the file, what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykeepalived.dialects.keepalived import FileFacts
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.netio import addresses
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.processes.file_watch import FileWatcher
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.vrrp_endpoints import Endpoint, wishes
from pykeepalived.runtime.vrrp_links import wanted_links
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.pacing import Announcement, Pacer
from pykeepalived.vrrp.receive import Ladder
from tests.dialects.keepalived.fake_host import FakeHost
from tests.effects.test_effects_vrrp import play
from tests.effects.test_effects_words import INSTANCE, read
from tests.vrrp.playbook import Playbook


def config(tmp_path: Path, text: str) -> Config:
    result = read(tmp_path, text)
    assert not result.exit_class, result.findings.items
    return result.config


# ── adverts of others ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shows("vrrp_instance.lower_prio_no_advert", "global_defs.vrrp_lower_prio_no_advert")
def test_whether_a_lower_advert_is_answered(tmp_path: Path) -> None:
    found = []
    for book in (
        play(tmp_path),
        play(tmp_path, "lower_prio_no_advert"),
        play(tmp_path, settings=("vrrp_lower_prio_no_advert",)),
    ):
        found.append("advert A 100" in book.to_master().hear(50))
    assert found == [True, False, False]


@pytest.mark.shows("vrrp_instance.higher_prio_send_advert", "global_defs.vrrp_higher_prio_send_advert")
def test_whether_a_master_shows_itself_once_more(tmp_path: Path) -> None:
    found = []
    for book in (
        play(tmp_path, "higher_prio_send_advert false"),
        play(tmp_path, "higher_prio_send_advert"),
        play(tmp_path, settings=("vrrp_higher_prio_send_advert",)),
    ):
        found.append("advert A 100" in book.to_master().hear(101))
    assert found == [False, True, True]


@pytest.mark.shows("vrrp_instance.skip_check_adv_addr", "global_defs.vrrp_skip_check_adv_addr")
def test_how_often_addresses_are_compared(tmp_path: Path) -> None:
    found = []
    for book in (
        play(tmp_path),
        play(tmp_path, "skip_check_adv_addr"),
        play(tmp_path, settings=("vrrp_skip_check_adv_addr",)),
    ):
        book.start()
        for _ in range(3):
            book.hear(150, addresses=("10.0.0.9",))
        found.append(book.status().stats.addr_list_err)
    assert found == [3, 1, 1]


@pytest.mark.shows("global_defs.log_unknown_vrids")
@pytest.mark.parametrize(("words", "lines"), [((), 0), (("log_unknown_vrids",), 1)])
def test_unknown_vrids_are_told(words: tuple[str, ...], lines: int, tmp_path: Path) -> None:
    refused = events.PacketRefused("", events.Refusal.UNKNOWN_VRID, "10.0.0.2", "Unknown VRID(9) received on …")
    assert len(play(tmp_path, settings=words).feed(refused)) == lines


@pytest.mark.shows("vrrp_instance.old_unicast_checksum")
@pytest.mark.parametrize(
    ("word", "sends", "takes"),
    [("", False, True), ("old_unicast_checksum", True, True), ("old_unicast_checksum never", False, False)],
)
def test_the_old_checksum_between_peers(word: str, sends: bool, takes: bool, tmp_path: Path) -> None:
    def made(more: str) -> VrrpInstance:
        words = f"unicast_src_ip 10.0.0.1\nunicast_peer {{\n10.0.0.1\n10.0.0.2\n}}\n{more}\n"
        return config(tmp_path, INSTANCE.replace("interface eth0", "interface eth0\nversion 3") % words).instances[0]

    def wire(found: VrrpInstance) -> bytes:
        sent = datagrams(advert_specs(found, "10.0.0.2", ""), 150, Counters(lambda: 0))
        return bytes(sent[0].advert(150))

    plain, old = wire(made("")), wire(made("old_unicast_checksum"))
    assert plain != old
    assert wire(made(word)) == (old if sends else plain)
    heard = Ladder([expectation(made(word))]).ipv4(old, "eth0", wall_us=0)
    assert isinstance(heard, events.AdvertReceived) is takes


# ── beginnings and clocks ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shows("global_defs.{vrrp_startup_delay,vrrp_delay_after_boot}")
@pytest.mark.parametrize(
    ("word", "uptime_s", "waits_s"),
    [("vrrp_startup_delay 10", 500, 10), ("vrrp_delay_after_boot 30", 10, 20), ("vrrp_delay_after_boot 30", 31, 0)],
)
def test_delays_of_the_start(word: str, uptime_s: int, waits_s: int, tmp_path: Path) -> None:
    book = play(tmp_path, settings=(word,))
    book.feed(events.Start(uptime_s * SECOND_US))
    (entered,) = (text for text in book.run(60) if "Entering MASTER" in text)
    assert float(entered.split()[0]) == pytest.approx(waits_s + 3.609375)


@pytest.mark.shows("vrrp_instance.{timer_expired_backup,thread_timer_expired}")
@pytest.mark.parametrize(
    ("word", "state"), [("", "MASTER"), ("timer_expired_backup 254", "BACKUP"), ("thread_timer_expired 254", "BACKUP")]
)
def test_what_a_master_does_whose_timer_is_late(word: str, state: str, tmp_path: Path) -> None:
    book = play(tmp_path, "nopreempt", "state BACKUP", word).to_master()
    due_us = book.router.wake_at()
    assert due_us is not None
    book.now_us = due_us + 2_100_000
    book.feed(events.Tick())
    assert book.state() == state


# ── what an instance needs ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shows("vrrp_instance.dont_track_primary")
@pytest.mark.parametrize(("word", "state"), [("", "FAULT"), ("dont_track_primary", "BACKUP")])
def test_the_own_interface_counts(word: str, state: str, tmp_path: Path) -> None:
    book = play(tmp_path, word)
    book.link("eth0", up=False)
    book.start()
    assert book.state() == state


@pytest.mark.shows("vrrp_instance.track_src_ip")
@pytest.mark.parametrize(("word", "state"), [("mcast_src_ip 10.0.0.1", "BACKUP"), ("track_src_ip 10.0.0.1", "FAULT")])
def test_a_source_address_that_goes(word: str, state: str, tmp_path: Path) -> None:
    book = play(tmp_path, word)
    book.start()
    book.source("A", None)
    assert book.state() == state


@pytest.mark.shows("vrrp_instance.unicast_fault_no_peer")
@pytest.mark.parametrize(("word", "state"), [("", "BACKUP"), ("unicast_fault_no_peer", "FAULT")])
def test_unicast_without_any_peer(word: str, state: str, tmp_path: Path) -> None:
    book = play(tmp_path, "unicast_src_ip 10.0.0.1", "unicast_peer {", "}", word)
    book.start()
    assert book.state() == state


@pytest.mark.shows("vrrp_script.init_fail")
@pytest.mark.parametrize(("word", "state"), [("", "BACKUP"), ("init_fail", "FAULT")])
def test_a_script_that_has_not_ended_yet(word: str, state: str, tmp_path: Path) -> None:
    block = "\n".join(["vrrp_script chk {", "script /usr/bin/true", "rise 2", word, "}"])
    book = play(tmp_path, "track_script {", "chk", "}", more=block)
    book.start()
    book.result("chk", 0)
    assert book.state() == state


@pytest.mark.shows("vrrp_sync_group.track_bfd")
@pytest.mark.parametrize(("words", "state"), [("", "BACKUP"), ("track_bfd {\npath\n}\n", "FAULT")])
def test_a_group_that_watches_a_path(words: str, state: str, tmp_path: Path) -> None:
    bfd = "bfd_instance path {\nneighbor_ip 10.0.0.2\n}\n"
    group = f"vrrp_sync_group G {{\ngroup {{\nA\n}}\n{words}}}\n"
    book = Playbook(read(tmp_path, bfd + group + INSTANCE % "").config)
    book.start()
    book.feed(events.BfdChanged("path", False))
    assert book.state() == state


class Roomy(FakeHost):
    """Where every file is a directory: what else stands at a path is not asked here."""

    def file(self, path: str) -> FileFacts:
        return super().file("/tmp")


@pytest.mark.shows("{track_file,vrrp_track_file}.init_file")
@pytest.mark.parametrize("block", ["track_file", "vrrp_track_file"])
@pytest.mark.parametrize(("words", "value"), [("", 0), ("init_file 42", 42)])
def test_a_file_that_is_made_at_the_start(block: str, words: str, value: int, tmp_path: Path) -> None:
    path = tmp_path / "counted"
    text = f"{block} f {{\nfile {path}\n{words}\n}}\n" + INSTANCE % "track_file {\nf\n}\n"
    found = read(tmp_path, text, Roomy()).config

    def fail(error: BaseException) -> None:
        raise error

    class Notes:
        def info(self, text: str) -> None: ...

        detail = error = info

        def __call__(self, *_: Any) -> None: ...

    reactor = Reactor(on_error=fail)
    notes = Notes()
    watcher = FileWatcher(reactor, notes, notes)
    try:
        assert watcher.update(found.track_files) == {"f": value}
        assert path.exists() is bool(words)
    finally:
        watcher.close()
        reactor.close()


# ── what is sent, and how fast ───────────────────────────────────────────────────────────────────────────────────────


def pacer(found: Config) -> Pacer:
    return Pacer(found.globals.garp_interval_us, found.globals.gna_interval_us, found.garp_groups)


def leaving(found: Config, interfaces: tuple[str, ...], *, neighbour: bool) -> list[int]:
    """When announcements on these interfaces leave that are offered together, in milliseconds."""
    paced = pacer(found)
    wanted = [Announcement("A", name, neighbour, bytes((number,))) for number, name in enumerate(interfaces)]
    left = [0 for _ in paced.offer(wanted, 0)]
    while (at_us := paced.next_us()) is not None and at_us < 60 * SECOND_US:
        left += [at_us // 1000 for _ in paced.due(at_us)]
    return left


@pytest.mark.shows("global_defs.{vrrp_garp_interval,vrrp_gna_interval}")
def test_gaps_between_announcements(tmp_path: Path) -> None:
    found = config(tmp_path, "global_defs {\nvrrp_garp_interval 0.5\nvrrp_gna_interval 0.2\n}\n" + INSTANCE % "")
    two = ("eth0", "eth0")
    assert leaving(config(tmp_path, INSTANCE % ""), two, neighbour=False) == [0, 0]
    assert leaving(found, two, neighbour=False) == [0, 500]
    assert leaving(found, two, neighbour=True) == [0, 200]


@pytest.mark.shows("garp_group", "garp_group.{garp_interval,gna_interval,interface,interfaces}")
@pytest.mark.parametrize(("names", "shared"), [("interface eth0", False), ("interfaces {\neth0 eth1\n}", True)])
def test_a_group_of_interfaces_shares_its_gap(names: str, shared: bool, tmp_path: Path) -> None:
    group = f"garp_group {{\ngarp_interval 0.5\ngna_interval 0.2\n{names}\n}}\n"
    found = config(tmp_path, group + INSTANCE % "")
    assert leaving(found, ("eth0", "eth0"), neighbour=False) == [0, 500]
    assert leaving(found, ("eth0", "eth0"), neighbour=True) == [0, 200]
    assert leaving(found, ("eth0", "eth1"), neighbour=False) == ([0, 500] if shared else [0, 0])


class Links:
    """An interface as the kernel would describe it."""

    index, mtu = 7, 9000

    def link(self, name: str) -> Links:
        return self


@pytest.mark.shows("global_defs.{vrrp_rx_bufs_policy,vrrp_rx_bufs_multiplier}", "vrrp_instance.kernel_rx_buf_size")
@pytest.mark.parametrize(
    ("settings", "word", "size"),
    [
        (("vrrp_rx_bufs_policy MTU",), "", 27_000),
        (("vrrp_rx_bufs_policy MTU", "vrrp_rx_bufs_multiplier 5"), "", 45_000),
        (("vrrp_rx_bufs_policy 70000",), "", 70_000),
        ((), "kernel_rx_buf_size 50000", 50_000),
    ],
)
def test_how_large_receiving_sockets_are(settings: tuple[str, ...], word: str, size: int, tmp_path: Path) -> None:
    found = config(tmp_path, "\n".join(["global_defs {", *settings, "}", INSTANCE % f"{word}\n"]))
    endpoint = Endpoint(found.instances[0], "224.0.0.18", found.globals)
    links: Any = Links()
    (wish,) = wishes([endpoint], links).values()
    assert wish.receive_buffer == size


@pytest.mark.shows("vrrp_instance.auth_hmac.{key,time_window,anti_replay}")
@pytest.mark.parametrize(
    ("words", "late", "earlier"),
    [
        ("time_window 30", None, events.Refusal.HMAC_STALE),
        ("time_window 4", events.Refusal.HMAC_STALE, events.Refusal.HMAC_STALE),
        ("anti_replay monotonic", None, None),
    ],
)
def test_how_old_a_signed_advert_may_be(
    words: str, late: events.Refusal | None, earlier: events.Refusal | None, tmp_path: Path
) -> None:
    key = "key 7 hex:" + "31" * 32 + "\nactive_key 7"
    text = INSTANCE.replace("interface eth0", "interface eth0\nversion 3") % f"auth_hmac {{\n{key}\n{words}\n}}\n"
    found = config(tmp_path, text).instances[0]
    now_us = 1_800_000_000 * SECOND_US

    def verdict(seconds: int) -> events.Refusal | None:
        (one,) = datagrams(
            advert_specs(found, "10.0.0.2", "224.0.0.18"), 150, Counters(lambda: now_us - seconds * SECOND_US)
        )
        heard = Ladder([expectation(found)]).ipv4(bytes(one.advert(150)), "eth0", wall_us=now_us)
        return heard.refusal if isinstance(heard, events.PacketRefused) else None

    assert verdict(0) is None
    assert (verdict(20), verdict(3000)) == (late, earlier)


@pytest.mark.shows("static_ipaddress.{broadcast,label,home,noprefixroute,-nodad}")
def test_words_of_an_address(tmp_path: Path) -> None:
    pytest.importorskip("pyroute2")
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: PLC0415

    from pykeepalived.netio import netlink  # noqa: PLC0415

    def told(words: str) -> Any:
        (address,) = config(tmp_path, f"static_ipaddress {{\n{words} dev eth0\n}}\n").static_addresses
        message = ifaddrmsg(netlink.request(20, 0, 7, addresses.encode(address, 3)))
        message.decode()
        return message

    named = told("10.0.0.1/24 broadcast 10.0.0.99 label eth0:x")
    assert (named.get("IFA_BROADCAST"), named.get("IFA_LABEL")) == ("10.0.0.99", "eth0:x")
    plain = told("2001:db8::1/64").get("IFA_FLAGS", 0)
    for word, flag in (("home", 0x10), ("noprefixroute", 0x200), ("-nodad", 0x02)):
        assert told(f"2001:db8::1/64 {word}").get("IFA_FLAGS", 0) ^ plain == flag, word


@pytest.mark.shows("vrrp_instance.use_vmac.{name,netlink_notify_msg}")
@pytest.mark.parametrize(
    ("words", "asked"), [("use_vmac name own0", False), ("use_vmac own0 netlink_notify_msg", True)]
)
def test_words_of_an_interface_of_ones_own(words: str, asked: bool, tmp_path: Path) -> None:
    ((name, found),) = wanted_links(config(tmp_path, INSTANCE % f"{words}\n")).items()
    assert (name, found.announce) == ("own0", asked)
