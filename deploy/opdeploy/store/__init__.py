"""What a controller remembers: runs (`records`, `journal`), its key (`keys`), hosts' answers (`snapshots`).

Nothing in here holds a secret: values go through `rendering`, passwords are kept as fingerprints under the store's key.
"""

from opdeploy.store.journal import Recorder
from opdeploy.store.records import SignOff, Store

__all__ = ["Recorder", "SignOff", "Store"]
