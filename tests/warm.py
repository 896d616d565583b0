"""A process that has imported the service and forks servers from itself.

Each fork goes on as `python -m app` does, with an environment, an output, signals and an exit status of its own. It
saves the seconds that an import of torch, Numba and the application takes. `python -m tests.warm FD` reads requests
from the socket FD, and ends when the other side closes the socket.
"""

import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numba

_LARGEST_REQUEST = 200_000


class Forked:
    """A process that the warm one has forked, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, report: socket.socket) -> None:
        """Read the process's number from `report`, which receives its exit status at the end."""
        self._report = report
        self.pid = int(report.recv(64))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the process runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status, for at most `timeout` seconds.

        Raises:
            TimeoutExpired: the process still runs.
        """
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                status = self._report.recv(64)
            except (BlockingIOError, TimeoutError) as error:
                raise subprocess.TimeoutExpired("app", timeout or 0) from error
            assert status, "the warm process has ended"
            self.returncode = int(status)
            self._report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Warm:
    """The warm process, as seen by the tests' process."""

    def __init__(self, folder: Path) -> None:
        """Start the warm process in `folder`, where it finds the service."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=folder,
                pass_fds=[theirs.fileno()],
                stdout=subprocess.DEVNULL,
            )

    def fork(self, environment: dict[str, str], output: int, planted: str | None) -> Forked:
        """Fork a process that prints to the descriptor `output`. See `become` for `planted`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            request = json.dumps([environment, planted]).encode()
            socket.send_fds(self._control, [request], [output, theirs.fileno()])
        return Forked(ours)

    def close(self) -> None:
        """End the warm process. Its forks go on."""
        self._control.close()
        self._process.wait(60)


def become(planted: str | None) -> None:
    """Go on as `python -m app`, after a call of the function `planted`, for example "tests.gate:plant"."""
    sys.argv[1:] = []
    if planted is not None:
        pkgutil.resolve_name(planted)()
    runpy.run_module("app", run_name="__main__", alter_sys=True)


def _main(control: socket.socket) -> None:
    """Fork for each request, and report how each fork ends."""
    for module in ("app.__main__", "app.main", "model.runtime.kernel", "model.runtime.torchscript"):
        import_module(module)
    del sys.modules["app.__main__"]  # which each fork runs
    numba.njit(lambda x: x)(0)  # what Numba loads when it is first used
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which then closes the socket
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    forks: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is not control:
                selector.unregister(key.fd)
                _report_end(*forks.pop(key.fd), key.fd)
                continue
            request, descriptors, _, _ = socket.recv_fds(control, _LARGEST_REQUEST, 2)
            if not request:
                return
            output, report = descriptors[0], socket.socket(fileno=descriptors[1])
            pid = os.fork()
            if pid == 0:
                selector.close()
                for end in (control, report, *(other for _, other in forks.values())):
                    end.close()
                for process in forks:
                    os.close(process)
                return _serve(output, *json.loads(request))
            os.close(output)
            report.send(str(pid).encode())
            process = os.pidfd_open(pid)
            forks[process] = pid, report
            selector.register(process, selectors.EVENT_READ)


def _report_end(pid: int, report: socket.socket, process: int) -> None:
    os.close(process)
    _, status = os.waitpid(pid, 0)
    with report, suppress(OSError):  # the process that asked for the fork may be gone
        report.send(str(os.waitstatus_to_exitcode(status)).encode())


def _serve(output: int, environment: dict[str, str], planted: str | None) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # Python reads it again from the environment
    signal.signal(signal.SIGINT, signal.default_int_handler)
    become(planted)


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
