"""From each foreign format nothing is dropped in silence: a directive that is set shows in the text or in the list."""

from __future__ import annotations

import pytest

from pykeepalived.tools.convert import Format, convert

LVS_CF = """serial_no = 1
primary = 10.0.0.1
service = lvs
backup_active = 1
backup = 10.0.0.2
heartbeat = 1
keepalive = 6
deadtime = 18
network = nat
nat_router = 10.1.0.1 eth1:1
nat_nmask = 255.255.255.0
{0}
virtual web {{
  active = 1
  address = 10.0.0.9 eth0:1
  vip_nmask = 255.255.255.0
  port = 80
  protocol = tcp
  scheduler = wlc
  send = "GET / HTTP/1.0"
  expect = "HTTP"
  load_monitor = none
  timeout = 6
{1}
  server a {{
    address = 10.1.0.5
    active = 1
    weight = 1
{2}
  }}
}}
"""
OF_FILE = (
    "service = fos", "backup_active = 0", "heartbeat = 0", "heartbeat_port = 600", "keepalive = 7", "deadtime = 30",
    "network = direct", "nat_router = 10.1.0.3 eth1:1", "nat_nmask = 255.255.0.0", "primary_private = 10.2.0.1",
    "backup_private = 10.2.0.2", "primary = 10.0.0.3", "backup = 10.0.0.4", "rsh_command = ssh", "debug_level = NONE",
    "monitor_links = 1", "syncdaemon = 1", "tcp_timeout = 30", "tcpfin_timeout = 30", "udp_timeout = 30", "other = 1",
)  # fmt: skip
OF_VIRTUAL = (
    "active = 0", "address = 10.0.0.8 eth0:1", "vip_nmask = 255.255.0.0", "port = 81", "protocol = udp", "fwmark = 3",
    "scheduler = rr", "persistent = 60", 'send = "GET /a HTTP/1.0"', 'expect = "x"', "use_regex = 1",
    'send_program = "/bin/x %h"', "timeout = 9", "reentry = 20", "load_monitor = uptime", "quiesce_server = 1",
    "sorry_server = 10.9.9.9", 'start_cmd = "a"', "other = 1",
)  # fmt: skip
OF_SERVER = ("address = 10.1.0.6", "active = 0", "weight = 5", "port = 8080", "other = 1")
HA_CF = "node a b\nbcast eth0\nkeepalive 2\ndeadtime 30\nauto_failback on\n{}\n"
OF_HEARTBEAT = (
    "node c", "bcast eth1", "ucast eth1 10.0.0.7", "mcast eth1 225.0.0.1 694 1 0", "keepalive 3", "deadtime 20",
    "initdead 60", "warntime 9", "auto_failback off", "nice_failback on", "udpport 900", "serial /dev/ttyS0",
    "baud 9600", "ping 10.0.0.1", "ping_group g 10.0.0.1", "deadping 3", "respawn u /x", "apiauth x",
    "watchdog /dev/watchdog", "stonith x y", "stonith_host * x", "logfile /x", "debugfile /x", "logfacility local0",
    "debug 1", "realtime off", "rtprio 5", "crm on", "use_logd on", "compression bz2", "coredumps on", "hopfudge 1",
    "hbgenmethod time", "msgfmt netstring", "conn_logd_time 60", "uuidfrom nodename", "autojoin any", "cluster x",
    "memreserve 6", "max_rexmit_delay 10", "other x",
)  # fmt: skip
OF_SERVICE = (" -p 60", " -p 60 -M 255.255.255.0", " -M 255.255.255.0", " -o", " -b flag-1", " --pe sip")
OF_DESTINATION = (
    " -g", " -i", " -w 5", " -x 5", " -y 2", " -i --tun-type gue --tun-port 5", " -i --tun-type gre --tun-csum",
    " --other 1",
)  # fmt: skip


def from_piranha(place: int, line: str) -> object:
    result = convert({"lvs.cf": LVS_CF.format(*(line if at == place else "" for at in range(3)))},
                     Format.PIRANHA, Format.KEEPALIVED)  # fmt: skip
    return result.text, result.notes


@pytest.mark.parametrize(
    ("place", "line"),
    [(place, line) for place, lines in enumerate((OF_FILE, OF_VIRTUAL, OF_SERVER)) for line in lines],
)
def test_each_line_of_an_lvs_cf_shows(place: int, line: str) -> None:
    assert from_piranha(place, line) != from_piranha(place, "")


def from_heartbeat(line: str) -> object:
    files = {"ha.cf": HA_CF.format(line), "haresources": "a 10.0.0.9/24/eth0\n", "authkeys": "auth 1\n1 crc\n"}
    result = convert(files, Format.HEARTBEAT, Format.KEEPALIVED)
    return result.text, result.notes


@pytest.mark.parametrize("line", OF_HEARTBEAT)
def test_each_line_of_a_ha_cf_shows(line: str) -> None:
    assert from_heartbeat(line) != from_heartbeat("")


def from_ipvsadm(service: str, server: str) -> str:
    text = f"-A -t 10.0.0.1:80 -s rr{service}\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1{server}\n"
    return convert({"ipvs": text}, Format.IPVSADM, Format.KEEPALIVED).text


@pytest.mark.parametrize(
    ("service", "server"), [*((word, "") for word in OF_SERVICE), *(("", word) for word in OF_DESTINATION)]
)
def test_each_option_of_ipvsadm_shows(service: str, server: str) -> None:
    assert from_ipvsadm(service, server) != from_ipvsadm("", "")


@pytest.mark.parametrize(("option", "word"), [("--tun-csum", "csum"), ("--tun-remcsum", "remcsum")])
def test_the_checksum_of_a_tunnel_is_carried_wherever_it_stands(option: str, word: str) -> None:
    for text in (f" -i --tun-type gue --tun-port 5555 {option}", f" {option} -i --tun-type gue --tun-port 5555"):
        assert f"lb_kind TUN type gue port 5555 {word}" in from_ipvsadm("", text)
