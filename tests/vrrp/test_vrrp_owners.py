"""Two routers that both say they own the addresses (seen in keepalived 2.4.3)."""

from __future__ import annotations

from tests.vrrp.playbook import Playbook, config, instance


def owner() -> Playbook:
    book = Playbook(config(instance(priority=255)))
    book.start()
    book.run(0.001)
    assert book.state() == "MASTER"
    return book


def test_the_lower_address_yields():
    book = owner()
    lines = book.hear(255, "10.0.0.2")
    assert (
        "log (A) Master received advert from 10.0.0.2 with same priority 255 but higher IP address than ours" in lines
    )
    assert book.state() == "BACKUP"
    assert book.status().effective_priority == 255


def test_the_higher_address_steps_down_when_the_other_one_does_not_yield():
    book = owner()
    lines = book.hear(255, "10.0.0.0")
    assert "log (A) CONFIGURATION ERROR: 10.0.0.0 is configured as address owner too, please fix" in lines
    assert "advert A 255" in lines
    for at_s in (0.5, 1.0, 1.19):
        book.run(at_s)
        lines = book.hear(255, "10.0.0.0")
        assert book.state() == "MASTER", at_s
        assert not [line for line in lines if "CONFIGURATION" in line]
    book.run(1.3)
    lines = book.hear(255, "10.0.0.0")
    assert lines[0] == (
        "log (A) 10.0.0.0 is still advertising as address owner, please resolve - reducing our priority"
    )
    assert (book.state(), book.status().effective_priority) == ("BACKUP", 254)
    book.link("eth0", False)
    assert book.status().effective_priority == 254, "trackers do not bring the 255 back"


def test_it_is_owner_again_when_the_other_one_has_gone():
    book = owner()
    book.hear(255, "10.0.0.0")
    book.run(2.5)
    book.hear(255, "10.0.0.0")
    lines = book.run(8)
    assert any(line.endswith("advert A 255") for line in lines)
    assert any("Restoring our priority to 255 since other address owner has disappeared" in line for line in lines)
    assert (book.state(), book.status().effective_priority) == ("MASTER", 255)


def test_one_stray_advert_lowers_nobody():
    book = owner()
    book.hear(255, "10.0.0.0")
    book.run(60)
    assert (book.state(), book.status().effective_priority) == ("MASTER", 255)
