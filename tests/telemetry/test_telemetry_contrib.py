"""What others get: alerts and a dashboard ask for metrics that exist, and Ganglia is told values."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pykeepalived.runtime.telemetry.exposition import render
from pykeepalived.runtime.telemetry.metrics import families
from tests.telemetry.test_telemetry_text import COUNTED, a_status

CONTRIB = Path(__file__).parents[2] / "contrib"
SERIES = re.compile(r"\bkeepalived_\w+")


def known():
    lines = render(families(a_status(), COUNTED, "mehdy")).decode().splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("name", ["prometheus/keepalived.rules.yml", "grafana/keepalived.json"])
def test_every_metric_that_is_asked_for_exists(name):
    asked = set(SERIES.findall((CONTRIB / name).read_text(encoding="utf-8")))
    assert asked
    assert asked <= known()


def test_the_dashboard_has_no_panel_over_another():
    panels = json.loads((CONTRIB / "grafana/keepalived.json").read_text(encoding="utf-8"))["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells


def test_ganglia_is_told(tmp_path):
    class Director(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(render(families(a_status(), COUNTED, "mehdy")))

        def log_message(self, *_):
            pass

    gmetric = tmp_path / "gmetric"
    gmetric.write_text(f'#!/bin/sh\nprintf "%s " "$@" >> {tmp_path}/told; echo >> {tmp_path}/told\n')
    gmetric.chmod(0o755)
    program = [sys.executable, str(CONTRIB / "ganglia/keepalived-gmetric"), "--gmetric", str(gmetric)]
    with HTTPServer(("127.0.0.1", 0), Director) as server:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        subprocess.run([*program, "--url", url], check=True, timeout=120, env=os.environ)
        thread.join()
    told = (tmp_path / "told").read_text()
    assert "--name keepalived_vrrp_state-VI_1-10.0.0.9 --value 2 --type uint8" in told
    assert "--name keepalived_dataplane_connections_total-10.0.0.9_80-10.1.0.2_80 --value 2 --type double" in told
    assert "--slope positive" in told
    refused = subprocess.run(
        [*program, "--url", "http://127.0.0.1:1/"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (refused.returncode, "does not answer" in refused.stderr) == (1, True)
