"""Libraries and programs that a file's checks need: their absence is an error at the word that asks for them."""

import msgspec
import pytest

from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.dialects.ldirectord.services import CLIENTS
from pykeepalived.model.checks import NegotiateCheck, TlsOptions
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost

TEXT = """\
virtual=10.1.0.1:8080
    real=10.1.1.1:80 masq
    service={service}
    login="u"
    request="select 1"
"""


@pytest.mark.parametrize("service", CLIENTS)
def test_a_missing_library_is_named_at_the_service(service: str) -> None:
    client = CLIENTS[service]
    text = TEXT.format(service=service)
    assert load_text(text, "x", host=FakeHost()).ok
    result = load_text(text, "x", host=FakeHost(client.module))
    (finding,) = [item for item in result.findings.items if item.id == "missing-library"]
    assert not result.ok
    assert finding.span is not None
    assert (finding.span.line, finding.span.column) == (3, 13)
    assert f"`{client.module}`" in finding.message
    assert f"pykeepalived[{client.extra}]" in (finding.help or "")


def test_a_library_of_a_service_that_the_port_tells() -> None:
    text = 'virtual=10.1.0.1:3306\n    real=10.1.1.1:3306 masq\n    login="u"\n    request="select 1"\n'
    (finding,) = load_text(text, "x", host=FakeHost("pymysql")).findings.items
    assert (finding.id, finding.span and finding.span.line) == ("missing-library", 2)


def test_missing_perl_is_named_with_its_package() -> None:
    text = "virtual=10.1.0.1:80\n    real=10.1.1.1:80 masq\n    checktype=external-perl\n    checkcommand=/x\n"
    assert load_text(text, "x", host=FakeHost()).ok
    (finding,) = load_text(text, "x", host=FakeHost("perl")).findings.items
    assert finding.id == "missing-program"
    assert "`perl`" in (finding.help or "")


@pytest.mark.parametrize("name", ["tlsca", "tlscert", "tlskey"])
def test_tls_files_must_be_readable(name: str) -> None:
    text = f'virtual=10.1.0.1:443\n    real=10.1.1.1:443 masq\n    {name}="/nosuch"\n'
    for shown in (text, f'{name}="/nosuch"\n'):
        (finding,) = load_text(shown, "x", host=FakeHost()).findings.items
        assert finding.id == "unreadable-file"


def test_tls_settings_of_the_file_and_of_a_section() -> None:
    text = """\
tlsverify=yes
tlsca="/tmp/ca"
tlscert="/tmp/cert"
tlskey="/tmp/key"
virtual=10.1.0.1:443
    real=10.1.1.1:443 masq
virtual=10.1.0.2:443
    real=10.1.1.1:443 masq
    tlsverify=no
    tlsca="/tmp/other"
    tlsservername="web.example"
virtual=10.1.0.1:80
    real=10.1.1.1:80 masq
"""
    result = load_text(text, "x", host=FakeHost())
    assert result.ok
    found = [server.real_servers[0].checkers[0].question for server in result.config.virtual_servers]
    everywhere = TlsOptions(verify=True, ca_file="/tmp/ca", certificate_file="/tmp/cert", key_file="/tmp/key")
    assert all(isinstance(question, NegotiateCheck) for question in found)
    assert [question.tls for question in found if isinstance(question, NegotiateCheck)] == [
        everywhere,
        msgspec.structs.replace(everywhere, verify=False, ca_file="/tmp/other", server_name="web.example"),
        TlsOptions(),
    ]
