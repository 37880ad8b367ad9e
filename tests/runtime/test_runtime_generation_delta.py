"""A generation travels as what differs, and arrives whole."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.model import AddressSelector, VirtualServer
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.runtime.channel import Reload, delta_of, parent_decoder
from pykeepalived.runtime.generation_delta import delta, whole

SERVERS = [VirtualServer(selector=AddressSelector(address=f"10.0.0.{number}", port=80)) for number in range(8)]


@given(old=st.permutations(range(8)), new=st.lists(st.integers(0, 7), unique=True), count=st.integers(0, 8))
def test_it_arrives_whole(old, new, count):
    before = Config(virtual_servers=tuple(SERVERS[number] for number in old[:count]))
    after = Config(globals=GlobalDefs(router_id="x"), virtual_servers=tuple(SERVERS[number] for number in new))
    frame = msgspec.msgpack.encode(Reload.to(delta(before, after)))
    assert whole(before, delta_of(parent_decoder.decode(frame))) == after


def test_what_stays_is_not_sent():
    before = Config(virtual_servers=tuple(SERVERS))
    changed = VirtualServer(selector=AddressSelector(address="10.0.1.1", port=80))
    after = Config(virtual_servers=(*SERVERS[:3], changed, *SERVERS[4:]))
    found = delta(before, after)
    assert found.config.virtual_servers == (changed,)
    assert found.kept == ((0, 0, 3), (4, 4, 4))
    assert whole(before, found) == after
    assert delta(None, after).config is after
