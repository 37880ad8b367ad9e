"""Who watches the long forms: one on the wire, with the kernel's time stamps, and one who asks for service."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Final

import msgspec

from pykeepalived.tools.lab import Namespace

_ETH_P_IP: Final = 0x0800
_VRRP: Final = 112
_TIMESTAMPNS: Final = 35
_TICK_S: Final = 0.2


class Advert(msgspec.Struct, frozen=True):
    at_s: float
    """When the kernel took it in, by the wall clock."""
    source: str
    priority: int


class Listener(threading.Thread):
    """Notes the adverts that arrive on an interface of a namespace."""

    def __init__(self, space: Namespace, interface: str) -> None:
        super().__init__(daemon=True)
        with space.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
            self._socket.bind((interface, _ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self._socket.settimeout(_TICK_S)
        self._ended = False
        self.adverts: list[Advert] = []

    def run(self) -> None:
        while not self._ended:
            try:
                packet, control, _, _ = self._socket.recvmsg(2048, 256)
            except TimeoutError:
                continue
            if len(packet) < 40 or packet[14 + 9] != _VRRP:
                continue
            for level, kind, data in control:
                if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("@ll", data[:16])
                    header = 14 + 4 * (packet[14] & 15)
                    source = socket.inet_ntoa(packet[14 + 12 : 14 + 16])
                    self.adverts.append(Advert(seconds + nanoseconds / 1e9, source, packet[header + 2]))

    def end(self) -> None:
        self._ended = True
        self.join()
        self._socket.close()

    def gaps_s(self) -> list[float]:
        times = [advert.at_s for advert in self.adverts]
        return [after - before for before, after in itertools.pairwise(times)]

    def around(self, instant_s: float, source: str) -> tuple[Advert | None, Advert | None]:
        """A sender's last advert before an instant of the wall clock, and its first one after it."""
        own = [advert for advert in self.adverts[-2000:] if advert.source == source]
        before = next((advert for advert in reversed(own) if advert.at_s <= instant_s), None)
        return before, next((advert for advert in own if advert.at_s > instant_s), None)


_WITNESS: Final = """
import time
while True:
    began, worked = time.time(), time.process_time()
    time.sleep(0.01)
    while time.process_time() - worked < 0.002:
        pass
    ended = time.time()
    if ended - began > 0.04:
        print(began + 0.012, ended, flush=True)
"""


class Witness(threading.Thread):
    """A process like any other, that asks for a little of the processor all the time: when it got none, nobody did."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _WITNESS], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._stalls: list[tuple[float, float]] = []

    def run(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                words = line.split()
                if len(words) == 2:
                    self._stalls.append((float(words[0]), float(words[1])))

    def end(self) -> None:
        self._process.terminate()
        self.join()
        self._process.wait(120)

    def stood_still_s(self, began_s: float, ended_s: float) -> float:
        """How much of this time of the wall clock it waited for the processor."""
        return sum(max(0.0, min(end, ended_s) - max(begin, began_s)) for begin, end in list(self._stalls))


class Echo(threading.Thread):
    """A real server that gives back what it gets."""

    def __init__(self, space: Namespace, address: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        with space.inside():
            self._listening = socket.create_server(address, backlog=256)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._ended = False

    def run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(_TICK_S):
                if key.fileobj is self._listening:
                    accepted, _ = self._listening.accept()
                    self._selector.register(accepted, selectors.EVENT_READ)
                else:
                    self._give_back(key.fileobj)  # type: ignore[arg-type]

    def _give_back(self, opened: socket.socket) -> None:
        try:
            data = opened.recv(4096)
            if data:
                opened.sendall(data)
                return
        except OSError:
            pass
        self._selector.unregister(opened)
        opened.close()

    def end(self) -> None:
        self._ended = True
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


class Client:
    """Asks a service from an address of a namespace."""

    def __init__(self, space: Namespace, source: str, service: tuple[str, int]) -> None:
        self._space, self._source, self._service = space, source, service

    def connect(self, limit_s: float) -> socket.socket:
        """A new connection that has been answered once. Raises OSError."""
        with self._space.inside():
            opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.settimeout(limit_s)
        try:
            opened.bind((self._source, 0))
            opened.connect(self._service)
            if not lives(opened):
                raise ConnectionError("connected, and not answered")
        except OSError:
            opened.close()
            raise
        return opened

    def asks(self, limit_s: float) -> bool:
        """Whether a new connection is answered."""
        with contextlib.suppress(OSError):
            self.connect(limit_s).close()
            return True
        return False


class Users(threading.Thread):
    """Make new connections one after the other; how many were answered, and the longest time without an answer."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._ended = False
        self.answered = self.unanswered = 0
        self.longest_s = 0.0

    def run(self) -> None:
        last = time.monotonic()
        while not self._ended:
            if self._client.asks(1.0):
                now = time.monotonic()
                self.answered += 1
                self.longest_s, last = max(self.longest_s, now - last), now
            else:
                self.unanswered += 1
            time.sleep(0.02)

    def end(self) -> None:
        self._ended = True
        self.join()


def lives(opened: socket.socket) -> bool:
    """Whether a connection still carries a byte there and back."""
    try:
        opened.sendall(b"?")
        return opened.recv(1) == b"?"
    except OSError:
        return False
