"""The script runner's own process: starts scripts, watches their time, keeps a little of their output.

It lives apart from the process that wants scripts run, so that neither a fork of a large process nor a script that
hangs ever delays an advert. It decides nothing. Rules:

- A script is the leader of a process group of its own; at its time limit the group gets SIGTERM and `KILL_AFTER_US`
  later SIGKILL. The answer goes out at the limit: whoever waits must not wait for a script that ignores SIGTERM.
- Scripts of one queue start in order. The next one waits for the end of the one before; behind a script without a time
  limit it waits at most `ORDER_WAIT_US`, because a notify script may be one that never ends.
- A script without a time limit may start a daemon, so nobody waits for the end of its output: what it wrote until it
  ended is the answer, and whatever else comes is passed on for as long as somebody holds it (`processes.relay`).
- When the other end of the socket is gone, scripts that only answer a question are dropped; those without a time limit
  (notify scripts, `notify_stop` among them) are all still started, then the process ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections import deque
from typing import Final, NoReturn

import msgspec

from pykeepalived.model.common import User
from pykeepalived.processes import names, wire
from pykeepalived.processes.relay import Relay, Relays
from pykeepalived.reactor import READ, Reactor, Timer
from pykeepalived.units import SECOND_US

KILL_AFTER_US: Final = 2 * SECOND_US
ORDER_WAIT_US: Final = 30 * SECOND_US
LINGER_US: Final = 60 * SECOND_US
OUTPUT_LIMIT: Final = 4096
#: Scripts that run at the same time; more wait for their turn.
RUNNING_LIMIT: Final = 256
#: Scripts that wait; one more is refused with status 126, so that the loss is seen.
WAITING_LIMIT: Final = 20_000
#: Names that a script must not take over from the daemon's environment (keepalived-behaviour 6.1).
_DROPPED_VARIABLES: Final = ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH")


class _Job:
    """A script on its way: waiting, running, or answered and not yet gone."""

    __slots__ = ("answered", "limit", "order", "output", "output_fd", "pidfd", "process", "relay", "run", "started_us")

    def __init__(self, run: wire.Run) -> None:
        self.run = run
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1
        self.output_fd = -1
        self.output = bytearray()
        self.relay: Relay | None = None
        """What it writes, when it has no time limit."""
        self.started_us = 0
        self.limit: Timer | None = None
        self.order: Timer | None = None
        self.answered = False


class RunnerServer:
    """Serves one socket until its other end is closed and nothing is left to start."""

    def __init__(self, channel: socket.socket, reactor: Reactor) -> None:
        self._channel = channel
        self._reactor = reactor
        self._queues: dict[str, deque[_Job]] = {}
        """Per queue: the job that runs (or blocks) first, then those that wait."""
        self._ready: deque[_Job] = deque()
        """Jobs whose queue lets them start, waiting for a place among the running."""
        self._running: set[_Job] = set()
        self._waiting = 0
        self._leaving = False
        self._relays = Relays(reactor, OUTPUT_LIMIT, self._relay_ended)

    def serve(self) -> None:
        self._reactor.watch(self._channel.fileno(), READ, self._readable)
        self._reactor.run()

    # ---- requests ----

    def _readable(self, _events: int) -> None:
        try:
            packet = self._channel.recv(wire.PACKET_LIMIT, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            # A reset comes once, when the other side left answers unread; what it asked for is still there to be read.
            return
        except OSError:
            packet = b""
        if not packet:
            self._leave()
            return
        try:
            request = wire.request_decoder.decode(packet)
        except msgspec.MsgspecError:
            return
        if isinstance(request, wire.Finish):
            self._leave()
        else:
            self._accept(_Job(request))

    def _accept(self, job: _Job) -> None:
        if self._waiting >= WAITING_LIMIT:
            self._answer(job, 126, b"too many scripts are waiting")
            return
        self._waiting += 1
        name = job.run.queue
        if name is not None:
            queue = self._queues.setdefault(name, deque())
            queue.append(job)
            if len(queue) > 1:
                return
        self._ready.append(job)
        self._start_ready()

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < RUNNING_LIMIT:
            self._start(self._ready.popleft())
        if self._leaving:
            self._end_when_idle()

    # ---- one script ----

    def _start(self, job: _Job) -> None:
        self._waiting -= 1
        self._report(wire.Started(job.run.id))
        job.started_us = self._reactor.now_us()
        write_fd = -1
        try:
            if job.run.timeout_us is not None:
                job.output_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                os.set_blocking(write_fd, True)
            else:
                opened = self._relays.open()
                job.relay, write_fd = opened if opened is not None else (None, -1)
            job.process = spawn(job.run, write_fd if write_fd >= 0 else None)
            job.pidfd = os.pidfd_open(job.process.pid)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._failed(job, error)
            return
        finally:
            if write_fd >= 0:
                os.close(write_fd)
        self._running.add(job)
        self._reactor.watch(job.pidfd, READ, lambda _events: self._ended(job))
        if job.run.timeout_us is not None:
            self._reactor.watch(job.output_fd, READ, lambda _events: self._read_output(job))
            job.limit = self._reactor.call_later(job.run.timeout_us, lambda: self._expired(job))
        elif job.run.queue is not None:
            job.order = self._reactor.call_later(ORDER_WAIT_US, lambda: self._leave_queue(job))

    def _failed(self, job: _Job, error: Exception) -> None:
        self._close_output(job)
        if job.relay is not None:
            job.relay.close()
        if job.process is not None:
            self._signal(job, signal.SIGKILL)
            job.process.wait()
        missing = isinstance(error, FileNotFoundError)
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if getattr(error, "errno", None) == 8:  # ENOEXEC: the kernel knows no interpreter for it
            text += " (does the script begin with #! and an interpreter?)"
        self._answer(job, 127 if missing else 126, text.encode())
        self._leave_queue(job)

    def _read_output(self, job: _Job) -> None:
        try:
            data = os.read(job.output_fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close_output(job)
        elif len(job.output) < OUTPUT_LIMIT:
            job.output += data[: OUTPUT_LIMIT - len(job.output)]

    def _close_output(self, job: _Job) -> None:
        if job.output_fd >= 0:
            self._reactor.unwatch(job.output_fd)
            os.close(job.output_fd)
            job.output_fd = -1

    def _expired(self, job: _Job) -> None:
        self._answer(job, None, bytes(job.output))
        self._signal(job, signal.SIGTERM)
        job.limit = self._reactor.call_later(KILL_AFTER_US, lambda: self._signal(job, signal.SIGKILL))

    def _signal(self, job: _Job, number: signal.Signals) -> None:
        if job.process is not None and job.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(job.process.pid, number)

    def _ended(self, job: _Job) -> None:
        process = job.process
        if process is None or process.poll() is None:
            return
        if job.answered:
            # It outlived its limit: what it left behind in its group goes with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        if job.output_fd >= 0:
            self._read_output(job)
        self._close_output(job)
        if job.relay is not None:
            job.output += job.relay.said()
        self._reactor.unwatch(job.pidfd)
        os.close(job.pidfd)
        if job.limit is not None:
            job.limit.cancel()
        self._running.discard(job)
        self._answer(job, process.returncode, bytes(job.output))
        self._leave_queue(job)
        self._start_ready()

    def _leave_queue(self, job: _Job) -> None:
        """Let the next of the queue start; called when the job ended or took too long to be waited for."""
        if job.order is not None:
            job.order.cancel()
        name = job.run.queue
        queue = self._queues.get(name) if name is not None else None
        if name is None or queue is None or queue[0] is not job:
            return
        queue.popleft()
        if queue:
            self._ready.append(queue[0])
            # A failed start comes here from within `_start_ready`: the loop there must not nest.
            self._reactor.call_soon(self._start_ready)
        else:
            del self._queues[name]

    # ---- answers and the end ----

    def _answer(self, job: _Job, status: int | None, output: bytes) -> None:
        if not job.answered:
            job.answered = True
            began = job.started_us or self._reactor.now_us()
            duration_us = self._reactor.now_us() - began
            self._report(wire.Ended(job.run.id, status, output[:OUTPUT_LIMIT], duration_us))

    def _report(self, report: wire.Report) -> None:
        if not self._leaving:
            # Blocks while the other side is behind: its socket buffer is the limit, nothing piles up here. When it has
            # left, its last requests are still to be read; their end is what makes us leave.
            with contextlib.suppress(OSError):
                self._channel.send(wire.encoder.encode(report))

    def _relay_ended(self) -> None:
        if self._leaving:
            self._end_when_idle()

    def _leave(self) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._reactor.unwatch(self._channel.fileno())
        self._channel.close()
        for job in tuple(self._running):
            if job.run.timeout_us is not None and not job.answered:
                self._expired(job)
        for queue in self._queues.values():
            for job in [waiting for waiting in queue if self._droppable(waiting)]:
                queue.remove(job)
        self._ready = deque(job for job in self._ready if not self._droppable(job))
        self._queues = {name: queue for name, queue in self._queues.items() if queue}
        self._reactor.call_later(LINGER_US, self._end_at_last)
        self._reactor.call_soon(self._start_ready)

    def _end_at_last(self) -> None:
        """Whoever still writes would be killed by our end (SIGPIPE), so those alone are waited for."""
        self._ready.clear()
        self._queues.clear()
        if not self._relays.held():
            self._reactor.stop()
        else:
            self._relays.ended = lambda: None if self._relays.held() else self._reactor.stop()

    def _droppable(self, job: _Job) -> bool:
        return job.process is None and job.run.timeout_us is not None

    def _end_when_idle(self) -> None:
        bounded = any(job.run.timeout_us is not None for job in self._running)
        waiting = any(len(queue) > 1 for queue in self._queues.values())
        if not self._ready and not bounded and not waiting and not self._relays.held():
            self._reactor.stop()


def spawn(run: wire.Run, output: int | None) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, as its user, with a clean environment.

    `output` is the descriptor for standard output and error; None: ours. Raises OSError when it cannot be started.
    """
    environment = {key: value for key, value in os.environb.items() if key.decode("latin-1") not in _DROPPED_VARIABLES}
    identity: dict[str, object] = {}
    user = run.user
    if user is not None and (user.uid, user.gid) != (os.geteuid(), os.getegid()):
        groups = groups_of(user) if run.all_groups else [user.gid]
        identity = {"user": user.uid, "group": user.gid, "extra_groups": groups}
    stdin = os.open(run.stdin or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            run.argv,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=environment,
            process_group=0,
            **identity,
        )
    finally:
        os.close(stdin)


def groups_of(user: User) -> list[int]:
    """The supplementary groups of a user; only its own group when the account database does not know it."""
    try:
        return os.getgrouplist(pwd.getpwuid(user.uid).pw_name, user.gid)
    except (KeyError, OSError):
        return [user.gid]


def main(channel: socket.socket) -> NoReturn:
    """Body of the runner process after the fork; never returns."""
    try:
        # Objects of the parent must never be finalised here: the descriptors they own are about to be closed.
        gc.freeze()
        names.close_descriptors([channel.fileno()])
        _take_default_signals()
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        names.set_comm("script-runner")
        names.set_command_line(["script-runner"])
        RunnerServer(channel, Reactor(on_error=_complain)).serve()
    except BaseException as error:
        _complain(error)
        os._exit(70)
    os._exit(0)


def _take_default_signals() -> None:
    """Ends of the daemon reach us through the socket, so signals to the whole process group are not for us.

    They are handled rather than ignored: a handled signal is back at its default in a script, an ignored one is not.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda _number, _frame: None)
    for real_time in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        signal.signal(real_time, lambda _number, _frame: None)
    signal.signal(signal.SIGPIPE, lambda _number, _frame: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _complain(error: BaseException) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"script-runner: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
