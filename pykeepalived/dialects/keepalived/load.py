"""`load`: a keepalived.conf becomes a `Config` and findings. Nothing in a file makes it raise."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pykeepalived.diagnostics import ExitClass, Findings
from pykeepalived.dialects.keepalived.addresses import build_address, with_device
from pykeepalived.dialects.keepalived.as_original import check_namespace, settle_missing_words
from pykeepalived.dialects.keepalived.build_bfd import build_track_groups, tracked_only_by
from pykeepalived.dialects.keepalived.build_checks import CheckBuilder
from pykeepalived.dialects.keepalived.build_garp_groups import build_garp_groups
from pykeepalived.dialects.keepalived.build_globals import build_globals
from pykeepalived.dialects.keepalived.build_groups import build_groups
from pykeepalived.dialects.keepalived.build_links import build_delays, build_polled, check_firewall, name_vmacs
from pykeepalived.dialects.keepalived.build_lvs import ServerBuilder
from pykeepalived.dialects.keepalived.build_tls_client import build_tls_client, with_client
from pykeepalived.dialects.keepalived.build_trackers import Trackers
from pykeepalived.dialects.keepalived.build_vrrp import InstanceBuilder
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.derived import one_for_each_fault
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.engine import read_block
from pykeepalived.dialects.keepalived.host import HostFacts, RealHost
from pykeepalived.dialects.keepalived.interface_lists import check_interface_lists
from pykeepalived.dialects.keepalived.lvs_parts import build_virtual_groups
from pykeepalived.dialects.keepalived.repair import adopt_lost_blocks
from pykeepalived.dialects.keepalived.reuse import Kept, Memory, PlainReader, PlainServers
from pykeepalived.dialects.keepalived.routing import RoutingLines
from pykeepalived.dialects.keepalived.routing_names import NamesElsewhere
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.dialects.keepalived.tables import ROOT
from pykeepalived.model import Config, GlobalDefs, SyncDaemon, VirtualRoute, VirtualRule, VrrpInstance
from pykeepalived.syntax import Limits, Source, read_tree

#: What the load before left.
_LAST: Final = Memory()
_REFUSING: Final = frozenset({"no-such-interface", "duplicate-vrid"})


class LoadResult(msgspec.Struct, frozen=True):
    """One load: the model, what is to be said about the file, and where the text came from."""

    config: Config
    findings: Findings
    sources: tuple[Source, ...]
    """The files that were read, in order; empty when the pattern matched none (finding `config-file-missing`)."""
    config_id: str

    @property
    def found(self) -> bool:
        """False: there was no file at all. `-t` then exits 0, a normal start 6."""
        return bool(self.sources)

    @property
    def exit_class(self) -> ExitClass:
        """The exit code of `-t`."""
        return self.findings.worst()

    @property
    def refused(self) -> bool:
        """True: keepalived does not start with this file (exit code 2, "permanent error CONFIG"; seen in 2.2.7).

        A keyword lacks its word, an interface does not exist, or two instances are the same virtual router.
        """
        return any(
            item.exit_class is ExitClass.MISSING_WORD
            or (item.id in _REFUSING and item.exit_class is not ExitClass.NONE)
            for item in self.findings.items
        )


def load(
    pattern: str,
    *,
    config_id: str | None = None,
    environment: Mapping[str, str] | None = None,
    host: HostFacts | None = None,
    all_checks: bool = False,
    limits: Limits | None = None,
    randint: Callable[[int, int], int] | None = None,
    memory: Memory | None = None,
) -> LoadResult:
    """Read the configuration that `pattern` (a path or glob) names.

    `config_id` decides `@id` lines and `${_INSTANCE}`; None takes the first label of the host name. `environment` is
    what `${_ENV NAME}` sees; None: nothing. `host` answers questions about the machine; None: this one. `all_checks`
    is `-e`. `memory` holds what is taken over from the load before; None: what this process read last. It changes the
    time that a load takes and nothing else. Raises nothing for anything that stands in a file; the model is usable
    whatever the findings say.
    """
    # A load makes very many objects and no cycles: collections would make its time grow faster than the file.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _load(
            pattern,
            config_id=config_id,
            environment=environment,
            facts=host or RealHost(),
            all_checks=all_checks,
            bounds=limits or Limits(),
            randint=randint,
            memory=_LAST if memory is None else memory,
        )
    finally:
        if collecting:
            gc.enable()


def _load(
    pattern: str,
    *,
    config_id: str | None,
    environment: Mapping[str, str] | None,
    facts: HostFacts,
    all_checks: bool,
    bounds: Limits,
    randint: Callable[[int, int], int] | None,
    memory: Memory,
) -> LoadResult:
    findings = Findings(bounds.findings)
    identity = config_id if config_id is not None else facts.hostname().partition(".")[0]
    reading = read_tree(
        pattern,
        findings,
        config_id=identity,
        environment=environment,
        limits=bounds,
        all_checks=all_checks,
        randint=randint,
        folds=memory.folds(bounds),
    )
    context = Context(findings, facts)
    context.plain = PlainReader(facts, bounds, memory)
    root = Draft(None)
    context.unclosed = any(item.id == "missing-brace" for item in findings.items)
    pending = adopt_lost_blocks(context, reading.statements)
    while pending:
        read_block(context, ROOT, pending, root)
        pending, context.strays = context.strays, []
    config, kept = _build(context, root, context.plain)
    memory.keep(kept, bounds)
    context.flush_notes()
    settle_missing_words(context, reading.statements)
    one_for_each_fault(findings)
    return LoadResult(config, findings, tuple(reading.sources), identity)


def _old_sync_daemon(settings: GlobalDefs, root: Draft, instances: Mapping[str, VrrpInstance]) -> GlobalDefs:
    """`lvs_sync_daemon_interface` of an instance: the older form of the global word, which comes first. Its id is 0."""
    if settings.sync_daemon is not None:
        return settings
    for draft in root.get("instances", ()):
        interface = draft.get("sync_interface")
        if interface is not None and draft.name in instances:
            return msgspec.structs.replace(
                settings, sync_daemon=SyncDaemon(interface=interface, instance=draft.name, sync_id=0)
            )
    return settings


def _nothing_to_wait_for(context: Context, root: Draft, instances: Mapping[str, VrrpInstance]) -> None:
    """`preempt_after_sync` waits all the same: the connection table may be synchronised by others."""
    for draft in root.get("instances", ()):
        if draft.name in instances and instances[draft.name].preempt_after_sync_us:
            context.warning(
                "preempt-after-sync-alone",
                f"({draft.name}) preempt_after_sync waits for the connection table, and nothing here synchronises it",
                draft.where["preempt_after_sync_us"], 0, exit_class=ExitClass.NONE,
                help="add `lvs_sync_daemon INTERFACE INSTANCE` to global_defs on both directors",
            )  # fmt: skip


def _build(context: Context, root: Draft, plain: PlainReader) -> tuple[Config, Kept]:
    settings: Draft = root.get("globals") or Draft(None)
    if "iproute_usr_dir" in settings.values or "iproute_etc_dir" in settings.values:
        elsewhere: Any = NamesElsewhere(context.host, settings.get("iproute_usr_dir"), settings.get("iproute_etc_dir"))
        context.host = elsewhere
    scripts = Scripts(context, settings)
    global_defs = build_globals(context, root, scripts)
    routes, rules = _static_lines(context, root, settings)
    check_interface_lists(context, root, dynamic="dynamic_interfaces" in settings.values)
    trackers = Trackers(context, root, scripts)
    builder = InstanceBuilder(context, settings, scripts, trackers)
    instances = {draft.name: built for draft in root.get("instances", ()) if (built := builder.build(draft))}
    global_defs = _old_sync_daemon(global_defs, root, instances)
    if global_defs.sync_daemon is None:
        _nothing_to_wait_for(context, root, instances)
    instances = name_vmacs(context, instances, root)
    check_firewall(context, settings, instances.values())
    groups = build_groups(context, root, instances, scripts, trackers)
    readers = {name: scripts.resolve(settings.get(name)) for name in ("notify_fifo_script", "vrrp_notify_fifo_script")}
    missing = any(item.id == "no-such-interface" and item.exit_class for item in context.findings.items)
    if missing or not root.get("instances"):
        # keepalived's VRRP pass ends there, before it looks at scripts; without an instance there is no such pass.
        context.findings.demote({"script-security", "script-unsafe", "script-not-found"})
        scripts.forget_use()
    virtual_groups = build_virtual_groups(context, root)
    servers = ServerBuilder(
        context,
        settings,
        scripts,
        CheckBuilder(context, settings, scripts, trackers),
        {group.name: group for group in virtual_groups},
    )
    reused = PlainServers(context, settings, scripts, servers, plain)
    virtual_servers = [server for draft in root.get("virtual_servers", ()) if (server := reused.build(draft))]
    if root.get("virtual_servers"):
        for name in ("notify_fifo_script", "lvs_notify_fifo_script"):
            readers[name] = scripts.resolve(settings.get(name))
    check_namespace(context, root)
    client = build_tls_client(root)
    track_groups = build_track_groups(context, root, instances)
    kept_groups = {group.name for group in track_groups}
    config = Config(
        globals=msgspec.structs.replace(global_defs, **readers),
        static_addresses=tracked_only_by(
            kept_groups,
            tuple(
                with_device(build_address(context, entry), global_defs.default_interface)
                for entry in root.get("static_addresses", ())
            ),
        ),
        static_routes=tracked_only_by(kept_groups, routes),
        static_rules=tracked_only_by(kept_groups, rules),
        instances=tuple(instances.values()),
        sync_groups=groups,
        garp_groups=build_garp_groups(context, root, dynamic="dynamic_interfaces" in settings.values),
        scripts=tuple(trackers.scripts.values()),
        track_files=tuple(trackers.files.values()),
        track_processes=tuple(trackers.processes.values()),
        track_groups=track_groups,
        bfd_instances=tuple(trackers.bfds.values()),
        interface_delays=build_delays(context, root, instances.values()),
        polled_links=build_polled(root),
        poll_all_links=bool(root.get("poll_all_links")),
        virtual_server_groups=virtual_groups,
        virtual_servers=with_client(virtual_servers, client),
        tls_client=client,
    )
    return config, reused.kept


def _static_lines(
    context: Context, root: Draft, settings: Draft
) -> tuple[tuple[VirtualRoute, ...], tuple[VirtualRule, ...]]:
    names = frozenset(draft.name for draft in root.get("track_groups", ()))
    routing = RoutingLines(context, names, dynamic="dynamic_interfaces" in settings.values)
    for entry in root.get("static_addresses", ()):
        routing.check_address(entry)
    return routing.routes(root.get("static_routes", ())), routing.rules(root.get("static_rules", ()))
