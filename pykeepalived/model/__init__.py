"""The one truth that both dialects become: frozen structs, no positions, no behaviour.

Addresses are strings in canonical text form (`inet_ntop`), so that they compare, sort and print without a class of
their own; a `:` in one means IPv6. Durations are integer microseconds. `None` means "not set in the file" where the
difference between unset and the default matters to somebody; otherwise the field holds the effective value.
"""

from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.checks import (
    BfdCheck,
    CheckerSpec,
    CheckTiming,
    DnsCheck,
    ExternalCheck,
    FileCheck,
    GrpcCheck,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.common import Family, IpPrefix, Script, User, family_of
from pykeepalived.model.config import Config, GlobalDefs, LdirectordSettings, MailSettings
from pykeepalived.model.lvs import (
    AddressSelector,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    RealServer,
    RecoveryRule,
    Selector,
    SorryServer,
    SyncDaemon,
    TunnelType,
    VirtualServer,
    VirtualServerGroup,
)
from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.model.vrrp import (
    Authentication,
    AuthHmac,
    AuthType,
    GarpGroup,
    GarpSettings,
    HmacKey,
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedInterface,
    TrackedProcess,
    TrackedScript,
    TrackFile,
    TrackGroup,
    TrackProcess,
    UnicastPeer,
    VirtualAddress,
    VmacSettings,
    VrrpInstance,
    VrrpScript,
    VrrpState,
)

__all__ = [
    "AddressSelector", "AuthHmac", "AuthType", "Authentication", "BfdCheck", "BfdInstance", "CheckTiming",
    "CheckerSpec", "Config", "DnsCheck", "ExternalCheck", "Family", "FileCheck", "Forwarding", "ForwardingMethod",
    "FwmarkSelector", "GarpGroup", "GarpSettings", "GlobalDefs", "GroupAddress", "GroupFwmark", "GroupSelector",
    "GrpcCheck", "HmacKey", "HttpCheck", "HttpUrl",
    "IpPrefix", "LdirectordSettings", "MailSettings", "MiscCheck", "NegotiateCheck", "OffCheck", "OnCheck",
    "PingCheck", "Protocol", "RealServer", "RecoveryRule", "Script", "Selector", "SmtpCheck", "SocketOptions",
    "SorryServer", "SyncDaemon", "SyncGroup", "TcpCheck", "TrackBfd", "TrackFile", "TrackGroup", "TrackProcess",
    "TrackedFile",
    "TrackedInterface", "TrackedProcess", "TrackedScript", "TunnelType", "UdpCheck", "UnicastPeer", "User",
    "VirtualAddress", "VirtualRoute", "VirtualRule", "VirtualServer", "VirtualServerGroup", "VmacSettings",
    "VrrpInstance", "VrrpScript", "VrrpState", "family_of",
]  # fmt: skip
