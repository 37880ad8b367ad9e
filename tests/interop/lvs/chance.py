"""Configurations that chance writes: words of the catalogue put together in other ways. The same seed, the same files.

make differential RANDOM=SEED
"""

from __future__ import annotations

from random import Random

from tests.interop.lvs.backends import LONG_PAGE, NAMED_PAGE, NUMBERS, PAGE
from tests.interop.lvs.cases import TCP, Case, block, case, group, real, virtual
from tests.interop.lvs.catalogue_checks import get, md5, page

COUNT = 30
_TIMES = ("connect_timeout 1", "connect_timeout 2; retry 1; delay_before_retry 1",
          "connect_timeout 2; retry 2; delay_before_retry 0.5")  # fmt: skip
_SORRY = ("", "sorry_server 192.168.0.20 80", "sorry_server 192.168.0.20 80; sorry_server_inhibit",
          "sorry_server 192.168.0.20 80; sorry_server_lvs_method TUN")  # fmt: skip
_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh; sh-port", "mh; mh-port; mh-fallback", "dh", "sed", "nq", "fo", "ovf",
               "sh; sh-fallback", "lblc", "lblcr")  # fmt: skip
_METHODS = ("NAT", "DR", "TUN", "TUN type gue port 6080", "TUN type gre csum", "TUN type gue port 6081 remcsum",
            "TUN type ipip nocsum")  # fmt: skip
_SERVICE = (
    "hysteresis 1",
    "inhibit_on_failure",
    "alpha",
    "omega",
    "persistence_timeout 90",
    "persistence_timeout 50; persistence_granularity 255.255.0.0",
    "retry 2",
    "virtualhost www.example.org",
    "smtp_alert",
    "ha_suspend",
    "weight 4",
    "warmup 0.5",
    "connect_timeout 2; delay_before_retry 1",
)
_SERVER = ("inhibit_on_failure", "alpha", "uthreshold 50; lthreshold 5", "delay_loop 1.5", "retry 1", "warmup 0.5",
           "inhibit_on_failure false", "alpha false", "lvs_method DR", "lvs_method TUN type gre",
           "virtualhost www.example.org")  # fmt: skip
_GLOBALS = ("checker_log_all_failures", "rs_init_notifies", "lvs_flush", "lvs_flush_on_stop",
            "lvs_timeouts tcp 900 tcpfin 30 udp 60")  # fmt: skip


def _web(chance: Random) -> tuple[int, str]:
    """HTTP_GET or SSL_GET with some of their words."""
    kind, port = chance.choice((("HTTP_GET", 80), ("SSL_GET", 443)))
    urls = (
        "path /status",
        "path /long; regex needle",
        f"path /; digest {md5(PAGE)}; status_code 200",
        f"path /; digest {md5(NAMED_PAGE)}; virtualhost www.example.org",
        f"path /long; digest {md5(LONG_PAGE)}; status_code 200-201 204",
        'path /; regex "^<H1>h.[l]+o"; regex_options caseless multiline',
        'path /; regex "out of order"; regex_no_match',
        "path /missing; status_code 404",
        'path /long; regex "needle in hay"; regex_min_offset 1000; regex_max_offset 90000',
        "path /; status_code 100-299; regex hello",
    )
    words = ["http_protocol 1.1", "http_protocol 1.0", "fast_recovery", "retry 2; delay_before_retry 0.5", "alpha",
             "delay_loop 1.5", "warmup 0.5", "connect_timeout 2", "log_all_failures", "bindto 10.0.0.6",
             "fwmark 7"]  # fmt: skip
    chosen = "; ".join(word for word in words if chance.random() < 0.2)
    return port, get(*chance.sample(urls, chance.choice((1, 1, 2, 3))), words=chosen, kind=kind)


def _checks(chance: Random) -> tuple[int, str]:
    """The port of the servers and what is asked of them."""
    times = chance.choice(_TIMES)
    mail, names = f"SMTP_CHECK {{ {times}; helo_name lb }}", f"DNS_CHECK {{ {times}; type A; name www.example.org }}"
    misc = 'MISC_CHECK { misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2 }'
    more = chance.choice(("", "alpha", "warmup 0.2", "delay_loop 2", "bindto 10.0.0.6; fwmark 3", "bind_if lo"))
    choices = (
        (8080, f"TCP_CHECK {{ {times}; {more} }}"),
        (9999, f"TCP_CHECK {{ {times}; {more}; connect_port 8080 }}"),
        (80, page(f"path /; digest {md5(PAGE)}", words=chance.choice(("", "fast_recovery")))),
        (25, mail),
        (25, f"SMTP_CHECK {{ host {{ connect_ip 192.168.0.@N@; {times} }} }}"),
        (53, names),
        (7, f"UDP_CHECK {{ {times}; payload 0102; require_reply 01xx; {more} }}"),
        (7, f"UDP_CHECK {{ {times}; payload 6162; require_reply; min_reply_length 2; max_reply_length 9 }}"),
        (80, f"{TCP} {misc}"),
        (80, f"PING_CHECK {{ {times} }}"),
        (80, f"FILE_CHECK {{ track_file f@N@; weight {chance.choice((1, -1, 3))} }} {TCP}"),
        (80, f"{page()} {TCP} {misc}"),
    )
    return _web(chance) if chance.random() < 0.4 else chance.choice(choices)


def _servers(chance: Random, name: str) -> str:
    port, check = _checks(chance)
    # A check with words for an address goes to IPv4 ones.
    six = "192.168" not in check and "10.0.0.6" not in check and chance.random() < 0.15
    parts = []
    for number in ("12", "13", "14"):
        words = [f"weight {chance.choice((1, 2, 3, 5, 100))}"]
        notes = (f'notify_{way} "@DIRECTORY@/note {name}-{number} {way}"' for way in ("up", "down"))
        words += [word for word in (*_SERVER, *notes) if chance.random() < 0.15]
        own = check if chance.random() < 0.9 else ""
        address = f"2001:db8:1::{number}" if six else f"192.168.0.{number}"
        parts.append(real(f"{address} {port}", "; ".join(words), own).replace("@N@", number))
    return "".join(parts)


def _service(chance: Random, name: str, place: str) -> str:
    servers = _servers(chance, name)
    six = "2001:db8" in servers
    words = [f"lb_algo {chance.choice(_SCHEDULERS)}", f"lb_kind {chance.choice(_METHODS)}",
             f"protocol {chance.choice(('TCP', 'TCP', 'TCP', 'UDP', 'SCTP'))}",
             "" if six else chance.choice(_SORRY), f"quorum {chance.choice((1, 1, 2, 3, 5))}"]  # fmt: skip
    words += [word for word in _SERVICE if chance.random() < 0.15 and not (word == "ha_suspend" and " " not in place)]
    if "protocol UDP" in words and chance.random() < 0.3:
        words.append("ops")
    return virtual(SIX if six else place, "; ".join(filter(None, words)), servers, called=f"q-{name}")


#: A place for servers with addresses of IPv6.
SIX = "2001:db8::5 80"


def random_cases(seed: int, count: int = COUNT) -> dict[str, Case]:
    """So many cases, `random-SEED-N`."""
    chance = Random(seed)
    found: dict[str, Case] = {}
    for number in range(count):
        parts = []
        for place in range(chance.choice((1, 1, 2, 3))):
            where = chance.choice((f"10.0.0.5 {80 + place}", f"10.0.0.5 {80 + place}", f"fwmark {5 + place}", "group"))
            if where == "group":
                parts.append(group(f"G{place}", f"10.0.1.1-3 {80 + place}", f"fwmark {20 + place}"))
                where = f"group G{place}"
            made = _service(chance, f"{place}", where)
            parts.append(made.replace(SIX, f"2001:db8::5 {80 + place}"))
        if any("FILE_CHECK" in part for part in parts):
            parts[:0] = [block(f"track_file f{n} {{ file @DIRECTORY@/number/{n}; weight 0 }}") for n in NUMBERS]
        name = f"random-{seed}-{number}"
        changes = (("weight 3", "weight 9"), ("quorum 1", "quorum 4"), ("weight 100", "weight 40"),
                   ("connect_timeout 1", "connect_timeout 3"), ("quorum 2", "quorum 3"), ("NAT", "DR"))  # fmt: skip
        text = "".join(parts)
        fitting = tuple(change for change in changes if change[0] in text) or (("lb_kind", "lb_kind"),)
        own = "; ".join(word for word in _GLOBALS if chance.random() < 0.1)
        found[name] = case(name, *parts, change=(chance.choice(fitting),), globals=own)
    return found
