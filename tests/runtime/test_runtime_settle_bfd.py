"""global_defs words of the BFD process."""

import os

import pytest

from pykeepalived.model.config import GlobalDefs
from pykeepalived.runtime import child


@pytest.mark.shows("global_defs.{bfd_priority,bfd_no_swap,bfd_rt_priority}")
def test_the_bfd_process_takes_its_own_words_and_no_others(monkeypatch):
    taken = []
    monkeypatch.setattr(os, "setpriority", lambda which, who, nice: taken.append(("nice", nice)))
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, param: taken.append(("rt", param.sched_priority)))

    class Libc:
        def __init__(self, *_, **__):
            pass

        def mlockall(self, flags):
            taken.append(("locked", True))
            return 0

    monkeypatch.setattr(child.ctypes, "CDLL", Libc)
    complaints = []
    others = GlobalDefs(vrrp_priority=-5, checker_priority=7, vrrp_no_swap=True, checker_rt_priority=3)
    child.settle(child.BFD, others, complaints.append)
    assert taken == []
    child.settle(child.BFD, GlobalDefs(bfd_priority=-3, bfd_rt_priority=9, bfd_no_swap=True), complaints.append)
    assert taken == [("nice", -3), ("rt", 9), ("locked", True)]
    assert complaints == []
