"""Windows started anew, or only WinRM, and the host waited for until it answers again."""

from __future__ import annotations

from collections.abc import Sequence

from opdeploy.calls import SESSION_LOST, Failure, Write, boot_read, cmdlet_write, job_close, job_open, job_start
from opdeploy.model import HostError, HostFailed, Unknown
from opdeploy.reboots import booted
from opdeploy.resources import jobs
from opdeploy.resources.base import Answers
from opdeploy.windows.station import Station, pauses

UNTIL_UP = 1800.0  # seconds: updates may be finished on the way down and up
UNTIL_RESTARTED = 300.0  # seconds: a service that does not stop keeps its runner waiting
RESTART_WINRM = jobs.job_id("restart WinRM")
BY_HAND = "run Restart-Service WinRM on it: new sessions are what this run made of them only then"
HANGS = f"{BY_HAND}; where that hangs too, restart Windows"


def reboot(station: Station) -> str:
    """When Windows was up again, as it says. Raises HostError where it does not come back, HostFailed where it does not go."""
    before = booted(station.ask([boot_read()]))
    refused = _ordered(station, [cmdlet_write("Restart-Computer", Force=True)])
    if refused:
        raise HostFailed(f"Windows is not started anew: {refused[0].message}")
    until = station.clock() + UNTIL_UP
    for pause in pauses():
        station.close()
        now = booted(station.look([boot_read()], pause, UNTIL_UP))
        if now not in ("", before):
            return now
        if station.clock() >= until:
            break
    raise HostError(f"Windows was told to start anew, and has not within {UNTIL_UP / 60:g} minutes", "look at its console")


def restart_winrm(station: Station) -> None:
    """By a job, since it ends the session that asks for it. Raises HostError where the host does not answer again, HostFailed
    where WinRM was not restarted."""
    restart = cmdlet_write("Restart-Service", Name="WinRM", Force=True)
    refused = _ordered(station, [job_close(RESTART_WINRM), job_open(RESTART_WINRM), job_start(RESTART_WINRM, [restart])])
    if refused:
        raise HostFailed(f"WinRM is not restarted: {refused[0].message}", BY_HAND)
    why = _failed(station)
    station.write([job_close(RESTART_WINRM)], ())
    if why:
        raise HostFailed(f"WinRM is not restarted: {why}", BY_HAND)


def _failed(station: Station) -> str:
    """What the job that restarts WinRM failed with, waited for; '' where it did not."""
    try:
        record = jobs.record(_at_its_end(station))
    except Unknown as unknown:
        raise HostFailed(f"whether WinRM was restarted can't be told: {unknown.reason}", BY_HAND) from None
    if record is None or not record.ended:
        return "its job was cut off"
    return record.value.message if isinstance(record.value, Failure) else ""


def _at_its_end(station: Station) -> Answers:
    """What there is of the job once it runs no more. Raises Unknown, HostError where it goes on for too long."""
    asked, until = jobs.reads(RESTART_WINRM), station.clock() + UNTIL_RESTARTED
    for pause in pauses():
        station.close()
        job = Answers(asked, station.look(list(asked.values()), pause))
        if not job.job["running"]:
            break
        if station.clock() >= until:
            raise HostError(f"WinRM was told to restart, and has not within {UNTIL_RESTARTED / 60:g} minutes", HANGS)
    further = jobs.then_reads(job)
    station.ask(list(further.values()))
    return Answers({**asked, **further}, station.observation)


def _ordered(station: Station, writes: Sequence[Write]) -> list[Failure]:
    """What the host refused; that it was gone before it had answered is none."""
    try:
        return [failure for failure in station.write(writes, ()) if failure.id != SESSION_LOST]
    except HostError:
        return []
