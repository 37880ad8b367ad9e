"""Every negotiate service against the real server of its kind: success, wrong answer, refused login, silence, TLS.

Each question is asked over IPv4 and over IPv6.

All servers run in one room, all questions of a family are asked of them at once (`real_servers.py`); each test judges
one outcome.
Oracle's server cannot be had: its driver is shown against listeners of ours that are silent, close and reset.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.dialects.ldirectord.services import CLIENTS, SERVICE_PORTS, SERVICES
from pykeepalived.model.checks import NegotiateCheck, SocketOptions, TlsOptions
from tests.ldirectord.real_servers import CLOSING, RESETTING, SILENT
from tests.ldirectord.room import Room

HERE = Path(__file__).parent
pytestmark = pytest.mark.netns

TLS = "/run/servers/tls"
TRUST = TlsOptions(verify=True, ca_file=f"{TLS}/ca.pem")
NAMED = TlsOptions(verify=True, ca_file=f"{TLS}/ca.pem", server_name="web.example")
MISNAMED = TlsOptions(verify=True, ca_file=f"{TLS}/ca.pem", server_name="other.example")
UNTRUSTED = TlsOptions(verify=True)
CLIENT = TlsOptions(certificate_file=f"{TLS}/client.pem", key_file=f"{TLS}/client.key")


def ask(service: str, port: int = 0, address: str = "127.0.0.1", timeout_s: float = 60, **words: Any) -> NegotiateCheck:
    socket = SocketOptions(
        address=address, port=port or SERVICE_PORTS.get(service, 0), timeout_us=int(timeout_s * 1_000_000)
    )
    return NegotiateCheck(socket=socket, service=service, **words)


MAILBOX = {"login": "checker", "password": "secret"}
SHOP = {**MAILBOX, "database": "shop"}
GOOD: dict[str, tuple[NegotiateCheck, ...]] = {
    "http": (ask("http", receive="test page"), ask("http", request="/moved", receive="^a test")),
    "https": (ask("https", receive="page"), ask("https", tls=TRUST), ask("https", tls=NAMED),
              ask("https", 444, tls=CLIENT), ask("https", 445, tls=NAMED, virtualhost="web.example", receive="page")),
    "http_proxy": (ask("http_proxy", request="http://www.example/index.html", receive="test page"),),
    "ftp": (ask("ftp", request="/welcome.txt", receive="Hello"), ask("ftp"), ask("ftp", request="/welcome.txt"),
            ask("ftp", 2121, request="/welcome.txt", receive="Hello")),
    "smtp": (ask("smtp"),),
    "submission": (ask("submission"),),
    "pop": (ask("pop"), ask("pop", **MAILBOX)),
    "pops": (ask("pops"), ask("pops", **MAILBOX), ask("pops", tls=NAMED, **MAILBOX)),
    "imap": (ask("imap"), ask("imap", **MAILBOX)),
    "imaps": (ask("imaps"), ask("imaps", **MAILBOX), ask("imaps", tls=TRUST), ask("imaps", tls=NAMED)),
    "nntp": (ask("nntp"),),
    "ldap": (ask("ldap"), ask("ldap", request="/dc=example", receive="^dc=ex"),
             ask("ldap", request="/dc=example", login="cn=admin,dc=example", password="secret")),
    "ldaps": (ask("ldaps", request="/dc=example"), ask("ldaps", tls=TRUST), ask("ldaps", tls=NAMED)),
    "mysql": (ask("mysql", request="/SELECT * FROM goods", **SHOP), ask("mysql", request="/SELECT 1", **MAILBOX)),
    "pgsql": (ask("pgsql", request="/SELECT 1", database="postgres", **MAILBOX),),
    "radius": (ask("radius", secret="shared", **MAILBOX),),
    "dns": (ask("dns", request="/www.example", receive=r"^192\.0\.2\.80$", protocol="udp"),
            ask("dns", request="/www.example", receive=r"80", protocol="tcp"),
            ask("dns", request="/192.0.2.80", receive=r"^www\.example", protocol="udp")),
    "sip": (ask("sip", login="ldirectord@host", protocol="udp"), ask("sip", login="ldirectord@host", protocol="tcp")),
    "simpletcp": (ask("simpletcp", 25, request="/QUIT\\n", receive="^220 mail.example"),),
}  # fmt: skip

WRONG: dict[str, tuple[tuple[NegotiateCheck, str], ...]] = {
    "http": ((ask("http", receive="nowhere"), "receive"), (ask("http", request="/none"), "status-code"),
             (ask("http", request="/secret"), "status-code")),
    "https": ((ask("https", tls=UNTRUSTED), "tls"), (ask("https", tls=MISNAMED), "tls"), (ask("https", 80), "tls"),
              (ask("https", 444), "status-code"), (ask("https", 445), "status-code"),
              (ask("https", receive="nowhere"), "receive")),
    "http_proxy": ((ask("http_proxy", request="http://www.example/none"), "status-code"),),
    "ftp": ((ask("ftp", request="/welcome.txt", receive="Bye"), "receive"), (ask("ftp", request="/none"), "ftp-status"),
            (ask("ftp", login="somebody", password="x"), "login")),
    "smtp": ((ask("smtp", 2525), "smtp-status"), (ask("smtp", 110), "smtp-status")),
    "submission": ((ask("submission", 2525), "smtp-status"),),
    "pop": ((ask("pop", login="checker", password="wrong"), "login"), (ask("pop", 143), "pop-status")),
    "pops": ((ask("pops", 110), "tls"), (ask("pops", tls=UNTRUSTED), "tls"), (ask("pops", tls=MISNAMED), "tls"),
             (ask("pops", login="checker", password="wrong"), "login")),
    "imap": ((ask("imap", login="checker", password="wrong"), "login"), (ask("imap", 110), "imap-status")),
    "imaps": ((ask("imaps", 143), "tls"), (ask("imaps", tls=UNTRUSTED), "tls"), (ask("imaps", tls=MISNAMED), "tls"),
              (ask("imaps", login="checker", password="wrong"), "login")),
    "nntp": ((ask("nntp", 1119), "status"),),
    "ldap": ((ask("ldap", request="/dc=none"), "search"),
             (ask("ldap", request="/dc=example", receive="none"), "receive"),
             (ask("ldap", login="cn=admin,dc=example", password="wrong"), "login")),
    "ldaps": ((ask("ldaps", 389), "tls"), (ask("ldaps", tls=UNTRUSTED), "tls"), (ask("ldaps", tls=MISNAMED), "tls"),
              (ask("ldaps", login="cn=admin,dc=example", password="wrong"), "login")),
    "mysql": ((ask("mysql", request="/SELECT * FROM empty", **SHOP), "no-row"),
              (ask("mysql", request="/SELECT * FROM nothing", **SHOP), "refused-by-client"),
              (ask("mysql", request="/SELECT 1", login="checker", password="wrong"), "refused-by-client"),
              (ask("mysql", request="/SELECT 1", login="checker", password="secret", database="none"),
               "refused-by-client"),
              (ask("mysql", request="/SELECT 1"), "incomplete")),
    "pgsql": ((ask("pgsql", request="/SELECT 1 WHERE false", database="postgres", **MAILBOX), "no-row"),
              (ask("pgsql", request="/SELECT 1", database="none", **MAILBOX), "refused-by-client"),
              (ask("pgsql", request="/SELECT 1", login="checker", password="wrong", database="postgres"),
               "refused-by-client")),
    "oracle": ((ask("oracle", request="/SELECT 1 FROM dual", **SHOP), "refused-by-client"),),
    "radius": ((ask("radius", secret="shared", login="checker", password="wrong"), "login"),
               (ask("radius", secret="other", timeout_s=20, **MAILBOX), "timeout")),
    "dns": ((ask("dns", request="/www.example", receive="1.1.1.1", protocol="udp"), "receive"),
            (ask("dns", request="/none.example", receive=".", protocol="udp"), "no-answer"),
            (ask("dns", request="/www.example", protocol="udp"), "receive")),
    "sip": ((ask("sip", 5061, login="a@b", protocol="udp"), "status"),),
    "simpletcp": ((ask("simpletcp", 25, request="/QUIT\\n", receive="nowhere"), "receive"),),
}  # fmt: skip
#: Words that a check needs before it asks at all.
_WORDS: dict[str, dict[str, Any]] = {
    "mysql": {"request": "/SELECT 1", **MAILBOX}, "pgsql": {"request": "/SELECT 1", **MAILBOX},
    "oracle": {"request": "/SELECT 1 FROM dual", **MAILBOX}, "radius": {"secret": "shared", **MAILBOX},
    "http_proxy": {"request": "http://www.example/"}, "simpletcp": {"receive": "x"}, "imap": MAILBOX, "ftp": MAILBOX,
    "dns": {"request": "/www.example", "receive": ".", "protocol": "tcp"},
    "sip": {"login": "a@b", "protocol": "tcp"},
}  # fmt: skip
ALL = [service for service in SERVICES if service != "none"]
TCP = [service for service in ALL if service != "radius"]


def over_six(question: NegotiateCheck) -> NegotiateCheck:
    """The same question to the same server, over IPv6."""
    return msgspec.structs.replace(question, socket=msgspec.structs.replace(question.socket, address="::1"))


def questions() -> dict[str, NegotiateCheck]:
    named: dict[str, NegotiateCheck] = {}
    for service in ALL:
        words = _WORDS.get(service, {})
        named[f"silence {service}"] = ask(service, SILENT, timeout_s=10 if service in CLIENTS else 1.5, **words)
    for service in TCP:
        words = _WORDS.get(service, {})
        named[f"end {service}"] = ask(service, CLOSING, **words)
        named[f"reset {service}"] = ask(service, RESETTING, **words)
    for service, asked in GOOD.items():
        named |= {f"good {service} {number}": question for number, question in enumerate(asked)}
    for service, wrong in WRONG.items():
        named |= {f"wrong {service} {number}": question for number, (question, _) in enumerate(wrong)}
    named |= {f"{name} six": over_six(question) for name, question in named.items()}
    named["refused"] = ask("http", 7999)
    return named


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    missing = [client.module for client in CLIENTS.values() if importlib.util.find_spec(client.module) is None]
    assert not missing, f"make .venv/.clients installs {missing}"
    file = tmp_path_factory.mktemp("services") / "questions.json"
    file.write_bytes(msgspec.json.encode(questions()))
    with Room() as room:
        process = room.start(sys.executable, str(HERE / "real_servers.py"), str(file))
        output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    report = msgspec.json.decode(output)
    assert not report["problems"]
    return msgspec.convert(report["outcomes"], dict[str, Outcome])


GOOD_NAMES = [name for name in questions() if name.startswith("good")]
WRONG_NAMES = [name for name in questions() if name.startswith("wrong")]


@pytest.mark.shows(
    "ldirectord.virtual.{database,secret,tlsca,tlscert,tlskey,tlsservername,tlsverify}",
    "ldirectord.global.{tlsca,tlscert,tlskey,tlsverify}",
    "ldirectord.virtual.{service,request,receive,login,passwd}",
)
@pytest.mark.parametrize("name", GOOD_NAMES)
def test_success(outcomes: dict[str, Outcome], name: str) -> None:
    assert outcomes[name].ok, outcomes[name]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_wrong_answers_refused_logins_and_tls_failures(outcomes: dict[str, Outcome], name: str) -> None:
    _, service, number, *_six = name.split()
    expected = WRONG[service][int(number)][1]
    assert (outcomes[name].ok, outcomes[name].reason) == (False, expected), outcomes[name]


@pytest.mark.parametrize("six", ["", " six"])
@pytest.mark.parametrize("service", ALL)
def test_silence_ends_at_the_limit(outcomes: dict[str, Outcome], service: str, six: str) -> None:
    outcome = outcomes[f"silence {service}{six}"]
    assert not outcome.ok
    # A library may see its own limit a moment before ours; and on a loaded machine its process comes too late.
    expected = {"timeout", "refused-by-client", "search", "no-resources"} if service in CLIENTS else {"timeout"}
    assert outcome.reason in expected, outcome


@pytest.mark.parametrize("six", ["", " six"])
@pytest.mark.parametrize("service", TCP)
@pytest.mark.parametrize("kind", ["end", "reset"])
def test_a_connection_that_is_cut(outcomes: dict[str, Outcome], service: str, kind: str, six: str) -> None:
    outcome = outcomes[f"{kind} {service}{six}"]
    assert not outcome.ok
    assert outcome.reason != "timeout", outcome


def test_http_failures_are_worded_as_in_ldirectord(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["good http 0"].text == "200 OK"
    assert outcomes["silence http"].text == "500 Timeout Alarm"
    assert outcomes["refused"].text == "500 Can't connect to 127.0.0.1:7999 (Connection refused)"
    assert outcomes["wrong https 0"].text == "500 Can't connect to 127.0.0.1:443 (certificate verify failed)"
