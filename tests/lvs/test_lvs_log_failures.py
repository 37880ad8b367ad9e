"""log_all_failures of every checker: a forgiven failure gets a line when it is set, and none otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.events import SoftFailure
from pykeepalived.lvs.keepalived_voice import KeepalivedVoice
from tests.dialects.keepalived.fake_host import FakeHost

URL = "url {\n path /\n status_code 200\n }"
CHECKERS = {
    "HTTP_GET": ("HTTP_GET", URL),
    "SSL_GET": ("SSL_GET", URL),
    "SMTP_CHECK": ("SMTP_CHECK", ""),
    "DNS_CHECK": ("DNS_CHECK", ""),
    "MISC_CHECK": ("MISC_CHECK", "misc_path /usr/bin/true"),
    "UDP_CHECK": ("UDP_CHECK", ""),
    "PING_CHECK": ("PING_CHECK", ""),
    "GRPC_CHECK": ("GRPC_CHECK", ""),
    "TCP_CHECK": ("TCP_CHECK", ""),
}


@pytest.mark.shows(
    "virtual_server.real_server.{HTTP_GET,SSL_GET,SMTP_CHECK,DNS_CHECK,MISC_CHECK,UDP_CHECK,PING_CHECK,GRPC_CHECK}.log_all_failures"
)
@pytest.mark.parametrize("word", ["log_all_failures", ""])
@pytest.mark.parametrize("kind", CHECKERS)
def test_a_forgiven_failure(tmp_path: Path, kind: str, word: str) -> None:
    name, rest = CHECKERS[kind]
    path = tmp_path / "keepalived.conf"
    path.write_text(
        "virtual_server 10.0.0.5 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.1.1 80 {\n"
        f" {name} {{\n {rest}\n {word}\n }}\n }}\n}}\n"
    )
    config = load(str(path), host=FakeHost()).config
    assert config is not None
    [service] = services_of(config)
    server = service.server.real_servers[0]
    [checker] = server.checkers
    said = KeepalivedVoice().tell(SoftFailure(service, server, checker, 1, 3, "why")).lines
    assert bool(said) == bool(word)
    assert all("[10.0.1.1]:tcp:80" in line.text for line in said)


@pytest.mark.shows("virtual_server.real_server.SMTP_CHECK.host.log_all_failures")
def test_in_a_host_block(tmp_path: Path) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text(
        "virtual_server 10.0.0.5 25 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.1.1 25 {\n"
        " SMTP_CHECK {\n host {\n connect_port 26\n log_all_failures\n }\n }\n }\n}\n"
    )
    config = load(str(path), host=FakeHost()).config
    assert config is not None
    assert [check.timing.log_all_failures for check in config.virtual_servers[0].real_servers[0].checkers] == [True]
