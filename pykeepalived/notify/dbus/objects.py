"""The objects on the bus as values: paths, what introspection says, properties. No connection and no clock.

Paths: `/org/keepalived/Vrrp1/Vrrp`, and for each instance `/org/keepalived/Vrrp1/Instance/INTERFACE/VRID/IPv4` (or
IPv6). With a network namespace or an instance name, further parts follow `Vrrp1` (keepalived-behaviour 14).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.vrrp.facts import instance_family

BASE: Final = "/org/keepalived/Vrrp1"
VRRP: Final = "org.keepalived.Vrrp1.Vrrp"
INSTANCE: Final = "org.keepalived.Vrrp1.Instance"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"

#: Numbers and words of states; the last two only in signals.
STATES: Final[Mapping[str, tuple[int, str]]] = {
    "INIT": (0, "Init"),
    "BACKUP": (1, "Backup"),
    "STANDBY": (1, "Backup"),
    "MASTER": (2, "Master"),
    "FAULT": (3, "Fault"),
    "DELETED": (97, "Deleted"),
    "STOP": (98, "Stop"),
}
#: Methods of the daemon: name → what is asked of the parent.
METHODS: Final = ("PrintData", "PrintStats", "PrintStatsClear", "ReloadConfig")
SIGNALS: Final = ("VrrpStarted", "VrrpReloaded", "VrrpStopped")


class Objects(msgspec.Struct, frozen=True):
    """What is there: the path of the daemon's object, and instances by path."""

    daemon: str
    instances: Mapping[str, VrrpInstance]

    def children(self, path: str) -> list[str] | None:
        """The nodes below a path; None: there is nothing at or below it."""
        prefix = "/" if path == "/" else f"{path}/"
        every = [self.daemon, *self.instances]
        below = {each[len(prefix) :].split("/", 1)[0] for each in every if each.startswith(prefix)}
        return sorted(below) if below or path in every else None

    def path_of(self, name: str) -> str | None:
        return next((path for path, item in self.instances.items() if item.name == name), None)


def objects(config: Config) -> Objects:
    settings = config.globals
    extra = [_element(part) for part in (settings.net_namespace, settings.instance) if part]
    base = "/".join([BASE, *extra])
    found = {}
    for item in config.instances:
        family = "IPv6" if instance_family(item) is Family.INET6 else "IPv4"
        interface = _element(item.interface) if item.interface else settings.agents.dbus_no_interface_name
        found[f"{base}/Instance/{interface}/{item.vrid}/{family}"] = item
    return Objects(f"{base}/Vrrp", found)


def _element(text: str) -> str:
    """A path has letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]", "_", text)


# ---- introspection ----

_HEAD: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


def _method(name: str, *arguments: tuple[str, str, str]) -> str:
    return _member("method", name, [(way, kind, called) for way, kind, called in arguments])


def _signal(name: str, *arguments: tuple[str, str]) -> str:
    return _member("signal", name, [("", kind, called) for kind, called in arguments])


def _member(what: str, name: str, arguments: Iterable[tuple[str, str, str]]) -> str:
    inside = "".join(
        f'      <arg name="{called}" type="{kind}"' + (f' direction="{way}"' if way else "") + "/>\n"
        for way, kind, called in arguments
    )
    return f'    <{what} name="{name}">\n{inside}    </{what}>\n' if inside else f'    <{what} name="{name}"/>\n'


def _interface(name: str, *members: str) -> str:
    return f'  <interface name="{name}">\n{"".join(members)}  </interface>\n'


_STANDARD: Final = (
    _interface(
        PROPERTIES,
        _method("Get", ("in", "s", "interface_name"), ("in", "s", "property_name"), ("out", "v", "value")),
        _method("GetAll", ("in", "s", "interface_name"), ("out", "a{sv}", "properties")),
        _method("Set", ("in", "s", "interface_name"), ("in", "s", "property_name"), ("in", "v", "value")),
        _signal("PropertiesChanged", ("s", "interface_name"), ("a{sv}", "changed_properties"),
                ("as", "invalidated_properties")),
    )
    + _interface("org.freedesktop.DBus.Introspectable", _method("Introspect", ("out", "s", "xml_data")))
    + _interface("org.freedesktop.DBus.Peer", _method("Ping"), _method("GetMachineId", ("out", "s", "machine_uuid")))
)  # fmt: skip
VRRP_XML: Final = _interface(VRRP, *map(_method, METHODS), *map(_signal, SIGNALS))
INSTANCE_XML: Final = _interface(
    INSTANCE,
    _method("SendGarp"),
    _signal("VrrpStatusChange", ("u", "status")),
    '    <property name="Name" type="s" access="read"/>\n',
    '    <property name="State" type="(us)" access="read"/>\n',
)


def introspection(found: Objects, path: str) -> str | None:
    """The XML of a path; None: there is no such object."""
    children = found.children(path)
    if children is None:
        return None
    own = ""
    if path == found.daemon:
        own = _STANDARD + VRRP_XML
    elif path in found.instances:
        own = _STANDARD + INSTANCE_XML
    nodes = "".join(f'  <node name="{name}"/>\n' for name in children)
    return f"{_HEAD}<node>\n{own}{nodes}</node>\n"
