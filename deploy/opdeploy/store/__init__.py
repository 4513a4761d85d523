"""What a controller remembers: runs and what came of them (`records`), its key (`keys`), hosts' answers (`snapshots`).

Nothing in here holds a secret: values go through `rendering`, passwords are kept as fingerprints under the store's key.
"""

from opdeploy.store.records import Recorder, SignOff, Store

__all__ = ["Recorder", "SignOff", "Store"]
