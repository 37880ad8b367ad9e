"""Virtual interfaces of the VRRP process: what it asks of the kernel for them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VmacSettings
from pykeepalived.netio import netlink, vmac
from pykeepalived.netio.links import Monitor
from pykeepalived.runtime.vrrp_links import LinkKeeper
from pykeepalived.runtime.vrrp_links_journal import LinksJournal, Made
from pykeepalived.tools.lab import Lab
from tests.vrrp.playbook import config, instance

RTMGRP_LINK = 1


class Quiet:
    def info(self, text: str) -> None: ...

    detail = error = info


def reports(listener: socket.socket, act: Callable[[], None]) -> int:
    """How many messages about interfaces the kernel sends because of what is done."""
    while _one(listener):
        pass
    act()
    count = 0
    while _one(listener):
        count += 1
    return count


def _one(listener: socket.socket) -> bool:
    try:
        return bool(listener.recv(1 << 16, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


@pytest.mark.netns
@pytest.mark.shows("vrrp_instance.use_vmac.netlink_notify_msg")
def test_a_finished_interface_is_reported_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[tuple[int, int]] = []
    announce = vmac.announce

    def spy(requests: netlink.Requests, index: int, group: int) -> None:
        announced.append((index, group))
        announce(requests, index, group)

    monkeypatch.setattr(vmac, "announce", spy)
    with Lab("links") as lab:
        here = lab.namespace("here")
        lab.link(here, "eth0", lab.namespace("there"), "eth0")
        with here.inside():
            requests = netlink.Requests()
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            listener.bind((0, RTMGRP_LINK))
            monitor = Monitor(requests)
            journal = LinksJournal(str(tmp_path), pytest.fail)
            keeper = LinkKeeper(requests, monitor, journal, Made(boot=""), Quiet())
            keeper.apply(of(51, VmacSettings(ifname="g0", group="77")))
            assert announced == []
            keeper.apply(of(52, VmacSettings(ifname="g1", group="77", netlink_notify=True)))
            link = monitor.link("g1")
            assert link is not None
            assert announced == [(link.index, 77)]
            assert reports(listener, lambda: announce(requests, link.index, 77)) >= 1
            keeper.close(release=True)
            journal.close(keep=False)
        with pytest.raises(OSError, match=str(errno.ENODEV)):
            announce(requests, link.index, 77)
        for each in (listener, monitor, requests):
            each.close()


def of(vrid: int, settings: VmacSettings) -> Config:
    return config(instance(vrid=vrid, version=3, vmac=settings))
