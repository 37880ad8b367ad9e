"""What the kernel refuses is named and tried again, and stops nothing else. Runs inside the test kernel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dialects.keepalived import load
from pykeepalived.tools.lab import Lab
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Stage

#: The program by which the kernel fetches a module that it lacks.
_FETCHER = Path("/proc/sys/kernel/modprobe")


def _service(port: int, scheduler: str) -> str:
    return (
        f"virtual_server 10.0.0.5 {port} {{\nlb_algo {scheduler}\nlb_kind NAT\nprotocol TCP\n"
        "real_server 10.0.0.2 80 {\n}\n}\n"
    )


@pytest.fixture
def kernel_without_nq() -> Iterator[None]:
    before = _FETCHER.read_text()
    subprocess.run(["modprobe", "-r", "ip_vs_nq"], check=True, timeout=30)
    _FETCHER.write_text("/bin/false\n")
    yield
    _FETCHER.write_text(before)
    subprocess.run(["modprobe", "ip_vs_nq"], check=True, timeout=30)


@pytest.mark.usefixtures("kernel_without_nq")
def test_a_scheduler_that_appears_later(tmp_path: Path) -> None:
    def rules() -> list[str]:
        return subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout.splitlines()

    def configured(*schedulers: str) -> object:
        file = tmp_path / "keepalived.conf"
        file.write_text("".join(_service(80 + number, word) for number, word in enumerate(schedulers)))
        return load(str(file), host=FakeHost()).config

    with Lab("lvs-refusals") as lab, lab.namespace("a").inside():
        stage = Stage(IpvsDataplane())
        stage.program.start(configured("rr", "nq", "lc"))  # type: ignore[arg-type]
        stage.until(lambda: sum("-r 10.0.0.2:80" in line for line in rules()) == 2, "the other two services")
        [said] = [line for line in stage.memo.errors if "10.0.0.5]:tcp:81" in line and "add service" in line]
        assert "will try again" in said
        assert not any(":81" in line for line in rules())
        subprocess.run(["modprobe", "ip_vs_nq"], check=True, timeout=30)
        stage.until(lambda: "-a -t 10.0.0.5:81 -r 10.0.0.2:80 -m -w 1" in rules(), "the third")
        assert stage.program.status()["table"]["waiting_for_retry"] == 0
        assert stage.memo.exit_code is None
        stage.close()
        assert rules() == []
