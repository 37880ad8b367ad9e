"""Octavia's amphora agent holds our daemon: its renderers, its agent's functions and its queries, as they are.

Run by the interpreter that has Octavia, in the test kernel, as `/usr/sbin/keepalived` is the program under test; see
`octavia_functional`. What the amphora's image has and this place has not is put here: a network namespace with members
behind it, and a `systemctl` that does with a unit file what systemd does with `Type=forking`.
"""

from __future__ import annotations

import ctypes
import http.server
import json
import os
import queue
import socket
import subprocess
import threading
import time
from pathlib import Path

import flask
from octavia.amphorae.backends.agent.api_server import keepalived, keepalivedlvs, util
from octavia.amphorae.backends.health_daemon import health_daemon
from octavia.amphorae.backends.utils import keepalivedlvs_query as query
from octavia.amphorae.drivers.keepalived.jinja import jinja_cfg as vrrp_templates
from octavia.common import constants, data_models
from octavia.common.jinja.lvs import jinja_cfg as lvs_templates
from octavia_lib.common import constants as lib_consts
from oslo_config import cfg

PLACE = Path("/run/octavia")
LOG, LOG_SHOWN = Path("/run/log"), 12_000
LIMIT_S = 300
SPACE = constants.AMPHORA_NAMESPACE
VIP, VIP6, GOOD, BAD, GOOD6 = "10.0.0.2", "fd00::2", "10.0.0.98", "10.0.0.99", "fd00::98"
CLIENT = "10.0.0.50"

SYSTEMCTL = r"""#!/bin/sh
# start|stop|restart|reload|status|enable|disable UNIT
verb=$1; unit=@UNITS@/${2%.service}.service
value() { sed -n "s/^$1=//p" "$unit" | head -n 1; }
main() { head -n 1 "$(value PIDFile)" 2>/dev/null; }
alive() { [ -n "$(main)" ] && kill -0 "$(main)" 2>/dev/null; }
case $verb in enable|disable) exit 0;; esac
[ -f "$unit" ] || { echo "no unit $unit"; exit 5; }
[ "$(value Type) $(value KillMode)" = "forking process" ] || exit 6
stop() {
    pid=$(main); [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    for n in $(seq 900); do [ -d "/proc/$pid" ] || return 0; sleep 0.1; done
    echo "it does not end"; return 1
}
start() {
    sh -c "exec $(value ExecStart)" </dev/null >/run/start 2>&1 || { echo "ExecStart: $?"; cat /run/start; return 1; }
    for n in $(seq 900); do alive && return 0; sleep 0.1; done
    echo "no pid file"; return 1
}
case $verb in
    start) alive || start;;
    stop) stop;;
    restart) stop && start;;
    reload) MAINPID=$(main) sh -c "exec $(value ExecReload)";;
    status) alive || exit 3;;
esac
"""


def sh(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout


def expect(what: str, true: object, *more: object) -> None:
    if not true:
        raise SystemExit(" ".join(map(str, ("FAILED:", what, *more))))
    print("ok:", what, flush=True)


def until(what: str, true) -> None:
    """Wait for it. What Octavia's functions say meanwhile does not count: the agent asks every few seconds."""
    end = time.monotonic() + LIMIT_S
    while not true():
        if time.monotonic() > end:
            expect(what, False)
        time.sleep(0.2)
    expect(what, True)


# ── The place ────────────────────────────────────────────────────────────────────────────────────────────────────────


def network() -> None:
    """The amphora's namespace with eth1; behind it members and a client in a namespace of theirs."""
    for name in (SPACE, "town"):
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
    sh("ip", "link", "add", "eth1", "netns", SPACE, "type", "veth", "peer", "name", "eth0", "netns", "town")
    for name, link, addresses in (
        (SPACE, "eth1", ("10.0.0.1/24", f"{VIP}/32", "fd00::1/64", f"{VIP6}/128")),
        ("town", "eth0", (f"{GOOD}/24", f"{BAD}/24", f"{CLIENT}/24", f"{GOOD6}/64")),
    ):
        sh("ip", "-n", name, "link", "set", link, "up")
        for address in addresses:
            sh("ip", "-n", name, "address", "add", address, "dev", link, *(["nodad"] if ":" in address else []))
    sh("ip", "netns", "exec", SPACE, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")


def in_town(work) -> object:
    """Do it in the members' namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home, Path("/run/netns/town").open() as town:
        assert libc.setns(town.fileno(), 0) == 0
        try:
            return work()
        finally:
            assert libc.setns(home.fileno(), 0) == 0


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthy" else 404)
        self.end_headers()

    def log_message(self, *_words) -> None:
        pass


class Web(http.server.HTTPServer):
    def handle_error(self, *_words) -> None:
        """A TCP check that resets its connection is no error."""


def members() -> None:
    """On the good member's addresses UDP is answered and HTTP is served; on the bad one's nothing listens.

    It has to refuse: of a host that is silent Octavia's own UDP check says that it is well.
    """

    def make():
        found = []
        for family, address, port in (
            (socket.AF_INET, GOOD, 53),
            (socket.AF_INET, GOOD, 54),
            (socket.AF_INET6, GOOD6, 53),
        ):
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.bind((address, port))
            found.append(one)
        return found, Web((GOOD, 8080), Answer)

    sockets, web = in_town(make)
    threading.Thread(target=web.serve_forever, daemon=True).start()

    def echo(one):
        while True:
            data, sender = one.recvfrom(2048)
            one.sendto(data, sender)

    for one in sockets:
        threading.Thread(target=echo, args=(one,), daemon=True).start()


def keep_logs() -> None:
    """What the daemons say to syslog, for the report of a failure."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    Path("/dev/log").unlink(missing_ok=True)
    log.bind("/dev/log")

    def write() -> None:
        with LOG.open("wb", buffering=0) as file:
            while True:
                file.write(log.recv(8192) + b"\n")

    threading.Thread(target=write, daemon=True).start()


def settle() -> flask.Flask:
    """Octavia's configuration for this place."""
    cfg.CONF([], project="octavia")
    cfg.CONF.set_override("base_path", str(PLACE), group="haproxy_amphora")
    cfg.CONF.set_override("loadbalancer_topology", "ACTIVE_STANDBY", group="controller_worker")
    cfg.CONF.set_override("administrative_log_facility", 1, group="amphora_agent")
    cfg.CONF.set_override("amphora_id", "amphora-1", group="amphora_agent")
    cfg.CONF.set_override("heartbeat_interval", 1, group="health_manager")
    units = PLACE / "units"
    units.mkdir(parents=True)
    constants.SYSTEMD_DIR = str(units)
    programs = PLACE / "programs"
    programs.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text(SYSTEMCTL.replace("@UNITS@", str(units)))
    systemctl.chmod(0o755)
    os.environ["PATH"] = f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"
    return flask.Flask("agent")


# ── Load balancers ───────────────────────────────────────────────────────────────────────────────────────────────────


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class Balancer:
    """One listener with its pool, and its file as Octavia renders it."""

    def __init__(self, number: int, protocol: str, monitor: data_models.HealthMonitor | None, vips=(VIP,)) -> None:
        self.id, self.pool_id, self.port = uuid(number), uuid(number + 1), 5300 + number
        self.members = [
            self.member(number + 2, GOOD, 53, 3),
            self.member(number + 3, BAD, 53, 1),
            self.member(number + 4, "10.0.0.97", 53, 1, enabled=False),
            self.member(number + 5, GOOD, 54, 0),
        ]
        if len(vips) > 1:
            self.members.append(self.member(number + 6, GOOD6, 53, 1))
        self.pool = data_models.Pool(
            id=self.pool_id, protocol=protocol, lb_algorithm=constants.LB_ALGORITHM_ROUND_ROBIN, enabled=True,
            members=self.members, health_monitor=monitor, provisioning_status=constants.ACTIVE,
            session_persistence=data_models.SessionPersistence(
                type=constants.SESSION_PERSISTENCE_SOURCE_IP, persistence_timeout=60
            ) if number == 0x300 else None,
        )  # fmt: skip
        balancer = data_models.LoadBalancer(
            id=uuid(number + 15), enabled=True, vip=data_models.Vip(ip_address=vips[0]),
            additional_vips=[data_models.AdditionalVip(ip_address=each) for each in vips[1:]],
        )  # fmt: skip
        self.listener = data_models.Listener(
            id=self.id, protocol=protocol, protocol_port=self.port, enabled=True, connection_limit=100,
            default_pool=self.pool, load_balancer=balancer,
        )  # fmt: skip

    @staticmethod
    def member(number: int, address: str, port: int, weight: int, *, enabled: bool = True) -> data_models.Member:
        return data_models.Member(
            id=uuid(number), ip_address=address, protocol_port=port, weight=weight, enabled=enabled,
            provisioning_status=constants.ACTIVE,
            monitor_address=None, monitor_port=None,
        )  # fmt: skip

    def text(self) -> str:
        return lvs_templates.LvsJinjaTemplater().build_config(self.listener)

    def upload(self, app: flask.Flask) -> None:
        with app.test_request_context(data=self.text().encode(), method="PUT"):
            answer = keepalivedlvs.KeepalivedLvs().upload_lvs_listener_config(self.id)
        expect(f"listener {self.id[:8]}: its file is taken", answer.status_code == 200, answer.body)

    def manage(self, action: str) -> None:
        answer = keepalivedlvs.KeepalivedLvs().manage_lvs_listener(self.id, action)
        expect(f"listener {self.id[:8]}: {action}", answer.status_code == 202, answer.body)
        # systemd is content with the parent's pid file; what asks for members reads the checkers', a moment later.
        checkers = Path(util.keepalived_lvs_pids_path(self.id)[2])
        until("and its checkers are there", checkers.exists)

    def statuses(self) -> list[str]:
        """Of the members, in their order, as the amphora tells them to the controller."""
        told = query.get_lvs_listener_pool_status(self.id)["lvs"]
        assert told["uuid"] == self.pool_id
        return [told["members"][member.id] for member in self.members]


def monitor(number: int, kind: str, **more) -> data_models.HealthMonitor:
    return data_models.HealthMonitor(
        id=uuid(number + 14), type=kind, delay=1, timeout=30, fall_threshold=1, rise_threshold=1, enabled=True,
        provisioning_status=constants.ACTIVE, **more,
    )  # fmt: skip


def balancers() -> list[Balancer]:
    by_http = monitor(
        0x200, constants.HEALTH_MONITOR_HTTP, http_method="GET", url_path="/healthy", expected_codes="200"
    )
    found = [
        Balancer(0x100, lib_consts.PROTOCOL_UDP, monitor(0x100, constants.HEALTH_MONITOR_UDP_CONNECT), (VIP, VIP6)),
        Balancer(0x200, lib_consts.PROTOCOL_UDP, by_http),
        Balancer(0x300, lib_consts.PROTOCOL_UDP, monitor(0x300, constants.HEALTH_MONITOR_TCP)),
        Balancer(0x400, lib_consts.PROTOCOL_UDP, None),
        Balancer(0x500, lib_consts.PROTOCOL_SCTP, monitor(0x500, constants.HEALTH_MONITOR_TCP)),
    ]
    for each in found:
        if each.pool.health_monitor is not None and each.pool.health_monitor.type != "UDP-CONNECT":
            for member in each.members:
                member.monitor_port = 8080
    return found


UP, DOWN, MAINT, DRAIN, UNASKED = "UP", "DOWN", "MAINT", "DRAIN", "no check"


def shows(what: str, one: Balancer, *wanted: str) -> None:
    """The members' statuses become these."""
    end = time.monotonic() + LIMIT_S
    while (found := one.statuses()) != list(wanted) and time.monotonic() < end:
        time.sleep(0.2)
    expect(what, found == list(wanted), found)


def check_listeners(app: flask.Flask) -> list[Balancer]:
    print("LVS listeners", flush=True)
    found = balancers()
    for each in found:
        each.upload(app)
        each.manage("start")
        expect("it runs", util.is_lvs_listener_running(each.id))
        pid, vrrp, _ = util.keepalived_lvs_pids_path(each.id)
        expect("and has no VRRP process", Path(pid).exists() and not Path(vrrp).exists())
    dual, by_http, by_tcp, unasked, sctp = found
    shows("UDP-CONNECT, two families", dual, UP, DOWN, MAINT, DRAIN, UP)
    for name, each in (("HTTP", by_http), ("TCP", by_tcp), ("SCTP's members by TCP", sctp)):
        shows(name, each, UP, DOWN, MAINT, DRAIN)
    shows("no monitor", unasked, UNASKED, UNASKED, MAINT, DRAIN)
    told = keepalivedlvs.KeepalivedLvs().get_all_lvs_listeners_status()
    expect("all are ACTIVE for the agent", {item["status"] for item in told} == {constants.ACTIVE}, told)
    script = PLACE / "vrrp/check_scripts/lvs_udp_check.sh"
    expect("the agent's own check script passes", subprocess.run(["bash", script], check=False).returncode == 0)
    return found


def check_counters(found: list[Balancer]) -> None:
    print("Counters", flush=True)
    one = in_town(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    one.bind((CLIENT, 0))
    for _ in range(5):
        one.sendto(b"question", (VIP, found[0].port))
    one.close()
    until("IPVS counted", lambda: query.get_lvs_listeners_stats()[found[0].id]["stats"]["bin"] >= 5 * 36)
    told = query.get_lvs_listeners_stats()
    expect("every listener has counters", set(told) == {each.id for each in found}, told)
    expect("and is OPEN", {item["status"] for item in told.values()} == {constants.OPEN})
    expect("one connection", told[found[0].id]["stats"]["stot"] == 1, told)
    message = health_daemon.build_stats_message()
    expect("the heartbeat holds all", len(message["listeners"]) == len(message["pools"]) == len(found), message)
    expect("with members", message["pools"][found[0].pool_id]["members"][found[0].members[0].id] == UP)
    table = query.get_ipvsadm_info(SPACE)
    members = [dict(row)["RemoteAddress:Port"] for row in table[f"{VIP}:{found[1].port}"]["Members"]]
    expect("ipvsadm shows the members", sorted(members) == [f"{GOOD}:53", f"{GOOD}:54"], members)


def check_change(app: flask.Flask, one: Balancer) -> None:
    """A member is enabled and one drained: Octavia uploads a file and asks for a reload, which is a restart."""
    print("A change", flush=True)
    one.members[0].weight = 0
    one.members[3].weight = 5
    before = util.get_keepalivedlvs_pid(one.id)
    time.sleep(1.1)  # the file is newer than the checkers' pid file by what its time stamp can tell
    one.upload(app)
    expect("until the restart a member that is out is restarting", one.statuses()[1] == "RESTARTING", one.statuses())
    one.manage("reload")
    expect("another process", util.get_keepalivedlvs_pid(one.id) != before)
    shows("the new weights", one, DRAIN, DOWN, MAINT, UP)


def check_end(found: list[Balancer]) -> None:
    print("Deletion", flush=True)
    agent = keepalivedlvs.KeepalivedLvs()
    for each in found:
        answer = agent.delete_lvs_listener(each.id)
        expect(f"listener {each.id[:8]} is deleted", answer.status_code == 200, answer.body)
        left = [file.name for file in (PLACE / "lvs").iterdir() if each.id in file.name]
        expect("and nothing is left of it", left == [], left)
    table = query.read_kernel_file(SPACE, query.KERNEL_LVS_PATH).splitlines()
    expect("IPVS is empty", len(table) == 3, table)


# ── VRRP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def vrrp_text(vips: dict[str, str]) -> str:
    """The active amphora's file; its peer does not answer here."""
    amphorae = [
        data_models.Amphora(
            id=uuid(number), status=constants.AMPHORA_ALLOCATED, vrrp_ip=address, vrrp_interface="eth1", vrrp_id=1,
            vrrp_priority=priority,
        )
        for number, address, priority in ((1, "10.0.0.1", 100), (2, "10.0.0.3", 90))
    ]  # fmt: skip
    balancer = data_models.LoadBalancer(
        id=uuid(3), vip=data_models.Vip(ip_address="10.0.0.5"), amphorae=amphorae,
        vrrp_group=data_models.VRRPGroup(
            vrrp_group_name="3a5b7c", vrrp_auth_type="PASS", vrrp_auth_pass="7d1a2b3", advert_int=1
        ),
    )  # fmt: skip
    # Its word `gateway` is none of keepalived's: such a route is refused there as here.
    routes = [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.254"}]
    subnet = {"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.254", "host_routes": routes}
    more = [
        {"ip_address": address, "subnet": {"cidr": cidr, "gateway_ip": None, "host_routes": []}}
        for address, cidr in vips.items()
    ]
    return vrrp_templates.KeepalivedJinjaTemplater().build_keepalived_config(
        balancer, amphorae[0], {"vip_subnet": subnet, "additional_vip_data": more}
    )


def heartbeats() -> int:
    """How many the health daemon sends in one round of its own loop."""
    sent = []

    class Sender:
        dosend = staticmethod(sent.append)

    health_daemon.health_sender.UDPStatusSender = Sender
    commands: queue.Queue[str] = queue.Queue()
    commands.put("shutdown")
    health_daemon.run_sender(commands)
    return len(sent)


def upload_vrrp(app: flask.Flask, text: str) -> None:
    with app.test_request_context(data=text.encode(), method="PUT"):
        answer = keepalived.Keepalived().upload_keepalived_config()
    expect("the VRRP file is taken", answer.status_code == 200, answer.body)


def manage_vrrp(action: str) -> None:
    answer = keepalived.Keepalived().manager_keepalived_service(action)
    expect(f"the VRRP daemon: {action}", answer.status_code == 202, answer.body)


def addresses() -> str:
    return sh("ip", "-n", SPACE, "-o", "address", "show", "dev", "eth1")


def check_vrrp(app: flask.Flask) -> None:
    print("VRRP", flush=True)
    upload_vrrp(app, vrrp_text({}))
    # The agent's checks are of haproxy; here one stands for them.
    (PLACE / "vrrp/check_scripts/haproxy_check_script.sh").write_text("exit 0\n")
    expect("no heartbeat while it does not run", heartbeats() == 0)
    manage_vrrp("start")
    until("the address", lambda: "10.0.0.5/32" in addresses())
    expect("a heartbeat", heartbeats() == 1)
    until("the routes", lambda: "default via 10.0.0.254" in sh("ip", "-n", SPACE, "route", "show", "table", "1"))
    until("the rule", lambda: "from 10.0.0.5 lookup 1" in sh("ip", "-n", SPACE, "rule"))
    before = util.keepalived_pid_path(), Path(util.keepalived_pid_path()).read_text()
    upload_vrrp(app, vrrp_text({"10.0.0.6": "10.0.0.0/24", "fd00::6": "fd00::/64"}))
    (PLACE / "vrrp/check_scripts/haproxy_check_script.sh").write_text("exit 0\n")
    manage_vrrp("start")  # which the agent turns into a reload
    until("the new addresses", lambda: "10.0.0.6/32" in addresses() and "fd00::6/128" in addresses())
    expect("the same process", (util.keepalived_pid_path(), Path(util.keepalived_pid_path()).read_text()) == before)
    (PLACE / "vrrp/check_scripts/haproxy_check_script.sh").write_text("exit 1\n")
    until("a failing check takes the addresses", lambda: "10.0.0.5/32" not in addresses())
    (PLACE / "vrrp/check_scripts/haproxy_check_script.sh").write_text("exit 0\n")
    until("and a passing one brings them", lambda: "10.0.0.5/32" in addresses())
    manage_vrrp("stop")
    expect("a stop takes the addresses", "10.0.0.5/32" not in addresses(), addresses())
    expect("no heartbeat after it", heartbeats() == 0)
    expect("and no pid file", not Path(util.keepalived_pid_path()).exists())


def main() -> None:
    version = subprocess.run(["/usr/sbin/keepalived", "--version"], capture_output=True, text=True, check=True).stderr
    print(json.dumps(version.splitlines()[:2]), flush=True)
    keep_logs()
    app = settle()
    network()
    members()
    found = check_listeners(app)
    check_counters(found)
    check_change(app, found[1])
    check_end(found)
    check_vrrp(app)
    print("Octavia is content.", flush=True)


try:
    main()
except BaseException:
    print(LOG.read_text(errors="replace")[-LOG_SHOWN:] if LOG.exists() else "no log", flush=True)
    raise
