"""Our alerts and the dashboard's questions under promtool, which is unpacked from Debian's prometheus package.

    python -m tests.telemetry.alerts_check [DIRECTORY]

The package (19 MB) is fetched with apt-get once, into DIRECTORY; nothing of it is installed. Takes a minute at first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONTRIB = Path(__file__).parents[2] / "contrib"


def promtool(into: Path) -> Path:
    found = into / "unpacked/usr/bin/promtool"
    if not found.exists():
        into.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "prometheus"], cwd=into, check=True, timeout=300)
        (package,) = into.glob("prometheus_*.deb")
        subprocess.run(["dpkg", "-x", package, into / "unpacked"], check=True, timeout=120)
    return found


def questions() -> list[str]:
    """Every expression of the dashboard, its variables filled in."""
    panels = json.loads((CONTRIB / "grafana/keepalived.json").read_text(encoding="utf-8"))["panels"]
    texts = [target["expr"] for panel in panels for target in panel["targets"]]
    return [text.replace("$instance", ".*").replace("$__rate_interval", "5m") for text in texts]


def main() -> int:
    print("takes a minute", flush=True)
    into = Path(sys.argv[1] if len(sys.argv) > 1 else "build/alerts").absolute()
    program = promtool(into)
    rules = CONTRIB / "prometheus"
    asked = into / "dashboard.yml"
    # YAML reads JSON; as rules, the dashboard's expressions are parsed like ours.
    recorded = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(questions())]
    asked.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}), encoding="utf-8")
    commands = (
        ("check", "rules", rules / "keepalived.rules.yml"),
        ("test", "rules", rules / "keepalived.rules.test.yml"),
        ("check", "rules", asked),
    )
    codes = [subprocess.run([program, *words], check=False, timeout=120).returncode for words in commands]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
