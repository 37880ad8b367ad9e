"""D-Bus without a bus: paths, introspection, and buses that mean no good."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.model import Config
from pykeepalived.notify.dbus import service
from pykeepalived.notify.dbus.objects import introspection, objects
from pykeepalived.reactor import Reactor
from pykeepalived.units import SECOND_US

WORDS = """
global_defs {
    enable_dbus
    dbus_no_interface_name nowhere
}
vrrp_instance V1 {
    virtual_router_id 51
    use_vmac
    unicast_peer {
        10.0.0.2
    }
    unicast_src_ip 10.0.0.1
    virtual_ipaddress {
        10.0.0.9 dev lo
    }
}
"""


def read(tmp_path: Path, words: str = WORDS) -> tuple[Config, set[str]]:
    (tmp_path / "conf").write_text(words)
    found = load(str(tmp_path / "conf"))
    return found.config, {item.id for item in found.findings.items}


@pytest.mark.shows("global_defs.dbus_no_interface_name")
def test_instances_stand_under_interface_number_and_family(tmp_path: Path) -> None:
    found = objects(read(tmp_path, WORDS.replace("    use_vmac\n", ""))[0])
    assert list(found.instances) == ["/org/keepalived/Vrrp1/Instance/nowhere/51/IPv4"]
    assert found.children("/") == ["org"]
    assert found.children("/org/keepalived/Vrrp1/Instance/nowhere") == ["51"]
    assert introspection(found, "/nothing") is None
    assert '<property name="State" type="(us)"' in (introspection(found, found.path_of("V1") or "") or "")


def test_without_the_library_the_word_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pykeepalived.dialects.keepalived.libraries.find_spec", lambda name: None)
    config, found = read(tmp_path)
    assert "missing-library" in found
    assert not config.globals.agents.enable_dbus


class Silent:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def info(self, text: str) -> None: ...

    def error(self, text: str) -> None:
        self.errors.append(text)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ([b"REJECTED\r\n"], "cannot be understood"),
        ([b"x" * 9000], "cannot be understood"),
        ([b"OK 0123\r\n", b"\xff" * 64], "cannot be understood"),
        ([b"OK 0123\r\n", b"l\1\0\1\xff\xff\xff\x07\1\0\0\0\0\0\0\0"], "too long"),
        ([b""], "closed"),
    ],
    ids=["rejected", "endless-line", "garbage", "huge-message", "end"],
)
def test_a_bad_bus_is_left_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: list[bytes], word: str
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "bus"))
    listener.listen()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    reactor, log = Reactor(), Silent()
    subject = service.Service(reactor, log, act=lambda *call: None, state=lambda *call: None)
    subject.configure(read(tmp_path)[0])
    connection, _ = listener.accept()
    connection.settimeout(30)

    def say() -> None:
        if says:
            connection.recv(4096)
            if data := says.pop(0):
                connection.sendall(data)
            else:
                connection.shutdown(socket.SHUT_RDWR)
        if log.errors:
            reactor.stop()
        else:
            reactor.call_later(10_000, say)

    reactor.call_soon(say)
    reactor.call_later(30 * SECOND_US, reactor.stop)
    reactor.run()
    assert word in log.errors[0]
    assert not subject.owns and subject._retry is not None
    subject.close()
    connection.close()
    listener.close()


@pytest.mark.parametrize("text", ["", "tcp:host=localhost", "unix:tmpdir=/tmp"])
def test_a_bus_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a bus"):
        service.bus_address(text)
