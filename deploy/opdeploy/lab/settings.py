"""How one simulated host's WinRM service is set up, and how a test makes it misbehave.

Read anew at every request, so changing a field of a running server takes effect at the next POST. The defaults are
those of Windows Server 2012 R2 and later; `latency` and the last three fields are the lab's own.
"""

from dataclasses import dataclass

KB = 1024


@dataclass
class Settings:
    """`latency` in seconds, `max_envelope_size` in bytes."""

    allow_unencrypted: bool = False
    """AllowUnencrypted: Basic, and bodies that are not sealed, also over plain HTTP."""
    max_envelope_size: int = 500 * KB
    """MaxEnvelopeSizekb."""
    too_large_is_413: bool = False
    """Answer a request above `max_envelope_size` with an empty HTTP 413 (seen from live hosts) instead of a fault."""
    max_shells_per_user: int = 30
    max_operations_per_shell: int = 1500
    """Commands, sends and receives together; never counted down, as WinRS never does."""

    latency: float = 0
    """Added to each POST, those of a logon included."""
    refuse_logon: bool = False
    """Every password is wrong; connections that are logged on already stay so."""
    hang: bool = False
    """Every operation waits out its OperationTimeout and then says so."""
    garbage: bytes | None = None
    """Answer every POST with this, as text/html with status 200: something that is not WinRM."""
