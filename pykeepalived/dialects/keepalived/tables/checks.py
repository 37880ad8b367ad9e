"""The checkers of a real server."""

# fmt: off

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.diagnostics import Label
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.libraries import needs
from pykeepalived.dialects.keepalived.readers import UINT_MAX, Bad, Choice, Grammar, Integer, Reader, Text
from pykeepalived.dialects.keepalived.rows import (
    Repeat,
    Row,
    Table,
    block,
    flag,
    many,
    maybe,
    script,
    switch,
    value,
)
from pykeepalived.dialects.keepalived.tables.common import (
    ADDRESS,
    CHECK_SECONDS,
    GROUP,
    INTERFACE,
    LONG_SECONDS,
    LONG_SECONDS0,
    NAME,
    PATH,
    PORT,
    STRING,
    UNSIGNED,
    USER,
    WHOLE_SECONDS,
)
from pykeepalived.syntax import Statement
from pykeepalived.syntax.grammar import pp

DIGEST: Final = Grammar("32 hex digits", lambda: pp.Regex(r"[0-9A-Fa-f]{32}").set_parse_action(lambda t: t[0].lower()))

class Hex(Reader):
    """Pairs of hexadecimal digits, perhaps with blanks between."""

    shows = "HEX"

    def parse(self, text: str) -> bytes:
        digits = "".join(text.split(" "))
        if not digits or any(char not in "0123456789abcdefABCDEF" for char in digits):
            raise Bad("bad-hex", f"`{text}` is not of the form HEX")
        if len(digits) % 2:
            whole = digits[:-1] + "0" + digits[-1]
            raise Bad("bad-hex", f"`{text}` is not made of pairs of digits, `{whole}` is taken",
                      value=bytes.fromhex(whole), counts=False)
        return bytes.fromhex(digits)


HEX: Final = Hex()

PCRE2_OPTIONS: Final = frozenset((
    "allow_empty_class", "alt_bsux", "auto_callout", "caseless", "dollar_endonly", "dotall", "dupnames", "extended",
    "firstline", "match_unset_backref", "multiline", "never_ucp", "never_utf", "no_auto_capture", "no_auto_possess",
    "no_dotstar_anchor", "no_start_optimize", "ucp", "ungreedy", "utf", "never_backslash_c", "alt_circumflex",
    "alt_verbnames", "use_offset_limit",
))


def _status(tokens: pp.ParseResults) -> tuple[int, int]:
    numbers = [int(part) for part in str(tokens[0]).split("-")]
    return numbers[0], numbers[-1]


class StatusCodes(Reader):
    """N or N-M inside 100..599."""

    shows = "CODE[-CODE]"
    _form = Grammar("CODE[-CODE]", lambda: pp.Regex(r"\d{1,9}(?:-\d{1,9})?").set_parse_action(_status))

    def parse(self, text: str) -> tuple[int, int]:
        low, high = self._form(text)
        if not 100 <= low <= high <= 599:
            raise Bad("number-out-of-range", f"status code `{text}` is outside the range 100..599")
        return low, high


class MaskedHex(Reader):
    """Hexadecimal digits; x or X stands for any."""

    shows = "HEX"

    def parse(self, text: str) -> tuple[bytes, bytes]:
        text = "".join(text.split(" "))
        if not text or any(char not in "0123456789abcdefABCDEFxX" for char in text):
            raise Bad("bad-hex", f"`{text}` is not made of pairs of hexadecimal digits (x: any)")
        if len(text) % 2:
            whole = text[:-1] + "0" + text[-1]
            raise Bad("bad-hex", f"`{text}` is not made of pairs of hexadecimal digits (x: any), `{whole}` is taken",
                      value=self.parse(whole), counts=False)
        mask = "".join("0" if char in "xX" else "f" for char in text)
        return bytes.fromhex(text.replace("x", "0").replace("X", "0")), bytes.fromhex(mask)


class Domain(Reader):
    """A domain name without empty labels; `.` is the root."""

    shows = "DOMAIN"

    def parse(self, text: str) -> str:
        labels = text.removesuffix(".").split(".")
        if text != "." and (len(text) > 255 or any(not 0 < len(label) <= 63 for label in labels)):
            raise Bad("bad-domain", f"`{text}` is no domain name")
        return text


def _some(context: Context, statement: Statement, draft: Draft, taken: Any) -> Any:
    """Without a word the default stays."""
    del context, statement, draft
    return taken or None


def _once(context: Context, statement: Statement, draft: Draft, taken: Any) -> Any:
    """The last one counts, and it is reported that there are two."""
    field = "regex" if statement.keyword == "regex" else "path"
    if field in draft.values:
        first = Label(draft.where[field].span(0), "first given here")
        context.error("given-twice", f"`{statement.keyword}` is given twice, the last one counts", statement, 0,
                      secondary=(first,))
    return taken


def timing_rows(*, checker: bool, later: str | None = None) -> tuple[Row, ...]:
    """When a check runs. Virtual and real servers have the first five as defaults for what is below them."""
    retries = Integer(0 if checker else 1, UINT_MAX)
    rows = (
        value("retry", retries, field="retry", later=later, help="failures that are forgiven"),
        value("delay_before_retry", LONG_SECONDS0, field="delay_before_retry_us", later=later,
              help="pause before a retry"),
        value("warmup", LONG_SECONDS0, field="warmup_us", default="delay_loop", later=later,
              help="the first check is after a random time up to this"),
        value("delay_loop", LONG_SECONDS, field="delay_loop_us", default="60", later=later, help="check period"),
    )
    if not checker:
        return (*rows, value("connect_timeout", CHECK_SECONDS, field="connect_timeout_us", default="5",
                             help="time limit of a check"))
    return (
        *rows,
        switch("alpha", field="alpha", later=later, help="starts failed"),
        switch("log_all_failures", field="log_all_failures", help="log every failure"),
    )


def socket_rows(later: str | None = None) -> tuple[Row, ...]:
    return (
        value("connect_ip", ADDRESS, field="connect_ip", later=later, default="the real server", help="what to test"),
        value("connect_port", PORT, field="connect_port", later=later, default="the real server's",
              help="port to test"),
        value("bindto", ADDRESS, field="bind_address", later=later, help="source address"),
        value("bind_port", PORT, field="bind_port", later=later, help="source port"),
        value("bind_if", INTERFACE, field="bind_interface", later=later, help="interface to use"),
        value("connect_timeout", CHECK_SECONDS, field="connect_timeout_us", default="5", later=later,
              help="time limit of the check"),
        value("fwmark", UNSIGNED, field="fwmark", default="0", later=later, help="firewall mark of the packets"),
    )


def _url_rows(context: str, tls: bool) -> Table:
    more: tuple[Row, ...] = ()
    if tls:
        more = (switch("tls_compliant", field="tls_compliant", since="2.4", help="the page must end with a TLS close"),)
    return Table(
        context,
        value("path", PATH, field="path", after=_once, help="request target"),
        value("digest", DIGEST, field="digest", help="MD5 of the body, as genhash prints it"),
        value("status_code", many(StatusCodes(), optional=True), field="status_codes", default="200-299", soft=True,
              after=_some,
              help="good status codes"),
        value("virtualhost", NAME, field="virtualhost", soft=True, help="Host header of this url"),
        script("regex", field="regex", verbatim=True, soft=True, after=_once,
               help="regular expression that the body must match"),
        flag("regex_no_match", field="regex_no_match", help="the body must not match"),
        value("regex_options", many(STRING), field="regex_options", soft=True, help="PCRE2 options"),
        value("regex_min_offset", UNSIGNED, field="regex_min_offset", default="0", soft=True,
              help="first byte of a match"),
        value("regex_max_offset", UNSIGNED, field="regex_max_offset", soft=True,
              help="last byte where a match may start"),
        value("json", STRING, STRING, field="json", ours=True,
              help="path into a JSON document with dots, and the value that must stand there"),
        value("regex_stack", UNSIGNED, UNSIGNED, field="regex_stack", soft=True,
              help="bytes of stack of the matcher at first and at most"),
        *more,
    )


_NEEDS_HTTP2: Final = needs("h2", "http2", only="2")
_CERTIFICATE_ROWS: Final = (
    switch("verify", field="verify", ours=True,
           help="the certificate must be trusted (`ca` of the SSL block, else the system's) and for sni_name"),
    value("certificate_days", Integer(0, 36500, "days"), field="certificate_days", default="0", ours=True,
          help="the certificate must be valid for so long from now on"),
)


def _http(context: str, tls: bool) -> Table:
    more: tuple[Row, ...] = ()
    if tls:
        more = (
            switch("tls_compliant", field="tls_compliant", since="2.4", help="pages must end with a TLS close"),
            *_CERTIFICATE_ROWS,
        )
    return Table(
        context,
        *socket_rows(),
        *timing_rows(checker=True),
        value("nb_get_retry", UNSIGNED, field="retry", replaced_by="retry", help="older word"),
        value("virtualhost", NAME, field="virtualhost", soft=True, help="Host header of all urls"),
        value("http_protocol", Choice({"1.0": "1.0", "1.0C": "1.0C", "1.0c": "1.0C", "1.1": "1.1", "2": "2"}),
              field="protocol", default="1.0", soft=True, after=_NEEDS_HTTP2,
              help="form of the request; 2, HTTP/2, is pykeepalived's own"),
        switch("enable_sni", field="enable_sni", help="send the server name in TLS"),
        value("sni_name", NAME, field="sni_name", since="2.4", help="that name"),
        switch("fast_recovery", field="fast_recovery", help="one success is enough after a failure"),
        *more,
        block("url", _url_rows(f"{context}.url", tls), field="urls", help="one request"),
    )


_RS: Final = "virtual_server.real_server"

TCP_CHECK: Final = Table(
    f"{_RS}.TCP_CHECK",
    *socket_rows(),
    *timing_rows(checker=True),
    value("send", STRING, field="send", ours=True, help="text to send first, with the escapes of C"),
    value("expect", STRING, field="expect", ours=True, help="regular expression that the answer must match"),
)
HTTP_GET: Final = _http(f"{_RS}.HTTP_GET", tls=False)
SSL_GET: Final = _http(f"{_RS}.SSL_GET", tls=True)
SMTP_HOST: Final = Table(f"{_RS}.SMTP_CHECK.host", *socket_rows(), *timing_rows(checker=True))
SMTP_CHECK: Final = Table(
    f"{_RS}.SMTP_CHECK",
    *socket_rows(),
    *timing_rows(checker=True),
    value("helo_name", NAME, field="helo_name", default="smtpchecker.keepalived.org", soft=True, help="name in HELO"),
    block("host", SMTP_HOST, field="hosts", replaced_by="", quiet=True, help="older level of address words"),
)
DNS_CHECK: Final = Table(
    f"{_RS}.DNS_CHECK",
    *socket_rows(),
    *timing_rows(checker=True),
    value("type", Choice(("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"), any_case=True,
                         what="query type"),
          field="type", default="SOA", help="query type"),
    value("name", Domain(), field="name", default=".", help="query name"),
)
MISC_CHECK: Final = Table(
    f"{_RS}.MISC_CHECK",
    *timing_rows(checker=True),
    script("misc_path", field="script", soft=True, help="command to run"),
    value("misc_timeout", WHOLE_SECONDS, field="timeout_us", default="delay_loop", help="time limit of the command"),
    flag("misc_dynamic", field="dynamic", help="the exit code sets the weight"),
    value("user", USER, maybe(GROUP), field="user", default="script_user", soft=True, help="user of the command"),
)
BFD_CHECK: Final = Table(
    f"{_RS}.BFD_CHECK",
    value("name", Text("NAME", 31), field="name", help="bfd_instance to follow"),
    switch("alpha", field="alpha", help="starts down"),
)
UDP_CHECK: Final = Table(
    f"{_RS}.UDP_CHECK",
    *socket_rows(),
    *timing_rows(checker=True),
    value("payload", many(HEX), field="payload", default="a fixed text", soft=True, help="bytes to send"),
    value("require_reply", many(MaskedHex(), optional=True), field="reply", help="bytes that a reply must begin with"),
    value("min_reply_length", Integer(0, 65535), field="min_reply_length", default="0", help="shortest reply"),
    value("max_reply_length", Integer(0, 65535), field="max_reply_length", default="255", help="longest reply"),
)
GRPC_CHECK: Final = Table(
    f"{_RS}.GRPC_CHECK",
    *(msgspec.structs.replace(row, ours=True) for row in (*socket_rows(), *timing_rows(checker=True))),
    value("service", NAME, field="service", default="the whole server", ours=True, help="whose health to ask for"),
    value("virtualhost", NAME, field="virtualhost", soft=True, ours=True, help="authority of the request"),
    switch("tls", field="tls", ours=True, help="over TLS"),
    value("sni_name", NAME, field="sni_name", ours=True, help="server name in TLS"),
    *_CERTIFICATE_ROWS,
)
PING_CHECK: Final = Table(f"{_RS}.PING_CHECK", *socket_rows(), *timing_rows(checker=True))
FILE_CHECK: Final = Table(
    f"{_RS}.FILE_CHECK",
    value("track_file", NAME, field="track_file", help="track_file block to follow"),
    value("weight", Integer(-2_147_483_647, 2_147_483_647), maybe(Choice(("reverse",))), field="weight",
          help="factor of its content"),
)


def _checker(name: str, table: Table, help: str, *, library: Any = None, **more: Any) -> Row:
    def keep(context: Any, statement: Any, draft: Any, inner: Any) -> Any:
        if library is not None and library(context, statement, draft, inner) is None:
            return None
        return name, inner

    return block(name, table, field="checkers", repeat=Repeat.APPEND, after=keep, help=help, **more)


CHECKER_ROWS: Final[tuple[Row, ...]] = (
    _checker("HTTP_GET", HTTP_GET, "fetch pages"),
    _checker("SSL_GET", SSL_GET, "fetch pages over TLS"),
    _checker("TCP_CHECK", TCP_CHECK, "connect"),
    _checker("SMTP_CHECK", SMTP_CHECK, "speak SMTP"),
    _checker("DNS_CHECK", DNS_CHECK, "ask a name server"),
    _checker("MISC_CHECK", MISC_CHECK, "run a command"),
    _checker("BFD_CHECK", BFD_CHECK, "follow a BFD session"),
    _checker("UDP_CHECK", UDP_CHECK, "send a datagram"),
    _checker("PING_CHECK", PING_CHECK, "ping"),
    _checker("GRPC_CHECK", GRPC_CHECK, "ask gRPC's health service", library=needs("h2", "http2"), ours=True),
    _checker("FILE_CHECK", FILE_CHECK, "follow a track_file"),
)
