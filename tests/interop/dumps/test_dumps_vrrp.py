"""What a vrrp configuration means: our dump file against that of Debian's keepalived, which reads the same file."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import DEVNULL, STDOUT

import pytest

from pykeepalived.tools.lab import Lab
from tests.interop.dumps import dump_texts

CASES = sorted((Path(__file__).parent / "vrrp").glob("*.conf"))
pytestmark = [pytest.mark.netns, pytest.mark.peer]


def dumped(lab: Lab, path: Path, directory: Path) -> tuple[str, str, str]:
    """What keepalived writes about this file, in a namespace of its own."""
    directory.mkdir()
    place = lab.namespace(path.stem, private=("/run",))
    for number, name in enumerate(dump_texts.INTERFACES):
        place.ip("link", "add", name, "type", "veth", "peer", "name", f"peer{number}")
        place.up(name)
        place.up(f"peer{number}")
    place.address("eth0", f"{dump_texts.SOURCE}/24")
    file = directory / "keepalived.data"
    with (directory / "log").open("w") as log:
        process = place.popen(
            "keepalived",
            "-n",
            "-l",
            "-P",
            "-f",
            path,
            env={**os.environ, "TMPDIR": str(directory)}, stdin=DEVNULL, stdout=log, stderr=STDOUT,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.1)
                if "Startup complete" not in (directory / "log").read_text():
                    continue
                process.send_signal(signal.SIGUSR1)
                time.sleep(0.2)
                text = file.read_text(errors="replace") if file.exists() else ""
                if "------< Interfaces >------" not in text:
                    continue
                process.send_signal(signal.SIGRTMIN + 2)
                process.send_signal(signal.SIGUSR2)
                time.sleep(0.2)
                objects, counters = (directory / f"keepalived.{name}" for name in ("json", "stats"))
                if not counters.exists() or not objects.exists():
                    continue
                written, counted = objects.read_text(), counters.read_text()
                # Half a file is no file: it is written piece by piece.
                ends = re.findall(r"Priority Zero:\n    Received: \d+\n    Sent: \d+\n", counted)
                if written.endswith("\n") and len(ends) == text.count("\n VRRP Instance = "):
                    return text, written, counted
        finally:
            process.terminate()
            process.wait(120)
    raise AssertionError((directory / "log").read_text())


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, str]]:
    """All dumps, some made at once: keepalived mostly waits."""
    base = tmp_path_factory.mktemp("dumps")
    with Lab("dump") as lab, ThreadPoolExecutor(4) as pool:
        texts = pool.map(lambda path: dumped(lab, path, base / path.stem), CASES)
        return dict(zip((path.stem for path in CASES), texts, strict=True))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_model_is_keepalived_s(path: Path, theirs: dict[str, tuple[str, str, str]]) -> None:
    ours = dump_texts.vrrp_facts(dump_texts.vrrp_text(dump_texts.load_model(path)))
    assert ours
    assert dump_texts.differences(dump_texts.vrrp_facts(theirs[path.stem][0]), ours) == []


# Without the interfaces of its virtual MACs, which nobody made for our text, an instance is in another state.
@pytest.mark.parametrize("path", [each for each in CASES if each.stem != "links"], ids=lambda path: path.stem)
def test_no_label_of_keepalived_s_is_missing(path: Path, theirs: dict[str, tuple[str, str, str]]) -> None:
    ours = dump_texts.labels(dump_texts.vrrp_text(dump_texts.load_model(path)))
    missing = dump_texts.labels(theirs[path.stem][0]) - ours
    found = [": ".join(each) for each in sorted(missing) if not each[1].startswith(dump_texts.NOT_OURS)]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_keepalived_json_has_the_same_keys_in_the_same_order(
    path: Path, theirs: dict[str, tuple[str, str, str]]
) -> None:
    ours = dump_texts.vrrp_objects(dump_texts.load_model(path))
    others = json.loads(theirs[path.stem][1])
    assert [each["data"]["iname"] for each in ours] == [each["data"]["iname"] for each in others]
    for mine, other in zip(ours, others, strict=True):
        # 2.2.7 has neither the tracked processes nor the counters of auth_hmac.
        mine["data"].pop("track_process", None)
        assert dump_texts.json_facts(mine["data"]) == dump_texts.json_facts(other["data"])
        assert [key for key in mine["stats"] if not key.startswith("auth_ext_")] == list(other["stats"])


@pytest.mark.parametrize("path", CASES[:2], ids=lambda path: path.stem)
def test_keepalived_stats_has_the_same_lines(path: Path, theirs: dict[str, tuple[str, str, str]]) -> None:
    """All but the counters of auth_hmac, which 2.2.7 does not have."""
    ours = re.sub(r"  Authentication Extension Errors:\n(?:    .*\n)+", "", dump_texts.vrrp_counters(path))
    assert re.sub(r": \d+$", ":", ours, flags=re.M) == re.sub(r": \d+$", ":", theirs[path.stem][2], flags=re.M)
