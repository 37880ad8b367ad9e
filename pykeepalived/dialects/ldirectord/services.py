"""Services that a negotiate check can speak, and their ports (ldirectord-behaviour 4.1)."""

from __future__ import annotations

from typing import Final, NamedTuple

SERVICE_PORTS: Final[dict[str, int]] = {
    "ftp": 21,
    "smtp": 25,
    "dns": 53,
    "http": 80,
    "pop": 110,
    "nntp": 119,
    "imap": 143,
    "ldap": 389,
    "https": 443,
    "submission": 587,
    "ldaps": 636,
    "imaps": 993,
    "pops": 995,
    "oracle": 1521,
    "radius": 1812,
    "http_proxy": 3128,
    "mysql": 3306,
    "sip": 5060,
    "pgsql": 5432,
}
SERVICE_OF_PORT: Final[dict[int, str]] = {port: service for service, port in SERVICE_PORTS.items()}

#: Every word that `service=` takes; `none` and `simpletcp` have no port of their own.
SERVICES: Final = tuple(sorted((*SERVICE_PORTS, "none", "simpletcp")))

CHECK_TYPES: Final = ("connect", "negotiate", "external-perl", "external", "ping", "on", "off")

#: Services whose negotiate check does not look at `receive`.
IGNORES_RECEIVE: Final = frozenset(
    {"imap", "imaps", "mysql", "nntp", "none", "oracle", "pgsql", "pop", "pops", "radius", "sip", "smtp", "submission"}
)
#: Services whose limit is checktimeout, not negotiatetimeout.
LIMITED_BY_CHECKTIMEOUT: Final = frozenset({"ldap", "ldaps", "radius"})


class Client(NamedTuple):
    """A library that a service's check needs."""

    module: str
    extra: str
    """What to install: `pykeepalived[EXTRA]`."""
    package: str
    """The same as a package of Debian; empty: there is none."""


CLIENTS: Final[dict[str, Client]] = {
    "mysql": Client("pymysql", "ldirectord-mysql", "python3-pymysql"),
    "pgsql": Client("pg8000", "ldirectord-pgsql", "python3-pg8000"),
    "oracle": Client("oracledb", "ldirectord-oracle", ""),
    "ldap": Client("ldap", "ldirectord-ldap", "python3-ldap"),
    "ldaps": Client("ldap", "ldirectord-ldap", "python3-ldap"),
    "radius": Client("pyrad", "ldirectord-radius", "python3-pyrad"),
}
#: Services that speak TLS.
WITH_TLS: Final = frozenset({"https", "imaps", "ldaps", "pops"})

DATABASES: Final = frozenset({"mysql", "oracle", "pgsql"})
