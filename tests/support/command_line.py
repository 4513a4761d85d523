"""One command in this process, as `main` runs it: how it ended and what it printed where."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from opdeploy.cli import ending
from opdeploy.cli.place import Place


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def opdeploy(*arguments: str, store: Path | None = None) -> Done:
    """`store`: where it would write a bug down; None is the default folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = ending.run(arguments, Place(store))
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())
