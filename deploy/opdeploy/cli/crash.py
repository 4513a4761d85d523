"""A bug: one plain line for the person, the traceback in a file of the run store, and no secret in either."""

from __future__ import annotations

import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from opdeploy import __version__
from opdeploy.cli.place import default_folder
from opdeploy.rendering import without_secrets

LONGEST = 200  # characters of an exception's own words


def told(error: BaseException, store: Path | None) -> str:
    """What a person is told of a bug."""
    words = " ".join(without_secrets(f"{type(error).__name__}: {error}").split())[:LONGEST]
    return f"error: this is a bug in opdeploy, not your doing: {words}\n    the details are in {noted(error, store)}"


def noted(error: BaseException | None, store: Path | None) -> Path | str:
    """Writes the traceback and says where; where the store can't be written, beside the system's temporary files."""
    text = without_secrets("".join(traceback.format_exception(error))) if error else "an error without a name\n"
    for folder in ((store or default_folder()) / "bugs", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _written(folder, f"opdeploy {__version__}\n{text}")
        except OSError:
            continue
    return "no file: none could be written"


def _written(folder: Path, text: str) -> Path:
    name = f"bug-{datetime.now(UTC):%Y%m%dT%H%M%S}-"
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=name, suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(text)  # created with mode 0600
    return Path(file.name)
