"""From a read command line to a running supervisor, and back to an exit code (keepalived-behaviour 1.9, 3, 4.1).

The order matters: configuration first (nothing is touched for a file that cannot be used), then the step into the
background, then the pid files' locks (a second daemon leaves without a trace). The caller of a daemon in the background
returns when the pid file is written, so that whoever waits for it to fork finds it.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic
from pykeepalived.diagnostics.render import full, short
from pykeepalived.processes import names
from pykeepalived.runtime import signals, systemd
from pykeepalived.runtime.child import AGENTS, EXIT_CONFIG, EXIT_FATAL
from pykeepalived.runtime.control import SOCKET_NAME, make_private
from pykeepalived.runtime.core_pattern import CorePattern
from pykeepalived.runtime.logging import DaemonLogger, LogSettings
from pykeepalived.runtime.namespaces import IpvsNamespace, enter_named, without_sets
from pykeepalived.runtime.parent_dump import parent_dump
from pykeepalived.runtime.pidfiles import RUN_DIRECTORY, AlreadyRunning, PidFile, PidPaths, pid_paths
from pykeepalived.runtime.process_settings import parent_name
from pykeepalived.runtime.program import Logger, Options
from pykeepalived.runtime.programs import SOURCES, ProgramSource
from pykeepalived.runtime.reload import Load, Loaded
from pykeepalived.runtime.snmp_options import with_snmp
from pykeepalived.runtime.supervisor import Supervisor
from pykeepalived.runtime.supervisor_settings import SupervisorSettings

EXIT_NO_CONFIG: Final = 6
DEFAULT_UMASK: Final = 0o177
STATE_VARIABLE: Final = "PYKEEPALIVED_STATE_DIRECTORY"
CONTROL_VARIABLE: Final = "PYKEEPALIVED_CONTROL_SOCKET"
_DEFAULT_PID_FILE: Final = f"{RUN_DIRECTORY}/keepalived.pid"
#: How long the caller of a daemon waits for its pid file.
_READY_LIMIT_MS: Final = 10_000


class StartSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line decided, before any file is read."""

    title: str
    """`Keepalived vVERSION (DATE)`, for the first and last log line."""
    command_line: tuple[str, ...] = ()
    pattern: str
    foreground: bool = False
    log_settings: LogSettings = LogSettings()
    kinds: frozenset[str] = frozenset({"vrrp", "checker", "bfd", "agents"})
    start_all: bool = False
    respawn: bool = True
    release_vrrp: bool = True
    release_ipvs: bool = True
    dump_configuration: bool = False
    core_dump: bool = False
    core_pattern: str | None = None
    """-M: the machine's pattern of core dumps while this daemon runs."""
    address_monitoring: bool = False
    """-a"""
    ignore_sigint: bool = False
    umask: int | None = None
    parent_pid_file: str | None = None
    vrrp_pid_file: str | None = None
    checker_pid_file: str | None = None
    bfd_pid_file: str | None = None
    namespace: str | None = None
    snmp: bool = False
    """-x: every MIB, whatever the file says."""
    snmp_socket: str | None = None
    """-A"""
    control_socket: str | None = None
    strict: bool = False
    """Leave when the configuration has any finding that a test would report."""
    remarks: tuple[str, ...] = ()
    """Lines about options, for the log."""


class _Leave(Exception):
    """End before the supervisor ran. `quiet`: without the last log line."""

    def __init__(self, code: int, *, quiet: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.quiet = quiet


def run_daemon(start: StartSettings, load: Load, sources: tuple[ProgramSource, ...] = SOURCES) -> int:
    """Run the daemon; returns the exit code of this process (in the background also that of the caller's)."""
    # SIGTERM and SIGINT keep their effect while files are read; the others wait for the supervisor.
    signals.block(set(signals.HANDLED) - {signal.SIGTERM, signal.SIGINT})
    systemd.take_socket()
    log = DaemonLogger("Keepalived", start.log_settings)
    system = os.uname()
    log.info(f"Starting {start.title}")
    log.info(f"Running on {system.sysname} {system.release} {system.version}")
    if start.command_line:
        log.info("Command line: " + " ".join(f"'{word}'" for word in start.command_line))
    for remark in start.remarks:
        log.info(remark)
    code = EXIT_FATAL
    quiet = False
    try:
        code = _run(start, load, sources, log)
    except _Leave as leave:
        code, quiet = leave.code, leave.quiet
    if not quiet:
        log.info(f"Stopped {start.title}")
    log.close()
    return code


def _run(start: StartSettings, load: Load, sources: tuple[ProgramSource, ...], log: Logger) -> int:
    ipvs_namespace = IpvsNamespace()
    load = with_snmp(load, all_mibs=start.snmp, target=start.snmp_socket)
    loaded = load()
    namespace = start.namespace or loaded.config.globals.net_namespace
    if namespace:
        _enter_namespace(namespace, log)
        load = without_sets(load, namespace)
        # The interfaces that the file names are those of the namespace.
        loaded = load()
    _judge(start, loaded, log)
    settings = loaded.config.globals
    suffix = "".join(f"_{name}" for name in (namespace, settings.instance) if name)
    if suffix:
        start = msgspec.structs.replace(
            start, log_settings=msgspec.structs.replace(start.log_settings, ident_suffix=suffix)
        )
        log = DaemonLogger("Keepalived", start.log_settings)
    paths = pid_paths(
        settings,
        parent=start.parent_pid_file,
        vrrp=start.vrrp_pid_file,
        checker=start.checker_pid_file,
        bfd=start.bfd_pid_file,
        namespace=namespace,
    )
    state = _make_state_directory(paths, log)
    # From here on a signal must not leave pid files behind: it waits until the supervisor reads it.
    signals.block()
    announce = _stay if start.foreground else _go_into_background()
    try:
        pid_files = _claim_pid_files(start, loaded, paths, sources, log)
    except _Leave as leave:
        announce(leave.code)
        raise
    announce(0)
    os.umask(_umask(start, loaded))
    names.set_comm(parent_name(settings))
    if start.core_dump:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if start.dump_configuration:
        for line in parent_dump(settings).splitlines():
            log.info(line)
    supervisor_settings = _supervisor_settings(start, state, ipvs_namespace.path(loaded.config, os.getpid()))
    supervisor = Supervisor(supervisor_settings, log, load=load, loaded=loaded, pid_files=pid_files, sources=sources)
    pattern = CorePattern(log)
    if start.core_pattern is not None:
        pattern.set(start.core_pattern)
    try:
        return supervisor.run()
    finally:
        pattern.restore()


def _supervisor_settings(start: StartSettings, state: str, ipvs_namespace: str | None) -> SupervisorSettings:
    chosen = start.control_socket or os.environ.get(CONTROL_VARIABLE)
    return SupervisorSettings(
        title=start.title,
        pattern=start.pattern,
        kinds=start.kinds,
        start_all=start.start_all,
        ignore_sigint=start.ignore_sigint,
        respawn=start.respawn,
        dump_configuration=start.dump_configuration,
        log_settings=start.log_settings,
        options=Options(
            release_on_stop=start.release_vrrp,
            release_ipvs_on_stop=start.release_ipvs,
            log_detail=start.log_settings.detail,
            state_directory=state,
            address_monitoring=start.address_monitoring,
            ipvs_namespace=ipvs_namespace,
        ),
        control_socket=chosen or f"{state}/{SOCKET_NAME}",
        control_ways=() if chosen else tuple(dict.fromkeys((state_base(), state))),
    )


def _judge(start: StartSettings, loaded: Loaded, log: Logger) -> None:
    """Log what there is to say about the first configuration, and leave when it cannot be run."""
    if loaded.missing:
        log.error(f"Config files missing '{start.pattern}'.")
        raise _Leave(EXIT_NO_CONFIG)
    for file in loaded.files:
        log.detail(f"Opening file '{file}'.")
    log.info(f"Configuration file {start.pattern}")
    for finding in loaded.findings:
        log.info(short(finding))
    _show_what_is_left_out(loaded.findings)
    if loaded.exit_class == EXIT_CONFIG:
        raise _Leave(EXIT_CONFIG)
    if start.strict and loaded.exit_class:
        log.error("The configuration has errors or warnings and --strict-config was given")
        raise _Leave(int(loaded.exit_class))
    if loaded.refused and "vrrp" in start.kinds:
        log.error("The VRRP configuration cannot be run. Terminating")
        raise _Leave(EXIT_CONFIG)


def _show_what_is_left_out(findings: Iterable[Diagnostic]) -> None:
    """What this kernel's dataplane leaves out is known at a start only, not to `-t`: who starts it by hand is shown."""
    chosen = [finding for finding in findings if finding.id == "needs-ipvs"]
    if not chosen or sys.stderr is None:
        return
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    with contextlib.suppress(OSError):
        sys.stderr.write("".join(f"{full(finding, colour=colour)}\n" for finding in chosen))
        sys.stderr.flush()


def _umask(start: StartSettings, loaded: Loaded) -> int:
    for mask in (start.umask, loaded.config.globals.umask):
        if mask is not None:
            return mask
    return DEFAULT_UMASK


def _claim_pid_files(
    start: StartSettings, loaded: Loaded, paths: PidPaths, sources: tuple[ProgramSource, ...], log: Logger
) -> dict[str, PidFile]:
    """Take the parent's file, and see that those of the children that will run can be had."""
    files = {word: PidFile(getattr(paths, word)) for word in ("parent", "vrrp", "checker", "bfd", "agents")}
    try:
        files["parent"].claim(os.getpid())
        for source in sources:
            everything = start.start_all and source.kind is not AGENTS
            if source.kind.word in start.kinds and (everything or source.needed(loaded.config)):
                files[source.kind.word].check()
    except AlreadyRunning:
        log.error("daemon is already running")
        _release(files)
        raise _Leave(0, quiet=True) from None
    except OSError as error:
        log.error(f"Unable to open pid file {error.filename or paths.parent} - {error.strerror}")
        _release(files)
        raise _Leave(EXIT_FATAL) from None
    return files


def _release(files: dict[str, PidFile]) -> None:
    for file in files.values():
        file.release()


def state_base() -> str:
    """The directory below which daemons keep what must outlive a process, and their control sockets."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return os.path.abspath(chosen)  # noqa: PTH100
    default = f"{RUN_DIRECTORY}/pykeepalived"
    if os.access(default if Path(default).is_dir() else RUN_DIRECTORY, os.W_OK):
        return default
    return f"{os.environ.get('XDG_RUNTIME_DIR') or '/tmp'}/pykeepalived-{os.geteuid()}"


def state_directory(paths: PidPaths) -> str:
    """One directory for each daemon, the same at its next start: its pid file tells daemons apart."""
    base = state_base()
    if paths.parent == _DEFAULT_PID_FILE:
        return base
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", paths.parent.removesuffix(".pid")).strip("_")[-40:]
    digest = f"{zlib.crc32(os.fsencode(paths.parent)):08x}"
    return f"{base}/{readable}-{digest}"


def _make_state_directory(paths: PidPaths, log: Logger) -> str:
    """Made here, before the daemon's umask takes the execute bit away from new directories."""
    state = state_directory(paths)
    try:
        make_private(Path(state))
    except OSError as error:
        log.error(f"Cannot make directory {state} - {error.strerror}")
    return state


def _enter_namespace(name: str, log: Logger) -> None:
    try:
        enter_named(name)
    except OSError as error:
        log.error(f"Unable to set network namespace {name} - {error.strerror}")
        raise _Leave(EXIT_FATAL) from None


def _stay(_code: int) -> None:
    """In the foreground nobody waits to be told."""


def _go_into_background() -> Callable[[int], None]:
    """Become a daemon. The caller's process stays until the function that is returned gets its exit code."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writer)
        waiting = select.poll()
        waiting.register(reader, select.POLLIN)
        code = os.read(reader, 1) if waiting.poll(_READY_LIMIT_MS) else b""
        os._exit(code[0] if code else EXIT_FATAL)
    os.setsid()
    if os.fork():
        # Without a controlling terminal and unable to get one: not the leader of the session.
        os._exit(0)
    os.close(reader)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)

    def announce(code: int) -> None:
        with contextlib.suppress(OSError):
            os.write(writer, bytes([code]))
        os.close(writer)

    return announce
