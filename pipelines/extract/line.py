"""The line between a coordinator and the run's monitor: reports one way, "stop" the other."""

from __future__ import annotations

import secrets
import time
from typing import Any

import ray

from pipelines.extract.errors import RunStoppedError
from pipelines.extract.fleet import find_monitor
from pipelines.extract.monitor import Report
from pipelines.extract.spec import FleetSpec

_REPORT_EVERY = 0.5  # seconds
_ANSWER_SECONDS = 60.0
_OVER = "the run that this worker belongs to is over"
_stopped: set[str] = set()


def request_stop(run: str) -> None:
    """Stops the coordinators of a run in this process; those elsewhere hear from the monitor."""
    _stopped.add(run)


class Line:
    """Collects what happened in `report`, and sends it now and then without waiting.

    Every method but `stop` raises RunStoppedError when the run was told to stop or is over.
    """

    def __init__(self, fleet: FleetSpec) -> None:
        self.report = Report(name=secrets.token_hex(4))
        self._run = fleet.run
        self._sent = 0.0
        self._reply: Any = None  # why to stop, as the monitor answers to a report
        try:
            self._monitor = find_monitor(fleet)
        except ValueError as error:
            raise RunStoppedError(_OVER) from error

    def tell(self) -> None:
        """Sends the report if it is time to, and hears the answer to the last one."""
        if self._run in _stopped:
            raise RunStoppedError("stopped")
        now = time.monotonic()
        if now - self._sent < _REPORT_EVERY:
            return
        self._sent = now
        if self._reply is not None and not self._hear(0):
            return  # the monitor is behind: more reports would only pile up
        self._send()

    def flush(self) -> None:
        """Sends the report and waits until it has arrived."""
        self.ask()
        self.report.queues = {}  # nothing is left in them
        self._send()
        self.ask()

    def ask(self) -> None:
        """Waits for the monitor's word."""
        if self._reply is None:
            self._reply = self._monitor.why_stopped.remote()
        if not self._hear(_ANSWER_SECONDS):
            raise RunStoppedError("the run's monitor does not answer")

    def stop(self, reason: str) -> None:
        """Tells everyone in the run to stop."""
        self._monitor.stop.remote(reason)

    def _send(self) -> None:
        self._reply = self._monitor.report.remote(self.report)
        self.report = Report(name=self.report.name, first_submit=self.report.first_submit)

    def _hear(self, timeout: float) -> bool:
        """Whether the answer is there."""
        try:
            reason = ray.get(self._reply, timeout=timeout)
        except ray.exceptions.GetTimeoutError:
            return False
        except ray.exceptions.RayError as error:
            raise RunStoppedError(_OVER) from error
        self._reply = None
        if reason is not None:
            raise RunStoppedError(reason)
        return True
