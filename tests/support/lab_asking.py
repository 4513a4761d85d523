"""The lab's machines asked through the project's own agent source, in process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from opdeploy.calls import Call
from opdeploy.lab.windows.computer import Computer

AGENT = Path(__file__).parents[2] / "deploy" / "opdeploy" / "windows" / "agent"
Ask = Callable[..., Any]


def agent_source(*, write_half: bool = True) -> str:
    parts = ["loop.ps1", "read.ps1", *(["write.ps1"] if write_half else [])]
    return "\n".join((AGENT / part).read_text(encoding="utf-8") for part in parts)


def asking(computer: Computer, user: str = "") -> Ask:
    """One call, one answer."""

    def ask(call: Call, *, write_half: bool = True) -> Any:
        return computer.ask([call], source=agent_source(write_half=write_half), user=user)[0]

    return ask
