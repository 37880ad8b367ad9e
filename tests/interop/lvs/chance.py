"""Configurations that chance writes: words of the catalogue put together in other ways. The same seed, the same files.

make differential RANDOM=SEED
"""

from __future__ import annotations

from random import Random

from tests.interop.lvs.backends import LONG_PAGE, NAMED_PAGE, PAGE
from tests.interop.lvs.cases import TCP, Case, case, group, real, virtual
from tests.interop.lvs.catalogue_checks import get, md5, page

COUNT = 30
_TIMES = ("connect_timeout 1", "connect_timeout 2; retry 1; delay_before_retry 1", "retry 2; delay_before_retry 0.5")
_SORRY = ("", "sorry_server 192.168.0.20 80", "sorry_server 192.168.0.20 80; sorry_server_inhibit",
          "sorry_server 192.168.0.20 80; sorry_server_lvs_method TUN")  # fmt: skip
_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh; sh-port", "mh; mh-port; mh-fallback", "dh", "sed", "nq", "fo", "ovf")
_METHODS = ("NAT", "DR", "TUN", "TUN type gue port 6080", "TUN type gre csum")


def _checks(chance: Random) -> tuple[int, str]:
    """The port of the servers and what is asked of them."""
    times = chance.choice(_TIMES)
    mail, names = f"SMTP_CHECK {{ {times}; helo_name lb }}", f"DNS_CHECK {{ {times}; type A; name www.example.org }}"
    misc = 'MISC_CHECK { misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2 }'
    choices = (
        (8080, f"TCP_CHECK {{ {times} }}"),
        (80, get("path /status", "path /long; regex needle", words="http_protocol 1.1")),
        (80, page(f"path /; digest {md5(PAGE)}", words=chance.choice(("", "fast_recovery")))),
        (80, get(f"path /long; digest {md5(LONG_PAGE)}; status_code 200")),
        (443, get(f"path /; digest {md5(NAMED_PAGE)}; virtualhost www.example.org", words="enable_sni",
                  kind="SSL_GET")),
        (443, get("path /status", kind="SSL_GET")),
        (25, mail),
        (53, names),
        (7, f"UDP_CHECK {{ {times}; payload 0102; require_reply 01xx }}"),
        (80, f"{TCP} {misc}"),
    )  # fmt: skip
    return chance.choice(choices)


def _servers(chance: Random, name: str) -> str:
    port, check = _checks(chance)
    parts = []
    for number in ("12", "13", "14"):
        words = [f"weight {chance.choice((1, 2, 3, 5, 100))}"]
        notes = (f'notify_{way} "@DIRECTORY@/note {name}-{number} {way}"' for way in ("up", "down"))
        more = ("inhibit_on_failure", "alpha", "uthreshold 50; lthreshold 5", "delay_loop 1.5", *notes)
        words += [word for word in more if chance.random() < 0.25]
        parts.append(real(f"192.168.0.{number} {port}", "; ".join(words), check).replace("@N@", number))
    return "".join(parts)


def _service(chance: Random, name: str, place: str) -> str:
    words = [f"lb_algo {chance.choice(_SCHEDULERS)}", f"lb_kind {chance.choice(_METHODS)}", "protocol TCP",
             chance.choice(_SORRY), f"quorum {chance.choice((1, 1, 2, 3, 5))}"]  # fmt: skip
    words += [word for word in ("hysteresis 1", "inhibit_on_failure", "alpha", "omega", "persistence_timeout 90",
                                "persistence_timeout 50; persistence_granularity 255.255.0.0", "retry 2",
                                "virtualhost www.example.org", "smtp_alert") if chance.random() < 0.2]  # fmt: skip
    return virtual(place, "; ".join(filter(None, words)), _servers(chance, name), called=f"q-{name}")


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
            parts.append(_service(chance, f"{place}", where))
        name = f"random-{seed}-{number}"
        changes = (
            *(("weight 3", "weight 9"), ("quorum 1", "quorum 4")),
            *(("weight 100", "weight 40"), ("lb_kind", "lb_kind")),
        )
        text = "".join(parts)
        fitting = tuple(change for change in changes if change[0] in text)
        found[name] = case(name, *parts, change=(chance.choice(fitting),))
    return found
