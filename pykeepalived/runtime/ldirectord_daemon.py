"""The daemon behind `ldirectord start`: one process that runs the shared checker program.

    file ─► Reading ─► CheckerProgram (checks, table) ─► LdirectordVoice ─► LdirectordLog
     ▲         ▲
     │         └─ read again in a process of its own: SIGHUP, or the file changed and autoreload=yes
     └─ looked at every checkinterval

A bad file changes nothing: everything goes on as configured before, and the log says why. A second stop signal does not
cut the first one short. Both are faults of ldirectord that are not copied (ldirectord-behaviour 9).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived import LDIRECTORD_VERSION
from pykeepalived.diagnostics import Diagnostic
from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.model.common import Script
from pykeepalived.model.config import LdirectordSettings
from pykeepalived.processes.runner import Runner
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.child import describe
from pykeepalived.runtime.control import SOCKET_NAME, ControlServer
from pykeepalived.runtime.ldirectord_companions import Companions
from pykeepalived.runtime.ldirectord_desk import LdirectordDesk
from pykeepalived.runtime.ldirectord_instance import Instance
from pykeepalived.runtime.ldirectord_log import LdirectordLog
from pykeepalived.runtime.ldirectord_reload import BackgroundReader, FileWatch, Reading
from pykeepalived.runtime.pidfiles import PidFile
from pykeepalived.runtime.program import Context, Options
from pykeepalived.runtime.requests import dispatch
from pykeepalived.runtime.signals import SignalWatcher
from pykeepalived.units import SECOND_US

#: What ends ldirectord in good order (ldirectord-behaviour 3). A fault of the program's own still kills it: the kernel
#: lets nobody block that.
_STOP_SIGNALS: Final = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGXCPU, signal.SIGXFSZ),
    *(signal.SIGILL, signal.SIGFPE, signal.SIGSEGV, signal.SIGBUS, signal.SIGSYS),
)
#: The program is given this long for an orderly stop.
_STOP_LIMIT_US: Final = 20 * SECOND_US
#: `start` waits this long for the daemon to say that it stands.
_READY_LIMIT_S: Final = 20.0
_CALLBACK_LIMIT_US: Final = 60 * SECOND_US
#: Findings of one bad file that are written to the log.
_LOGGED_FINDINGS: Final = 20
_STATE_DIRECTORY: Final = "/run/pykeepalived"

Ready = Callable[[str | None], None]
"""Called once: with None when the daemon stands, or with why it does not."""


def log_form(finding: Diagnostic, file: str) -> str:
    """A finding in the form that ldirectord's errors have (ldirectord-behaviour 1.3), with our place and words."""
    word = finding.severity.value.capitalize()
    if finding.span is None:
        return f"{word} [{os.getpid()}]: {finding.message}"
    return f"{word} [{os.getpid()}] reading file {file} at line {finding.span.line}: {finding.message} [{finding.id}]"


class LazyRunner:
    """A script runner that starts its process with the first script: most configurations have none."""

    def __init__(self, reactor: Reactor, log_error: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._log_error = log_error
        self._runner: Runner | None = None

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        if self._runner is None:
            runner = Runner(self._reactor, self._log_error)
            try:
                runner.start()
            except OSError as error:
                self._log_error(f"cannot start the script runner: {error.strerror}")
                result = RunResult(126, b"no script runner")
                self._reactor.call_soon(lambda: done(result))
                return
            self._runner = runner
        self._runner.run(script, timeout_us=timeout_us, done=done, queue=queue)

    def history(self) -> list[dict[str, Any]]:
        return [] if self._runner is None else self._runner.history.told()

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


class Daemon:
    """One running ldirectord. Made in the process that it is to live in; `run` returns its exit code."""

    def __init__(
        self, instance: Instance, reading: Reading, watch: FileWatch, log: LdirectordLog, *, strict: bool = False
    ) -> None:
        self._strict = strict
        self._instance = instance
        self._reading = reading
        self._watch = watch
        self._log = log
        self._reactor = Reactor(on_error=lambda error: log.error(f"internal error: {describe(error)}"))
        self._scripts = LazyRunner(self._reactor, log.error)
        self._reader = BackgroundReader(self._reactor)
        self._exit_code: int | None = None
        self._stop_signal: str | None = None
        self._read_again = False
        self._look_timer: Timer | None = None
        context = Context(
            reactor=self._reactor,
            log=log,
            scripts=self._scripts,
            options=Options(),
            finished=self._program_finished,
            emit=self._emit,
        )
        self._companions = Companions(context, instance.absolute_path)
        self._desk = LdirectordDesk(
            instance, lambda: self._reading, reload=self._reload_asked, scripts=self._scripts.history
        )
        self._program = CheckerProgram(context, voice=LdirectordVoice(), observer=self._companions)

    def run(self, ready: Ready) -> int:
        """Serve until a stop signal. `ready` tells whoever started us how that went."""
        signals = SignalWatcher(self._reactor, self._signalled, (*_STOP_SIGNALS, signal.SIGHUP))
        control: ControlServer | None = None
        try:
            self._companions.prepare(self._reading.config)
            self._program.start(self._reading.config)
            if self._exit_code is not None:
                ready(self._log.last_error or "the checks cannot be started")
                return self._exit_code
            self._companions.start(self._program.holds)
            self._desk.program = self._program
            control = self._open_control()
            self._look_later()
            ready(None)
            self._reactor.run()
        finally:
            self._reader.close()
            self._companions.close()
            self._scripts.close()
            if control is not None:
                control.close()
            signals.close()
        if self._stop_signal is not None:
            self._log.info(f"Linux Director Daemon terminated on signal: {self._stop_signal}")
        return self._exit_code or 0

    @property
    def _settings(self) -> LdirectordSettings:
        return self._reading.config.ldirectord or LdirectordSettings(path=self._instance.absolute_path)

    # ---- stop ----

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._stop_signal is None:
                self._log.info("Reloading Linux Director Daemon config on signal")
                self._watch.look()
                self._read()
            return
        if self._stop_signal is not None:
            return
        self._stop_signal = signal.Signals(number).name.removeprefix("SIG")
        if self._look_timer is not None:
            self._look_timer.cancel()
        self._reactor.call_later(_STOP_LIMIT_US, lambda: self._finished(1))
        self._companions.stop()
        self._program.stop()

    def _program_finished(self, code: int) -> None:
        """The table is as it is to be left; mails about that may still be on their way."""
        if self._stop_signal is None:
            self._finished(code)
        else:
            self._companions.when_idle(lambda: self._finished(code))

    def _finished(self, code: int) -> None:
        if self._exit_code is None:
            self._exit_code = code
        self._reactor.stop()

    # ---- reload ----

    def _look_later(self) -> None:
        self._look_timer = self._reactor.call_later(self._settings.check_interval_us, self._look)

    def _look(self) -> None:
        self._look_later()
        path = self._instance.shown
        found = self._watch.look()
        if found == "missing":
            self._log.info(
                f"Warning [{os.getpid()}]: can not open file {path} for checking: the configuration in use stays"
            )
        if found != "changed":
            return
        self._log.info(f"Configuration file '{path}' has changed on disk")
        settings = self._settings
        if settings.autoreload:
            self._log.info(" - reread new configuration")
            self._read()
        else:
            self._log.info(" - ignore new configuration")
        if settings.callback is not None and os.access(settings.callback, os.X_OK):
            script = Script((settings.callback, self._instance.absolute_path))
            self._scripts.run(script, timeout_us=_CALLBACK_LIMIT_US, done=self._called_back, queue="callback")

    def _called_back(self, result: RunResult) -> None:
        if result.status != 0:
            what = "took too long" if result.status is None else f"ended with status {result.status}"
            self._log.error(f"callback {self._settings.callback} {what}")

    def _read(self) -> None:
        if self._reader.busy:
            # What is being read may be older than what was asked for now.
            self._read_again = True
            return
        self._reader.start(self._instance.absolute_path, self._read_done, strict=self._strict)

    def _read_done(self, answer: Reading | str) -> None:
        if self._stop_signal is not None:
            return
        if isinstance(answer, str):
            self._refuse([f"Error [{os.getpid()}]: {answer}"])
        elif answer.errors:
            self._refuse([log_form(item, self._instance.shown) for item in answer.errors])
        else:
            self._reading = answer
            self._log.settle(self._settings.logfile)
            self._desk.reloaded()
            self._companions.about_to_reload()
            self._program.reload(answer.config)
            self._companions.reload(answer.config)
        if self._read_again:
            self._read_again = False
            self._read()

    def _refuse(self, lines: list[str]) -> None:
        self._desk.refused(lines[:_LOGGED_FINDINGS])
        for line in lines[:_LOGGED_FINDINGS]:
            self._log.error(line)
        if len(lines) > _LOGGED_FINDINGS:
            self._log.error(f"and {len(lines) - _LOGGED_FINDINGS} errors more")
        self._log.error("The configuration in use stays as it is")

    # ---- being looked at ----

    def _emit(self, name: str, body: Mapping[str, Any]) -> None:
        self._desk.events.add(name, body)

    def _open_control(self) -> ControlServer | None:
        path = f"{_STATE_DIRECTORY}/ldirectord.{self._instance.name}/{SOCKET_NAME}"
        try:
            return ControlServer(self._reactor, path, lambda request, answer: dispatch(self._desk, request, answer))
        except OSError as error:
            self._log.error(f"no control socket {path}: {error.strerror}")
            return None

    def _reload_asked(self) -> None:
        self._log.info("Reloading Linux Director Daemon config on request")
        self._watch.look()
        self._read()


# ---- becoming a daemon ----


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon's process needs from the one that starts it."""

    instance: Instance
    reading: Reading
    watch: FileWatch
    log: LdirectordLog
    strict: bool = False
    """`--compat strict`: every reading of the file is strict."""


def run_here(launch: Launch) -> int:
    """Stay in the foreground, without a pid file: `supervised=yes` and `-d`."""
    log = launch.log
    log.info(f"Starting Linux Director v{LDIRECTORD_VERSION} with pid: {os.getpid()}")
    # What went wrong at start stands in the log already, which is the terminal here.
    daemon = Daemon(launch.instance, launch.reading, launch.watch, log, strict=launch.strict)
    return daemon.run(lambda _why: None)


def start_daemon(launch: Launch, pid_file: PidFile) -> str | None:
    """Fork twice and return when the daemon stands, or why it does not. Our pid file becomes the daemon's."""
    launch.log.info(f"Starting Linux Director v{LDIRECTORD_VERSION} as daemon")
    near, far = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(near)
        _between(launch, pid_file, far)
    os.close(far)
    os.waitpid(child, 0)
    answer = _read_answer(near)
    os.close(near)
    if answer is None:
        return None
    pid_file.release()
    return answer


def _read_answer(near: int) -> str | None:
    readable, _, _ = select.select([near], [], [], _READY_LIMIT_S)
    if not readable:
        return None  # slow, but alive: its log says the rest
    data = os.read(near, 4096)
    if data == b"\n":
        return None
    return data.decode(errors="replace").strip() or "the daemon ended at once"


def _between(launch: Launch, pid_file: PidFile, far: int) -> None:
    """The process between: its child leads no session and so never gets a terminal."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        code = _daemon_main(launch, pid_file, far)
    except BaseException as error:  # nothing may return into the code of whoever started us
        launch.log.error(f"internal error: {describe(error)}")
        code = 70
    finally:
        with contextlib.suppress(OSError):
            pid_file.release()
    os._exit(code)


def _daemon_main(launch: Launch, pid_file: PidFile, far: int) -> int:
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    pid_file.claim(os.getpid())

    def ready(why: str | None) -> None:
        with contextlib.suppress(OSError):
            os.write(far, b"\n" if why is None else why.encode(errors="backslashreplace")[:4000])
        os.close(far)

    daemon = Daemon(launch.instance, launch.reading, launch.watch, launch.log, strict=launch.strict)
    return daemon.run(ready)


def wait_for_end(instance: Instance, *, limit_s: float, pause_s: float = 0.05) -> bool:
    """Wait until the pid file of a stopping daemon has vanished."""
    end = time.monotonic() + limit_s
    while Path(instance.pid_path).exists():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True
