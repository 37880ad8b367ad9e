"""Files of many words give a model that comes back from what is printed; no struct of the model is left out."""

from __future__ import annotations

import re
import tempfile
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.printer import print_config
from pykeepalived.dialects.keepalived.rows import Table
from pykeepalived.dialects.keepalived.tables import ROOT
from pykeepalived.model import Config
from tests.dialects.keepalived import word_pools
from tests.dialects.keepalived.fake_host import FakeHost
from tests.dialects.keepalived.test_keepalived_printer import FakeAccounts
from tests.dialects.keepalived.word_pools import document

#: Structs that the words of ldirectord.cf alone give; test_ldirectord_printer.py makes them.
LDIRECTORD = {
    "ExternalCheck", "LdirectordSettings", "MailAlert", "MaintenanceNames", "NegotiateCheck", "OffCheck", "OnCheck",
    "TlsOptions",
}  # fmt: skip
#: Fields that ldirectord.cf alone sets, what no word of keepalived.conf can say, and vrrp_strict and vrrp_version,
#: which refuse many of these instances: valid/ has files that they accept.
ELSEWHERE = {
    "Defaults.strict", "Defaults.version",
    "CheckTiming.down_delay_us", "CheckTiming.rise", "CheckTiming.first_failure_counts", "PingCheck.attempts",
    "PingCheck.payload_size", "RealServer.maintenance_names", "RealServer.monitor_words", "SorryServer.weight",
    "VirtualAddress.vmac_ifname",
}  # fmt: skip
#: Structs that get a field with every new word: docs/keywords.md keeps account of those.
LARGE = {"Config", "DaemonSettings", "GlobalDefs", "VirtualServer", "VrrpInstance"}


def loaded(text: str) -> Config:
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return load(file.name, config_id="lb1", host=FakeHost()).config


def check(text: str, *, everything: bool = False) -> Config:
    config = loaded(text)
    result = print_config(config, accounts=FakeAccounts(), everything=everything)
    assert not result.unsaid, result.unsaid
    assert loaded(result.text) == config, result.text
    return config


def structs(hint: object, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    """All structs that a type can hold."""
    for part in typing.get_args(hint) or (hint,):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            if part not in seen:
                seen.add(part)
                yield part
                for inner in typing.get_type_hints(part).values():
                    yield from structs(inner, seen)
        elif typing.get_origin(part) in (tuple, typing.Union, types.UnionType):
            yield from structs(part, seen)


def values(value: object) -> Iterator[msgspec.Struct]:
    if isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from values(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from values(item)


def set_fields(config: Config) -> set[str]:
    """The fields that are not at their default, as Struct.field."""
    found = set()
    for value in values(config):
        for field in msgspec.structs.fields(type(value)):
            if field.required or getattr(value, field.name) != field.default:
                found.add(f"{type(value).__name__}.{field.name}")
    return found


def examples() -> Iterator[str]:
    """Files in which every alternative stands once, with the smallest and the largest numbers, and some by chance."""
    for turn in range(7):
        for single in (False, True):
            number = min if turn % 2 else max
            yield document(
                lambda count, turn=turn, single=single: None if single and turn >= count else turn % count,  # type: ignore[misc]
                number,
            )
    for seed in range(40):
        yield drawn(Random(seed), 0.3)


def drawn(random: Random, share: float) -> str:
    """Of such a share of the groups one alternative each, and any number that is allowed there, the ends often."""
    return document(
        lambda count: random.randrange(count) if random.random() < share else None,
        lambda low, high: random.choice([low, high, random.randint(low, high)]),
    )


@pytest.fixture(scope="module")
def covered() -> set[str]:
    return set().union(*(set_fields(check(text)) for text in examples()))


def test_every_struct_of_the_model_has_words_that_give_it(covered: set[str]) -> None:
    known = {struct.__name__: struct for struct in structs(Config, set())}
    assert len(known) > 50
    assert set(known) - {name.split(".")[0] for name in covered} - LDIRECTORD == set()
    missing = {
        f"{name}.{field}"
        for name, struct in known.items()
        if name not in LDIRECTORD | LARGE
        for field in struct.__struct_fields__
    }
    assert sorted(missing - covered - ELSEWHERE) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.1, 0.3, 0.6, 0.9]), everything=st.booleans())
def test_any_words_come_back(seed: int, share: float, everything: bool) -> None:
    check(drawn(Random(seed), share), everything=everything)


def words_of(table: Table, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    for row in table.rows.values():
        if not row.ours:
            yield row.name
        if row.block is not None and id(row.block) not in seen:
            yield from words_of(row.block, seen | {id(row.block)})


def test_every_word_of_the_tables_is_drawn() -> None:
    """A new word of keepalived's needs a place in the pools; one of our own better has one, too."""
    pools = Path(word_pools.__file__).read_text(encoding="utf-8").replace("\\n", " ")
    assert set(words_of(ROOT)) - set(re.findall(r"[A-Za-z0-9_-]+", pools)) == set()
