"""Files of many words give a model that comes back from what is printed; no struct of the model is left out."""

from __future__ import annotations

import tempfile
import types
import typing
from collections.abc import Iterator

import msgspec
import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.printer import print_config
from pykeepalived.model import Config
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
    "PingCheck.payload_size", "RealServer.maintenance_names", "RealServer.monitor_name", "SorryServer.weight",
    "VirtualAddress.vmac_ifname",
}  # fmt: skip
#: Structs that get a field with every new word: docs/keywords.md keeps account of those.
LARGE = {"Config", "DaemonSettings", "GlobalDefs", "VirtualServer", "VrrpInstance"}


def loaded(text: str) -> Config:
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return load(file.name, config_id="lb1", host=FakeHost()).config


def check(text: str) -> Config:
    config = loaded(text)
    result = print_config(config, accounts=FakeAccounts())
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
    """Files in which every alternative stands once, with the smallest and the largest numbers."""
    for turn in range(7):
        for single in (False, True):
            number = min if turn % 2 else max
            yield document(
                lambda count, turn=turn, single=single: None if single and turn >= count else turn % count,  # type: ignore[misc]
                number,
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
