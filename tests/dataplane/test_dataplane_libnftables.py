"""libnftables is not asked where it would end the process."""

from __future__ import annotations

import errno
import socket

import pytest

from pykeepalived.dataplane.libnftables import LibraryRunner, quiet_runner


def test_a_kernel_without_netfilter_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: int) -> socket.socket:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr("pykeepalived.dataplane.libnftables.socket.socket", refuse)
    with pytest.raises(OSError, match="Protocol not supported"):
        LibraryRunner()
    assert quiet_runner().name == "nft"
