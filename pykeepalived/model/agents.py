"""What global_defs say about the channels that the agents process serves.

The fields have the names of the words, so that table and builder go by the name.
"""

from __future__ import annotations

import msgspec

from pykeepalived.units import SECOND_US


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """SNMP, D-Bus and what else tells the outside, past the processes that do the work."""

    snmp_socket: str = "unix:/var/agentx/master"
    """The AgentX master agent: `unix:PATH`, `tcp:HOST:PORT` or `udp:HOST:PORT` (which nobody serves)."""
    enable_traps: bool = False
    enable_snmp_vrrp: bool = False
    enable_snmp_checker: bool = False
    enable_snmp_rfcv2: bool = False
    enable_snmp_rfcv3: bool = False
    snmp_vs_stats_update_interval: int = 5 * SECOND_US
    """Greatest age of the counters of virtual servers, in microseconds."""
    snmp_rs_stats_update_interval: int = 0
    """The same of real servers; 0: that of virtual servers."""
    enable_dbus: bool = False
    dbus_service_name: str = "org.keepalived.Vrrp1"
    dbus_no_interface_name: str = "none"
    """Stands in object paths for the interface of an instance that has none."""

    journal_events: bool = False
    """Ours: each event goes to systemd's journal, with fields."""

    webhook_url: str | None = None
    """Ours: where events are posted to."""
    webhook_address: str | None = None
    """What the URL's host meant when the file was read; None: it was unknown then."""
    webhook_ca: str | None = None
    """PEM file of the authorities to trust; None: the system's."""
    webhook_token: str | None = None
    """Bearer token (RFC 6750), only inside TLS."""
    webhook_timeout: int = 10 * SECOND_US
    """Limit of one try, in microseconds."""

    @property
    def snmp(self) -> bool:
        """Any MIB is served."""
        return self.enable_snmp_vrrp or self.enable_snmp_checker or self.enable_snmp_rfcv2 or self.enable_snmp_rfcv3

    @property
    def active(self) -> bool:
        """There is something to do."""
        return self.snmp or self.enable_dbus or self.journal_events or self.webhook_url is not None
