"""The inventory: which hosts a practice has, how each is reached, and what each is to be, in Ansible's YAML form.

    inventory = load("inventories/lab")          # or InventoryError with everything that is wrong
    for host in select(inventory, ["database_servers", "!db2*"]):
        host.name, host.groups, host.connection, host.variables["firebird"]

A host has the roles that stand among its variables by name, with a mapping (the role's settings) or with nothing after
the colon (a role without settings); `role_settings` picks them. Whoever knows the roles validates the settings with
`validated`, names what nobody takes with `unclaimed`, and shows all problems at once: `read`, then `Inventory.refuse`.

It knows no role, no resource and no transport. It is no Ansible: no templates, no vault, no plugins, no ini.
"""

from opdeploy.inventory.hosts import CONNECTION_NAMES, Connection, Host, role_settings, unclaimed
from opdeploy.inventory.load import Inventory, load, read, select
from opdeploy.inventory.problems import InventoryError, Position, Problem, joined, near
from opdeploy.inventory.secrets import SecretUse, secret_uses, shared_secrets
from opdeploy.inventory.validate import validated
from opdeploy.inventory.yaml_file import Node, as_written

__all__ = [
    "CONNECTION_NAMES",
    "Connection",
    "Host",
    "Inventory",
    "InventoryError",
    "Node",
    "Position",
    "Problem",
    "SecretUse",
    "as_written",
    "joined",
    "load",
    "near",
    "read",
    "role_settings",
    "secret_uses",
    "select",
    "shared_secrets",
    "unclaimed",
    "validated",
]
