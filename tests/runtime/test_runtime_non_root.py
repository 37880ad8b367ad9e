"""The daemon as a user that is not root, with the rights of the unit keepalived-non-root.service and no others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.config import GlobalDefs
from pykeepalived.runtime.capabilities import NET_ADMIN, lacks, of_agents, permitted
from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.runtime.as_user import mask_of

ROOT = Path(__file__).parents[2]
USER = 65534
#: What keepalived's own unit for this grants (2.4.3), without SYS_MODULE and SYS_RESOURCE, which nothing here needs.
RIGHTS = "net_admin,net_raw,net_bind_service,chown,kill,setuid,setgid,sys_nice"
CHECKERS = mask_of("net_admin,net_raw,net_bind_service,sys_nice")
CONFIGURATION = """
global_defs {
    vrrp_priority -5
    checker_priority -4
}
vrrp_script answers {
    script "/usr/bin/true"
    interval 1
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 1
    version 3
    advert_int 0.2
    use_vmac
    no_accept
    virtual_ipaddress {
        10.0.0.9/24
    }
    virtual_routes {
        10.9.9.0/24 dev eth0
    }
    track_script {
        answers
    }
    notify "/run/k/notify.sh"
}
virtual_server 10.0.0.9 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    delay_loop 1
    real_server 10.0.0.1 80 {
        TCP_CHECK {
            connect_timeout 1
        }
    }
    real_server 127.0.0.1 81 {
        PING_CHECK {
        }
    }
}
bfd_instance session {
    neighbor_ip 10.0.0.2
    source_ip 10.0.0.1
}
"""
pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]


def prepare(place: Namespace) -> list[str]:
    """What the user needs to find, at paths that everybody may enter; the words that start Python there."""
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages") and Path(path, "click").is_dir())
    for source, target in ((Path(sys.base_prefix), "python"), (ROOT, "tree"), (packages, "packages")):
        place.run("mkdir", f"/run/{target}")
        place.bind(source, f"/run/{target}")
    place.run("install", "-d", "-o", str(USER), "-g", str(USER), "/run/k")
    place.run("tee", "/run/k/keepalived.conf", input=CONFIGURATION)
    place.run("tee", "/run/k/notify.sh", input='#!/bin/sh\necho "$(id -u) $3" >>/run/k/notes\n')
    place.run("chmod", "0644", "/run/k/keepalived.conf")
    place.run("chmod", "0755", "/run/k/notify.sh")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [f"/run/python/bin/{version}", "-m", "pykeepalived.cli.keepalived"]


@pytest.fixture
def place() -> Iterator[tuple[Lab, Namespace]]:
    with Lab("non-root") as lab:
        space = lab.namespace("a")
        space.ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
        space.up("eth0")
        space.up("peer0")
        space.address("eth0", "10.0.0.1/24")
        yield lab, space


def rights(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(USER)}
    return {name: int(fields[f"Cap{name}"], 16) for name in ("Prm", "Eff", "Inh", "Amb")}


@pytest.mark.skipif(permitted() & mask_of(RIGHTS) != mask_of(RIGHTS), reason="root has not all rights here")
def test_as_somebody_else_with_the_listed_rights_only(place: tuple[Lab, Namespace], tmp_path: Path) -> None:
    lab, space = place
    python = prepare(space)
    words = [sys.executable, ROOT / "tests/runtime/as_user.py", str(USER), RIGHTS, *python, "-n", "-l", "-G"]
    files = [f"--{name}=/run/k/{name}.pid" for name in ("pid", "vrrp_pid", "checkers_pid", "bfd_pid")]
    environment = {
        **os.environ, "PYTHONPATH": "/run/tree:/run/packages", "LD_LIBRARY_PATH": "/run/python/lib",
        "PYKEEPALIVED_STATE_DIRECTORY": "/run/k", "TMPDIR": "/run/k",
    }  # fmt: skip
    log = tmp_path / "log"
    command = [*words, "-f", "/run/k/keepalived.conf", *files]
    process = lab.popen(space, *command, log=log, env=environment, cwd=Path("/"))

    def pid(name: str) -> int:
        return int(space.run("cat", f"/run/k/{name}.pid").stdout)

    def there(path: str) -> str:
        return space.run("cat", path, check=False).stdout

    try:
        wait_until(lambda: space.has_address("10.0.0.9"), 120, "the address on the virtual MAC")
        wait_until(lambda: "10.9.9.0/24" in space.ip("route"), 120, "the route")
        # Balancing and checks: the ping is answered, the port is closed.
        wait_until(lambda: "ICMP connection to [127.0.0.1]:tcp:81 success" in log.read_text(), 120, "a ping")
        wait_until(lambda: "Removing service [10.0.0.1]:tcp:80" in log.read_text(), 120, "a refused connection")
        # With notify scripts of its own user, and with everything that keepalived writes into files.
        wait_until(lambda: f"{USER} MASTER" in there("/run/k/notes"), 120, "the notify script")
        os.kill(pid("pid"), signal.SIGRTMIN + 2)
        (entry,) = json.loads(wait_until(lambda: there("/run/k/keepalived.json"), 120, "keepalived.json"))
        assert entry["data"]["state"] == 2
        everything, session = mask_of(RIGHTS), mask_of("net_admin,net_raw")
        kept = {"pid": everything, "vrrp_pid": everything, "checkers_pid": CHECKERS, "bfd_pid": session}
        for name, mask in kept.items():
            wait_until(lambda name=name: there(f"/run/k/{name}.pid"), 120, f"{name}.pid")
            # A child gives up its rights when it has begun.
            wait_until(lambda name=name, mask=mask: rights(pid(name))["Prm"] == mask, 120, f"the rights of {name}")
            found = rights(pid(name))
            assert (found["Eff"], found["Amb"]) == (mask, everything if mask == everything else 0)
        assert os.getpriority(os.PRIO_PROCESS, pid("vrrp_pid")) == -5
        os.kill(pid("pid"), signal.SIGHUP)
        wait_until(lambda: "Reload complete" in log.read_text(), 120, "a reload")
        assert "Operation not permitted" not in log.read_text()
        assert "Permission denied" not in log.read_text()
        os.kill(pid("pid"), signal.SIGTERM)
        assert process.wait(120) == 0
        assert not space.has_address("10.0.0.9")
        assert there("/run/k/pid.pid") == ""
    except Exception:
        with contextlib.suppress(OSError):
            print(log.read_text())
        raise


def test_the_agents_keep_what_their_words_need_and_no_more() -> None:
    plain, counting = (GlobalDefs(agents=AgentSettings(enable_snmp_checker=word)) for word in (False, True))
    assert (of_agents(plain), of_agents(counting)) == (set(), {NET_ADMIN})
    assert not lacks(of_agents(plain), 0)
    assert lacks(of_agents(counting), 0)
    assert not lacks(of_agents(counting), 1 << NET_ADMIN)
