"""What ours and Debian's keepalived write to the log through the life of a director. Runs inside the test kernel.

    python -m tests.interop.logs           (starts the test kernel with it)

Real servers of a virtual server with a quorum and a sorry server come and go, each looked at by another checker; then
reloads and the end. See `vrrp_lines` for how the lines are held against each other.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.logs.lines import Lives, side_by_side
from tests.interop.vrrp.vrrp_pairs import OURS, ROOT

LIMIT_S = 120.0
_CHECK = """{
            connect_timeout 5
            retry 1
            delay_before_retry 1
        }"""
CONFIGURATION = f"""\
global_defs {{
    enable_script_security
    script_user root
    checker_log_all_failures
}}
virtual_server 10.0.0.5 80 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    quorum 2
    hysteresis 1
    quorum_up "/usr/bin/true up"
    quorum_down "/usr/bin/true down"
    alpha
    sorry_server 127.0.0.9 80
    real_server 127.0.0.2 80 {{
        weight 2
        TCP_CHECK {_CHECK}
    }}
    real_server 127.0.0.2 81 {{
        weight 1
        inhibit_on_failure
        TCP_CHECK {_CHECK}
    }}
}}
virtual_server 10.0.0.6 80 {{
    delay_loop 1
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    real_server 127.0.0.2 82 {{
        weight @WEIGHT@
        HTTP_GET {{
            url {{
                path /
                status_code 200
            }}
            connect_timeout 5
            retry 1
            delay_before_retry 1
        }}
    }}
    @MORE@
}}
"""
MORE = "real_server 127.0.0.3 82 {\n    }"


def text(weight: int = 1, more: str = "") -> str:
    return CONFIGURATION.replace("@WEIGHT@", str(weight)).replace("@MORE@", more)


class Servers:
    """What answers on 127.0.0.2: HTTP's 200 to whoever asks."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._listeners: dict[int, socket.socket] = {}

    def open(self, *ports: int) -> None:
        for port in ports:
            with self._space.inside():
                listener = self._listeners[port] = socket.create_server(("127.0.0.2", port), backlog=64)
            threading.Thread(target=_answer, args=(listener, port == 82), daemon=True).start()

    def shut(self, *ports: int) -> None:
        for port in ports:
            listener = self._listeners.pop(port)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _answer(listener: socket.socket, speaks: bool) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                if speaks and connection.recv(4096):
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                continue


def live(program: str, into: Path) -> Lives:
    """All events, and what was logged after each."""
    log, file = into / f"{program}.log", into / "router.conf"
    with Lab("logs") as lab:
        space = lab.namespace("director")
        servers = Servers(space)
        servers.open(80, 81, 82)
        file.write_text(text())
        file.chmod(0o600)
        options = ("-n", "-l", "-D", "-G", "-p", "/run/k.pid", "-r", "/run/v.pid", "-c", "/run/c.pid", "-f", file)
        words = (sys.executable, "-c", OURS) if program == "ours" else ("/usr/sbin/keepalived",)
        lives = Lives(log)
        well = ("TCP connection to [127.0.0.2]:tcp:80 success", "TCP connection to [127.0.0.2]:tcp:81 success")
        daemon = lives.event(
            "start",
            lambda: lab.popen(space, *words, *options, log=log, cwd=ROOT),
            (*well, "Remote Web server [127.0.0.2]:tcp:82 succeed on service"),
        )

        def hup(new: str) -> None:
            file.write_text(new)
            daemon.send_signal(signal.SIGHUP)

        lost, gained = "Lost quorum", "Gained quorum"
        lives.event("a server of TCP_CHECK dies", lambda: servers.shut(81), ("Disabling service [127.0.0.2]:tcp:81",))
        lives.event("the other one dies", lambda: servers.shut(80), (lost,))
        lives.event("both return", lambda: servers.open(80, 81), (gained, *well))
        lives.event("a server of HTTP_GET dies", lambda: servers.shut(82), ("Removing service [127.0.0.2]:tcp:82",))
        lives.event("it returns", lambda: servers.open(82), ("Adding service [127.0.0.2]:tcp:82",))
        done = ("Reload complete",)
        lives.event("reload of the same file", lambda: hup(text()), done)
        lives.event("reload with another weight and server", lambda: hup(text(5, MORE)), done)
        lives.event("reload back", lambda: hup(text()), done)

        def stop() -> None:
            daemon.send_signal(signal.SIGTERM)
            wait_until(lambda: daemon.poll() is not None, LIMIT_S, "the end")

        lives.event("stop", stop, ())
        servers.shut(80, 81, 82)
    return lives


#: Lines of one program alone, and why.
DIFFERENCES = {
    r"^- NOTICE: setting config option max_auto_priority": "advice about its own performance",
    r"^- (Initializing|Reinitializing) ipvs$": "ours names the dataplane, and begins nothing anew at a reload",
    r"^\+ LVS dataplane is IPVS$": "ours names the dataplane, and begins nothing anew at a reload",
    r"^- Activating (BFD )?healthchecker": "checks go on at a reload, and keepalived 2.4 says so no more",
    r"^\+ Adding service \[127\.0\.0\.3\]:tcp:82 to VS": "a server that a reload brings is told of",
}


def main() -> int:
    return side_by_side(live, DIFFERENCES)


if __name__ == "__main__":
    sys.exit(main())
