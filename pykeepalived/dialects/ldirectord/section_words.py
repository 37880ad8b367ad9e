"""What the checks of a section go by: its own words, and what it inherits from the global part."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.dialects.ldirectord.addresses import Fallback, Resolver
from pykeepalived.dialects.ldirectord.checks import CheckSettings
from pykeepalived.dialects.ldirectord.services import SERVICE_OF_PORT
from pykeepalived.dialects.ldirectord.values import Found, Places, Values
from pykeepalived.model.checks import TlsOptions
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import AddressSelector, FwmarkSelector, Protocol


class Defaults(msgspec.Struct, frozen=True):
    """What sections inherit from the global part."""

    values: Values
    fallback: Fallback | None
    fallback6: Fallback | None
    hostname: str
    strict: bool = False
    """compat=strict"""


class Target(msgspec.Struct, frozen=True):
    """What a section's header became."""

    selector: AddressSelector | FwmarkSelector
    protocol: Protocol | None
    family: Family

    @property
    def port(self) -> int:
        """0 for marks."""
        return self.selector.port if isinstance(self.selector, AddressSelector) else 0


class SectionWords:
    """The words of one section above those of the global part."""

    def __init__(self, values: Values, defaults: Defaults, places: Places, resolver: Resolver) -> None:
        self._values = values
        self._defaults = defaults
        self._places = places
        self._report = places.report
        self._resolver = resolver

    def inherited(self, name: str, default: Any) -> Any:
        """The section's own word, else the global one, else `default`."""
        return self._values.value(name, self._defaults.values.value(name, default))

    def check_settings(self, target: Target) -> CheckSettings:
        """Everything that the checkers of the section's real servers have in common."""
        values, mark = self._values, isinstance(target.selector, FwmarkSelector)
        explicit = values.value("service")
        service = explicit or ("none" if mark else SERVICE_OF_PORT.get(target.port, "none"))
        mail_like = f"ldirectord@{self._defaults.hostname}"
        strict = self._defaults.strict
        # ldirectord forgets these where the port tells the service, and then asks with an empty name.
        named = (explicit or "") if strict else service
        login = {"ftp": "anonymous", "sip": mail_like}.get(named, "")
        password = mail_like if named == "ftp" else ""
        selector = target.selector
        return CheckSettings(
            check_type=values.value("checktype", "negotiate"),
            service=service,
            protocol=target.protocol,
            check_port=values.value("checkport"),
            check_timeout_s=self._timeout("checktimeout", "negotiatetimeout", 5),
            negotiate_timeout_s=self._timeout("negotiatetimeout", "checktimeout", 30),
            check_count=self.inherited("checkcount", 1),
            failure_count=self.inherited("failurecount", 1),
            interval_s=self._interval(),
            request=values.value("request"),
            receive=values.value("receive", ""),
            virtualhost=values.value("virtualhost") or None,
            httpmethod=values.value("httpmethod", "GET"),
            login=values.value("login", login),
            password=values.value("passwd", password),
            database=values.value("database", ""),
            secret=values.value("secret", ""),
            command=values.value("checkcommand", "/bin/true"),
            virtual_address=selector.address if isinstance(selector, AddressSelector) else str(selector.fwmark),
            virtual_port=target.port,
            tls=self._tls(),
            service_written=explicit is not None,
            monitored=values.value("monitorfile") is not None,
            strict=strict,
        )

    def _tls(self) -> TlsOptions:
        for name in ("tlsca", "tlscert", "tlskey"):
            found = self._values.get(name)
            problem = found and self._resolver.host.read_problem(str(found.value))
            if found and problem:
                self.fault(found, "unreadable-file", f"cannot read `{found.value}`: {problem}")
        return TlsOptions(
            verify=self.inherited("tlsverify", False),
            ca_file=self.inherited("tlsca", None),
            certificate_file=self.inherited("tlscert", None),
            key_file=self.inherited("tlskey", None),
            server_name=self._values.value("tlsservername"),
        )

    def _timeout(self, name: str, other: str, default: int) -> int:
        """The section's own, the section's other, the global one, the global other (ldirectord's order)."""
        own, above = self._values, self._defaults.values
        for values in (own, above):
            for word in (name, other):
                found = values.get(word)
                if found:
                    return int(found.value)
        return default

    def _interval(self) -> int:
        found = self._values.get("checkinterval")
        if found and self._defaults.values.value("fork", False):
            return int(found.value)
        if found:
            self._report.warning(
                "interval-without-fork",
                "`checkinterval` of a section counts with `fork=yes` only, the global one is taken",
                self._places.name(found.statement),
            )
        return int(self._defaults.values.value("checkinterval", 10))

    def fault(self, found: Found, id_: str, text: str) -> None:
        self._report.error(id_, text, self._places.value(found.statement))
