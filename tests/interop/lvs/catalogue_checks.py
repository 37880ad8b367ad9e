"""Configurations about checks: every checker with every word, and where its settings come from."""

from __future__ import annotations

import hashlib

from tests.interop.lvs.backends import CERTIFICATE, LONG_PAGE, NAMED_PAGE, NUMBERS, PAGE
from tests.interop.lvs.cases import FAST, NAT, TCP, Case, block, case, real, three, virtual

V = "10.0.0.5"
V6 = "2001:db8::5"
_TIMES = "connect_timeout 2; retry 1; delay_before_retry 1"


def md5(page: bytes) -> str:
    return hashlib.md5(page).hexdigest()


def get(*urls: str, words: str = "", kind: str = "HTTP_GET") -> str:
    """HTTP_GET or SSL_GET with urls of such words."""
    return f"{kind} {{ {_TIMES}; {words}; " + " ".join(f"url {{ {url} }}" for url in urls) + " }"


def page(text: str = f"path /; digest {md5(PAGE)}", **more: str) -> str:
    return get(text, **more)


def one(name: str, check: str, *, port: int = 80, place: str = f"{V} 80", words: str = NAT, six: bool = False,
        **more: object) -> Case:  # fmt: skip
    """The three servers with this check."""
    return case(name, virtual(place, words, three(port, check=check, six=six, called="s"), called="q"), **more)  # type: ignore[arg-type]


_SOCKET = "connect_ip 192.168.0.@N@; connect_port @P@; bindto 10.0.0.6; bind_if lo; fwmark 9"
_TIMING = "warmup 0.5; delay_loop 1; alpha true; log_all_failures true"


def _socket(port: int) -> str:
    return f"{_SOCKET}; {_TIMING}; {_TIMES}".replace("@P@", str(port))


WEB: tuple[Case, ...] = (
    one("http-status", get("path /status"), quick=True),
    one("http-codes", get("path /status; status_code 200 301-302"), change=(("301-302", "300-399"),)),
    one("http-404", get("path /missing; status_code 404")),
    one("http-digest", page(), quick=True),
    one("http-wrong-digest", page(f"path /; digest {md5(b'no')}")),
    one("http-names-unused", get("path /; regex hello; regex_max_offset 40",
                                 words="enable_sni false; sni_name www.example.org")),
    one("http-six", page(), six=True, place=f"{V6} 80"),
    one("http-regex", page('path /; regex "<h1>he[l]+o"')),
    one("http-regex-no-match", page('path /; regex "out of order"; regex_no_match')),
    one("http-regex-options", page('path /; regex "^<H1>h.[l]+o</H1>$"; regex_options caseless multiline dotall')),
    one("http-regex-long", page('path /long; regex "needle in hay"; regex_min_offset 1000; regex_stack 8192 65536')),
    one("http-regex-status", page('path /; status_code 200; regex "hello"')),
    one("http-urls", get("path /status", f"path /; digest {md5(PAGE)}", f"path /long; digest {md5(LONG_PAGE)}")),
    one("http-virtualhost", get(f"path /; digest {md5(NAMED_PAGE)}; virtualhost www.example.org")),
    one("http-virtualhost-check", get(f"path /; digest {md5(NAMED_PAGE)}", words="virtualhost www.example.org")),
    case("http-virtualhost-servers", virtual(f"{V} 80", f"{NAT}; virtualhost www.example.org",
         three(80, check=page(f"path /; digest {md5(NAMED_PAGE)}"))), virtual(f"{V} 81", NAT, three(
             80, "virtualhost www.example.org", page(f"path /; digest {md5(NAMED_PAGE)}")))),
    case("http-protocols", *(virtual(f"{V} {80 + number}", NAT, three(80, check=page(words=f"http_protocol {word}")))
                             for number, word in enumerate(("1.0", "1.0C", "1.1")))),
    one("http-fast-recovery", page(words="fast_recovery"), quick=True),
    one("http-old-retry", page().replace("; retry 1; ", "; nb_get_retry 1; ")),
    one("http-socket", f"HTTP_GET {{ {_socket(80)}; url {{ path /status }} }}", port=8080),
    one("ssl", page(kind="SSL_GET"), port=443, quick=True),
    one("ssl-six", page(kind="SSL_GET"), port=443, six=True, place=f"{V6} 443"),
    one("ssl-sni", get(f"path /; digest {md5(NAMED_PAGE)}; virtualhost www.example.org", words="enable_sni",
                       kind="SSL_GET"), port=443),
    one("ssl-names", get(f"path /; digest {md5(NAMED_PAGE)}", words="virtualhost www.example.org; enable_sni true; "
                         "sni_name www.example.org", kind="SSL_GET"), port=443),
    one("ssl-openssl", get("path /status", kind="SSL_GET"), port=4433),
    one("ssl-words", get(f"path /; digest {md5(PAGE)}; status_code 200; regex \"hel+o\"; regex_options caseless; "
                         "regex_min_offset 1; regex_max_offset 40; regex_stack 8192 65536",
                         "path /; regex \"order\"; regex_no_match; virtualhost a.example.org",
                         words=f"{_socket(443)}; http_protocol 1.1; fast_recovery true; virtualhost b.example.org",
                         kind="SSL_GET"), port=443),
    case("ssl-client-certificate", f"SSL {{\n    password secret\n    ca {CERTIFICATE}/cert.pem\n"
         f"    certificate {CERTIFICATE}/cert.pem\n    key {CERTIFICATE}/locked.pem\n}}\n",
         virtual(f"{V} 443", NAT, three(443, check=page(kind="SSL_GET"), called="s"), called="q")),
)  # fmt: skip

OTHERS: tuple[Case, ...] = (
    one("tcp-socket", f"TCP_CHECK {{ {_socket(8080)} }}", port=9999),
    one("tcp-bind-port", "TCP_CHECK { connect_timeout 1; bind_port 61@N@ }", port=8080),
    case("bind-ports", *(virtual(f"{V} {80 + number}", NAT, three(port, check=check.replace("{", "{ " + (
        f"connect_timeout 1; bind_port 6{number}@N@;"), 1))) for number, (port, check) in enumerate((
            (80, "HTTP_GET { url { path /status } }"), (443, "SSL_GET { nb_get_retry 1; url { path /status } }"),
            (25, "SMTP_CHECK { retry 1 }"), (25, "SMTP_CHECK { host { connect_timeout 1; bind_port 69@N@ } }"),
            (7, "UDP_CHECK { require_reply }"), (53, "DNS_CHECK { retry 1; delay_before_retry 1 }"),
            (7, "PING_CHECK { retry 1 }"))))),
    one("tcp-patience", "TCP_CHECK { connect_timeout 1; retry 3; delay_before_retry 0.5 }", port=8080),
    case("times-of-service", virtual(f"{V} 80", f"{NAT}; retry 2; delay_before_retry 0.5; warmup 0.5; "
                                     "connect_timeout 1", three(check="TCP_CHECK { connect_port 8080 }", called="s"),
                                     called="q")),
    case("times-of-server", virtual(f"{V} 80", NAT, three(words="retry 2; delay_before_retry 0.5; warmup 0.5; "
         "connect_timeout 1; delay_loop 1.5", check="TCP_CHECK { connect_port 8080 }", called="s"), called="q")),
    case("several-checks", virtual(f"{V} 80", NAT, three(80, check=f"{page()} {TCP} {FAST}", called="s"), called="q"),
         quick=True),
    case("shared-checks", *(virtual(f"{V} {80 + number}", f"{NAT}; quorum {1 + number}", three(
        80, check=page(), called=f"s{number}"), called=f"q{number}") for number in range(5))),
    case("log-all", virtual(f"{V} 80", NAT, three(check=TCP.replace("{", "{ log_all_failures;"), called="s")),
         globals="checker_log_all_failures"),
    one("smtp", f"SMTP_CHECK {{ {_TIMES}; helo_name lb.example.org }}", port=25, quick=True),
    one("smtp-six", f"SMTP_CHECK {{ {_TIMES} }}", port=25, six=True, place=f"{V6} 25"),
    one("smtp-host", f"SMTP_CHECK {{ host {{ connect_ip 192.168.0.@N@; connect_port 25; {_TIMES}; {_TIMING}; "
        "bindto 10.0.0.6; bind_if lo; fwmark 3 } }", port=2525),
    one("smtp-hosts", "SMTP_CHECK { " + 2 * f"host {{ connect_ip 192.168.0.@N@; connect_port 25; {_TIMES} }} " + "}",
        port=2525),
    one("smtp-socket", f"SMTP_CHECK {{ {_socket(25)} }}", port=2525),
    one("dns", f"DNS_CHECK {{ {_TIMES} }}", port=53, words="lb_algo rr; lb_kind NAT; protocol UDP", quick=True),
    case("dns-types", *(virtual(f"{V} {53 + number}", "lb_algo rr; lb_kind DR; protocol UDP", real(
        f"192.168.0.{12 + number % 3} 53", "weight 3", f"DNS_CHECK {{ {_TIMES}; type {name}; name www.example.org }}"))
        for number, name in enumerate(("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY")))),
    one("dns-socket", f"DNS_CHECK {{ {_socket(53)}; type A; name www.example.org. }}", port=5353),
    one("dns-six", f"DNS_CHECK {{ {_TIMES}; type A; name www.example.org }}", port=53, six=True, place=f"{V6} 53",
        words="lb_algo rr; lb_kind NAT; protocol UDP"),
    one("misc", 'MISC_CHECK { misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2 }', quick=True),
    one("misc-dynamic", 'MISC_CHECK { misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2; misc_dynamic }',
        reloads=False),
    one("misc-words", 'MISC_CHECK { misc_path "@DIRECTORY@/who @N@"; misc_timeout 2; user root root; retry 1; '
        f"delay_before_retry 1; {_TIMING} }}"),
    *(case(name, *(block(f"track_file f{number} {{ file @DIRECTORY@/number/{number}; {own} }}") for number in NUMBERS),
           virtual(f"{V} 80", f"{NAT}; quorum 3", three(check=f"FILE_CHECK {{ track_file f@N@; {words} }} {TCP}",
                                                        called="s"), called="q"))
      for name, own, words in (("file", "weight 0", ""), ("file-reverse", "weight 0 reverse", ""),
                               ("file-weight", "weight 1", "weight 2"), ("file-minus", "", "weight -1"),
                               ("file-of-track", "weight 3", ""))),
    case("bfd", *(block(f"bfd_instance b{number} {{ neighbor_ip 192.0.2.{number}; source_ip 10.0.0.6 }}")
                  for number in NUMBERS),
         virtual(f"{V} 80", NAT, three(check=TCP, called="s") + real(
             "192.168.0.12 81", "weight 7", "BFD_CHECK { name b12 }"), called="q"),
         virtual(f"{V} 81", NAT, three(check=f"BFD_CHECK {{ name b@N@; alpha }} {TCP}", called="t"), called="r"),
         told=False),
    one("misc-and-tcp", f'MISC_CHECK {{ misc_path "@DIRECTORY@/answer @N@"; misc_timeout 2 }} {TCP}', port=8080),
    one("udp", f"UDP_CHECK {{ {_TIMES} }}", port=9, words="lb_algo rr; lb_kind NAT; protocol UDP", quick=True),
    one("udp-reply", f"UDP_CHECK {{ {_TIMES}; payload 0102; require_reply 01xx; min_reply_length 2; "
        "max_reply_length 2 }", port=7, words="lb_algo rr; lb_kind NAT; protocol UDP"),
    one("udp-any-reply", f"UDP_CHECK {{ {_TIMES}; payload 616263; require_reply; min_reply_length 3 }}", port=7,
        words="lb_algo rr; lb_kind NAT; protocol UDP"),
    one("udp-socket", f"UDP_CHECK {{ {_socket(7)}; payload 01 02 03; require_reply 0x 02 }}", port=5000),
    one("udp-six", f"UDP_CHECK {{ {_TIMES}; require_reply }}", port=7, six=True, place=f"{V6} 9",
        words="lb_algo rr; lb_kind NAT; protocol UDP"),
    one("ping", f"PING_CHECK {{ {_TIMES} }}", quick=True),
    one("ping-six", f"PING_CHECK {{ {_TIMES} }}", six=True, place=f"{V6} 80"),
    one("ping-socket", f"PING_CHECK {{ {_socket(7)} }}"),
)  # fmt: skip
