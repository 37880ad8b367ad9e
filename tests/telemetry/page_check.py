"""The status page in headless Chromium: no violation that axe-core knows, nothing wider than 360 pixels, no foreign
request, nothing on the console; pictures of it for people.

    python -m tests.telemetry.page_check [DIRECTORY]

Needs Debian's chromium and nodejs (packaging/debian-packages.txt, group browser) and the npm registry. Takes a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pykeepalived.tools.lab import Lab, wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE_S = 120
DAEMON = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"
SERVE = """
import http.server as s, sys, time
class H(s.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.002 * (1 + time.time_ns() % 7))
        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')
s.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), H).serve_forever()
"""
SERVER = """\
    real_server {address} {port} {{
        HTTP_GET {{
            url {{
                path /
            }}
        }}
    }}
"""
UP = (8081, 8082, 8083)


def configuration() -> str:
    parts = ["global_defs {\n    metrics_listen\n    lvs_dataplane nftables\n    dynamic_interfaces\n}\n"]
    for number, name in enumerate(("VI_web", "VI_a_long_name_that_somebody_chose_for_a_virtual_router"), 1):
        parts.append(
            f"vrrp_instance {name} {{\n    interface eth0\n    virtual_router_id {number}\n    priority 100\n"
            f"    advert_int 0.2\n    version 3\n    virtual_ipaddress {{\n        10.9.0.{number + 8}/24\n    }}\n}}\n"
        )
    parts.append(
        "vrrp_instance VI_fault {\n    interface eth9\n    virtual_router_id 9\n    priority 100\n    version 3\n"
        "    virtual_ipaddress {\n        10.8.0.9/24\n    }\n}\n"
    )
    for address, port, servers in (
        ("10.9.0.9", 80, (*UP, 8099)),
        ("10.9.0.10", 443, (8098,)),
        ("10.7.0.1", 25, UP[:1]),
    ):
        parts.append(
            f"virtual_server {address} {port} {{\n    delay_loop 1\n    lvs_sched rr\n    lvs_method NAT\n"
            "    protocol TCP\n    sorry_server 10.9.0.1 8083\n"
            + "".join(SERVER.format(address="10.9.0.1", port=each) for each in servers)
            + "}\n"
        )
    return "".join(parts)


def tools(into: Path) -> Path:
    """The packages of package.json, in a directory that is kept."""
    shutil.copy(HERE / "page" / "package.json", into)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=into, check=True, timeout=300)
    return into


def look(into: Path) -> dict[str, object]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or shutil.which("node") is None:
        raise SystemExit("chromium and nodejs are needed: packaging/install-packages browser")
    base = Path(tempfile.mkdtemp(prefix="page-check"))
    (base / "k.conf").write_text(configuration())
    (base / "k.conf").chmod(0o600)
    with Lab(f"page-{os.getpid()}") as lab:
        here = lab.namespace("director")
        lab.link(here, "eth0", lab.namespace("peer"), "eth0")
        here.address("eth0", "10.9.0.1/24")
        for port in UP:
            lab.popen(here, sys.executable, "-c", SERVE, str(port), log=base / f"server-{port}")
        files = [word for letter in "prc" for word in (f"-{letter}", str(base / f"{letter}.pid"))]
        lab.popen(
            here, sys.executable, "-c", DAEMON, "-n", "-l", "-D", "-f", str(base / "k.conf"), *files, log=base / "log",
            env=os.environ | {"PYKEEPALIVED_STATE_DIRECTORY": str(base / "state")}, cwd=ROOT,
        )  # fmt: skip

        def well() -> bool:
            fetched = here.run("curl", "-s", "http://127.0.0.1:9165/metrics", check=False).stdout
            states = [line for line in fetched.splitlines() if line.startswith("keepalived_vrrp_state")]
            return sum(line.endswith(" 2") for line in states) == 2 and "keepalived_check_last_latency" in fetched

        wait_until(well, PATIENCE_S, "two MASTERs and checks")
        done = here.run(
            "node", HERE / "page" / "check.mjs", "http://127.0.0.1:9165/", chromium, into, cwd=into, timeout_s=1500
        )
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    shutil.rmtree(base, ignore_errors=True)
    return report


def main() -> int:
    print("takes a minute", flush=True)
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "build/page").absolute()
    chosen.mkdir(parents=True, exist_ok=True)
    into = tools(chosen)
    report = look(into)
    texts = str(report.pop("texts"))
    print(json.dumps(report, indent=2))
    missing = [word for word in ("MASTER", "FAULT", "no quorum", "✗", "sorry server", "VI_web") if word not in texts]
    if missing:
        print(f"not on the page: {', '.join(missing)}")
    print(f"pictures are in {into}")
    bad = missing or any(report[name] for name in ("violations", "overflows", "elsewhere", "errors"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
