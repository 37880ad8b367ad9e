"""What stands in the documentation: every configuration passes our -t, links lead somewhere, tutorials make sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykeepalived.cli.keepalivedctl import COMMANDS
from pykeepalived.diagnostics import ExitClass, Severity
from pykeepalived.dialects.keepalived import RealHost, load
from pykeepalived.dialects.ldirectord import SystemHost, load_text
from tests.docs.tutorial import blocks, networks, steps

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))


class AnyMachine(RealHost):
    """The page's machines have interfaces that this one lacks."""

    def interfaces(self):
        return None


def configurations():
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language in {"keepalived", "ldirectord"}:
                yield pytest.param(block, id=f"{page.name}-{block.line}")


@pytest.mark.parametrize("block", list(configurations()))
def test_each_configuration_passes_our_t(block, tmp_path):
    file = tmp_path / "example"
    file.write_text(block.text)
    if block.language == "ldirectord":
        findings = load_text(block.text, str(file), host=SystemHost(check_writable=False)).findings.items
        assert [item.id for item in findings if item.severity is Severity.ERROR] == []
        return
    for config_id in ("lb1", "lb2"):
        loaded = load(str(file), host=AnyMachine(), config_id=config_id)
        assert [item.message for item in loaded.findings.items if item.exit_class is not ExitClass.NONE] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_the_machines_of_a_tutorial_are_on_its_networks(page):
    text = page.read_text(encoding="utf-8")
    machines = {machine for names in networks(text).values() for machine in names}
    found = list(blocks(text))
    commands = [step for block in found if block.language == "console" for step in steps(block)]
    assert commands
    assert {step.machine for step in commands} <= machines
    assert {name for block in found if block.title for name in block.title.partition(": ")[0].split()} <= machines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page):
    for name in re.findall(r"`(?:[a-z0-9]+# )?keepalivedctl ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
        assert name in COMMANDS, name


def test_the_site_names_pages_that_exist():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/-]+\.md", text))
    assert named <= {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
