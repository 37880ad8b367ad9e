"""What ours and Debian's keepalived write to the log through the life of a VRRP router.

    python -m tests.interop.logs.vrrp_lines

One router, whose peer of a higher priority comes and goes; links, scripts and reloads happen to it. Between two events
the log has to come to rest. Each program lives through all of it alone; then, for each event, the lines of both are
held against each other without times, process ids, versions and file descriptors, in any order. Lines that one of them
alone writes have to stand in DIFFERENCES with their reason. Ends with 1 when another one differs.
"""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.logs.lines import Lives, side_by_side
from tests.interop.vrrp.vrrp_pairs import OURS, ROOT

LIMIT_S = 120.0
FIRST = """\
global_defs {
    router_id one
    enable_script_security
    script_user root
    vrrp_garp_master_repeat 1
    vrrp_garp_master_delay 1
}
vrrp_script chk_fault {
    script /run/fault
    interval 1
    fall 1
    rise 1
}
vrrp_script chk_weight {
    script /run/weight
    interval 1
    weight -20
    fall 1
    rise 1
}
vrrp_sync_group G1 {
    group {
        VI_1
        VI_2
    }
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority @PRIORITY@
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress {
        10.0.0.9/24
        @MORE@
    }
    virtual_ipaddress_excluded {
        10.1.0.9/32
    }
    virtual_routes {
        192.0.2.0/24 via 10.0.0.254 dev eth0
    }
    virtual_rules {
        from 10.0.0.9 table 100 priority 100
    }
    track_interface {
        eth1
    }
    track_script {
        chk_fault
    }
}
vrrp_instance VI_2 {
    state BACKUP
    interface eth1
    virtual_router_id 52
    priority @PRIORITY@
    advert_int 1
    virtual_ipaddress {
        fe80::9/64
        2001:db8::9/64
    }
}
vrrp_instance VI_3 {
    state BACKUP
    interface eth1
    virtual_router_id 53
    priority @PRIORITY@
    advert_int 1
    virtual_ipaddress {
        10.0.1.9/24
    }
    track_script {
        chk_weight
    }
}
"""


def text(*, priority: int = 100, more: str = "") -> str:
    return FIRST.replace("@PRIORITY@", str(priority)).replace("@MORE@", more)


def peer_text() -> str:
    found = re.sub(r"(?s)    track_interface.*?\n    }\n|    track_script.*?\n    }\n", "", text(priority=200))
    return re.sub(r"(?s)vrrp_script.*?\n}\n", "", found)


def install(space: Namespace, path: str, command: str) -> None:
    put = 'printf "%s\\n" "#!/bin/sh" "$2" >"$1" && chmod 755 "$1"'
    space.run("sh", "-c", put, "install", path, command)


def live(program: str, into: Path) -> Lives:
    """All events, and what was logged after each."""
    masters = tuple(f"(VI_{number}) Entering MASTER STATE" for number in (1, 2, 3))
    log = into / f"{program}.log"
    with Lab("logs") as lab:
        router, peer, switch = (lab.namespace(name) for name in ("router", "peer", "switch"))
        for number in (0, 1):
            lab.bridge(switch, f"br{number}")
            for place, space in enumerate((router, peer), 1):
                lab.link(space, f"eth{number}", switch, f"port{number}-{place}")
                switch.attach(f"br{number}", f"port{number}-{place}")
                space.address(f"eth{number}", f"10.0.{number}.{place}/24")
        install(router, "/run/fault", "[ ! -e /run/bad-fault ]")
        install(router, "/run/weight", "[ ! -e /run/bad-weight ]")
        file, peer_file = into / "router.conf", into / "peer.conf"
        file.write_text(text())
        peer_file.write_text(peer_text())
        for each in (file, peer_file):
            each.chmod(0o600)
        options = ("-n", "-l", "-D", "-G", "-p", "/run/k.pid", "-r", "/run/v.pid", "-c", "/run/c.pid", "-f")
        words = (sys.executable, "-c", OURS) if program == "ours" else ("keepalived",)

        lives = Lives(log)
        daemon = lives.event(
            "start, nobody else there",
            lambda: lab.popen(router, *words, *options, file, log=log, cwd=ROOT),
            masters,
        )

        def hup(new: str) -> None:
            file.write_text(new)
            daemon.send_signal(signal.SIGHUP)

        # A line that is awaited more than once: the log after the event only is looked at.
        lives.event("reload of the same file", lambda: hup(text()), ("Reload complete",))
        more = text(priority=110, more="10.0.0.10/32")
        lives.event("reload with another priority and address", lambda: hup(more), ("Reload complete",))
        lives.event("reload back", lambda: hup(text()), ("Reload complete",))
        lives.event(
            "a script with weight fails",
            lambda: router.run("touch", "/run/bad-weight"),
            ("Changing effective priority from 100 to 80",),
        )
        lives.event(
            "it succeeds",
            lambda: router.run("rm", "/run/bad-weight"),
            ("Changing effective priority from 80 to 100",),
        )
        lives.event(
            "a script without weight fails", lambda: router.run("touch", "/run/bad-fault"), ("(VI_2) Entering FAULT",)
        )
        lives.event("it succeeds", lambda: router.run("rm", "/run/bad-fault"), ("(VI_2) Entering MASTER STATE",))
        second = lives.event(
            "a better router comes",
            lambda: lab.popen(peer, "keepalived", *options, peer_file, log=into / "peer.log", cwd=ROOT),
            tuple(line.replace("MASTER", "BACKUP") for line in masters),
        )

        def leave() -> None:
            second.send_signal(signal.SIGTERM)
            second.wait(LIMIT_S)

        lives.event("it goes", leave, masters)
        lives.event(
            "a link goes down", lambda: switch.down("port0-1"), ("(VI_1) Entering FAULT", "(VI_2) Entering FAULT")
        )
        lives.event("it comes up", lambda: switch.up("port0-1"), masters[:2])
        lives.event(
            "somebody takes an address away", lambda: router.ip("addr", "del", "10.0.0.9/24", "dev", "eth0"), ()
        )

        def stop() -> None:
            daemon.send_signal(signal.SIGTERM)
            wait_until(lambda: daemon.poll() is not None, LIMIT_S, "the end")

        lives.event("stop", stop, ())
        assert daemon.poll() == 0
    return lives


#: Lines of one program alone, and why.
DIFFERENCES = {
    r"^- NOTICE: setting config option max_auto_priority": "advice about its own performance",
    r"^- \(VI_1\) Sending/queueing .* on eth0 for 10\.[01]\.0\.9$": "a reload announces new addresses only",
    r"^- Sending gratuitous ARP on eth0 for 10\.[01]\.0\.9$": "a reload announces new addresses only",
    r"^\+ .* Changing effective priority from 1[01]0 to 1[01]0$": "says that a reload changed it",
    r"^\+ \(VI_1\): entering FAULT state ": "a MASTER says why, too",
    r"^\+ \(VI_2\) sent 0 priority$": "members of a group that go to FAULT say goodbye, too",
    r"^. \(VI_[12]\) Master received advert from .* with higher priority 200": "which member of a group hears it first",
    r"^\+ .* master set to ": "a MASTER says who took over, too",
}


def main() -> int:
    print("The log of a router through its life, ours beside keepalived's: 4 minutes", flush=True)
    return side_by_side(live, DIFFERENCES)


if __name__ == "__main__":
    sys.exit(main())
