"""What a test needs from the machine. A test that cannot run says why; on continuous integration it fails instead."""

from __future__ import annotations

import functools
import os
import shutil

import pytest
from hypothesis import settings

from pykeepalived.tools.guest import why_no_guest
from pykeepalived.tools.lab_rights import why_no_namespaces

#: Whether a machine is busy says nothing about a property. Continuous integration draws the same examples each time, so
#: that its answer depends on the tree alone; every other run looks for new ones.
settings.register_profile("untimed", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("untimed")

PEERS = ("keepalived", "ldirectord", "ipvsadm")


def why_no_peer() -> str | None:
    path = f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"
    missing = [name for name in PEERS if shutil.which(name, path=path) is None]
    return f"not installed: {' '.join(missing)} (make packages-test)" if missing else None


NEEDS = {
    "netns": functools.cache(why_no_namespaces),
    "uml": functools.cache(why_no_guest),
    "peer": functools.cache(why_no_peer),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A namespace test that runs in the guest, or with a peer, needs all that its marks say."""
    for item in items:
        for mark, reason in NEEDS.items():
            if item.get_closest_marker(mark) and (why := reason()):
                item.add_marker(pytest.mark.skip(reason=f"{mark}: {why}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """With CI=true nothing may be skipped: what the machine lacks is a fault of the machine's set-up."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {reason}"
    return report
