"""The parent process: starts the children and holds their lives together (keepalived-behaviour 3).

What it promises:

- A child that dies is started again, at once the first time and then with growing delays; while an address holder is
  not there, its addresses are taken away. A child that leaves with a permanent error ends the daemon.
- SIGHUP reads the file here. A file that is worse than the running one changes nothing and says why. Otherwise each
  child gets the new generation and keeps its state, and children come and go as the new generation needs them.
- SIGTERM ends the daemon at any moment of its life: while scripts run, children start, or a reload is on its way. Pid
  files and the control socket are gone afterwards.

The supervisor never touches the network's state while its children are well.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pykeepalived.diagnostics.render import short
from pykeepalived.processes import names
from pykeepalived.reactor import Reactor
from pykeepalived.runtime import signals, systemd
from pykeepalived.runtime import supervisor_settings as settled
from pykeepalived.runtime.bfd_link import BfdLinks
from pykeepalived.runtime.child import AGENTS, EXIT_FATAL, describe
from pykeepalived.runtime.control import Answer, ControlServer, Request
from pykeepalived.runtime.control_access import access_of
from pykeepalived.runtime.life_scripts import LifeScripts
from pykeepalived.runtime.parent_dump import parent_dump
from pykeepalived.runtime.pidfiles import PidFile
from pykeepalived.runtime.process_settings import parent_name
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.programs import SOURCES, ProgramSource
from pykeepalived.runtime.reload import Load, Loaded, refusal
from pykeepalived.runtime.reload_duties import ReloadDuties, keep_unchangeable
from pykeepalived.runtime.reload_time import ReloadTime
from pykeepalived.runtime.requests import dispatch
from pykeepalived.runtime.slot import ChildSlot, SlotEvents
from pykeepalived.runtime.status import Report
from pykeepalived.runtime.stop_sequence import StopSequence
from pykeepalived.runtime.supervisor_settings import SupervisorSettings
from pykeepalived.runtime.telemetry.owner import TelemetryOwner
from pykeepalived.units import SECOND_US

_RELOAD_LIMIT_US: Final = 30 * SECOND_US


class Supervisor:
    """Runs one daemon. `run` returns the exit code."""

    def __init__(
        self,
        settings: SupervisorSettings,
        log: Logger,
        *,
        load: Load,
        loaded: Loaded,
        pid_files: Mapping[str, PidFile],
        sources: tuple[ProgramSource, ...] = SOURCES,
    ) -> None:
        self._settings = settings
        self._log = log
        self._load = load
        self._loaded = loaded
        self._pid_files = pid_files
        """By child word, and `parent`."""
        self._reactor = Reactor(on_error=lambda error: log.error(f"Internal error: {describe(error)}"))
        self._bfd_links = BfdLinks()
        self._slots = [self._make_slot(source) for source in sources if source.kind.word in settings.kinds]
        self._control: ControlServer | None = None
        self._scripts = LifeScripts(self._reactor, log)
        self._duties = ReloadDuties(log, pid_files["parent"].path)
        self._reload_time = ReloadTime(self._reactor, log, self._hup)
        self._telemetry = TelemetryOwner(self._reactor, log, settings.log_settings, self._adopt)
        self._report = Report(
            pid_file=pid_files["parent"].path,
            pattern=settings.pattern,
            slots=self._slots,
            loaded=lambda: self._loaded,
            reload=self._hup,
        )
        self._watchdog_us = systemd.watchdog_period_us()
        self._exit_code = 0
        self._started = False
        """The startup script is over and the children were forked."""
        self._complete = False
        """All children were ready once."""
        self._stop_sequence = StopSequence(
            self._reactor, log, self._slots, scripts=self._scripts, over=self._reactor.stop
        )
        self._reloading = False
        self._reload_queued = False

    def _make_slot(self, source: ProgramSource) -> ChildSlot:
        events = SlotEvents(
            progress=self._progress,
            want_reload=self._hup,
            dump=self._write_dump,
            happened=self._happened,
            asked=self._answer,
        )
        return ChildSlot(
            source,
            self._reactor,
            self._log,
            log_settings=self._settings.log_settings,
            options=self._settings.options,
            dump_configuration=self._settings.dump_configuration,
            pid_file=self._pid_files[source.kind.word],
            events=events,
            bfd_ends=self._bfd_links.ends(source.kind.word),
        )

    # ---- the whole life ----

    def run(self) -> int:
        """Run until the daemon is to end; pid files are removed, nothing is left running."""
        watcher = signals.SignalWatcher(self._reactor, self._signal)
        try:
            self._open_control()
            # Through the loop, so that a signal that came before now is seen before anything is started.
            self._reactor.call_soon(self._begin)
            self._reactor.run()
        finally:
            if self._control is not None:
                self._control.close()
            self._telemetry.close()
            self._scripts.close()
            self._reload_time.close()
            self._duties.close()
            self._bfd_links.close()
            for pid_file in self._pid_files.values():
                pid_file.release()
            watcher.close()
        if self._settings.log_settings.detail:
            self._log.info(settled.cpu_usage())
        return self._exit_code

    def _feed_watchdog(self) -> None:
        """systemd restarts us when our loop stands still."""
        if self._watchdog_us is not None:
            systemd.notify("WATCHDOG=1")
            self._reactor.call_later(self._watchdog_us, self._feed_watchdog)

    @property
    def _stopping(self) -> bool:
        return self._stop_sequence.begun

    def _begin(self) -> None:
        self._feed_watchdog()
        if not self._stopping:
            self._scripts.run("Startup", self._loaded.config.globals, self._start_children)

    def _open_control(self) -> None:
        path = self._settings.control_socket
        if path is None:
            return
        try:
            self._control = ControlServer(self._reactor, path, self._answer, ways=self._settings.control_ways)
            self._control.admit(access_of(self._loaded.config.globals.daemon, self._log))
        except OSError as error:
            self._log.error(f"No control socket {path} - {error.strerror or error}")

    def _adopt(self, connection: socket.socket) -> bool:
        return self._control is not None and self._control.adopt(connection)

    def _start_children(self) -> None:
        if self._stopping:
            return
        self._started = True
        self._duties.save(self._loaded, 0)
        self._reload_time.configure(self._loaded.config.globals.daemon)
        for slot in self._slots:
            if self._needed(slot):
                self._start_slot(slot)
        if not any(slot.wanted for slot in self._slots):
            self._log.info("Warning - keepalived has no configuration to run")
        settled.collect_garbage_again()
        self._telemetry.configure(self._loaded.config.globals.daemon)
        self._progress()

    def _needed(self, slot: ChildSlot) -> bool:
        everything = self._settings.start_all and slot.source.kind is not AGENTS
        return everything or slot.source.needed(self._loaded.config)

    def _start_slot(self, slot: ChildSlot) -> None:
        try:
            slot.pid_file.check()
            slot.start(self._loaded.config)
        except Exception as error:
            # Whatever a child's modules or the pid file bring up while they are made ready here.
            self._log.error(f"Cannot start {slot.source.kind.title} child process: {describe(error)}")
            self._exit_code = EXIT_FATAL
            self._stop()

    def _progress(self) -> None:
        """Say when the start or a reload is complete."""
        if self._stopping or not self._started:
            return
        wanted = [slot for slot in self._slots if slot.wanted]
        if not self._complete and all(slot.ready for slot in wanted):
            self._complete = True
            self._log.info("Startup complete")
            self._happened("daemon", {"state": "STARTED", "pid": os.getpid()})
            systemd.notify("READY=1", f"STATUS={self._settings.title} running")
            for slot in wanted:
                self._reactor.call_soon(slot.source.warm)
        if self._reloading and not any(slot.reloading for slot in wanted):
            self._reloading = False
            self._duties.end()
            self._log.info("Reload complete")
            systemd.notify("READY=1")
        if self._reload_queued and not self._reloading:
            self._reload_queued = False
            self._log.info("Processing queued reload")
            self._reload()

    # ---- signals ----

    def _signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGTERM or (number == signal.SIGINT and not self._settings.ignore_sigint):
            self._stop()
        elif number == signal.SIGHUP:
            self._hup()
        elif number in signals.DUMPS:
            kind = signals.DUMPS[number]
            if kind == "data":
                self._log.info(signals.DUMP_MESSAGES[kind].format(name="parent", pid=os.getpid()))
                text = parent_dump(self._loaded.config.globals)
                self._write_dump("keepalived_parent.data", text)
            for slot in self._slots:
                slot.ask_dump(kind)

    def _reap(self) -> None:
        """Take every ended process: children, and as process 1 of a container whatever was left to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._telemetry.reaped(pid)
            for slot in self._slots:
                if slot.pid == pid:
                    slot.died()
                    self._child_died(slot, pid, status)

    # ---- children that die ----

    def _child_died(self, slot: ChildSlot, pid: int, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        kind = slot.source.kind
        if code < 0:
            self._log.error(f"pid {pid} exited due to signal {-code} ({signal.strsignal(-code)})")
        self._happened("process", {"name": kind.word, "pid": pid, "exit": code, "wanted": slot.wanted})
        if self._stopping or not slot.wanted:
            if code < 0:
                slot.clean_up()
            self._stop_sequence.child_ended()
            if not slot.wanted and not self._stopping:
                slot.pid_file.release()
            return
        if code in settled.PERMANENT:
            self._log.error(f"pid {pid} exited with permanent error {settled.PERMANENT[code]}. Terminating")
            slot.clean_up()
            self._exit_code = code
            self._stop()
            return
        if not self._settings.respawn:
            self._log.error(f"{kind.title} child process({pid}) died: Exiting")
            slot.clean_up()
            self._stop()
            return
        self._log.error(f"{kind.title} child process({pid}) died: Respawning")
        delay_us = slot.schedule_restart()
        if delay_us:
            self._log.error(
                f"Restart of {kind.title} process delayed {delay_us // SECOND_US} seconds to limit respawn rate"
            )
            slot.clean_up()
        self._progress()

    # ---- reload ----

    def _hup(self) -> None:
        if self._stopping:
            return
        if self._reloading or not self._started:
            self._reload_queued = True
        else:
            self._reload()

    def _reload(self) -> None:
        self._log.info("Reloading ...")
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={self._reactor.now_us()}")
        began_us = self._reactor.now_us()
        try:
            new = self._load()
        except Exception as error:
            self._refuse([f"it cannot be read: {describe(error)}"])
            return
        for file in new.files:
            self._log.detail(f"Opening file '{file}'.")
        self._log.info(f"Configuration file {self._settings.pattern}")
        old = self._loaded.config.globals
        if self._duties.refused_by_test(old.daemon, new):
            self._refuse([short(finding) for finding in new.findings])
            return
        reasons = refusal(self._loaded, new)
        if reasons:
            self._refuse(reasons)
            return
        new = msgspec.structs.replace(new, config=keep_unchangeable(new.config, old, self._log))
        for finding in new.findings:
            self._log.info(short(finding))
        self._loaded = new
        self._report.reloaded(self._reactor.now_us() - began_us)
        if self._control is not None:
            self._control.admit(access_of(new.config.globals.daemon, self._log))
        self._reloading = True
        generation = self._report.generation
        self._duties.begin(new.config.globals.daemon)
        self._duties.save(new, generation - 1)
        self._reload_time.configure(new.config.globals.daemon)
        names.set_comm(parent_name(new.config.globals))
        self._reactor.call_later(_RELOAD_LIMIT_US, lambda: self._give_reload_up(generation))
        for slot in self._slots:
            self._reload_slot(slot)
        self._telemetry.configure(new.config.globals.daemon)
        self._progress()

    def _give_reload_up(self, generation: int) -> None:
        """A child that never says that it has reloaded must not keep later reloads from happening."""
        if self._reloading and generation == self._report.generation:
            for slot in self._slots:
                if slot.reloading:
                    self._log.error(f"{slot.source.kind.title} child process({slot.pid}) does not answer the reload")
                    slot.reloading = False
            self._progress()

    def _refuse(self, reasons: list[str]) -> None:
        for reason in reasons:
            self._log.error(reason)
        self._log.error(f"New configuration is not used, the running one stays: {len(reasons)} new error(s)")
        self._report.refused(reasons)
        systemd.notify("READY=1")

    def _reload_slot(self, slot: ChildSlot) -> None:
        if not self._needed(slot):
            if slot.wanted:
                slot.terminate()
        elif slot.wanted or slot.pid:
            # Also a child that is on its way out because the last generation did not need it: it is told and then
            # started anew when it has ended.
            slot.wanted = True
            self._copy_of(slot, "pre")
            slot.reload(self._loaded.config)
            self._copy_of(slot, "post")
        else:
            self._start_slot(slot)

    def _copy_of(self, slot: ChildSlot, when: str) -> None:
        """`config_save_dir`: what a child has made of its configuration, before and after the change."""
        daemon = self._loaded.config.globals.daemon
        path = self._duties.child_copy(daemon, slot.word, slot.pid, self._report.generation - 1, when)
        if path is not None:
            slot.ask_dump("data", path)

    # ---- the end ----

    def _stop(self) -> None:
        if self._stopping:
            return
        self._log.info("Stopping")
        self._happened("daemon", {"state": "STOPPING", "pid": os.getpid()})
        systemd.notify("STOPPING=1")
        self._stop_sequence.begin(self._loaded.config.globals)

    # ---- dumps and events ----

    def _write_dump(self, name: str, text: str) -> None:
        settled.write_named_dump(name, text, self._loaded.config.globals, self._log)

    def _happened(self, name: str, fields: dict[str, Any]) -> None:
        self._report.events.add(name, fields)

    def _answer(self, request: Request, answer: Answer) -> None:
        dispatch(self._report, request, answer)
