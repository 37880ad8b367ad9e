"""`pykeepalived`: the daemon, its configuration test, and the small questions that scripts ask it.

Imports of weight stand inside functions: `-v` and `--signum` answer before anything of the daemon is loaded, `-t` loads
the language and nothing of the network.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from pykeepalived.cli import names
from pykeepalived.cli.getopt import GetoptCommand
from pykeepalived.cli.keepalived_options import NO_EFFECT, OPTIONS
from pykeepalived.cli.version import TITLE, version_text

if TYPE_CHECKING:
    from pykeepalived.runtime.boot import StartSettings
    from pykeepalived.runtime.reload import Loaded

DEFAULT_CONFIGURATION: Final = "/etc/keepalived/keepalived.conf"
_EXIT_FATAL: Final = 1
_EXIT_GENERAL: Final = 5


def main() -> NoReturn:
    """Entry point: be the program that our name means."""
    program = names.program_of(sys.argv[0])
    if program == "ldirectord":
        from pykeepalived.cli import ldirectord  # noqa: PLC0415

        ldirectord.main()
        sys.exit(0)
    if program == "genhash":
        _be_genhash(sys.argv[1:])
    _leave_quietly_on_signals()
    # A start makes very many objects and drops few: collections would take a fifth of its time. The supervisor switches
    # them on when its children are forked; everything else ends before it matters.
    gc.disable()
    sys.exit(run(sys.argv[1:]))


def _be_genhash(words: list[str]) -> NoReturn:
    from pykeepalived.cli import genhash  # noqa: PLC0415

    sys.argv = ["genhash", *words]
    genhash.main(args=words, prog_name="genhash")
    sys.exit(0)


def _leave_quietly_on_signals() -> None:
    """Until the supervisor takes over there is nothing to tidy up. Process 1 dies of no signal unless it is handled."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def run(words: list[str]) -> int:
    """Do what a command line says; returns the exit code."""
    if words and words[0] in {"-T", "--genhash"}:
        _be_genhash(words[1:])
    command = GetoptCommand("keepalived", params=OPTIONS, callback=_dispatch, add_help_option=False)
    context = command.make_context("keepalived", list(words))
    for error in context.meta["errors"]:
        _complain(error)
    # These answer and end where they stand, even after a word that makes no sense (the first of them counts).
    for name in context.meta["order"]:
        if name == "help":
            _complain(command.get_help(context))
            return 0
        if name == "version":
            _complain(version_text())
            return 0
        if name == "signum":
            return _print_signal(context.params["signum"])
    if context.meta["errors"]:
        _complain("Try 'keepalived --help' for the options.")
        return _EXIT_FATAL
    return int(command.invoke(context))


@click.pass_context
def _dispatch(context: click.Context, /, **options: Any) -> int:
    if options["genhash"]:
        _complain("-T must be the first option")
        return _EXIT_FATAL
    if context.args:
        print(f"Unexpected argument(s): {' '.join(context.args)}")
    if options["config_test"] is not None:
        return _test(options, options["config_test"])
    return _serve(options)


def _print_signal(function: str) -> int:
    from pykeepalived.runtime.signals import FUNCTIONS  # noqa: PLC0415

    if function not in FUNCTIONS:
        _complain(f"Unknown sigfunc {function}")
        return _EXIT_FATAL
    print(FUNCTIONS[function])
    return 0


def _complain(text: str) -> None:
    """Text for people goes to standard error, as with the original."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass


# ---- the configuration ----


def _pattern(options: dict[str, Any]) -> str:
    return str(options["use_file"] or DEFAULT_CONFIGURATION)


def make_load(
    pattern: str, config_id: str | None, *, all_checks: bool = False, balances: bool = False
) -> Callable[[], Loaded]:
    """A function that reads the configuration, each time anew. `balances`: it is to be run, so the kernel is asked."""

    def load() -> Loaded:
        from pykeepalived.dataplane.select import without_ipvs  # noqa: PLC0415
        from pykeepalived.dialects import keepalived as language  # noqa: PLC0415
        from pykeepalived.runtime.reload import Loaded  # noqa: PLC0415

        host = language.RealHost(without_ipvs) if balances else None
        result = language.load(pattern, config_id=config_id, environment=os.environ, host=host, all_checks=all_checks)
        daemon = result.config.globals.daemon
        copies = daemon.config_save_dir is not None or daemon.tmp_config_directory is not None
        return Loaded(
            config=result.config,
            findings=tuple(result.findings.items),
            exit_class=result.exit_class,
            missing=not result.found,
            refused=result.refused,
            files=tuple(source.name for source in result.sources),
            text="".join(f"# {source.name}\n{source.text}\n!\n" for source in result.sources) if copies else "",
        )

    return load


def _test(options: dict[str, Any], log_file: str) -> int:
    """`-t`: findings to standard error, or appended to a file; the exit code says how bad it is.

    The file is there afterwards, empty when there is nothing to say; one that cannot be opened ends it at once.
    """
    if log_file:
        try:
            os.close(os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            _complain(f"Unable to open config-test log file {log_file} - {error.strerror}")
            return _EXIT_FATAL
    sound = _options_are_sound(options)
    load = make_load(_pattern(options), options["config_id"], all_checks=options["all_config"])
    if options["ldirectord"] is not None:
        from pykeepalived.runtime.ldirectord_join import joined  # noqa: PLC0415

        load = joined(load, options["ldirectord"])
    loaded = load()
    if loaded.missing:
        # The original says so and yet exits 0.
        _write_findings([f"Config files missing '{_pattern(options)}'."], log_file)
        return 0 if sound else _EXIT_GENERAL
    from pykeepalived.diagnostics import render  # noqa: PLC0415

    if not log_file and sys.stderr.isatty():
        lines = [render.full(finding, colour="NO_COLOR" not in os.environ) for finding in loaded.findings]
    else:
        lines = [render.short(finding) for finding in loaded.findings]
    _write_findings(lines, log_file)
    return int(loaded.exit_class) or (0 if sound else _EXIT_GENERAL)


def _options_are_sound(options: dict[str, Any]) -> bool:
    """Say which arguments of options make no sense. False: one that the original counts as a fault under -t."""
    facility, mask = options["log_facility"], options["umask"]
    sound = True
    if facility is not None:
        from pykeepalived.runtime.logging import facility_number  # noqa: PLC0415

        if facility_number(facility) is None:
            _complain(f"Invalid log facility '{facility}'")
            sound = False
    if mask is not None and _read_umask(mask) is None:
        _complain(f"Invalid --umask option {mask}")
    return sound


def _write_findings(lines: list[str], log_file: str) -> None:
    if not lines:
        return
    if log_file:
        try:
            with open(log_file, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines(line + "\n" for line in lines)
            return
        except OSError as error:
            _complain(f"Cannot write config-test log file {log_file} - {error.strerror}")
    _complain("\n".join(lines))


# ---- the daemon ----


def _serve(options: dict[str, Any]) -> int:
    names.adopt_name("keepalived")
    from pykeepalived.runtime.boot import run_daemon  # noqa: PLC0415

    # A daemon in the background stands elsewhere when it reads the file again.
    pattern = os.path.abspath(_pattern(options))  # noqa: PTH100 - a pattern, not a path
    load = make_load(pattern, options["config_id"], all_checks=options["all_config"], balances=True)
    if options["ldirectord"] is None:
        return run_daemon(_start_settings(options), load)
    from pykeepalived.runtime.ldirectord_join import joined, joined_sources  # noqa: PLC0415

    path = os.path.abspath(options["ldirectord"])  # noqa: PTH100 - links in the path stay
    return run_daemon(_start_settings(options), joined(load, path), joined_sources())


def _start_settings(options: dict[str, Any]) -> StartSettings:
    from pykeepalived.runtime.boot import StartSettings  # noqa: PLC0415
    from pykeepalived.runtime.logging import FACILITIES, LogSettings, facility_number  # noqa: PLC0415

    remarks = [f"Option {text} is known and has no effect yet" for name, text in NO_EFFECT.items() if options[name]]
    _options_are_sound(options)
    facility = facility_number(options["log_facility"] or "daemon")
    return StartSettings(
        title=TITLE,
        command_line=("keepalived", *sys.argv[1:]),
        pattern=_pattern(options),
        foreground=options["dont_fork"],
        log_settings=LogSettings(
            console=options["log_console"] and options["dont_fork"],
            syslog=not options["no_syslog"],
            facility=FACILITIES["daemon"] if facility is None else facility,
            detail=options["log_detail"],
            file=options["log_file"],
        ),
        kinds=_kinds(options),
        start_all=options["all"],
        respawn=not options["dont_respawn"],
        release_vrrp=not options["dont_release_vrrp"],
        release_ipvs=not options["dont_release_ipvs"],
        dump_configuration=options["dump_conf"],
        address_monitoring=options["address_monitoring"],
        ignore_sigint=options["ignore_sigint"],
        core_pattern=options["core_dump_pattern"],
        core_dump=options["core_dump"] or options["core_dump_pattern"] is not None,
        umask=_read_umask(options["umask"]),
        parent_pid_file=options["pid"],
        vrrp_pid_file=options["vrrp_pid"],
        checker_pid_file=options["checkers_pid"],
        bfd_pid_file=options["bfd_pid"],
        namespace=options["namespace"],
        snmp=options["snmp"],
        snmp_socket=options["snmp_agent_socket"],
        control_socket=options["control_socket"],
        strict=options["strict_config"],
        remarks=tuple(remarks),
    )


def _kinds(options: dict[str, Any]) -> frozenset[str]:
    """-P and -C choose one child each; both or neither choose both. BFD runs beside them, unless -B."""
    chosen = {word for word, name in (("vrrp", "vrrp"), ("checker", "check")) if options[name]}
    beside = {"agents"} if options["no_bfd"] else {"bfd", "agents"}
    return frozenset((chosen or {"vrrp", "checker"}) | beside)


def _read_umask(word: str | None) -> int | None:
    """A mask as C's strtol reads it: 0177, 0x7f or 127; None for anything else."""
    if word is None:
        return None
    try:
        base = 16 if word.lower().startswith("0x") else 8 if word.startswith("0") else 10
        mask = int(word, base)
    except ValueError:
        return None
    return mask if 0 <= mask <= 0o777 else None


if __name__ == "__main__":
    main()
