"""Roles: what a host can be. Each is a folder with a `role.py` (settings and a generator of resources) and a `README.md`.

    roles = find([])                                   # the project's own, and those of every --roles-path
    for host, desired in compile(inventory, hosts, roles):
        ...

A `role.py` says:

    NEEDS = ("support_account",)                       # roles that come before this one, where the host has them

    class Settings(RoleSettings):                      # what stands below the role's name in the inventory
        remote_addresses: tuple[str, ...] = Required("the practice's own network, never any")

    def resources(settings, host):                     # pure: yields resources, and scopes that are ours whole
        yield FirewallRule(...)
        yield Scope(FirewallRule, "OP", exact=False)   # what no role names is reported; exact: removed

What is wrong with a role is a `UsageError` that names the place in its `role.py`; what is wrong with its settings is a
`Problem` of the inventory, and all of them are shown at once.
"""

from opdeploy.roles.compiling import compile
from opdeploy.roles.finding import Role, Roles, find
from opdeploy.roles.installer import Installer
from opdeploy.roles.opening import GROUP, Opening, everybody, may_let_in, told_why, wide
from opdeploy.roles.product import Product, kept_running
from opdeploy.roles.project import ProjectFile, Template
from opdeploy.roles.settings import Required, RoleSettings, keyed, with_key
from opdeploy.roles.sources import sources
from opdeploy.roles.unscanned import Antivirus, unscanned

__all__ = [
    "GROUP",
    "Antivirus",
    "Installer",
    "Opening",
    "Product",
    "ProjectFile",
    "Required",
    "Role",
    "RoleSettings",
    "Roles",
    "Template",
    "compile",
    "everybody",
    "find",
    "kept_running",
    "keyed",
    "may_let_in",
    "sources",
    "told_why",
    "unscanned",
    "wide",
    "with_key",
]
