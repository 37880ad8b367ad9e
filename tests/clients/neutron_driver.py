"""Neutron's own functional keepalived tests, and 60 reloads of ours through its manager.

Run by Neutron's interpreter, inside namespaces that `tests.clients.neutron_functional` has made, with the program under
test first in PATH under the name keepalived. `import neutron` works nowhere else, so pytest does not collect this file.
"""

from __future__ import annotations

import subprocess
import sys
import time
import unittest
from pathlib import Path

from neutron.common import eventlet_utils

# Threads of its own kind that Neutron is leaving behind, and that newer libraries do not know.
eventlet_utils.monkey_patch = lambda *_words, **_more: None

from neutron import privileged  # noqa: E402
from neutron.agent.linux import ip_lib, keepalived  # noqa: E402
from neutron.agent.linux import utils as linux_utils  # noqa: E402
from neutron.common import utils  # noqa: E402
from neutron.tests.functional.agent.linux import test_keepalived as theirs  # noqa: E402
from oslo_privsep.priv_context import PrivContext  # noqa: E402

RELOADS = 60
PATIENCE_S = 60
PRIMARY = "169.254.0.1/24"


def wait_patiently(true, timeout=0, sleep=0.05, exception=None):
    """Their limits of 5 s are for a machine that does nothing else."""
    end = time.monotonic() + max(timeout, PATIENCE_S)
    while not true():
        if time.monotonic() > end:
            raise exception or RuntimeError("time limit")
        time.sleep(sleep)


def add_pair(wrapper, name):
    """This kernel may have no dummy interfaces; one end of a cable does as well."""
    device, peer = wrapper.add_veth(name, f"{name}-peer")
    peer.link.set_up()
    return device


ip_lib.IPWrapper.add_dummy = add_pair
linux_utils.subprocess = subprocess
utils.wait_until_true = wait_patiently
keepalived.SIGTERM_TIMEOUT = PATIENCE_S
# We are root: what Neutron hands to its privileged helpers is done here.
for context in vars(privileged).values():
    if isinstance(context, PrivContext):
        context.set_client_mode(False)


class ManyReloads(theirs.KeepalivedManagerTestCase):
    """What the agent does all day: floating addresses come and go, the file changes, a SIGHUP follows."""

    def addresses(self):
        words = ["ip", "-n", self.namespace, "-o", "addr", "show"]
        return [line.split()[3] for line in subprocess.check_output(words, text=True).splitlines()]

    def wait(self, true, what):
        wait_patiently(true, exception=RuntimeError(what))

    def test_many_reloads_leave_the_primary_address_alone(self):
        # The second instance sends from a multicast address, which no program can: it stays in FAULT.
        self.expected_config.instances.pop(2)
        process = self._spawn_keepalived(self.manager)
        pid = process.pid
        self.wait(lambda: PRIMARY in self.addresses(), "no primary address")
        vrrp = Path(self.manager.get_vrrp_pid_file_name(process.get_pid_file_name())).read_text()
        command = ["ip", "-n", self.namespace, "-o", "monitor", "address"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
            instance = self.expected_config.get_instance(1)
            for number in range(RELOADS):
                floating = f"198.51.100.{number + 1}/32"
                instance.vips[-1] = keepalived.KeepalivedVipAddress(floating, "eth1", track=False)
                self.manager.spawn()
                self.wait(lambda: floating in self.addresses(), f"no {floating}")  # noqa: B023 - used at once
            monitor.terminate()
            events = monitor.stdout.read().splitlines()
        self.assertTrue(self.manager.check_processes())
        self.assertEqual(process.pid, pid)
        pid_file = Path(self.manager.get_vrrp_pid_file_name(process.get_pid_file_name()))
        self.assertEqual(pid_file.read_text(), vrrp)
        # neutron-keepalived-state-change reads the state off these events.
        self.assertEqual([event for event in events if PRIMARY in event], [])
        self.assertGreaterEqual(len(events), RELOADS)
        self.manager.disable()
        self.wait(lambda: PRIMARY not in self.addresses(), "the primary address stayed")


if __name__ == "__main__":
    loader = unittest.TestLoader()
    suite = unittest.TestSuite(
        [
            loader.loadTestsFromTestCase(theirs.KeepalivedManagerTestCase),
            loader.loadTestsFromName("test_many_reloads_leave_the_primary_address_alone", ManyReloads),
        ]
    )
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
