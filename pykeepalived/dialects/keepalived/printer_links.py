"""Words about interfaces and the packet filter, as keepalived.conf."""

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.printer_text import Writer, decimal, word
from pykeepalived.model import Config, GlobalDefs
from pykeepalived.model.links import FirewallSettings

_DEFAULTS: Final = FirewallSettings()


def dynamic_interfaces(writer: Writer, settings: GlobalDefs) -> None:
    if settings.dynamic_interfaces:
        writer.line("dynamic_interfaces", *(["allow_if_changes"] if settings.allow_if_changes else []))


def global_words(writer: Writer, settings: GlobalDefs) -> None:
    """What stands in global_defs."""
    writer.value("default_interface", word(settings.default_interface), word(GlobalDefs().default_interface))
    writer.flag("disable_local_igmp", settings.disable_local_igmp)
    writer.value("vmac_prefix", word(settings.vmac_prefix), word(GlobalDefs().vmac_prefix))
    if settings.vmac_addr_prefix is not None:
        writer.line("vmac_addr_prefix", word(settings.vmac_addr_prefix))
    if settings.ready_gate_us is not None:
        writer.line("vrrp_ready_gate", decimal(settings.ready_gate_us))
    filtering = settings.firewall
    if filtering.chains is not None:
        writer.line("vrrp_iptables", *(word(name) for name in filtering.chains))
        if filtering.sets is not None:
            writer.line("vrrp_ipsets", *(word(name) for name in filtering.sets))
        else:
            writer.line("vrrp_ipsets")
    elif filtering.chosen:
        writer.line("nftables", word(filtering.table))
    writer.value("nftables_priority", filtering.priority, _DEFAULTS.priority)
    writer.flag("nftables_ifindex", filtering.by_index)
    writer.flag("nftables_counters", filtering.counters)


def root_words(writer: Writer, config: Config) -> None:
    """What stands at the top level."""
    writer.flag("linkbeat_use_polling", config.poll_all_links)
    if config.polled_links:
        with writer.block("linkbeat_interfaces"):
            for link in config.polled_links:
                writer.line(word(link.ifname), *([link.method] if link.method else []))
    if config.interface_delays:
        with writer.block("interface_up_down_delays"):
            for delay in config.interface_delays:
                writer.line(word(delay.ifname), decimal(delay.down_us), decimal(delay.up_us))
