"""Printing a model as ldirectord.cf and loading it again gives the same model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load as load_keepalived
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.dialects.ldirectord.printer import print_config
from pykeepalived.model import Config, NegotiateCheck
from tests.dialects.keepalived.fake_host import FakeHost as KeepalivedHost
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"
CASES = sorted([*HERE.glob("accepted/*.cf"), *EXAMPLES.glob("*.cf")])


def config_of(text: str) -> Config:
    return load_text(text, "x.cf", host=FakeHost()).config


@pytest.mark.parametrize("everything", [False, True], ids=["brief", "everything"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_same_model_comes_back(path: Path, everything: bool) -> None:
    before = config_of(path.read_bytes().decode("utf-8", "surrogateescape"))
    result = print_config(before, everything=everything)
    assert not result.unsaid
    loaded = load_text(result.text, "x.cf", host=FakeHost())
    assert loaded.ok, loaded.findings.items
    assert loaded.config == before, result.text


SECTION = """checkinterval=3
{above}
virtual={head}
    real={address}{port} {method} {weight}{pair}
    real=10.1.1.9 masq
    protocol={protocol}
    checktype={check}
    {service}
    {more}{monitored}
"""


#: Global lines.
ABOVE = [
    "", "emailalert=x@y", "emailalert=x@y\nemailalertfrom=z@y\nemailalertfreq=3600", "smtp=127.0.0.1", "tlsverify=yes",
    "emailalert=x@y\nemailalertstatus=all", 'tlsca="/tmp/ca.pem"', "fork=yes", "supervised=yes", "cleanstop=no",
    "quiescent=yes\nreaddquiescent=yes", "autoreload=yes", "execute=other.cf", "maintenancedir=/tmp",
    "fallback=10.8.8.8:80 gate", "checktimeout=4\nnegotiatetimeout=9", 'logfile="/tmp/l"',
    "fallbackcommand=/bin/true a",
    "failurecount=2\ncheckcount=4", 'callback="/bin/true"',
]  # fmt: skip
#: Lines of a section about TLS, mails and names.
SAFETY_AND_MAIL = [
    "tlsverify=yes", 'tlsca="/tmp/ca.pem"', 'tlscert="/tmp/a.pem"\n    tlskey="/tmp/b.pem"',
    'tlsservername="www.example"', "emailalert=a@b\n    emailalertfreq=7\n    emailalertstatus=running,stopping",
    "emailalert=a@b\n    smtp=127.0.0.1",
    "servicename=shop", "comment=of ours", 'fallbackcommand="/bin/x a"', 'secret="s"',
]  # fmt: skip


#: What names a check in a monitorfile, and what has no effect but there.
MONITORED = [
    "", "", "\n    monitorfile=/tmp/m", "\n    monitorfile=/tmp/m\n    checkport=8081",
    '\n    monitorfile=/tmp/m\n    request="a b"', '\n    monitorfile=/tmp/m\n    receive="a.b"',
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    monitored=st.sampled_from(MONITORED),
    head=st.sampled_from(["10.0.0.1:80", "10.0.0.1:21", "10.0.0.1:8080", "10.0.0.1:53", "7"]),
    address=st.sampled_from(["10.1.1.1", "10.1.1.1->10.1.1.3", "web1"]),
    port=st.sampled_from(["", ":80", ":443", ":http"]),
    method=st.sampled_from(["gate", "masq", "ipip"]),
    weight=st.integers(0, 65535),
    pair=st.sampled_from(["", ' "a", "b"', ' "/x y", ""', ' "http://h/x", "ok" l:1 u:2']),
    protocol=st.sampled_from(["tcp", "udp"]),
    check=st.sampled_from(["negotiate", "connect", "ping", "external", "external-perl", "on", "off", "4", "negotiate"]),
    service=st.sampled_from(["", "service=http", "service=ftp", "service=sip", "service=none", "service=http_proxy"]),
    above=st.sampled_from(ABOVE),
    more=st.sampled_from(
        [
            *SAFETY_AND_MAIL,
            "", "checkport=8080", 'request="x"', 'receive="a.b"', "schedflags=flag-1,flag-3", "persistent=30",
            'login="me"', "netmask=255.255.255.0", "fallback=10.9.9.9 ipip", "fallback=10.9.9.9:81", "quiescent=yes",
            "fallbackcommand=/bin/x a b", "checkcommand=/bin/y a", "emailalert=a@b, c@d", "virtualhost=www.example",
            "failurecount=3", "checkcount=2", "httpmethod=head", "negotiatetimeout=9", "ops=yes", "cleanstop=no",
        ]
    ),
)  # fmt: skip
def test_sections_come_back(**parts: object) -> None:
    text = SECTION.format(**parts)
    if parts["head"] == "7":
        text = text.replace("    protocol=tcp\n", "").replace("    protocol=udp\n", "")
    text = "\n".join(line for line in text.split("\n") if line.strip()) + "\n"
    loaded = load_text(text, "x.cf", host=FakeHost())
    assert loaded.ok, loaded.findings.items
    result = print_config(loaded.config)
    assert not result.unsaid
    assert load_text(result.text, "x.cf", host=FakeHost()).config == loaded.config, result.text


def test_what_has_no_words_is_listed() -> None:
    path = EXAMPLES / "keepalived.conf"
    config = load_keepalived(str(path), config_id="lb1", host=KeepalivedHost()).config
    result = print_config(config)
    listed = "\n".join(result.unsaid)
    for word in ("vrrp_instance outside", "vrrp_sync_group web_site", "router_id", "several kinds", "check `http`"):
        assert word in listed
    assert "vrrp" not in result.text


def test_a_hash_in_a_request_is_listed() -> None:
    config = config_of("virtual=10.0.0.1:80\n    real=10.1.1.1 masq\n    service=http\n")
    (service,) = config.virtual_servers
    (server,) = service.real_servers
    (spec,) = server.checkers
    assert isinstance(spec.question, NegotiateCheck)
    replace = msgspec.structs.replace
    spec = replace(spec, question=replace(spec.question, request="/#x"))
    service = replace(service, real_servers=(replace(server, checkers=(spec,)),))
    assert print_config(replace(config, virtual_servers=(service,))).unsaid == ('request: `"/#x"`',)
