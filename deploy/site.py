"""A whole server as pyinfra deploys it:  pyinfra INVENTORY.py deploy/site.py [--dry]

Each host of pyinfra's inventory is `@winrm/NAME`, NAME as in the opdeploy inventory that `opdeploy_inventory` in its data (or
OPDEPLOY_INVENTORY in the environment) names: roles, settings and how it is reached all stand there.
"""

import os

from pyinfra import host

from opdeploy import roles
from opdeploy.inventory import load
from opdeploy.model import UsageError
from opdeploy.windows import operations as windows

folder = host.data.get("opdeploy_inventory") or os.environ.get("OPDEPLOY_INVENTORY")
if not folder:
    raise UsageError("no inventory named", "pyinfra … --data opdeploy_inventory=DIR, or set OPDEPLOY_INVENTORY")

inventory = load(folder)
name = host.name.removeprefix("@winrm/")
found = [known for known in inventory.hosts if known.name == name]
for _, desired in roles.compile(inventory, found, roles.find()):
    windows.whole(desired)
