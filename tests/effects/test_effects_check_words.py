"""From a word in a check's block to what is asked, and to which answer counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import Exchange, Outcome, RunProgram, StartTls
from pykeepalived.checkers.dns import query
from pykeepalived.checkers.http import compiled
from pykeepalived.model.checks import HttpCheck
from pykeepalived.patterns import Pattern
from pykeepalived.units import SECOND_US
from tests.checkers.playbook import feed, sent
from tests.effects.test_effects_words import REAL, SERVER, read

WEB = ["HTTP_GET", "SSL_GET"]
OK = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"


def question(tmp_path: Path, kind: str, *words: str) -> Any:
    """What the check of a file asks; the file must be without fault."""
    block = "\n".join([f"{kind} {{", *words, "}"])
    result = read(
        tmp_path, "global_defs {\nscript_user root\nenable_script_security\n}\n" + SERVER % (REAL % (10, block))
    )
    assert not result.exit_class, result.findings.items
    return result.config.virtual_servers[0].real_servers[0].checkers[0].question


def url(path: str, *words: str) -> str:
    return "\n".join(["url {", f"path {path}", *words, "}"])


def asked(what: HttpCheck) -> bytes:
    return sent(feed(registry.converse(what), OK)[1])


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.{http_protocol,url.path}")
@pytest.mark.parametrize("kind", WEB)
def test_version_and_path_of_a_request(kind: str, tmp_path: Path) -> None:
    assert asked(question(tmp_path, kind, url("/a"))).startswith(b"GET /a HTTP/1.0\r\n")
    newer = asked(question(tmp_path, kind, "http_protocol 1.1", url("/b")))
    assert newer.startswith(b"GET /b HTTP/1.1\r\n")
    assert b"Connection: close\r\n" in newer


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.{virtualhost,url.virtualhost}")
@pytest.mark.parametrize("kind", WEB)
def test_the_host_of_a_request(kind: str, tmp_path: Path) -> None:
    assert b"Host: 192.0.2.10:80\r\n" in asked(question(tmp_path, kind, url("/")))
    assert b"Host: all.example\r\n" in asked(question(tmp_path, kind, "virtualhost all.example", url("/")))
    both = ("virtualhost all.example", url("/", "virtualhost one.example"))
    assert b"Host: one.example\r\n" in asked(question(tmp_path, kind, *both))


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.status_code")
@pytest.mark.parametrize("kind", WEB)
@pytest.mark.parametrize(
    ("words", "good"), [((), {200, 204}), (("status_code 404",), {404}), (("status_code 200 400-404",), {200, 404})]
)
def test_which_status_counts(kind: str, words: tuple[str, ...], good: set[int], tmp_path: Path) -> None:
    what = question(tmp_path, kind, url("/", *words))
    answers = {code: b"HTTP/1.0 %d X\r\nContent-Length: 0\r\n\r\n" % code for code in (200, 204, 404, 500)}
    assert {code for code, answer in answers.items() if feed(registry.converse(what), answer)[0].ok} == good


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.fast_recovery")
@pytest.mark.parametrize("kind", WEB)
def test_a_server_that_comes_back_is_asked_for_everything_at_once(kind: str, tmp_path: Path) -> None:
    urls = [url(f"/{name}") for name in "abc"]
    for words, ended in (((), True), (("fast_recovery",), False)):
        what = question(tmp_path, kind, *words, *urls)
        outcome, commands = feed(registry.converse(what, registry.Start(2, True)), OK, OK, OK)
        assert outcome.ok
        assert outcome.partial is ended
        assert (b"GET /c " in sent(commands)) is not ended


def handshake(what: HttpCheck) -> StartTls:
    (found,) = (command for command in feed(registry.converse(what), OK)[1] if isinstance(command, StartTls))
    return found


@pytest.mark.shows("virtual_server.real_server.SSL_GET.{enable_sni,sni_name}")
@pytest.mark.parametrize(
    ("words", "name"), [((), None), (("enable_sni",), "www.example"), (("sni_name other.example",), "other.example")]
)
def test_the_name_in_the_handshake(words: tuple[str, ...], name: str | None, tmp_path: Path) -> None:
    assert handshake(question(tmp_path, "SSL_GET", "virtualhost www.example", *words, url("/"))).server_name == name


@pytest.mark.shows("virtual_server.real_server.SSL_GET.{tls_compliant,url.tls_compliant}")
def test_whether_a_close_notify_must_come(tmp_path: Path) -> None:
    found = [
        handshake(question(tmp_path, "SSL_GET", *words)).require_close_notify
        for words in ((url("/"),), ("tls_compliant", url("/")), (url("/", "tls_compliant"),))
    ]
    assert found == [False, True, True]


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.regex_stack")
@pytest.mark.parametrize("kind", WEB)
def test_a_stack_for_the_compiled_matcher(kind: str, tmp_path: Path) -> None:
    text, answers = b"ab" * 3000, []
    for words in ((), ("regex_stack 32768 8388608",)):
        (one,) = question(tmp_path, kind, url("/", 'regex "^(?:(a)|b)*$"', *words)).urls
        found = compiled(one.regex, one.regex_options, one.regex_stack)
        assert isinstance(found, Pattern)
        answers.append(found.attempt(text, 0, len(text), more=False, careful=False)[0])
    assert answers == [-46, 0], "PCRE2_ERROR_JIT_STACKLIMIT, found"


@pytest.mark.shows("virtual_server.real_server.DNS_CHECK.{type,name}")
def test_what_a_name_server_is_asked(tmp_path: Path) -> None:
    def wire(*words: str) -> bytes:
        _, commands = feed(registry.converse(question(tmp_path, "DNS_CHECK", *words)))
        (packet,) = (command.data for command in commands if isinstance(command, Exchange))
        return packet

    assert wire() == query(0, ".", 6)
    assert wire("type AAAA", "name www.example") == query(0, "www.example", 28)


@pytest.mark.shows("virtual_server.real_server.MISC_CHECK.{misc_path,misc_dynamic}")
@pytest.mark.parametrize(("word", "expected"), [("", (False, None)), ("misc_dynamic", (True, 28))])
def test_which_program_runs_and_what_its_status_means(
    word: str, expected: tuple[bool, int | None], tmp_path: Path
) -> None:
    conversation = registry.converse(question(tmp_path, "MISC_CHECK", 'misc_path "/usr/bin/true one"', word))
    command = next(conversation)
    assert isinstance(command, RunProgram)
    assert command.script.argv == ("/usr/bin/true", "one")
    with pytest.raises(StopIteration) as ended:
        conversation.send(30)  # type: ignore[arg-type]
    outcome: Outcome = ended.value.value
    assert (outcome.ok, outcome.weight) == expected


@pytest.mark.shows("virtual_server.real_server.SMTP_CHECK.helo_name")
def test_how_a_mail_check_introduces_itself(tmp_path: Path) -> None:
    what = question(tmp_path, "SMTP_CHECK", "helo_name lb7.example")
    _, commands = feed(registry.converse(what), b"220 hello\r\n", b"250 fine\r\n", b"221 bye\r\n")
    assert sent(commands) == b"HELO lb7.example\r\nQUIT\r\n"


UDP = ("payload 0102ff", "require_reply 41", "min_reply_length 2", "max_reply_length 4")


@pytest.mark.shows("virtual_server.real_server.UDP_CHECK.{payload,require_reply,min_reply_length,max_reply_length}")
def test_what_is_sent_and_which_reply_counts(tmp_path: Path) -> None:
    def ask(reply: bytes | None, *words: str) -> tuple[bytes, bool]:
        conversation = registry.converse(question(tmp_path, "UDP_CHECK", *words))
        command = next(conversation)
        assert isinstance(command, Exchange)
        assert command.timeout_us == 5 * SECOND_US
        with pytest.raises(StopIteration) as ended:
            conversation.send(reply)  # type: ignore[arg-type]
        return command.data, ended.value.value.ok

    replies = (None, b"A", b"AB", b"ABCD", b"ABCDE", b"BB")
    assert [ask(reply)[1] for reply in replies] == [True] * 6
    assert [ask(reply, *UDP) for reply in replies] == [
        (b"\x01\x02\xff", ok) for ok in (False, False, True, True, False, False)
    ]
