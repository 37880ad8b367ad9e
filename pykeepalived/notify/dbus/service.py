"""The connection to the bus: jeepney makes and takes messages, this keeps them moving without waiting for anybody.

A bus that is not there, or goes, is tried again every `RETRY_US`. The bus passes on what strangers send: a message of
more than `MESSAGE_LIMIT` bytes ends the connection, what they make us say is bounded by `OUTPUT_LIMIT`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from pykeepalived.model.config import Config
from pykeepalived.notify.dbus.objects import (
    INSTANCE,
    METHODS,
    PROPERTIES,
    STATES,
    VRRP,
    Objects,
    introspection,
    objects,
)
from pykeepalived.notify.receiving import receive
from pykeepalived.reactor import READ, WRITE, Reactor, Timer
from pykeepalived.units import SECOND_US

RETRY_US: Final = 15 * SECOND_US
MESSAGE_LIMIT: Final = 256 * 1024
OUTPUT_LIMIT: Final = 1 << 20
_GREETING_LIMIT: Final = 16384
_READ: Final = 65536
_DEFAULT_BUS: Final = "unix:path=/var/run/dbus/system_bus_socket"
_NOT_QUEUED: Final = 4
_OWNER: Final = 1

State = Callable[[str, Callable[[str], None]], None]


class Log(Protocol):
    def info(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


class Refused(Exception):
    """A call that gets an error: its name and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Service:
    """`act(method, instance)` does what a call asks for; `state` gives the state of an instance to its argument."""

    def __init__(self, reactor: Reactor, log: Log, *, act: Callable[[str, str], None], state: State) -> None:
        self._reactor = reactor
        self._log = log
        self._act = act
        self._state = state
        self._objects = Objects("", {})
        self._name: str | None = None
        self._socket: socket.socket | None = None
        self._auth: Any = None
        self._parser: Any = None
        self._output = bytearray()
        self._greeting = 0
        self._serial = 0
        self._retry: Timer | None = None
        self._said = ""
        self.owns = False
        """The name is ours."""

    # ---- settings and news ----

    def configure(self, config: Config) -> None:
        settings = config.globals.agents
        name = settings.dbus_service_name if settings.enable_dbus else None
        self._objects = objects(config)
        if name == self._name:
            return
        self.close()
        self._name = name
        if name is not None:
            self._connect()

    def status_changed(self, name: str, state: str) -> None:
        """An instance is in another state now."""
        path = self._objects.path_of(name)
        if path is not None and state in STATES:
            self._emit(path, INSTANCE, "VrrpStatusChange", "u", (STATES[state][0],))

    def daemon_changed(self, what: str) -> None:
        """VrrpStarted, VrrpReloaded or VrrpStopped."""
        self._emit(self._objects.daemon, VRRP, what)

    def close(self) -> None:
        self._flush()
        self._drop()
        self._name = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    # ---- the connection ----

    def _connect(self) -> None:
        from jeepney.auth import Authenticator  # noqa: PLC0415 (an extra)
        from jeepney.low_level import Parser  # noqa: PLC0415

        self._retry = None
        try:
            address = bus_address(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _DEFAULT_BUS)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._socket.connect(address)
        except (OSError, ValueError) as error:
            self._lost(str(error))
            return
        self._auth, self._parser, self._greeting = Authenticator(), Parser(), 0
        self._reactor.watch(self._socket.fileno(), READ, self._ready)
        self._greet()

    def _lost(self, why: str) -> None:
        if why != self._said:
            self._said = why
            self._log.error(f"D-Bus: {why} - trying again every {RETRY_US // SECOND_US} s")
        self._drop()
        if self._name is not None and self._retry is None:
            self._retry = self._reactor.call_later(RETRY_US, self._connect)

    def _drop(self) -> None:
        self.owns = False
        self._output.clear()
        if self._socket is not None:
            self._reactor.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _greet(self) -> None:
        """Authenticate as who we are; afterwards ask for our name."""
        if data := self._auth.data_to_send():
            self._output += data
            self._flush()
        if self._auth.authenticated:
            self._output += b"BEGIN\r\n"
            self._call("Hello")
            assert self._name is not None
            self._call("RequestName", "su", (self._name, _NOT_QUEUED))

    def _ready(self, events: int) -> None:
        if self._socket is None:
            return
        if events & WRITE:
            self._flush()
        if events & ~WRITE and self._socket is not None:
            self._receive()

    def _receive(self) -> None:
        assert self._socket is not None
        data = receive(self._socket, _READ, self._lost, ended="the bus closed the connection")
        if not data:
            return
        try:
            self._take(data)
        except Exception as error:
            # Whatever jeepney makes of bytes that are no messages.
            self._lost(f"the bus says what cannot be understood ({type(error).__name__})")

    def _take(self, data: bytes) -> None:
        if not self._auth.authenticated:
            self._greeting += len(data)
            if self._greeting > _GREETING_LIMIT:
                raise ValueError("an endless greeting")
            self._auth.feed(data)
            self._greet()
            return
        self._parser.add_data(data)
        while self._socket is not None and (message := self._parser.get_next_message()) is not None:
            self._handle(message)
        if self._socket is not None and self._parser.bytes_desired() > MESSAGE_LIMIT:
            self._lost("a message is too long")

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            while self._output:
                sent = self._socket.send(memoryview(self._output)[:_READ])
                del self._output[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        self._reactor.watch(self._socket.fileno(), READ | WRITE if self._output else READ, self._ready)

    # ---- messages ----

    def _send(self, message: Any) -> None:
        if self._socket is None or len(self._output) > OUTPUT_LIMIT:
            return
        self._serial += 1
        self._output += message.serialise(self._serial)
        self._flush()

    def _call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        from jeepney import DBusAddress, new_method_call  # noqa: PLC0415

        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        self._send(new_method_call(bus, method, signature, body))

    def _emit(
        self, path: str, interface: str, member: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> None:
        from jeepney import DBusAddress, new_signal  # noqa: PLC0415

        if self.owns:
            self._send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

    def _handle(self, message: Any) -> None:
        from jeepney import MessageFlag, MessageType  # noqa: PLC0415

        kind = message.header.message_type
        if kind is MessageType.method_call:
            self._answer(message, wanted=not message.header.flags & MessageFlag.no_reply_expected)
        elif kind is MessageType.error and not self.owns:
            self._lost(f"{self._name} is refused: {message.body[0] if message.body else 'no reason given'}")
        elif kind is MessageType.method_return and message.body == (_OWNER,):
            self.owns = True
            self._said = ""
            self._log.info(f"D-Bus: {self._name} is served")
            self.daemon_changed("VrrpStarted")
        elif kind is MessageType.method_return and not self.owns and isinstance((message.body or [""])[0], int):
            self._lost(f"{self._name} belongs to somebody else")

    def _answer(self, message: Any, *, wanted: bool) -> None:
        from jeepney import HeaderFields, new_error, new_method_return  # noqa: PLC0415

        fields = message.header.fields

        def reply(signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
            if wanted:
                self._send(new_method_return(message, signature, body))

        try:
            self._perform(
                fields.get(HeaderFields.path, ""),
                fields.get(HeaderFields.interface, ""),
                fields.get(HeaderFields.member, ""),
                tuple(message.body),
                reply,
            )
        except Refused as refused:
            if wanted:
                self._send(new_error(message, refused.name, "s", (str(refused),)))

    def _perform(
        self, path: str, interface: str, member: str, body: tuple[Any, ...], reply: Callable[..., None]
    ) -> None:
        found = self._objects
        if interface in {"org.freedesktop.DBus.Introspectable", ""} and member == "Introspect":
            xml = introspection(found, path)
            if xml is None:
                raise Refused("org.freedesktop.DBus.Error.UnknownObject", f"there is no object {path}")
            reply("s", (xml,))
        elif interface == "org.freedesktop.DBus.Peer" and member == "Ping":
            reply()
        elif path == found.daemon and interface == VRRP and member in METHODS:
            self._act(member, "")
            reply()
        elif path in found.instances and interface == INSTANCE and member == "SendGarp":
            self._act(member, found.instances[path].name)
            reply()
        elif interface == PROPERTIES:
            self._properties(path, member, body, reply)
        elif found.children(path) is None:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", f"there is no object {path}")
        else:
            raise Refused("org.freedesktop.DBus.Error.UnknownMethod", f"{interface}.{member} is not known")

    def _properties(self, path: str, member: str, body: tuple[Any, ...], reply: Callable[..., None]) -> None:
        instance = self._objects.instances.get(path)
        asked = body[0] if body else ""
        if member == "Set":
            raise Refused("org.freedesktop.DBus.Error.PropertyReadOnly", "properties are read only")
        if instance is None or asked != INSTANCE:
            if member == "GetAll" and (instance is not None or path == self._objects.daemon):
                reply("a{sv}", ({},))
                return
            raise Refused("org.freedesktop.DBus.Error.UnknownInterface", f"no properties of {asked} here")
        name = ("(s)", (instance.name,))
        if member == "Get" and body[1:] == ("Name",):
            reply("v", (name,))
        elif member == "Get" and body[1:] == ("State",):
            self._state(instance.name, lambda word: reply("v", (_state(word),)))
        elif member == "GetAll":
            self._state(instance.name, lambda word: reply("a{sv}", ({"Name": name, "State": _state(word)},)))
        else:
            raise Refused("org.freedesktop.DBus.Error.UnknownProperty", "the properties are Name and State")


def _state(word: str) -> tuple[str, tuple[int, str]]:
    return "(us)", STATES.get(word, STATES["INIT"])


def bus_address(text: str) -> str | bytes:
    """The socket of the first address that is one: `unix:path=…` or `unix:abstract=…`. Raises ValueError."""
    for address in text.split(";"):
        kind, _, rest = address.partition(":")
        options: Mapping[str, str] = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        if kind == "unix" and "path" in options:
            return options["path"]
        if kind == "unix" and "abstract" in options:
            return b"\0" + options["abstract"].encode()
    raise ValueError(f"`{text}` is no address of a bus on this machine")
