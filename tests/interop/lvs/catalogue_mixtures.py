"""Configurations in which words meet that seldom stand together, and reloads that change much at once while servers are
down."""

from __future__ import annotations

from tests.interop.lvs.backends import NUMBERS, PAGE
from tests.interop.lvs.cases import FAST, NAT, TCP, Case, block, case, group, real, three, virtual
from tests.interop.lvs.catalogue_checks import get, md5, page

V = "10.0.0.5"
V6 = "2001:db8::5"
SORRY = "sorry_server 192.168.0.20 80"
_FILES = tuple(block(f"track_file f{number} {{ file @DIRECTORY@/number/{number} }}") for number in NUMBERS)


def _line(text: str, indent: int = 4) -> str:
    return " " * indent + text + "\n"


MIXTURES: tuple[Case, ...] = (
    case("mix-quorum-reload",
         virtual(f"{V} 80", f"{NAT}; quorum 4; hysteresis 2; inhibit_on_failure; {SORRY}; sorry_server_inhibit",
                 three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; quorum 3; hysteresis 1; {SORRY}; sorry_server_inhibit", three(called="t"),
                 called="r"),
         virtual(f"{V} 82", f"{NAT}; quorum 2; {SORRY}", three(called="u"), called="p"),
         change=(("quorum 4", "quorum 2"), ("hysteresis 2", "hysteresis 1"), ("quorum 3", "quorum 6"))),
    case("mix-sorry-inhibit-goes",
         virtual(f"{V} 80", f"{NAT}; quorum 6; {SORRY}; sorry_server_inhibit", three(called="s"), called="q"),
         change=((_line("sorry_server_inhibit"), ""),)),
    case("mix-alpha-omega",
         virtual(f"{V} 80", f"{NAT}; alpha; omega; quorum 3; {SORRY}", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; omega; inhibit_on_failure; quorum 6", three(words="alpha", called="t"),
                 called="r"),
         virtual(f"{V} 82", f"{NAT}; omega; alpha", three(words="inhibit_on_failure", called="u"), called="p"),
         change=(("weight 2", "weight 4"),)),
    case("mix-group-families",
         group("M", "10.0.1.1-3 80", "2001:db8:2::1-3 80", "10.0.2.1 8080", "fwmark 20 inet", "fwmark 21 inet6"),
         virtual("group M", f"lb_algo wrr; lb_kind TUN; protocol TCP; quorum 3; {SORRY}", three(called="s"),
                 called="q"),
         group("N", "fwmark 30", "10.0.3.1-2 81"),
         virtual("group N", "lb_algo rr; lb_kind DR; protocol UDP; persistence_timeout 40; omega", three(called="t"),
                 called="r"),
         change=(("weight 3", "weight 8"), ("quorum 3", "quorum 2"))),
    case("mix-group-becomes-address",
         group("O", "10.0.1.1 80", "10.0.1.2 80"), virtual("group O", NAT, three(called="s"), called="q"),
         virtual(f"{V} 80", NAT, three(called="t"), called="r"),
         change=(("virtual_server group O {", "virtual_server 10.0.1.1 80 {"), ("10.0.1.2 80", "10.0.1.3 80"))),
    case("mix-checks-and-retries",
         virtual(f"{V} 80", f"{NAT}; quorum 2; retry 2; delay_before_retry 0.5; warmup 0.5", three(
             80, "delay_loop 1.5", f"{page()} {TCP} "
             'MISC_CHECK { misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2; warmup 0.2 } '
             "SMTP_CHECK { connect_port 25; retry 0; connect_timeout 2 } "
             "UDP_CHECK { connect_port 7; require_reply; connect_timeout 2 } "
             "DNS_CHECK { connect_port 53; type A; name www.example.org; retry 1; connect_timeout 2 }", called="s"),
                 called="q")),
    case("mix-check-changes-kind",
         virtual(f"{V} 80", NAT, three(80, check="HTTP_GET { url { path /status }; connect_timeout 2; retry 1; "
                                       "delay_before_retry 1 }", called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; inhibit_on_failure; quorum 3; {SORRY}", three(
             80, check=get("path /status", words="fast_recovery"), called="t"), called="r"),
         virtual(f"{V} 82", f"{NAT}; alpha", three(80, check=f"TCP_CHECK {{ connect_port 80; connect_timeout 2 }} "
                 f"{page()}", called="u"), called="p"),
         change=(("path /status", f"path /\n                digest {md5(PAGE)}"), ("connect_port 80\n",
                 "connect_port 80\n            retry 2\n"))),
    case("mix-weights-and-files", *_FILES,
         virtual(f"{V} 80", f"{NAT}; quorum 4; hysteresis 1; {SORRY}", three(
             check=f"FILE_CHECK {{ track_file f@N@; weight 2 }} {TCP}", called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; inhibit_on_failure; quorum 3", three(
             check=f"FILE_CHECK {{ track_file f@N@; weight -1 }} {FAST}", called="t"), called="r"),
         change=(("weight 2\n        notify", "weight 5\n        notify"),)),
    case("mix-dynamic",
         *_FILES,
         virtual(f"{V} 80", f"{NAT}; quorum 3", three(
             check='MISC_CHECK { misc_path "@DIRECTORY@/dynamic @N@"; misc_timeout 2; misc_dynamic } '
             "FILE_CHECK { track_file f@N@; weight 3 }", called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; quorum 20; {SORRY}",
                 real("192.168.0.12 80", check='MISC_CHECK { misc_path "/usr/bin/env nosuch-program"; misc_dynamic }')
                 + real("192.168.0.13 80", "weight 1",
                        check='MISC_CHECK { misc_path "/usr/bin/ls /nosuch-file"; misc_dynamic }')
                 + real("192.168.0.14 8080", "weight 20"), called="r"),
         reloads=False),
    case("mix-everything-changes",
         virtual(f"{V} 80", "lb_algo sh; sh-port; lb_kind NAT; protocol TCP; persistence_timeout 50; "
                 "persistence_granularity 255.255.255.0", three(called="s"), called="q"),
         virtual(f"{V} 81", "lb_algo mh; mh-port; mh-fallback; lb_kind DR; protocol UDP", three(called="t"),
                 called="r"),
         virtual(f"{V} 82", "lb_algo rr; lb_kind TUN; protocol SCTP", three(called="u"), called="p"),
         change=(("sh-port\n    ", "sh-fallback\n    "), ("    mh-port\n", ""),
                 ("lb_kind TUN\n", "lb_kind TUN\n    persistence_timeout 30\n"),
                 ("timeout 50", "timeout 70"), ("255.255.255.0", "255.255.0.0"), ("weight 2", "weight 6"))),
    case("mix-protocol-changes", virtual(f"{V} 80", NAT, three(called="s"), called="q"),
         virtual(f"{V} 81", "lb_algo wlc; lb_kind NAT; protocol UDP; ops", three(called="t"), called="r"),
         virtual(f"{V} 81", "lb_algo wlc; lb_kind NAT; protocol SCTP; omega", three(called="u"), called="p"),
         change=(("protocol TCP", "protocol SCTP"), ("protocol UDP\n    ops", "protocol TCP"))),
    case("mix-servers-move",
         virtual(f"{V} 80", f"{NAT}; {SORRY}", real("192.168.0.12 8080", "weight 3") + real(
             "192.168.0.13 8080", "weight 2") + real("192.168.0.14 8080"), called="q"),
         virtual(f"{V} 81", NAT, real("192.168.0.14 8080", "weight 4") + real("192.168.0.12 8080", "weight 5"),
                 called="r"),
         virtual(f"{V} 82", f"{NAT}; sorry_server 192.168.0.13 8080", real("192.168.0.13 8080", "weight 7") + real(
             "192.168.0.12 8080", "weight 1"), called="p"),
         change=(("192.168.0.12 8080 {\n        weight 3", "192.168.0.17 8080 {\n        weight 3"),
                 ("192.168.0.13 8080 {\n        weight 2", "192.168.0.12 8080 {\n        weight 2"),
                 ("192.168.0.17 8080", "192.168.0.13 8080"), ("weight 5", "weight 6"))),
    case("mix-sorry-is-real",
         virtual(f"{V} 80", f"{NAT}; sorry_server 192.168.0.14 8080; quorum 3", three(called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; sorry_server 192.168.0.12 8080; inhibit_on_failure; quorum 6", three(called="t"),
                 called="r"),
         virtual(f"{V} 82", f"{NAT}; sorry_server 192.168.0.12 8080; sorry_server_inhibit; quorum 2", three(
             called="u"), called="p")),
    case("mix-attributes-of-servers",
         virtual(f"{V} 80", f"{NAT}; omega", three(words="inhibit_on_failure", called="s"), called="q"),
         virtual(f"{V} 81", f"{NAT}; inhibit_on_failure", three(words="lvs_method DR", called="t"), called="r"),
         virtual(f"{V} 82", f"{NAT}; quorum 3", three(words="lvs_method TUN", called="u"), called="p"),
         change=(("        inhibit_on_failure\n", ""), ("lvs_method TUN\n", "lvs_method NAT\n"), ("    omega\n", ""))),
    case("mix-alpha-failures",
         *(virtual(f"{V} {80 + number}", f"{NAT}; alpha", real(f"192.168.0.12 {port}", "weight 3", check) + real(
             "192.168.0.13 8080", "weight 2"), called=f"q{number}") for number, (port, check) in enumerate((
                 (80, get("path /missing")),
                 (443, get("path /; regex nothing", kind="SSL_GET")),
                 (81, get("path /")), (81, TCP), (26, "SMTP_CHECK { connect_timeout 2; retry 1 }"),
                 (7, "UDP_CHECK { require_reply 99; connect_timeout 1 }"), (54, "DNS_CHECK { connect_timeout 1 }"),
                 (80, f"{TCP.replace('{', '{ connect_port 80;')} TCP_CHECK {{ connect_port 81; connect_timeout 1 }}"),
                 (80, "TCP_CHECK { connect_port 81; connect_timeout 1; alpha false }"))))),
)  # fmt: skip
