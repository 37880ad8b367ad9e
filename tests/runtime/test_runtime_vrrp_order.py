"""In which order the router hears what the kernel reported at once."""

from __future__ import annotations

from pykeepalived.runtime.vrrp_link_states import links_up_last
from pykeepalived.vrrp.events import LinkChanged, SourceAddressChanged

UP, DOWN = LinkChanged("eth0", True), LinkChanged("eth0", False)
GONE = SourceAddressChanged("A", None)


def test_an_interface_that_is_up_in_the_end_is_told_last() -> None:
    assert links_up_last([UP, GONE]) == [GONE, UP]
    assert links_up_last([DOWN, UP, GONE]) == [DOWN, GONE, UP]
    assert links_up_last([UP, DOWN, GONE]) == [UP, DOWN, GONE]
    other = LinkChanged("eth1", True)
    assert links_up_last([UP, other, DOWN, GONE]) == [UP, DOWN, GONE, other]
    assert links_up_last([]) == []
