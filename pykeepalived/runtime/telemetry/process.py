"""The metrics process: opens its listener, gives up every right, and answers HTTP from what its parent tells it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from pykeepalived.model.listening import ListenPlace
from pykeepalived.processes import helper, names
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.capabilities import keep_only
from pykeepalived.runtime.telemetry import exposition
from pykeepalived.runtime.telemetry.feed import Feed, Snapshot
from pykeepalived.runtime.telemetry.http import Asked, HttpServer, Reply
from pykeepalived.runtime.telemetry.metrics import counter, families, gauge
from pykeepalived.runtime.telemetry.page import Page

COMM: Final = "keepalived_web"
_NOBODY: Final = 65534
_DESCRIPTORS: Final = 256
_RETRY_S: Final = 5
_BACKLOG: Final = 64
_TEXT: Final = "text/plain; charset=utf-8"


class Telemetry:
    """Everything that is served, on one loop."""

    def __init__(self, reactor: Reactor, listener: socket.socket, feed: Feed, *, exporter: str, loopback: bool) -> None:
        self._feed = feed
        self._exporter = exporter
        self._server = HttpServer(reactor, listener, self._handle, loopback=loopback)
        self._page = Page(reactor, feed)

    def _handle(self, asked: Asked, reply: Reply) -> None:
        if asked.path == "/metrics":
            open_metrics = "application/openmetrics-text" in asked.headers.get("accept", "")
            began = time.monotonic()
            self._feed.snapshot(lambda snapshot: self._metrics(snapshot, began, reply, open_metrics=open_metrics))
        elif asked.path == "/":
            reply.send(200, "text/html; charset=utf-8", self._page.html)
        elif asked.path == "/events":
            if not self._page.follow(reply):
                reply.send(503, _TEXT, b"Service Unavailable: too many follow\n")
        elif asked.path == "/healthz":
            reply.send(200, _TEXT, b"ok\n")
        else:
            reply.send(404, _TEXT, b"Not Found: there are /, /metrics, /events and /healthz\n")

    def _metrics(self, snapshot: Snapshot | None, began: float, reply: Reply, *, open_metrics: bool) -> None:
        found = families(
            None if snapshot is None else snapshot.status, [] if snapshot is None else snapshot.counted, self._exporter
        )
        found.append(gauge("scrape_duration_seconds", "How long this answer took", [({}, time.monotonic() - began)]))
        refused = [({"reason": name}, count) for name, count in sorted(self._server.refusals.items())]
        found.append(counter("http_refused", "HTTP clients that were refused or cut off", list(refused)))
        kind = exposition.OPENMETRICS if open_metrics else exposition.PROMETHEUS
        reply.send(200, kind, exposition.render(found, open_metrics=open_metrics))


def listen(place: ListenPlace) -> socket.socket:
    """Raises OSError."""
    if place.path is None:
        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        where: str | tuple[str, int] = (place.address, place.port)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        where = place.path
        _remove_socket(place.path)
    try:
        old = os.umask(0o117)
        try:
            listener.bind(where)
        finally:
            os.umask(old)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_socket(path: str) -> None:
    """What a predecessor left; anything but a socket stays, and the bind says so."""
    with contextlib.suppress(OSError):
        if Path(path).is_socket():
            Path(path).unlink()


def give_up_rights() -> None:
    """Be nobody: whatever a client finds here, it finds no right to use it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except PermissionError:
            # A container's root that may not change its user: at least what it may do is given up.
            keep_only(frozenset())
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    names.no_new_privileges()
    # The kernel forgets it when the user changes.
    names.die_with_parent(signal.SIGKILL, os.getppid())


def main(
    questions: socket.socket,
    stream: socket.socket,
    place: ListenPlace,
    exporter: str,
    say: Callable[[str], None],
) -> NoReturn:
    """Body of the process after the fork; never returns. `say` writes to the log."""
    status = 1
    try:
        helper.settle(questions, keep=(0, 1, 2, stream.fileno()))
        names.set_comm(COMM)
        listener = _opened(place, say)
        give_up_rights()
        reactor = Reactor(on_error=lambda error: say(f"Internal error: {error!r}"))
        feed = Feed(reactor, questions, stream, reactor.stop)
        Telemetry(reactor, listener, feed, exporter=exporter, loopback=place.is_loopback)
        reactor.run()
        status = 0
    except Exception as error:
        say(f"The metrics process ends: {error!r}")
    finally:
        # Nothing may return into the parent's code.
        os._exit(status)


def _opened(place: ListenPlace, say: Callable[[str], None]) -> socket.socket:
    """A place that is taken, or an address that is not here yet, is tried again for as long as the parent lives."""
    said = ""
    while True:
        try:
            return listen(place)
        except OSError as error:
            where = place.path or f"{place.address} port {place.port}"
            text = f"Metrics cannot be served on {where} - {error.strerror}; trying again"
            if text != said:
                say(text)
            said = text
            time.sleep(_RETRY_S)
