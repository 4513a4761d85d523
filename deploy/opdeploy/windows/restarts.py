"""Windows started anew, or only WinRM, and the host waited for until it answers again."""

from __future__ import annotations

from collections.abc import Sequence

from opdeploy.calls import SESSION_LOST, Failure, Write, boot_read, cmdlet_write, job_close, job_open, job_read, job_start
from opdeploy.model import HostError, HostFailed
from opdeploy.reboots import booted
from opdeploy.resources.jobs import job_id
from opdeploy.windows.station import Station, pauses

UNTIL_UP = 1800.0  # seconds: updates may be finished on the way down and up
RESTART_WINRM = job_id("restart WinRM")


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
    """By a job, since it ends the session that asks for it. Raises HostError where the host does not answer again."""
    restart = cmdlet_write("Restart-Service", Name="WinRM", Force=True)
    refused = _ordered(station, [job_close(RESTART_WINRM), job_open(RESTART_WINRM), job_start(RESTART_WINRM, [restart])])
    if refused:
        raise HostFailed(f"WinRM is not restarted: {refused[0].message}")
    job = job_read(RESTART_WINRM)
    for pause in pauses():
        station.close()
        answer = station.look([job], pause)[job.key]
        if isinstance(answer, Failure) or not (answer and answer["running"]):
            break
    station.write([job_close(RESTART_WINRM)], ())


def _ordered(station: Station, writes: Sequence[Write]) -> list[Failure]:
    """What the host refused; that it was gone before it had answered is none."""
    try:
        return [failure for failure in station.write(writes, ()) if failure.id != SESSION_LOST]
    except HostError:
        return []
