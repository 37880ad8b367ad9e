"""Combinations of VRRP words that are allowed and hardly ever meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.diagnostics import Diagnostic
from pykeepalived.dialects.keepalived.printer_text import decimal
from pykeepalived.model import AddressSelector, Config, SyncGroup, VrrpInstance, VrrpState
from pykeepalived.tools.lint.rules import Subject, rule, warning

_OWNER: Final = 255
_SHORT_US: Final = 100_000


def _addresses(found: VrrpInstance) -> set[str]:
    return {address.prefix.address for address in (*found.addresses, *found.excluded_addresses)}


def weights(config: Config, found: VrrpInstance) -> Iterator[tuple[str, str, int]]:
    """Trackers that change the priority: block, name, weight."""
    for interface in found.track_interfaces:
        yield "track_interface", interface.ifname, interface.weight
    scripts = {item.name: item.weight for item in config.scripts}
    for script in found.track_scripts:
        yield "track_script", script.name, scripts.get(script.name, 0) if script.weight is None else script.weight
    processes = {item.name: item.weight for item in config.track_processes}
    for process in found.track_processes:
        weight = processes.get(process.name, 0) if process.weight is None else process.weight
        yield "track_process", process.name, weight


@rule("strict-drops-traffic", "strict mode drops packets to the virtual addresses")
def _strict(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if found.strict and not found.accept:
            own = subject.places.named("vrrp_instance", found.name, "strict_mode", "no_accept")
            place = subject.places.word("vrrp_strict") or own
            yield warning(
                "strict-drops-traffic",
                f"({found.name}) strict mode drops packets to its addresses, also ping and ssh, unless it is the owner",
                place,
                "write `accept` in the instance, or leave strict mode out",
            )


@rule("no-accept-drops-service", "no_accept on the address of a virtual server")
def _no_accept(subject: Subject) -> Iterator[Diagnostic]:
    served = {
        service.selector.address
        for service in subject.config.virtual_servers
        if isinstance(service.selector, AddressSelector)
    }
    for found in subject.config.instances:
        hit = sorted(_addresses(found) & served)
        if not found.accept and hit:
            yield warning(
                "no-accept-drops-service",
                f"({found.name}) packets to {hit[0]} are dropped, and a virtual server waits for them there",
                subject.places.named("vrrp_instance", found.name, "no_accept", "strict_mode"),
                "write `accept`",
            )


@rule("nopreempt-weighted-tracker", "a weight that nopreempt makes useless")
def _nopreempt_weights(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if not found.nopreempt:
            continue
        for block, name, weight in weights(subject.config, found):
            if weight:
                yield warning(
                    "nopreempt-weighted-tracker",
                    f"({found.name}) `{name}` changes the priority by {weight}, and with nopreempt no router takes "
                    "over because of a priority",
                    subject.places.named("vrrp_instance", found.name, block),
                    f"give `{name}` weight 0 (its failure is a FAULT then), or leave nopreempt out",
                )


@rule("nopreempt-fault-tracker", "what nopreempt makes of a tracker that failed and recovered")
def _nopreempt_fault(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if not found.nopreempt:
            continue
        names = [(block, name) for block, name, weight in weights(subject.config, found) if not weight]
        if names:
            yield warning(
                "nopreempt-fault-tracker",
                f"({found.name}) when `{names[0][1]}` fails the addresses move, and with nopreempt they stay away "
                "after it is well again",
                subject.places.named("vrrp_instance", found.name, names[0][0]),
                note=True,
            )


@rule("weight-of-owner", "a weight beside priority 255")
def _weight_of_owner(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if found.priority != _OWNER:
            continue
        for block, name, weight in weights(subject.config, found):
            if weight:
                yield warning(
                    "weight-of-owner",
                    f"({found.name}) priority 255 never changes, so the weight {weight} of `{name}` has no effect",
                    subject.places.named("vrrp_instance", found.name, block),
                    "write a priority below 255, also by `state BACKUP` where none is written",
                )


@rule("smtp-without-server", "mails without a server")
def _smtp(subject: Subject) -> Iterator[Diagnostic]:
    config, places = subject.config, subject.places
    mail = config.globals.mail
    if mail.server is not None:
        if not mail.recipients:
            text = "there is a mail server and nobody to write to"
            yield warning("smtp-without-server", text, places.word("smtp_server"), "write `notification_email { … }`")
        return
    help_text = "write `smtp_server HOST` in global_defs"
    if mail.recipients:
        text = "no mail is sent, there is no smtp_server"
        yield warning("smtp-without-server", text, places.word("notification_email"), help_text)
        return
    for block, owners in (("vrrp_instance", config.instances), ("vrrp_sync_group", config.sync_groups)):
        for owner in owners:
            if owner.smtp_alert:
                place = places.named(block, owner.name, "smtp_alert")
                text = f"`{owner.name}` sends mails, and there is no smtp_server"
                yield warning("smtp-without-server", text, place, help_text)
    for index, service in enumerate(config.virtual_servers):
        if service.smtp_alert:
            place = places.service(index, "smtp_alert")
            yield warning("smtp-without-server", "the virtual server sends mails, and there is no smtp_server", place,
                          help_text)  # fmt: skip


@rule("unicast-own-address", "the own address among the peers")
def _own_address(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if found.source is not None and found.source in {peer.address for peer in found.unicast_peers}:
            yield warning(
                "unicast-own-address",
                f"({found.name}) {found.source} is its own address and a peer",
                subject.places.named("vrrp_instance", found.name, "unicast_peer"),
                "leave it out of unicast_peer; the lists of two routers differ",
            )


@rule("unicast-virtual-peer", "a virtual address among the peers")
def _virtual_peer(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        for peer in found.unicast_peers:
            if peer.address in _addresses(found):
                yield warning(
                    "unicast-virtual-peer",
                    f"({found.name}) the peer {peer.address} is a virtual address of the instance itself",
                    subject.places.named("vrrp_instance", found.name, "unicast_peer"),
                    "write the address that the peer always has",
                )


@rule("source-is-virtual", "adverts from a virtual address")
def _virtual_source(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if found.source is not None and found.source in _addresses(found):
            yield warning(
                "source-is-virtual",
                f"({found.name}) adverts come from {found.source}, which only the MASTER has",
                subject.places.named("vrrp_instance", found.name, "unicast_src_ip", "mcast_src_ip"),
                "write the address that this router always has",
            )


@rule("advert-interval-short", "adverts that a busy machine sends too late")
def _short_interval(subject: Subject) -> Iterator[Diagnostic]:
    if subject.config.globals.vrrp_rt_priority is not None:
        return
    for found in subject.config.instances:
        if found.advert_interval_us < _SHORT_US:
            yield warning(
                "advert-interval-short",
                f"({found.name}) adverts every {decimal(found.advert_interval_us)} s: a busy machine sends some "
                "too late, and the BACKUP takes over",
                subject.places.named("vrrp_instance", found.name, "advert_int"),
                "write `vrrp_rt_priority 50` in global_defs",
            )


@rule("preempt-flapping", "a MASTER that takes over at once, before its services are up")
def _flapping(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        scripts = {item.name: item for item in subject.config.scripts}
        quick = [
            reference.name
            for reference in found.track_scripts
            if (item := scripts.get(reference.name)) is not None and item.rise == item.fall == 1 and not item.weight
        ]
        if quick and not found.nopreempt and not found.preempt_delay_us:
            yield warning(
                "preempt-flapping",
                f"({found.name}) one failure of `{quick[0]}` moves the addresses away and one success brings them back",
                subject.places.named("vrrp_instance", found.name, "track_script"),
                f"write `fall 2` and `rise 2` in `{quick[0]}`, or `preempt_delay` here",
                note=True,
            )


@rule("script-timeout", "a script that may run longer than its interval")
def _script_timeout(subject: Subject) -> Iterator[Diagnostic]:
    for script in subject.config.scripts:
        if script.timeout_us > script.interval_us:
            yield warning(
                "script-timeout",
                f"`{script.name}` may run for {decimal(script.timeout_us)} s and is due every "
                f"{decimal(script.interval_us)} s",
                subject.places.named("vrrp_script", script.name, "timeout"),
                "write a `timeout` below the `interval`",
            )


@rule("unused-tracker", "a script, file or process that nobody tracks")
def _unused(subject: Subject) -> Iterator[Diagnostic]:
    config = subject.config
    owners: tuple[VrrpInstance | SyncGroup, ...] = (*config.instances, *config.sync_groups)
    checked = {
        getattr(spec.question, "track_file", None)
        for service in config.virtual_servers
        for server in service.real_servers
        for spec in server.checkers
    }
    for block, items, used in (
        ("vrrp_script", config.scripts, {item.name for owner in owners for item in owner.track_scripts}),
        ("track_file", config.track_files, {item.name for owner in owners for item in owner.track_files} | checked),
        ("vrrp_track_process", config.track_processes,
         {item.name for owner in owners for item in owner.track_processes}),
    ):  # fmt: skip
        for item in items:
            if item.name not in used:
                text = f"nobody tracks {block} `{item.name}`"
                yield warning("unused-tracker", text, subject.places.named(block, item.name))


@rule("group-mixed-preemption", "members of one group that differ in preemption or start state")
def _mixed_group(subject: Subject) -> Iterator[Diagnostic]:
    known = {found.name: found for found in subject.config.instances}
    for group in subject.config.sync_groups:
        members = [known[name] for name in group.members if name in known]
        for what, found in (
            ("nopreempt", {member.nopreempt for member in members}),
            ("state", {member.initial_state for member in members}),
            ("priority", {member.priority for member in members}),
        ):
            if len(found) > 1:
                yield warning(
                    "group-mixed-preemption",
                    f"the members of `{group.name}` differ in {what}, and they change state together",
                    subject.places.named("vrrp_sync_group", group.name),
                    f"write the same {what} in all members",
                )


@rule("service-without-address", "a virtual server on an address that no instance holds")
def _homeless(subject: Subject) -> Iterator[Diagnostic]:
    config = subject.config
    if not config.instances:
        return
    held = {address.prefix.address for address in config.static_addresses}
    for found in config.instances:
        held |= _addresses(found)
    for index, service in enumerate(config.virtual_servers):
        if isinstance(service.selector, AddressSelector) and service.selector.address not in held:
            yield warning(
                "service-without-address",
                f"no vrrp_instance holds {service.selector.address}",
                subject.places.service(index),
                note=True,
            )


# ── the routers of one file, told apart by @id lines ─────────────────────────────────────────────────────────────────


def _twins(subject: Subject) -> Iterator[list[tuple[str, VrrpInstance]]]:
    """Each instance with its twins on the other routers."""
    names = dict.fromkeys(found.name for config in subject.routers.values() for found in config.instances)
    for name in names:
        twins = [
            (router, found)
            for router, config in subject.routers.items()
            for found in config.instances
            if found.name == name
        ]
        if len(twins) > 1:
            yield twins


@rule("routers-equal-priority", "routers of one file with the same priority")
def _equal_priority(subject: Subject) -> Iterator[Diagnostic]:
    for twins in _twins(subject):
        seen: dict[int, str] = {}
        for router, found in twins:
            other = seen.setdefault(found.priority, router)
            if other != router:
                stays = found.nopreempt or any(twin.nopreempt for _, twin in twins)
                more = ", and with nopreempt nothing decides between them" if stays else ""
                yield warning(
                    "routers-equal-priority",
                    f"({found.name}) has priority {found.priority} on {other} and on {router}{more}",
                    subject.places.named("vrrp_instance", found.name, "priority"),
                    "give each router its own priority",
                )


@rule("routers-disagree", "routers of one file that discard each other's adverts")
def _disagree(subject: Subject) -> Iterator[Diagnostic]:
    for twins in _twins(subject):
        (first_router, first), *others = twins
        for router, found in others:
            for keyword, mine, theirs in (
                ("virtual_router_id", first.vrid, found.vrid),
                ("version", first.version, found.version),
                ("advert_int", first.advert_interval_us, found.advert_interval_us),
                ("authentication", first.authentication, found.authentication),
                ("virtual_ipaddress", _carried(first), _carried(found)),
            ):
                if mine != theirs:
                    yield warning(
                        "routers-disagree",
                        f"({found.name}) differs in {keyword} between {first_router} and {router}",
                        subject.places.named("vrrp_instance", found.name, keyword),
                        "routers of one virtual router must agree here",
                    )


def _carried(found: VrrpInstance) -> set[str]:
    return {address.prefix.address for address in found.addresses}


@rule("weight-too-small", "a weight that cannot change the election between the routers of one file")
def _too_small(subject: Subject) -> Iterator[Diagnostic]:
    for twins in _twins(subject):
        router, best = max(twins, key=lambda twin: twin[1].priority)
        second = max((found.priority for other, found in twins if other != router), default=0)
        if best.nopreempt or best.priority in (_OWNER, second) or best.initial_state is VrrpState.FAULT:
            continue
        found_weights = [item for item in weights(subject.routers[router], best) if item[2]]
        reach = sum(abs(weight) for _, _, weight in found_weights)
        if found_weights and reach <= best.priority - second:
            block, name, _ = found_weights[0]
            yield warning(
                "weight-too-small",
                f"({best.name}) all trackers together change the priority by {reach}, and {router} is "
                f"{best.priority - second} ahead: `{name}` moves nothing",
                subject.places.named("vrrp_instance", best.name, block),
                f"make the weights greater than {best.priority - second}",
            )
