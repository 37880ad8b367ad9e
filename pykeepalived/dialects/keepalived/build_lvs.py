"""virtual_server and virtual_server_group: from drafts to the model (keepalived-behaviour 10.1, 10.3)."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.diagnostics import ExitClass, Label
from pykeepalived.dialects.keepalived.build_checks import CheckBuilder
from pykeepalived.dialects.keepalived.build_dataplane import check_dataplane
from pykeepalived.dialects.keepalived.build_sorry import as_forwarding, build_sorry
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.lvs_parts import (
    Identity,
    build_persistence,
    build_quorum,
    build_recovery,
    identity_of,
    label_of,
)
from pykeepalived.dialects.keepalived.readers import UINT_MAX, Bad, Integer, canonical_address, host_of_range
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.dialects.keepalived.tables.common import SERVICE_PORT
from pykeepalived.model import (
    AddressSelector,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    RealServer,
    Selector,
    VirtualServer,
    VirtualServerGroup,
    family_of,
)

_FWMARK: Final = Integer(0, UINT_MAX)
_PLAIN: Final = (
    "scheduler", "scheduler_flags", "one_packet", "hashed", "persistence_engine", "alpha", "omega", "ha_suspend",
    "virtualhost", "snmp_name",
)  # fmt: skip


class ServerBuilder:
    """Builds the virtual servers of one load."""

    def __init__(
        self,
        context: Context,
        settings: Draft,
        scripts: Scripts,
        checks: CheckBuilder,
        groups: dict[str, VirtualServerGroup],
    ) -> None:
        self._context = context
        self._settings = settings
        self._scripts = scripts
        self._checks = checks
        self._groups = groups
        self._seen: dict[Identity, Draft] = {}

    def build(self, draft: Draft) -> VirtualServer | None:
        context = self._context
        selector = self._selector(draft)
        if selector is None:
            return None
        protocol = self._protocol(draft, selector)
        label = label_of(selector, protocol)
        if not draft.get("real_servers"):
            if draft.writes("real_server") and context.says_more_is_wrong:
                return None  # each was refused, with a finding
            context.error("no-real-servers", f"virtual server {label} has no real servers, it is left out",
                          draft.statement)  # fmt: skip
            return None
        forwarding = self._forwarding(draft, label)
        values: dict[str, Any] = {field: draft.values[field] for field in _PLAIN if field in draft.values}
        if "scheduler" not in values and "scheduler" not in draft.refused:
            context.error("default-taken", f"virtual server {label} has no lb_algo, wlc is taken", draft.statement)
        family = self._family(draft, selector)
        servers = self._real_servers(draft, selector, family, forwarding, label)
        if not servers:
            group = isinstance(selector, GroupSelector)
            context.error("no-real-servers", f"virtual server {label} has no real servers left, it is left out",
                          draft.statement, exit_class=ExitClass.NONE if group else ExitClass.GENERAL)  # fmt: skip
            return None
        if values.get("one_packet") and protocol not in (Protocol.UDP, None):
            context.error("ops-needs-udp", f"virtual server {label}: ops needs UDP, it is not looked at",
                          draft.where["one_packet"])  # fmt: skip
            values["one_packet"] = False
        quorum, hysteresis = build_quorum(context, draft, servers, label)
        known = self._family(draft, selector)
        if known is None and family_of(servers[0].address) is Family.INET:
            known = Family.INET
        values |= build_persistence(context, draft, selector, known, label)
        if isinstance(selector, GroupSelector) and not values["persistence_timeout_s"]:
            self._check_group_ports(draft, selector, label)
        if self._duplicate(draft, identity_of(selector, protocol, draft.get("family"), servers), label):
            return None
        if values.get("ha_suspend") and isinstance(selector, FwmarkSelector):
            context.error("ha-suspend-fwmark", f"virtual server {label}: ha_suspend needs an address",
                          draft.where["ha_suspend"])  # fmt: skip
            values["ha_suspend"] = False
        server = VirtualServer(
            selector=selector,
            protocol=protocol,
            family=family if isinstance(selector, AddressSelector) else draft.get("family"),
            forwarding=forwarding,
            quorum=quorum,
            hysteresis=hysteresis,
            quorum_up=self._scripts.resolve(draft.get("quorum_up")),
            quorum_down=self._scripts.resolve(draft.get("quorum_down")),
            sorry_server=build_sorry(context, draft, forwarding, servers, family=family, label=label),
            inhibit_on_failure=draft.get("inhibit_on_failure", False),
            smtp_alert=draft.get("smtp_alert", self._alert(False)),
            real_servers=servers,
            **values,
        )
        wish = self._settings.get("lvs_dataplane", "auto")
        groups = self._groups.values() if isinstance(selector, GroupSelector) else ()
        check_dataplane(context, draft, server, groups, wish=wish, label=label)
        return server

    def claim(self, server: VirtualServer, draft: Draft) -> bool:
        """Count a server that was built elsewhere. False: there is one like it already."""
        identity = identity_of(server.selector, server.protocol, server.family, server.real_servers)
        return self._seen.setdefault(identity, draft) is draft

    def forget(self) -> None:
        """Build the next one as if there were no other."""
        self._seen.clear()

    def _alert(self, built_in: bool) -> Any:
        return self._settings.get("smtp_alert_checker", self._settings.get("smtp_alert", built_in))

    # ── what the service is ──────────────────────────────────────────────────────────────────────────────────────

    def _selector(self, draft: Draft) -> Selector | None:
        context, statement = self._context, draft.statement
        assert statement is not None
        first, second = draft.header
        if first in ("fwmark", "group"):
            if second is None:
                context.missing_word(statement, "virtual_server", f"virtual_server {first} …")
                return None
            if first == "group":
                if second not in self._groups:
                    near = context.near(second, list(self._groups)[:1000])
                    # keepalived 2.2.7 -t says nothing here; the daemon then finds no service to make.
                    context.warning("unknown-group", f"there is no virtual_server_group `{second}`", statement, 2,
                                    help=f"did you mean `{near}`?" if near else None,
                                    exit_class=ExitClass.NONE)  # fmt: skip
                return GroupSelector(second)
            try:
                return FwmarkSelector(_FWMARK(second))
            except Bad as problem:
                context.bad(problem, statement, 2)
                return None
        address = canonical_address(first)
        if address is None and (address := host_of_range(first)) is not None:
            context.warning("address-with-tail", f"one address stands here, `{first}` is taken as `{address}`",
                            statement, 1, exit_class=ExitClass.NONE)  # fmt: skip
        if address is None:
            context.error("bad-address", f"`{first}` is no IP address", statement, 1,
                          help="virtual_server ADDRESS PORT, fwmark NUMBER or group NAME")  # fmt: skip
            return None
        if second is None:
            return AddressSelector(address, 0)
        try:
            return AddressSelector(address, SERVICE_PORT(second))
        except Bad as problem:
            context.bad(problem, statement, 2)
            return None

    def _protocol(self, draft: Draft, selector: Selector) -> Protocol | None:
        protocol: Protocol | None = draft.get("protocol")
        entries = self._group_entries(selector.name) if isinstance(selector, GroupSelector) else ()
        marks = bool(entries) and all(isinstance(entry, GroupFwmark) for entry in entries)
        if isinstance(selector, FwmarkSelector) or marks:
            if protocol is not None:
                self._context.warning(
                    "protocol-ignored",
                    f"virtual server {label_of(selector, None)}: a firewall mark has no protocol, it is not looked at",
                    draft.where["protocol"],
                    help="leave the line out",
                )
            return None
        if protocol is None and "protocol" in draft.refused:
            return Protocol.UDP
        if protocol is None:
            unknown = isinstance(selector, GroupSelector) and selector.name not in self._groups
            self._context.error(
                "default-taken",
                f"virtual server {label_of(selector, None)} has no protocol, UDP is taken",
                draft.statement,
                help="write `protocol TCP` or `protocol UDP`",
                exit_class=ExitClass.NONE if unknown else ExitClass.GENERAL,
            )
            return Protocol.UDP
        return protocol

    def _forwarding(self, draft: Draft, label: str) -> Forwarding:
        entry = draft.get("forwarding")
        if entry is None:
            if "forwarding" not in draft.refused:
                self._context.error(
                    "default-taken", f"virtual server {label} has no lb_kind, NAT is taken", draft.statement
                )
            return Forwarding()
        return as_forwarding(entry)

    def _family(self, draft: Draft, selector: Selector) -> Family | None:
        """The family that real servers must have; None while it is open."""
        if isinstance(selector, AddressSelector):
            own = family_of(selector.address)
            if draft.get("family", own) is not own:
                self._context.error(
                    "mixed-families", "ip_family is not the family of the address", draft.where["family"], 1
                )
            return own
        if isinstance(selector, GroupSelector):
            addresses = [e for e in self._group_entries(selector.name) if isinstance(e, GroupAddress)]
            if addresses:
                return family_of(addresses[0].first)
        family: Family | None = draft.get("family")
        return family

    def _group_entries(self, name: str) -> tuple[GroupAddress | GroupFwmark, ...]:
        group = self._groups.get(name)
        return group.entries if group else ()

    def _check_group_ports(self, draft: Draft, selector: GroupSelector, label: str) -> None:
        if any(isinstance(entry, GroupAddress) and entry.port == 0 for entry in self._group_entries(selector.name)):
            self._context.warning("port-zero", f"virtual server {label}: all ports need persistence", draft.statement,
                                  help="write the port, or `persistence_timeout`")  # fmt: skip

    def _duplicate(self, draft: Draft, identity: Identity, label: str) -> bool:
        if isinstance(identity[0], GroupSelector):
            return False
        first = self._seen.setdefault(identity, draft)
        if first is draft:
            return False
        assert first.statement is not None
        self._context.error(
            "duplicate-service",
            f"virtual server {label} is there already, this block is left out",
            draft.statement,
            secondary=(Label(first.statement.span(), "the first one"),),
            # keepalived's -t says nothing.
            exit_class=ExitClass.NONE,
        )
        return True

    # ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _real_servers(
        self, virtual: Draft, selector: Selector, family: Family | None, forwarding: Forwarding, label: str
    ) -> tuple[RealServer, ...]:
        context = self._context
        found: dict[tuple[str, int], RealServer] = {}
        places: dict[tuple[str, int], Draft] = {}
        for draft in virtual.get("real_servers", ()):
            address, port = draft.header
            own = as_forwarding(draft.values["forwarding"]) if "forwarding" in draft.values else forwarding
            if family is None:
                family = family_of(address)
            if family_of(address) is not family and own.method is not ForwardingMethod.TUN:
                context.error(
                    "mixed-families",
                    f"virtual server {label}: real server {address} is of the other family, it is left out",
                    draft.statement,
                    1,
                    # In a service of a group keepalived's -t says nothing.
                    exit_class=ExitClass.NONE if isinstance(selector, GroupSelector) else ExitClass.GENERAL,
                )
                continue
            key = (address, self._fitting_port(draft, port, selector, own, label))
            if key in found:
                first = places[key].statement
                context.error(
                    "duplicate-server",
                    f"virtual server {label}: real server {address} port {key[1]} is there already, it is left out",
                    draft.statement,
                    1,
                    secondary=(Label(first.span(1), "the first one"),) if first else (),
                )
                continue
            places[key] = draft
            found[key] = self._real_server(draft, virtual, key, own, self._port(port or None, selector))
        return tuple(found.values())

    def _fitting_port(
        self, draft: Draft, port: int | None, selector: Selector, forwarding: Forwarding, label: str
    ) -> int:
        """With direct routing and tunnels packets arrive unchanged, so the port is that of the service, as with 0."""
        if not port or forwarding.method is ForwardingMethod.NAT:
            return self._port(port or None, selector)
        if isinstance(selector, GroupSelector):
            entries = self._group_entries(selector.name)
            wanted = {entry.port if isinstance(entry, GroupAddress) else 0 for entry in entries} or {port}
            taken = port
        else:
            taken = self._port(None, selector)
            wanted = {taken}
        if wanted != {port}:
            self._context.warning(
                "port-mismatch",
                f"virtual server {label}: {forwarding.method.value} cannot change the port to {port}",
                draft.statement,
                2,
                help="leave the port out, or use NAT",
            )
        return taken

    @staticmethod
    def _port(port: int | None, selector: Selector) -> int:
        if port is not None:
            return port
        return selector.port if isinstance(selector, AddressSelector) else 0

    def _real_server(
        self, draft: Draft, virtual: Draft, key: tuple[str, int], forwarding: Forwarding, check_port: int
    ) -> RealServer:
        """`check_port` is the port of the file, also where packets cannot be sent to it (seen with 2.2.7)."""
        values: dict[str, Any] = {
            field: draft.values[field]
            for field in ("upper_threshold", "lower_threshold", "snmp_name")
            if field in draft.values
        }
        if values.get("upper_threshold") and values.get("lower_threshold", 0) > values["upper_threshold"]:
            self._context.error(
                "thresholds",
                "lthreshold is greater than uthreshold",
                draft.where["lower_threshold"],
                1,
                exit_class=ExitClass.NONE,
            )
        resolve = self._scripts.resolve
        return RealServer(
            address=key[0],
            port=key[1],
            weight=draft.get("weight", virtual.get("weight", 1)),
            forwarding=forwarding,
            inhibit_on_failure=draft.get("inhibit_on_failure", virtual.get("inhibit_on_failure", False)),
            alpha=draft.get("alpha", virtual.get("alpha", False)),
            notify_up=resolve(draft.get("notify_up")),
            notify_down=resolve(draft.get("notify_down")),
            # The virtual server's own word is not asked (seen by running 2.2.7 and 2.4.3).
            smtp_alert=draft.get("smtp_alert", self._alert(True)),
            virtualhost=draft.get("virtualhost", virtual.get("virtualhost")),
            recovery=build_recovery(self._context, draft, virtual),
            checkers=self._checks.build(draft, virtual, (key[0], check_port)),
            **values,
        )
