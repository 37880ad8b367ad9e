"""From a section of the file to a `VirtualServer`, once all globals are known."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord import needs, remarks
from pykeepalived.dialects.ldirectord.addresses import (
    BRACKETS,
    METHODS,
    AddressError,
    Header,
    Resolver,
    addresses_of,
    read_fallback,
    read_header,
    read_real_address,
)
from pykeepalived.dialects.ldirectord.checks import CheckSettings, checker_for, monitor_words
from pykeepalived.dialects.ldirectord.readers import ReadError
from pykeepalived.dialects.ldirectord.realline import RealOptions, read_options
from pykeepalived.dialects.ldirectord.rows import VIRTUAL
from pykeepalived.dialects.ldirectord.scan import Section, Statement
from pykeepalived.dialects.ldirectord.section_words import Defaults, SectionWords, Target
from pykeepalived.dialects.ldirectord.values import Places, Values
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import (
    AddressSelector,
    ForwardingMethod,
    FwmarkSelector,
    MailAlert,
    Protocol,
    RealServer,
    SorryServer,
    VirtualServer,
)

#: IPVS's flags of schedulers as the model numbers them.
_FLAG_BITS: Final = {
    "sh-fallback": 1, "mh-fallback": 1, "flag-1": 1, "sh-port": 2, "mh-port": 2, "flag-2": 2, "flag-3": 4,
}  # fmt: skip


class SectionBuilder:
    """Builds one virtual server; faults are reported, and what is well is kept for further findings."""

    def __init__(
        self, section: Section, defaults: Defaults, places: Places, resolver: Resolver, later_noted: set[str]
    ) -> None:
        self._section = section
        self._defaults = defaults
        self._places = places
        self._report = places.report
        self._resolver = resolver
        self._values = Values(places, later_noted)
        self._words = SectionWords(self._values, defaults, places, resolver)
        self._family = Family.INET6 if section.header.name == "virtual6" else Family.INET

    def build(self) -> VirtualServer | None:
        """None: there is no service to speak of; why has been reported."""
        for statement in self._section.statements:
            self._values.add(VIRTUAL[statement.name], statement)
        target = self._target()
        if target is None:
            # The real lines are still worth a look, as if the service were on no port.
            target = Target(FwmarkSelector(0), None, self._family)
            self._reals(target)
            return None
        values = self._values
        reals = self._reals(target)
        persistent = values.value("persistent", 0)
        one_packet = bool(values.value("ops", False)) and target.protocol is Protocol.UDP
        server = VirtualServer(
            selector=target.selector,
            protocol=target.protocol,
            family=target.family,
            scheduler=values.value("scheduler", "wrr"),
            scheduler_flags=self._flags(),
            one_packet=one_packet,
            persistence_timeout_s=persistent,
            persistence_prefix=self._prefix(),
            sorry_server=self._sorry(target),
            alpha=True,
            virtualhost=values.value("virtualhost") or None,
            real_servers=tuple(reals),
            cleanstop=self._words.inherited("cleanstop", True),
            fallback_command=self._words.inherited("fallbackcommand", None),
            monitor_file=self._monitor_file(),
            mail=self._mail(),
            service_name=values.value("servicename") or None,
            comment=values.value("comment") or None,
        )
        remarks.on_section(self._report, self._places, self._values, self._section.header, server)
        needs.on_section(self._report, self._places, self._values, self._resolver.host, server)
        return server

    # ---- the header ----

    def _target(self) -> Target | None:
        statement = self._section.header
        try:
            header = read_header(statement.value, self._family)
        except AddressError as error:
            self._complain(statement, error)
            return None
        protocol = self._protocol(header)
        if header.mark is not None:
            remarks.on_header(self._places, statement, header)
            return Target(FwmarkSelector(header.mark), None, self._family)
        if protocol is None:
            return None
        address = self._resolver.address(header.host, self._family)
        if address is None:
            six = self._family is Family.INET6
            text = f"no {'IPv6' if six else 'IPv4'} address for `{header.host}`"
            help_text = BRACKETS if six and statement.value[header.end :].startswith(":") else None
            self._complain(statement, AddressError("unknown-host", text, header.host_start, header.host_end, help_text))
            return None
        port = self._resolver.port(header.port_text, protocol.name.lower())
        if port is None:
            text = f"no {protocol.name.lower()} port `{header.port_text}`"
            self._complain(statement, AddressError("bad-port", text, header.host_end + 1, header.port_end))
            return None
        remarks.on_header(self._places, statement, header)
        return Target(AddressSelector(address, port), protocol, self._family)

    def _protocol(self, header: Header) -> Protocol | None:
        """`protocol=`, else UDP for a port written 53 or domain, else TCP. None: refused, or a mark."""
        found = self._values.get("protocol")
        word = found.value if found else None
        if header.mark is not None:
            if found and word != "fwm":
                self._words.fault(found, "bad-protocol", f"a firewall mark has the protocol `fwm`, not `{word}`")
            return None
        if found and word == "fwm":
            text = "an address with a port has the protocol `tcp` or `udp`, not `fwm`"
            self._words.fault(found, "bad-protocol", text)
            return None
        if word is None:
            word = "udp" if header.port_text in {"53", "domain"} else "tcp"
        return Protocol[word.upper()]

    # ---- real servers ----

    def _reals(self, target: Target) -> list[RealServer]:
        six = self._family is Family.INET6
        wanted, other = ("real6", "real") if six else ("real", "real6")
        settings = self._words.check_settings(target)
        servers: dict[tuple[str, int], RealServer] = {}
        first_lines: dict[tuple[str, int], Statement] = {}
        for found in self._values.all("real", "real6"):
            if found.statement.name == other:
                text = f"a `{self._section.header.name}` section takes `{wanted}`, not `{other}`"
                self._report.error(
                    "wrong-family", text, self._places.name(found.statement), help_text=f"write `{wanted}`"
                )
                continue
            for server in self._real_line(found.statement, target, settings):
                forced = server.forwarding.method is not ForwardingMethod.NAT and target.port
                key = (server.address, target.port if forced else server.port)
                if key in servers:
                    remarks.on_duplicate_real(self._places, found.statement, first_lines[key], server)
                    continue
                servers[key] = server
                first_lines[key] = found.statement
        return list(servers.values())

    def _real_line(self, statement: Statement, target: Target, settings: CheckSettings) -> list[RealServer]:
        try:
            address = read_real_address(statement.value)
            options = self._options(statement, address.rest, address.rest_start)
            if options is None:
                return []
            hosts = addresses_of(address, self._family, self._resolver)
            port = self._resolver.port(address.port_text, None) if address.port_text else 0
            if port is None:
                end = address.address_end
                text = f"no port `{address.port_text}`"
                raise AddressError("bad-port", text, end - len(address.port_text), end)
        except AddressError as error:
            self._complain(statement, error)
            return []
        remarks.on_real_line(self._places, statement, address, options, (port, target.port))
        return [self._real(host, port, options, target, settings) for host in hosts]

    def _options(self, statement: Statement, rest: str, start: int) -> RealOptions | None:
        try:
            options = read_options(rest)
        except ReadError as error:
            span = self._places.value(statement, start + error.start, start + error.end)
            self._report.error(error.id, error.text, span, help_text=error.help)
            return None
        self._places.remarks(statement, options.remarks, start)
        return options

    def _real(
        self, host: str, own_port: int, options: RealOptions, target: Target, settings: CheckSettings
    ) -> RealServer:
        port = own_port or target.port
        name = f"[{host}]" if self._family is Family.INET6 else host
        server = RealServer(
            address=host,
            port=port,
            weight=options.weight,
            forwarding=METHODS[options.method],
            upper_threshold=options.upper,
            lower_threshold=options.lower,
            inhibit_on_failure=self._words.inherited("quiescent", False),
            alpha=True,
            virtualhost=settings.virtualhost,
            checkers=(checker_for(settings, host, own_port, options.request, options.receive),),
            maintenance_names=(f"{name}:{port}", name),
        )
        if not settings.monitored:
            return server
        words = monitor_words(settings, server, options.request, options.receive)
        return msgspec.structs.replace(server, monitor_words=words)

    # ---- the rest ----

    def _sorry(self, target: Target) -> SorryServer | None:
        six = self._family is Family.INET6
        name, other = ("fallback6", "fallback") if six else ("fallback", "fallback6")
        wrong = self._values.get(other)
        if wrong:
            text = f"a `{self._section.header.name}` section takes `{name}`, not `{other}`"
            span = self._places.name(wrong.statement)
            self._report.error("wrong-family", text, span, help_text=f"write `{name}`")
        found = self._values.get(name)
        chosen = self._defaults.fallback6 if six else self._defaults.fallback
        if found:
            protocol = target.protocol.name.lower() if target.protocol else "tcp"
            try:
                chosen = read_fallback(found.value, self._family, (protocol,), self._resolver)
            except AddressError as error:
                self._complain(found.statement, error)
                return None
        if chosen is None:
            return None
        if not found and isinstance(target.selector, FwmarkSelector):
            remarks.on_global_fallback_of_mark(self._report, self._places, self._section.header, name)
            return None
        return SorryServer(
            address=chosen.address,
            port=target.port if chosen.port is None else chosen.port,
            forwarding=chosen.forwarding,
        )

    def _flags(self) -> int:
        found = self._values.get("schedflags")
        bits = 0
        for word in found.value if found else ():
            if word in _FLAG_BITS:
                bits |= _FLAG_BITS[word]
            elif found:
                remarks.on_unknown_flag(self._report, self._places, found, word, tuple(_FLAG_BITS))
        return bits

    def _prefix(self) -> int | None:
        found = self._values.get("netmask")
        if found is None:
            return None
        text = str(found.value)
        if self._family is Family.INET6:
            match = re.match(r"[0-9]{1,4}", text)
            if match is None or not 1 <= int(match[0]) <= 128:
                wrong = "`netmask` of a virtual6 section takes a prefix length from 1 to 128"
                self._words.fault(found, "bad-netmask", wrong)
                return None
            return int(match[0])
        if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", text):
            self._words.fault(
                found, "bad-netmask", "`netmask` takes a dotted quad such as 255.255.255.0, and nothing behind it"
            )
            return None
        prefix = prefix_of_mask(text)
        if prefix is None:
            self._report.warning(
                "netmask-not-contiguous",
                "not a mask of ones and then zeros: every client counts for itself",
                self._places.value(found.statement),
            )
        return prefix

    def _monitor_file(self) -> str | None:
        found = self._values.get("monitorfile")
        if found is None:
            return None
        problem = self._resolver.host.append_problem(str(found.value))
        if problem:
            self._words.fault(found, "unwritable-file", f"cannot write `{found.value}`: {problem}")
        return str(found.value)

    def _mail(self) -> MailAlert | None:
        recipients = self._words.inherited("emailalert", ())
        if not recipients:
            return None
        return MailAlert(
            recipients=tuple(recipients),
            frequency_s=self._words.inherited("emailalertfreq", 0),
            states=self._words.inherited("emailalertstatus", ()) or ("all",),
            smtp=self._words.inherited("smtp", None),
        )

    # ---- findings ----

    def _complain(self, statement: Statement, error: AddressError) -> None:
        span = self._places.value(statement, error.start, error.end)
        self._report.error(error.id, error.text, span, help_text=error.help)


def prefix_of_mask(text: str) -> int | None:
    """The prefix length of a dotted quad; None: not a mask of ones and then zeros."""
    parts = [int(part) for part in text.split(".") if len(part) <= 3]
    if len(parts) != 4 or max(parts) > 255:
        return None
    bits = "".join(f"{part:08b}" for part in parts)
    return bits.count("1") if "01" not in bits else None
