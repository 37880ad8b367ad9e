"""The real servers of a differential machine: programs that a check talks to, and what may happen to them.

A machine has three servers, 12, 13 and 14, each with an IPv4 and an IPv6 address, and a state each:

    up        answers as it should
    dead      its programs are gone, the address is still there: connections are refused
    sick      its programs answer, but wrongly: another page, a refusal, an error code, another exit code
    slow      its programs are there and say nothing (they are stopped, or sleep)
    silent    the whole machine is gone: packets to it vanish

Only the programs that a configuration names a port of are started. Web pages come from nginx, name service from
unbound, a second TLS from `openssl s_server`, mail from aiosmtpd; bare TCP and UDP servers are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from pykeepalived.tools.lab import Namespace, wait_until

NUMBERS = ("12", "13", "14")
PAGE = b"<h1>hello</h1>\n"
OTHER_PAGE = b"<h1>out of order</h1>\n"
NAMED_PAGE = b"named page\n"
#: A long page whose only remarkable word lies across the end of the first 64 KiB.
LONG_PAGE = b"x" * 65_530 + b"needle in hay" + b"y" * 30_000
CERTIFICATE = Path("/tmp/differential-keys")

WEB, TLS, OTHER_TLS, MAIL, NAMES, TCP, ECHO, SINK = 80, 443, 4433, 25, 53, 8080, 7, 9
_PORTS = (WEB, TLS, OTHER_TLS, MAIL, NAMES, TCP, ECHO, SINK)


def make_certificate() -> None:
    CERTIFICATE.mkdir(exist_ok=True)
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=www.example.org"
    )
    subprocess.run(
        [*command.split(), "-keyout", str(CERTIFICATE / "key.pem"), "-out", str(CERTIFICATE / "cert.pem")],
        check=True,
        capture_output=True,
    )
    # The key of a client, under a password.
    subprocess.run(
        [
            *("openssl", "ec", "-aes128", "-passout", "pass:secret"),
            *("-in", CERTIFICATE / "key.pem", "-out", CERTIFICATE / "locked.pem"),
        ],
        check=True,
        capture_output=True,
    )


def needed_ports(text: str) -> set[int]:
    """The ports of ours that a configuration checks."""
    named = {int(port) for port in re.findall(r"(?:real_server \S+|connect_port) (\d+)", text)}
    return named & set(_PORTS)


class Loop:
    """One event loop in a thread for all servers of ours."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


class RealServer:
    """One server of a machine."""

    def __init__(self, space: Namespace, number: str, directory: Path, ports: set[int], loop: Loop) -> None:
        self.space, self.number, self.directory, self.ports, self.loop = space, number, directory, ports, loop
        self.addresses = (f"192.168.0.{number}", f"2001:db8:1::{number}")
        self.state = "down"
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._close: list[Callable[[], None]] = []
        self._pages = directory / f"pages-{number}"
        for name in ("", "named"):
            (self._pages / name).mkdir(parents=True, exist_ok=True)
        for name in ("state", "number"):
            (directory / name).mkdir(exist_ok=True)

    def become(self, state: str) -> None:
        if state == self.state:
            return
        old, self.state = self.state, state
        runs = state in ("up", "sick", "slow", "silent")
        if not runs:
            self._signal(signal.SIGCONT)
            self._stop()
        if old == "silent":
            self._vanish(False)
        elif state == "silent":
            self._vanish(True)
        self._write_state(state)
        if old in ("slow", "silent"):
            self._signal(signal.SIGCONT)
        if runs and old in ("down", "dead"):
            self._start()
        elif {old, state} == {"up", "sick"}:
            self._start_anew()
        if state == "slow":
            self._signal(signal.SIGSTOP)

    def close(self) -> None:
        self._signal(signal.SIGCONT)
        self._stop()

    def _vanish(self, gone: bool) -> None:
        """Packets to a silent machine go to an interface behind which nobody is."""
        lines = []
        for address in self.addresses:
            place = f"{address}/{128 if ':' in address else 32}"
            nodad = " nodad" if ":" in address else ""
            if gone:
                lines += [f"addr del {place} dev lo", f"route add {place} dev hole"]
            else:
                lines += [f"route del {place} dev hole", f"addr add {place} dev lo{nodad}"]
        self.space.run("sh", "-c", f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} | ip -batch -")

    def _write_state(self, state: str) -> None:
        """What the program `answer` reads, what FILE_CHECK reads, and what nginx shows."""
        words = {"up": "0", "dead": "1", "sick": "4", "slow": "slow", "silent": "1"}
        (self.directory / "state" / self.number).write_text(words[state] + "\n")
        number = {"up": "0", "sick": "4"}.get(state, "1")
        (self.directory / "number" / self.number).write_text(number + "\n")
        sick = state == "sick"
        pages = {
            "index.html": OTHER_PAGE if sick else PAGE,
            "long": LONG_PAGE.replace(b"needle", b"nothing") if sick else LONG_PAGE,
            "named/index.html": OTHER_PAGE if sick else NAMED_PAGE,
        }
        for name, page in pages.items():
            (self._pages / name).write_bytes(page)
        status = self._pages / "status"
        if sick:
            status.unlink(missing_ok=True)
        else:
            status.write_bytes(b"well\n")

    def _signal(self, number: int) -> None:
        for program in self._programs.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(program.pid, number)

    def _stop(self) -> None:
        for program in self._programs.values():
            program.kill()
            program.wait(60)
        self._programs.clear()
        for close in self._close:
            close()
        self._close.clear()

    # ---- programs ----

    def _start(self) -> None:
        if self.ports & {WEB, TLS}:
            self._run("nginx", "-e", str(self.directory / "nginx.log"), "-c", str(self._nginx()))
        self._start_answering()
        for address in self.addresses:
            for port in self.ports & {MAIL, TCP}:
                self._serve(address, port)
            for port in self.ports & {ECHO, SINK}:
                self._serve_datagrams(address, port)
        for port in self.ports & {WEB, TLS}:
            wait_until(lambda port=port: self._accepts(port), 20, f"server {self.number} on port {port}")  # type: ignore[misc]

    def _start_answering(self) -> None:
        """Programs that learn by their command line or file what to answer."""
        if NAMES in self.ports:
            self._run("unbound", "-d", "-c", str(self._unbound()))
            wait_until(lambda: self._bound(NAMES), 20, f"name server {self.number}")
        if OTHER_TLS in self.ports:
            answer = ["-WWW"] if self.state != "sick" else []
            key = ["-cert", str(CERTIFICATE / "cert.pem"), "-key", str(CERTIFICATE / "key.pem")]
            place = f"{self.addresses[0]}:{OTHER_TLS}"
            self._run("openssl", "s_server", "-quiet", "-accept", place, *key, *answer, cwd=self._pages)
            wait_until(lambda: self._accepts(OTHER_TLS), 20, f"server {self.number} on port {OTHER_TLS}")

    def _start_anew(self) -> None:
        for name in ("unbound", "openssl"):
            if program := self._programs.pop(name, None):
                program.kill()
                program.wait(60)
        self._start_answering()

    def _run(self, *command: str, cwd: Path | None = None) -> None:
        self._programs[command[0]] = self.space.popen(*command, log=self.directory / f"{command[0]}.log", cwd=cwd)

    def _accepts(self, port: int) -> bool:
        with self.space.inside():
            asking = socket.socket()
        with asking:
            asking.settimeout(5)
            return asking.connect_ex((self.addresses[0] if self.state != "silent" else "127.0.0.1", port)) == 0

    def _bound(self, port: int) -> bool:
        local = "".join(f"{int(part):02X}" for part in reversed(self.addresses[0].split(".")))
        return f"{local}:{port:04X} " in Path(f"/proc/{self.space.pid}/net/udp").read_text()

    def _nginx(self) -> Path:
        places = [address if ":" not in address else f"[{address}]" for address in self.addresses]
        listen = "".join(
            f"listen {place}:{port}{' ssl' if port == TLS else ''}; "
            for place in places
            for port in sorted(self.ports & {WEB, TLS})
        )
        keys = f"ssl_certificate {CERTIFICATE}/cert.pem; ssl_certificate_key {CERTIFICATE}/key.pem; "
        own = "".join(f"{kind}_temp_path {self.directory}/t; " for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        text = (
            f"daemon off; master_process off; user root; pid {self.directory}/nginx-{self.number}.pid;\n"
            f"error_log {self.directory}/nginx.log; events {{ worker_connections 64; }}\n"
            f"http {{ access_log off; server_tokens off; {own} client_body_temp_path {self.directory}/t;\n"
            f"server {{ {listen} {keys} root {self._pages}; }}\n"
            f"server {{ {listen} {keys} server_name www.example.org; root {self._pages}/named; }}\n}}\n"
        )
        path = self.directory / f"nginx-{self.number}.conf"
        path.write_text(text)
        return path

    def _unbound(self) -> Path:
        zone = "refuse" if self.state == "sick" else "static"
        interfaces = "".join(f"  interface: {address}\n" for address in self.addresses)
        text = (
            f'server:\n{interfaces}  do-daemonize: no\n  use-syslog: no\n  chroot: ""\n  username: ""\n  pidfile: ""\n'
            f"  directory: {self.directory}\n  access-control: 0.0.0.0/0 allow\n  access-control: ::0/0 allow\n"
            f'  num-threads: 1\n  outgoing-range: 16\n  module-config: "iterator"\n  local-zone: "." {zone}\n'
            '  local-data: ". 60 IN SOA a. b. 1 2 3 4 5"\n  local-data: "www.example.org. 60 IN A 192.0.2.1"\n'
            "remote-control:\n  control-enable: no\n"
        )
        if zone == "refuse":
            text = re.sub(r"  local-data: .*\n", "", text)
        path = self.directory / f"unbound-{self.number}.conf"
        path.write_text(text)
        return path

    # ---- servers of ours ----

    def _serve(self, address: str, port: int) -> None:
        with self.space.inside():
            listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(256)

        async def open_server() -> asyncio.Server:
            if port == MAIL:
                return await self.loop.loop.create_server(lambda: _mail(self), sock=listener)
            return await asyncio.start_server(_hang_up, sock=listener)

        server = self.loop.run(open_server())
        self._close.append(lambda: self.loop.run(_close(server)))

    def _serve_datagrams(self, address: str, port: int) -> None:
        with self.space.inside():
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((address, port))

        async def open_endpoint() -> asyncio.DatagramTransport:
            transport, _ = await self.loop.loop.create_datagram_endpoint(lambda: _Datagrams(self, port), sock=sock)
            return transport

        transport = self.loop.run(open_endpoint())

        async def close() -> None:
            transport.abort()
            await asyncio.sleep(0)

        self._close.append(lambda: self.loop.run(close()))


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read(1)
    writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Port 7 answers with what it got, shortened and marked when it is sick; port 9 never answers."""

    def __init__(self, server: RealServer, port: int) -> None:
        self._server, self._port = server, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        if self._port == ECHO and self._server.state != "slow":
            self._transport.sendto(b"?" if self._server.state == "sick" else data, address)


class _Greeter:
    """What aiosmtpd asks about a HELO."""

    def __init__(self, server: RealServer) -> None:
        self._server = server

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        del server, envelope
        if self._server.state == "slow":
            await asyncio.sleep(4)
        session.host_name = hostname
        return "550 not today" if self._server.state == "sick" else "250 mail.example.org"


def _mail(server: RealServer) -> SMTP:
    return SMTP(_Greeter(server), hostname="mail.example.org", loop=server.loop.loop, timeout=30)
