"""Checkers of a real server: from drafts to `CheckerSpec`, with inheritance checker ← real server ← virtual server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.build_trackers import Trackers
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.dialects.keepalived.tables.checks import PCRE2_OPTIONS
from pykeepalived.model import (
    BfdCheck,
    CheckerSpec,
    CheckTiming,
    DnsCheck,
    FileCheck,
    GrpcCheck,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.units import SECOND_US

#: Built-in retries and pause before a retry; None: the delay_loop (keepalived-behaviour 11).
RETRIES: Final[dict[str, tuple[int, int | None]]] = {
    "TCP_CHECK": (1, SECOND_US),
    "HTTP_GET": (1, 3 * SECOND_US),
    "SSL_GET": (1, 3 * SECOND_US),
    "SMTP_CHECK": (1, SECOND_US),
    "DNS_CHECK": (3, None),
    "MISC_CHECK": (0, SECOND_US),
    "UDP_CHECK": (1, SECOND_US),
    "PING_CHECK": (1, SECOND_US),
    "GRPC_CHECK": (1, SECOND_US),
    "FILE_CHECK": (0, SECOND_US),
    "BFD_CHECK": (0, SECOND_US),
}
#: What SMTP_CHECK says without `helo_name`, whatever smtp_helo_name is (seen in 2.2.7 and 2.4.3).
_HELO_NAME: Final = "smtpchecker.keepalived.org"
_Question = Any


class CheckBuilder:
    """Builds the checkers of all real servers of a load; equal drafts of one target give equal specs."""

    def __init__(self, context: Context, settings: Draft, scripts: Scripts, trackers: Trackers) -> None:
        self._context = context
        self._settings = settings
        self._scripts = scripts
        self._trackers = trackers
        self._makers: dict[str, Callable[[str, Draft, list[Draft], tuple[str, int]], _Question | None]] = {
            "TCP_CHECK": self._tcp,
            "HTTP_GET": self._http,
            "SSL_GET": self._http,
            "SMTP_CHECK": self._smtp,
            "DNS_CHECK": self._dns,
            "MISC_CHECK": self._misc,
            "UDP_CHECK": self._udp,
            "PING_CHECK": self._ping,
            "GRPC_CHECK": self._grpc,
            "FILE_CHECK": self._file,
            "BFD_CHECK": self._bfd,
        }

    def build(self, real: Draft, virtual: Draft, target: tuple[str, int]) -> tuple[CheckerSpec, ...]:
        specs: list[CheckerSpec] = []
        for kind, draft in real.get("checkers", ()):
            hosts = draft.get("hosts")
            for host in hosts or (None,):
                chain = [*([host] if host else []), draft, real, virtual]
                question = self._makers[kind](kind, draft, chain, target)
                if question is not None:
                    self._say_if_unavailable(kind, draft, question)
                    specs.append(CheckerSpec(question=question, timing=self._timing(kind, chain)))
        return tuple(specs)

    def _say_if_unavailable(self, kind: str, draft: Draft, question: _Question) -> None:
        if isinstance(question, TcpCheck | FileCheck | BfdCheck):
            return
        # A connection can always be made; what the other checks need is loaded with the first of them.
        from pykeepalived.checkers.registry import unavailable  # noqa: PLC0415

        reason = unavailable(question)
        if reason is not None:
            self._context.warning(
                "check-unavailable",
                f"{kind}: {reason}; the check fails, so the real server counts as dead",
                draft.statement,
                0,
                # keepalived finds out when it runs.
                exit_class=ExitClass.NONE,
            )

    # ── shared ───────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _pick(chain: list[Draft], field: str, built_in: Any) -> Any:
        for draft in chain:
            if field in draft.values:
                return draft.values[field]
        return built_in

    def _timing(self, kind: str, chain: list[Draft]) -> CheckTiming:
        retries, pause_us = RETRIES[kind]
        delay_us = self._pick(chain, "delay_loop_us", 60 * SECOND_US)
        return CheckTiming(
            delay_loop_us=delay_us,
            warmup_us=self._pick(chain, "warmup_us", delay_us),
            retry=self._pick(chain, "retry", retries),
            delay_before_retry_us=self._pick(
                chain, "delay_before_retry_us", delay_us if pause_us is None else pause_us
            ),
            alpha=self._pick(chain, "alpha", False),
            log_all_failures=self._pick(
                chain, "log_all_failures", self._settings.get("checker_log_all_failures", False)
            ),
        )

    def _socket(self, chain: list[Draft], target: tuple[str, int]) -> SocketOptions:
        own = chain[0].values
        address = self._pick(chain[:2], "connect_ip", target[0])
        if address.startswith("fe80:") and "bind_interface" not in own:
            self._context.error(
                "missing-interface",
                f"`{address}` is link-local, the check needs `bind_if`",
                chain[0].statement,
                0,
            )
        bind_address = own.get("bind_address")
        if bind_address is not None and (":" in bind_address) != (":" in address):
            self._context.error(
                "wrong-family",
                f"`{bind_address}` and `{address}` are of different families, bindto is not looked at",
                chain[0].where["bind_address"],
                1,
            )
            bind_address = None
        return SocketOptions(
            address=address,
            port=self._pick(chain[:2], "connect_port", target[1]),
            timeout_us=self._pick(chain, "connect_timeout_us", 5 * SECOND_US),
            bind_address=bind_address,
            bind_port=own.get("bind_port", 0),
            bind_interface=own.get("bind_interface"),
            fwmark=own.get("fwmark", 0),
        )

    def _left_out(self, draft: Draft, kind: str, why: str) -> None:
        self._context.error("checker-incomplete", f"{kind} {why}, it is left out", draft.statement, 0)

    # ── one of each ──────────────────────────────────────────────────────────────────────────────────────────────

    def _tcp(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del kind
        return TcpCheck(socket=self._socket(chain, target), send=draft.get("send"), expect=draft.get("expect"))

    def _ping(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del kind, draft
        return PingCheck(socket=self._socket(chain, target))

    def _smtp(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del kind
        name = draft.get("helo_name") or _HELO_NAME
        return SmtpCheck(socket=self._socket(chain, target), helo_name=name)

    def _dns(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del kind
        return DnsCheck(socket=self._socket(chain, target), type=draft.get("type", "SOA"), name=draft.get("name", "."))

    def _misc(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del target
        if "script" not in draft.values:
            self._left_out(draft, kind, "has no misc_path")
            return None
        resolved = self._scripts.resolve(draft.values["script"], draft.get("user"), draft.where.get("user"))
        if resolved is None:
            return None
        timeout_us = draft.get("timeout_us") or self._pick(chain, "delay_loop_us", 60 * SECOND_US)
        return MiscCheck(script=resolved, timeout_us=timeout_us, dynamic=draft.get("dynamic", False))

    def _udp(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del kind
        payload = draft.get("payload")
        reply = draft.get("reply")
        low, high = draft.get("min_reply_length", 0), draft.get("max_reply_length", 255)
        if low > high:
            self._context.error(
                "reply-lengths", "min_reply_length is greater than max_reply_length", draft.statement, 0
            )
            low = 0
        return UdpCheck(
            socket=self._socket(chain, target),
            payload=b"".join(payload) if payload is not None else None,
            require_reply=reply is not None,
            reply=b"".join(part for part, _ in reply or ()),
            reply_mask=b"".join(mask for _, mask in reply or ()),
            min_reply_length=low,
            max_reply_length=high,
        )

    def _file(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del chain, target
        name = draft.get("track_file")
        if name is None or name not in self._trackers.files:
            self._left_out(draft, kind, "has no track_file" if name is None else f"names no known track_file: `{name}`")
            return None
        if self._trackers.defined_behind("track_file", name, draft):
            self._context.warning(
                "used-before-defined",
                f"{kind} stands in front of track_file `{name}`, where keepalived does not find it",
                draft.where["track_file"],
                1,
                help="put the track_file above the virtual_server",
            )
        weight = draft.get("weight")
        return FileCheck(
            track_file=name, weight=weight[0] if weight else None, reverse=bool(weight and weight[1] is not None)
        )

    def _bfd(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        del chain, target
        name = draft.get("name")
        if name is None or name not in self._trackers.bfds:
            self._left_out(draft, kind, "has no name" if name is None else f"names no known bfd_instance: `{name}`")
            return None
        return BfdCheck(name=name)

    def _http(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question | None:
        urls = tuple(url for inner in draft.get("urls", ()) if (url := self._url(inner)) is not None)
        if not urls:
            self._left_out(draft, kind, "has no url")
            return None
        sni = draft.get("sni_name")
        return HttpCheck(
            socket=self._socket(chain, target),
            urls=urls,
            tls=kind == "SSL_GET",
            virtualhost=self._pick(chain, "virtualhost", None),
            protocol=draft.get("protocol", "1.0"),
            enable_sni=draft.get("enable_sni", False) or sni is not None,
            sni_name=sni,
            fast_recovery=draft.get("fast_recovery", False),
            tls_compliant=draft.get("tls_compliant", False),
            verify=draft.get("verify", False),
            certificate_days=draft.get("certificate_days", 0),
        )

    def _grpc(self, kind: str, draft: Draft, chain: list[Draft], target: tuple[str, int]) -> _Question:
        tls = draft.get("tls", False)
        for field in ("sni_name", "verify", "certificate_days"):
            if draft.get(field) and not tls:
                self._context.warning(
                    "tls-missing", f"`{field}` does nothing without `tls`", draft.where[field], 0, help="add `tls`"
                )
        words = ("service", "sni_name", "verify", "certificate_days")
        return GrpcCheck(
            socket=self._socket(chain, target),
            virtualhost=self._pick(chain, "virtualhost", None),
            tls=tls,
            **{field: draft.values[field] for field in words if field in draft.values},
        )

    def _url(self, draft: Draft) -> HttpUrl | None:
        if "path" not in draft.values:
            self._context.error("missing-value", "the url has no `path`, it is left out", draft.statement, 0)
            return None
        regex = draft.get("regex")
        taken = {
            field: draft.values[field]
            for field in ("digest", "status_codes", "virtualhost", "regex_no_match", "regex_min_offset",
                          "regex_max_offset", "regex_stack", "tls_compliant", "json")
            if field in draft.values
        }  # fmt: skip
        for field in ("regex_no_match", "regex_options", "regex_min_offset", "regex_max_offset", "regex_stack"):
            if field in draft.values and regex is None:
                self._context.error(
                    "regex-missing",
                    f"`{field}` stands without `regex`",
                    draft.where[field],
                    0,
                    exit_class=ExitClass.NONE,
                )
        options = tuple(draft.get("regex_options", ()))
        for index, word in enumerate(options):
            if word not in PCRE2_OPTIONS:
                # keepalived takes unknown option words without a word.
                self._context.warning(
                    "unknown-value",
                    f"`{word}` is no regex option",
                    draft.where["regex_options"],
                    index + 1,
                    exit_class=ExitClass.NONE,
                )
        return HttpUrl(
            path=draft.values["path"], regex=regex.argv[0] if regex else None, regex_options=options, **taken
        )
