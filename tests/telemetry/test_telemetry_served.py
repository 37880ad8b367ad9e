"""A director that serves metrics and a page: scraped in its network namespace, reloaded, robbed of its process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pykeepalived.tools.lab import Lab, wait_until

pytestmark = pytest.mark.netns
PATIENCE_S = 120
ROOT = Path(__file__).parents[2]
DAEMON = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"
SERVE = "import http.server as s; s.HTTPServer(('127.0.0.1', 8081), s.BaseHTTPRequestHandler).serve_forever()"
FETCH = """
import sys, urllib.request
print(urllib.request.urlopen('http://127.0.0.1:9165/metrics', timeout=60).read().decode(), end='')
"""
FILE = """\
global_defs {
    metrics_listen SOCKET
    metrics_names mehdy
    lvs_dataplane nftables
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    virtual_ipaddress {
        10.9.0.9/24
    }
}
virtual_server 10.9.0.9 80 {
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 127.0.0.1 8081 {
        TCP_CHECK {
        }
    }
    real_server 127.0.0.1 8082 {
        TCP_CHECK {
        }
    }
}
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(PATIENCE_S)
            made.connect(self.path)
        except OSError:
            made.close()
            raise
        self.sock = made


class Director:
    def __init__(self, lab, into):
        self.lab, self.into = lab, into
        self.here = lab.namespace("director")
        lab.link(self.here, "eth0", lab.namespace("peer"), "eth0")
        self.here.address("eth0", "10.9.0.1/24")
        # A socket's path has to be short.
        self.socket = str(Path(tempfile.mkdtemp(prefix="served")) / "metrics.sock")
        self.file = into / "k.conf"
        self.write(FILE.replace("SOCKET", self.socket))
        self.env = os.environ | {"PYKEEPALIVED_STATE_DIRECTORY": tempfile.mkdtemp(prefix="served")}
        lab.popen(self.here, sys.executable, "-c", SERVE)
        files = [word for letter in "prc" for word in (f"-{letter}", str(into / f"{letter}.pid"))]
        self.process = lab.popen(
            self.here, sys.executable, "-c", DAEMON, "-n", "-l", "-D", "-f", str(self.file), *files,
            log=into / "log", env=self.env, cwd=ROOT,
        )  # fmt: skip

    def write(self, text):
        self.file.write_text(text)
        self.file.chmod(0o600)

    def get(self, path, accept="*/*"):
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.getheader("Content-Type"), answer.read().decode()
        finally:
            connection.close()

    def text(self):
        """A scrape; empty while nobody answers."""
        try:
            return self.get("/metrics")[1]
        except (OSError, http.client.HTTPException):
            return ""

    def values(self):
        """Samples of a scrape by name; of several the last one."""
        found = text_string_to_metric_families(self.text())
        return {sample.name: sample.value for each in found for sample in each.samples}

    def until(self, name, value):
        wait_until(lambda: self.values().get(name) == value, PATIENCE_S, f"{name} {value}")

    def web(self):
        """The metrics process."""
        children = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        )
        for pid in children:
            if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "keepalived_web":
                return int(pid)
        return 0


@pytest.fixture(scope="module")
def director(tmp_path_factory):
    into = tmp_path_factory.mktemp("served")
    with Lab(f"served-{os.getpid()}") as lab:
        made = Director(lab, into)
        made.until("keepalived_vrrp_state", 2)
        yield made


@pytest.mark.shows("global_defs.metrics_listen")
def test_what_the_daemon_does_is_in_the_metrics(director):
    found = {}
    wait_until(lambda: "keepalived_check_duration_seconds_count" in found or found.update(director.values()),
               PATIENCE_S, "the first checks")  # fmt: skip
    assert found["keepalived_up"] == 1
    assert found["keepalived_become_master_total"] == 1
    assert found["keepalived_advert_lateness_seconds_count"] >= 1
    wait_until(lambda: director.values().get("keepalived_dataplane_connections_total") == 0, PATIENCE_S, "a table")
    kind, text = director.get("/metrics", accept="application/openmetrics-text;version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    servers = {
        sample.labels["server"]: sample.value
        for each in openmetrics.text_string_to_metric_families(text)
        for sample in each.samples
        if sample.name == "keepalived_real_server_up"
    }
    assert servers["[127.0.0.1]:tcp:8081"] == 1
    wait_until(lambda: 'server="[127.0.0.1]:tcp:8082"} 0' in director.text(), PATIENCE_S, "one that is down")


def test_the_page_is_told_of_changes(director):
    kind, text = director.get("/")
    assert kind.startswith("text/html")
    assert "<title>" in text
    connection = UnixConnection(director.socket)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    picture = json.loads(answer.readline().removeprefix(b"data: "))
    assert picture["status"]["vrrp"]["instances"][0]["state"] == "MASTER"
    assert any(event["event"] == "vrrp-state" for event in picture["events"])
    connection.close()


def test_the_process_has_no_rights_and_a_successor(director):
    wait_until(director.web, PATIENCE_S, "the process")
    web = director.web()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{web}/status").read_text(encoding="ascii").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["65534"] * 4
    assert (int(status["CapEff"], 16), int(status["CapPrm"], 16), status["NoNewPrivs"]) == (0, 0, "1")
    os.kill(web, signal.SIGKILL)
    wait_until(lambda: director.web() not in {0, web}, PATIENCE_S, "a successor")
    director.until("keepalived_up", 1)


@pytest.mark.shows("global_defs.metrics_names")
def test_a_reload_changes_names_and_place(director):
    text = director.file.read_text()
    director.write(text.replace("metrics_names mehdy", "metrics_names gen2brain"))
    director.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: "\nkeepalived_vrrp_become_master{" in director.text(), PATIENCE_S, "the names of the other exporter"
    )
    # Without an address the server is the namespace's own loopback's.
    director.write(text.replace(f"metrics_listen {director.socket}", "metrics_listen"))
    director.process.send_signal(signal.SIGHUP)

    def scraped():
        done = director.here.run(sys.executable, "-c", FETCH, check=False)
        return "keepalived_become_master_total" in done.stdout

    wait_until(scraped, PATIENCE_S, "metrics on loopback")
    assert not Path(director.socket).exists()
    director.write(text.replace(f"    metrics_listen {director.socket}\n", ""))
    director.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not director.web(), PATIENCE_S, "no process")
