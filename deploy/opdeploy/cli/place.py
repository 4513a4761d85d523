"""Where the run store is, known from the first moment on: a bug is written there too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opdeploy.model import OpdeployError


@dataclass
class Place:
    """What is known of a run before its command begins; ``--store`` changes it. None is the default folder."""

    store: Path | None = None


def default_folder() -> Path:
    """The run store's own default; imported only now, since help needs no database. Where this machine's configuration is
    wrong, the account's own: a bug has to be written somewhere."""
    from opdeploy.store.records import default_folder, own_folder

    try:
        return default_folder()
    except OpdeployError:
        return own_folder()
