"""What to ask a real server: one frozen spec per checker. How it is asked stands in `pykeepalived.checkers`.

Two specs that are equal ask the same question of the same target, so equality is what "one probe per target" rests on:
a spec holds the address and port it connects to, and nothing about who wants to know.
"""

from __future__ import annotations

import msgspec

from pykeepalived.model.common import Family, Script
from pykeepalived.units import SECOND_US


class CheckTiming(msgspec.Struct, frozen=True, kw_only=True):
    """When a check runs and how many failures count (keepalived-behaviour 11, ldirectord `failurecount`)."""

    delay_loop_us: int = 60 * SECOND_US
    warmup_us: int = 60 * SECOND_US
    """The first run is after a random time up to this."""
    retry: int = 1
    """Failures in a row that are forgiven; the next one takes the server down."""
    rise: int = 1
    """Successes in a row that bring a server that is down up again."""
    delay_before_retry_us: int = SECOND_US
    down_delay_us: int | None = None
    """Pause between checks while the server is down; None takes delay_loop."""
    alpha: bool = False
    """Starts failed: the first success brings the server up."""
    first_failure_counts: bool = True
    """A check that never ran goes down on its first failure without retries (keepalived)."""
    log_all_failures: bool = False


class SocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where a check connects to and from."""

    address: str
    port: int
    timeout_us: int = 5 * SECOND_US
    """Limit of the whole conversation; a peer that drips bytes does not extend it."""
    bind_address: str | None = None
    bind_port: int = 0
    bind_interface: str | None = None
    fwmark: int = 0


class TcpCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="tcp"):
    """Connect, close. TCP_CHECK, and ldirectord's `connect`."""

    socket: SocketOptions
    send: str | None = None
    """Ours: what to say first; with the escapes of C."""
    expect: str | None = None
    """Ours: a regular expression that what the server says must match."""


class HttpUrl(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    digest: str | None = None
    """MD5 of the body as 32 lower-case hex digits."""
    status_codes: tuple[tuple[int, int], ...] = ((200, 299),)
    """Inclusive ranges."""
    virtualhost: str | None = None
    regex: str | None = None
    regex_no_match: bool = False
    regex_options: tuple[str, ...] = ()
    regex_min_offset: int = 0
    regex_max_offset: int | None = None
    regex_stack: tuple[int, int] | None = None
    """Stack of the compiled matcher in bytes, at first and at most; None: the library's own (32 KiB)."""
    tls_compliant: bool | None = None
    json: tuple[str, str] | None = None
    """Ours: a path into the JSON document, and the value that must stand there."""


class TlsClient(msgspec.Struct, frozen=True, kw_only=True):
    """The root block SSL: what SSL_GET shows a server that asks who it is. Servers are verified with `verify` only."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="http"):
    """HTTP_GET and SSL_GET."""

    socket: SocketOptions
    urls: tuple[HttpUrl, ...]
    tls: bool = False
    virtualhost: str | None = None
    """Host header of urls that have none of their own; None: `ADDRESS:PORT`."""
    protocol: str = "1.0"
    """1.0, 1.0C or 1.1 (keepalived-behaviour 11.1). Ours: 2, by ALPN over TLS and with prior knowledge without."""
    enable_sni: bool = False
    sni_name: str | None = None
    fast_recovery: bool = False
    tls_compliant: bool = False
    verify: bool = False
    """Ours: the server's certificate must be signed by the SSL block's `ca` (else one that the system trusts), and be
    for `sni_name` where there is one."""
    certificate_days: int = 0
    """Ours: for so many days more it must be valid; 0: nobody looks."""
    client: TlsClient | None = None
    """The same for all checks of a configuration."""


class GrpcCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="grpc"):
    """Ours: GRPC_CHECK, the gRPC health checking protocol, version 1."""

    socket: SocketOptions
    service: str = ""
    """Whose health to ask for; empty: the whole server's."""
    virtualhost: str | None = None
    """The authority; None: `sni_name`, else `ADDRESS:PORT`."""
    tls: bool = False
    sni_name: str | None = None
    verify: bool = False
    """As in `HttpCheck`."""
    certificate_days: int = 0
    """As in `HttpCheck`."""
    client: TlsClient | None = None
    """As in `HttpCheck`."""


class SmtpCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="smtp"):
    socket: SocketOptions
    helo_name: str


class DnsCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="dns"):
    socket: SocketOptions
    type: str = "SOA"
    name: str = "."


class MiscCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="misc"):
    script: Script
    timeout_us: int
    dynamic: bool = False


class UdpCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="udp"):
    socket: SocketOptions
    payload: bytes | None = None
    require_reply: bool = False
    reply: bytes = b""
    reply_mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 255


class PingCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="ping"):
    """PING_CHECK, and ldirectord's `ping` (attempts > 1)."""

    socket: SocketOptions
    attempts: int = 1
    payload_size: int = 128


class FileCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="file"):
    track_file: str
    weight: int | None = None
    reverse: bool = False


class BfdCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="bfd"):
    name: str


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a check speaks TLS: pyldirectord's `tls…` directives. The default is ldirectord's way: no name, no trust."""

    verify: bool = False
    """The server's certificate must lead to `ca_file`, or to an authority of the system; with `server_name` it must
    also be for that name."""
    ca_file: str | None = None
    certificate_file: str | None = None
    """Our own certificate, with its key unless `key_file` has it."""
    key_file: str | None = None
    server_name: str | None = None
    """Sent as server name indication (RFC 6066 section 3)."""


class NegotiateCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="negotiate"):
    """ldirectord's `negotiate` for one service, or `N` (one negotiate, then `connects_between` connects)."""

    socket: SocketOptions
    service: str
    """dns, ftp, http, https, … as ldirectord spells them."""
    protocol: str = "tcp"
    request: str = "/"
    """As effective in ldirectord: with a leading slash."""
    receive: str = ""
    """Perl regular expression; empty asks for nothing."""
    virtualhost: str | None = None
    httpmethod: str = "GET"
    login: str = ""
    password: str = ""
    database: str = ""
    secret: str = ""
    connects_between: int = 0
    connect_timeout_us: int = 5 * SECOND_US
    """checktimeout: limit of the plain connects of `N`, and of ldap and radius."""
    tls: TlsOptions = TlsOptions()
    strict: bool = False
    """compat=strict: answers that ldirectord does not test are not tested."""


class ExternalCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="question", tag="external"):
    """ldirectord's `external` and `external-perl`: COMMAND VIP VPORT RIP RPORT."""

    command: str
    arguments: tuple[str, ...]
    timeout_us: int
    perl: bool = False
    strict: bool = False
    """compat=strict: death by a signal counts as success."""


class OnCheck(msgspec.Struct, frozen=True, tag_field="question", tag="on"):
    """Always up, without a packet."""


class OffCheck(msgspec.Struct, frozen=True, tag_field="question", tag="off"):
    """Never up."""


class MaintenanceNames(msgspec.Struct, frozen=True):
    """File names in ldirectord's maintenancedir that take a server out."""

    directory: str
    family: Family
    names: tuple[str, ...]


CheckQuestion = (
    TcpCheck
    | HttpCheck
    | GrpcCheck
    | SmtpCheck
    | DnsCheck
    | MiscCheck
    | UdpCheck
    | PingCheck
    | FileCheck
    | BfdCheck
    | NegotiateCheck
    | ExternalCheck
    | OnCheck
    | OffCheck
)


class CheckerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A question and when to ask it."""

    question: CheckQuestion
    timing: CheckTiming = CheckTiming()
