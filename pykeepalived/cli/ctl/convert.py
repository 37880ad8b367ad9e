"""`keepalivedctl convert`: configurations of Heartbeat, Piranha and ipvsadm, and one language into the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import click

from pykeepalived.tools.configurations import Unreadable, load
from pykeepalived.tools.convert import Format, NotConvertible, convert, detect

_LARGEST_FILE: Final = 64 * 1024 * 1024
_TARGETS: Final = (Format.KEEPALIVED, Format.LDIRECTORD)


@click.command(name="convert")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--from", "source", type=click.Choice([item.value for item in Format]), help="Else found out.")
@click.option("--to", "target", type=click.Choice([item.value for item in _TARGETS]), help="Else the other language.")
@click.option(
    "-i", "--config-id", metavar="ID", help="For a keepalived.conf: the id that decides lines beginning with @."
)
@click.option("--prefix-length", type=click.IntRange(1, 128), help="For addresses of haresources that have none.")
@click.option("--json", "as_json", is_flag=True, help="`text` and `notes` as JSON on standard output.")
def command(
    files: tuple[str, ...],
    source: str | None,
    target: str | None,
    config_id: str | None,
    prefix_length: int | None,
    *,
    as_json: bool,
) -> None:
    """Print FILES in the language of keepalived or of ldirectord.

    \b
        keepalivedctl convert ldirectord.cf > keepalived.conf
        keepalivedctl convert keepalived.conf > ldirectord.cf
        keepalivedctl convert /etc/ha.d/{ha.cf,haresources,authkeys,ldirectord.cf} > keepalived.conf
        keepalivedctl convert lvs.cf > keepalived.conf
        ipvsadm -S -n | keepalivedctl convert - > keepalived.conf

    What has no equivalent stands on standard error and at the head of the result. The exit code is 0, or 2 when FILES
    cannot be read or make no sense.
    """
    try:
        texts = {name: _read(name) for name in files}
        formats = {name: detect(name, text) for name, text in texts.items()}
        kind = Format(source) if source else _kind(list(formats.values()))
        wish = Format(target) if target else _other(kind)
        if kind is Format.KEEPALIVED and "-" in files:
            raise NotConvertible("a keepalived.conf must be a file: its includes need a place")
        model = load(files[0], config_id=config_id).config if kind is Format.KEEPALIVED else None
        result = convert(texts, kind, wish, keepalived=model, prefix_length=prefix_length)
    except (NotConvertible, Unreadable) as reason:
        click.echo(f"keepalivedctl: {_clean(str(reason))}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps({"language": wish.value, "text": result.text, "notes": list(result.notes)}))
        return
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    sys.stdout.buffer.write(result.text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _kind(found: list[Format]) -> Format:
    """Heartbeat's files may come with an ldirectord.cf."""
    return Format.HEARTBEAT if Format.HEARTBEAT in found else found[0]


def _other(kind: Format) -> Format:
    return Format.LDIRECTORD if kind is Format.KEEPALIVED else Format.KEEPALIVED


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:400])


def _read(name: str) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_LARGEST_FILE + 1)
        else:
            with Path(name).open("rb") as stream:
                data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{name}: {getattr(error, 'strerror', None) or 'not a usable path'}") from None
    if len(data) > _LARGEST_FILE:
        raise Unreadable(f"{name}: larger than {_LARGEST_FILE} bytes")
    return data.decode("utf-8", "surrogateescape")


if __name__ == "__main__":
    command()
