"""Believable starting hosts: the three servers of the lab's practice, and a bare machine for tests.

Each is a State; `Computer` puts it behind a listener. The helpers after them change a state the way an administrator, a group
policy or another language would, before a test starts.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from importlib.resources.abc import Traversable

from opdeploy.lab.windows import (
    accounts,
    cmdlets_defender,
    cmdlets_sessions,
    cmdlets_smb,
    files,
    installers,
    registry,
    rules,
    sddl,
    seeds,
    services,
    sql,
    taskxml,
)
from opdeploy.lab.windows.state import Facts, Json, State

ADMIN = "opadmin"
PASSWORD = "Lab-Admin-2024!"  # noqa: S105 - of simulated machines on loopback
_VERSION_KEY = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_FIREWALL = rules.KEY.rpartition("\\")[0]
_UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
_FIREBIRD = "C:\\Program Files\\Firebird\\Firebird_3_0"
_DEFENDER_ON, _DEFENDER_OFF, _OTHER_ON = 397568, 393472, 266240  # as Security Center has them
_TASK = (
    '<Task xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers>{triggers}</Triggers><Principals>'
    "<Principal><UserId>S-1-5-18</UserId></Principal></Principals><Settings><StartWhenAvailable>true</StartWhenAvailable>"
    "</Settings><Actions><Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec></Actions></Task>"
)


def database_server(name: str = "DB1", admin: str = ADMIN, password: str = PASSWORD) -> State:
    """Windows Server 2022 with Firebird 3.0 installed as its own setup leaves it, and SQL Server with a practice's data."""
    state = bare(20348, "ServerNT", name=name, admin=admin, password=password, number=1)
    _data_drive(state)
    for folder in ("C:\\Program Files\\Firebird", _FIREBIRD):
        files.put_folder(state, folder, accounts.ADMINISTRATORS)
    files.put_file(state, f"{_FIREBIRD}\\firebird.exe", accounts.ADMINISTRATORS, b"MZ firebird", "3.0.11.33703")
    files.put_file(state, f"{_FIREBIRD}\\firebird.conf", accounts.ADMINISTRATORS, b"#RemoteServicePort = 3050\r\n")
    firebird = services.create(state, "FirebirdServerDefaultInstance", f'"{_FIREBIRD}\\firebird.exe" -s DefaultInstance')
    registry.set_value(firebird, "DisplayName", "String", "Firebird Server - DefaultInstance")
    services.set_running(state, "FirebirdServerDefaultInstance", True)
    brought = "FirebirdServerDefaultInstance"
    _program(state, "FBDBServer_3_0_is1", "Firebird 3.0.11.33703 (x64)", "3.0.11.33703", "Firebird Project", brought)
    _sql_server(state, admin)
    outside = ("licence.example:443", "api.nexhealth.example:443", "salt.nexhealth.example:4505", "salt.nexhealth.example:4506")
    state.network |= dict.fromkeys(["backup1:445", "portal.example:443", *outside], "open")
    return state


def _sql_server(state: State, admin: str) -> None:
    services.create(
        state, "MSSQLSERVER", '"C:\\Program Files\\Microsoft SQL Server\\MSSQL15.MSSQLSERVER\\MSSQL\\Binn\\sqlservr.exe"'
    )
    services.set_running(state, "MSSQLSERVER", True)
    instance = sql.new_server([(f"{state.facts.name}\\{admin}", accounts.sid_of(state, f".\\{admin}") or "")])
    instance["databases"].append(sql.new_database("Main_OMS", "dbo.Patient", "dbo.Appointment", "dbo.Ledger"))
    state.sql["localhost"] = instance


def backup_station(name: str = "BACKUP1", admin: str = ADMIN, password: str = PASSWORD) -> State:
    """A Windows 10 workstation that copies backups away; it has a drive for them, and another antivirus than Windows' own."""
    state = bare(19045, "WinNT", name=name, admin=admin, password=password, number=2)
    _data_drive(state)
    _program(state, "7-Zip", "7-Zip 23.01 (x64)", "23.01", "Igor Pavlov")
    state.network |= {"db1:3050": "open"}
    return with_antivirus(state, "ESET Security")


def terminal_server(name: str = "TS1", admin: str = ADMIN, password: str = PASSWORD) -> State:
    """Windows Server 2019 that people work on over Remote Desktop."""
    state = bare(17763, "ServerNT", name=name, admin=admin, password=password, number=3)
    _data_drive(state)
    for number, user in enumerate(("reception", "doctor"), start=1):
        sid = add_user(state, user, f"Lab-{user}-{number}!")
        state.groups[seeds.RDU]["members"].append(sid)
    for id in ("RemoteDesktop-UserMode-In-TCP", "RemoteDesktop-UserMode-In-UDP"):
        _activate(state, id)
    state.features["rds-rd-server"]["state"] = "Installed"
    state.network |= {"db1:3050": "open"}
    return state


def bare(
    build: int = 20348,
    product: str = "ServerNT",
    *,
    name: str = "HOST1",
    admin: str = ADMIN,
    password: str = PASSWORD,
    culture: str = "en-US",
    number: int = 9,
) -> State:
    """A Windows as it is after installation, with one administrator for the session, who may be the built-in one.

    `product`: WinNT, ServerNT or LanmanNT; `number` makes the machine's SID its own."""
    client = product == "WinNT"
    facts = Facts(name, product, build, culture=culture, powershell=f"5.1.{build}.{1000 + number}")
    facts.machine_sid = f"S-1-5-21-{1004336348 + number}-1177238915-682003330"
    if client:
        facts.edition, facts.installation = "Professional", "Client"
    if product == "LanmanNT":
        facts.domain, facts.domain_sid = "practice.local", facts.machine_sid
    state = State(facts)
    _registry(state)
    _services(state)
    _accounts(state, admin, password)
    _rights(state)
    _folders(state, admin)
    _firewall(state)
    _tasks(state)
    _defender(state)
    _features(state)
    state.network["relay.example:443"] = "open"
    state.web[agent_link(name)] = base64.b64encode(_data("ScreenConnect.ClientSetup.msi").read_bytes()).decode()
    return state


def agent_link(name: str) -> str:
    """Where the remote-support agent of a machine is downloaded from: each has its own."""
    return f"https://op.example/{name.lower()}/ScreenConnect.ClientSetup.msi"


# ---------------------------------------------------------------- switches for tests


def constrained(state: State) -> State:
    """PowerShell in Constrained Language Mode, as AppLocker or WDAC brings it."""
    state.facts.language = "ConstrainedLanguage"
    return state


def filtered(state: State) -> State:
    """Local administrators get a filtered token over the network, as Windows has it from the start."""
    registry.remove_value(registry.create(state, accounts.POLICIES), "LocalAccountTokenFilterPolicy")
    return state


def joined(state: State, domain: str = "PRACTICE", sid: str = "S-1-5-21-397955417-626881126-188441444") -> State:
    """A member of a domain with a few accounts that can be resolved."""
    state.facts.domain, state.facts.domain_sid = f"{domain.lower()}.local", sid
    for rid, name in ((500, "Administrator"), (512, "Domain Admins"), (513, "Domain Users"), (1105, "op-service")):
        state.foreign[f"{sid}-{rid}"] = f"{domain}\\{name}"
    return state


def with_policy_right(state: State, right: str, accounts_listed: list[str]) -> State:
    """A group policy sets a user right."""
    row = {"UserRight": right, "AccountList": accounts_listed, "precedence": 1}
    state.rsop.setdefault("RSOP_UserPrivilegeRight", []).append(row)
    return state


def with_antivirus(state: State, name: str) -> State:
    """A workstation with another antivirus, for which Windows turns its own off."""
    own = {"displayName": "Windows Defender", "productState": _DEFENDER_OFF}
    state.security_center = [own, {"displayName": name, "productState": _OTHER_ON}]
    services.set_running(state, "WinDefend", False)
    return state


def add_user(state: State, name: str, password: str, **given: object) -> str:
    """A local user who belongs to Users; gives the SID."""
    sid = accounts.next_sid(state)
    values = {"password": accounts.encoded(password), "password_last_set": state.time} | given
    state.users[sid] = accounts.new_user(name, **values)
    state.groups[seeds.BU]["members"].append(sid)
    return sid


# ---------------------------------------------------------------- the parts


def _data(name: str) -> Traversable:
    return resources.files("opdeploy.lab").joinpath(f"data/{name}")


def _table(name: str) -> str:
    return _data(name).read_text(encoding="utf-8")


def _registry(state: State) -> None:
    facts = state.facts
    for hive in ("LocalMachine", "Users", "CurrentUser"):
        registry.create(state, "", hive)
    version = registry.create(state, _VERSION_KEY)
    for name, value in (
        ("CurrentBuildNumber", str(facts.build)),
        ("CurrentBuild", str(facts.build)),
        ("EditionID", facts.edition),
        ("InstallationType", facts.installation),
        ("ProductName", _product_name(facts.build)),
    ):
        registry.set_value(version, name, "String", value)
    registry.set_value(version, "UBR", "DWord", facts.ubr)
    options = registry.create(state, r"SYSTEM\CurrentControlSet\Control\ProductOptions")
    registry.set_value(options, "ProductType", "String", facts.product)
    computer = registry.create(state, r"SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName")
    registry.set_value(computer, "ComputerName", "String", facts.name)
    registry.set_value(registry.create(state, accounts.POLICIES), "LocalAccountTokenFilterPolicy", "DWord", 1)
    environment = registry.create(state, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")
    for name, value in seeds.ENVIRONMENT.items():
        registry.set_value(environment, name, "ExpandString" if "%" in value else "String", value)
    registry.create(state, _UNINSTALL)
    registry.create(state, _UNINSTALL, view="Registry32")
    listener = registry.create(state, r"SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Listener\*+HTTP")
    registry.set_value(listener, "Port", "DWord", 5985)
    registry.create(state, cmdlets_smb.SECURITY)
    registry.create(state, cmdlets_sessions.PLUGINS)


def _product_name(build: int) -> str:
    year = {14393: 2016, 17763: 2019, 20348: 2022, 26100: 2025}.get(build)
    return f"Windows Server {year} Standard" if year else "Windows 10 Pro"


def _services(state: State) -> None:
    table = json.loads(_table("windows_services.json"))
    running = []
    for name, service in table.items():
        key = registry.create(state, f"{accounts.SERVICES}\\{name}")
        for value, (kind, data) in service["values"].items():
            registry.set_value(key, value, kind, data)
        if "security" in service:
            security = registry.create(state, f"{accounts.SERVICES}\\{name}\\Security")
            registry.set_value(security, "Security", "Binary", service["security"])
        if service["values"]["Start"][1] != services.DISABLED and name.lower() not in seeds.STOPPED:
            running.append(name.lower())
    running += _drivers(state, table)
    state.running = sorted(running)
    winrm = registry.create(state, f"{accounts.SERVICES}\\WinRM")
    registry.set_value(winrm, "Start", "DWord", 2)
    services.set_running(state, "WinRM", True)


def _drivers(state: State, table: Json) -> list[str]:
    """Drivers that services need: there and running, and no more said of them."""
    needed = {name.lower() for service in table.values() for name in service["values"].get("DependOnService", ["", []])[1]}
    missing = sorted(name for name in needed if services.find(state, name) is None)
    for name in missing:
        key = registry.create(state, f"{accounts.SERVICES}\\{name}")
        registry.set_value(key, "Type", "DWord", 1)
        registry.set_value(key, "Start", "DWord", 3)
    return missing


def _accounts(state: State, admin: str, password: str) -> None:
    german = accounts.language(state) == "de"
    prefix = state.facts.machine_sid
    for rid, names in seeds.USERS.items():
        user = accounts.new_user(names[german], description=seeds.USER_DESCRIPTIONS[rid], enabled=False)
        user |= {"required": rid not in (501, 503), "never_expires": rid in (500, 501)}
        state.users[f"{prefix}-{rid}"] = user
    client = state.facts.product == "WinNT"
    for rid, names in (seeds.GROUPS if client else seeds.GROUPS | seeds.SERVER_GROUPS).items():
        state.groups[f"S-1-5-32-{rid}"] = {"name": names[german], "description": "", "members": []}
    members = {seeds.BA: [f"{prefix}-500"], seeds.BG: [f"{prefix}-501"], seeds.BU: ["S-1-5-4", "S-1-5-11"]}
    members |= {"S-1-5-32-568": ["S-1-5-17"], "S-1-5-32-581": [f"{prefix}-503"]}
    for group, sids in members.items():
        state.groups[group]["members"] = sids
    built_in = state.users[f"{prefix}-500"]
    if not client or admin.lower() == built_in["name"].lower():
        built_in |= {"enabled": True, "password": accounts.encoded(password), "password_last_set": state.time}
    if admin.lower() != built_in["name"].lower():
        state.groups[seeds.BA]["members"].append(add_user(state, admin, password, never_expires=True))


def _rights(state: State) -> None:
    state.rights = {right: list(holders) for right, holders in seeds.RIGHTS.items()}
    if state.facts.product == "WinNT":
        guest = f"{state.facts.machine_sid}-501"
        state.rights |= {right: list(holders) for right, holders in seeds.CLIENT_RIGHTS.items()}
        state.rights["SeInteractiveLogonRight"] = [guest, seeds.BA, seeds.BU, seeds.BO]
        state.rights |= {"SeDenyNetworkLogonRight": [guest], "SeDenyInteractiveLogonRight": [guest]}


def _folders(state: State, admin: str) -> None:
    client = state.facts.product == "WinNT"
    put_secured(state, "C:\\", seeds.CLIENT_DRIVE if client else seeds.SERVER_DRIVE)
    for path, text in seeds.FOLDERS.items():
        put_secured(state, path, text)
    sid = accounts.sid_of(state, f".\\{admin}")
    put_secured(state, f"C:\\Users\\{admin}", f"O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{sid})")
    hosts = b"# Copyright (c) 1993-2009 Microsoft Corp.\r\n"
    files.put_file(state, "C:\\Windows\\System32\\drivers\\etc\\hosts", seeds.SYSTEM, hosts)


def put_secured(state: State, path: str, text: str) -> None:
    """A folder with owner, group and list given as SDDL."""
    wanted = sddl.parse(text, state.facts.machine_sid)
    entry = files.put_folder(state, path, wanted.owner)
    entry["group"] = wanted.group
    if wanted.dacl is not None:
        files.write_access(state, entry, wanted.dacl)
        entry["control"] = "".join(flag for flag in ("P", "AI") if flag in wanted.dacl.control)


def _data_drive(state: State) -> None:
    put_secured(state, "D:\\", seeds.DATA_DRIVE)


def _firewall(state: State) -> None:
    key = registry.create(state, rules.KEY)
    version = rules.version(state.facts.build)
    for line in _table("windows_rules.tsv").splitlines():
        id, _, rest = line.partition("\t")
        registry.set_value(key, id, "String", f"v{version}|{rest}")
    for id in ("WINRM-HTTP-In-TCP", "WINRM-HTTP-In-TCP-NoScope"):
        _activate(state, id)
    secure = "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5986|App=System|Name=Windows Remote Management (HTTPS-In)|"
    registry.set_value(key, "WINRM-HTTPS-In-TCP", "String", f"v{version}|{secure}")
    policy = registry.create(state, _FIREWALL)
    major, minor = version.split(".")
    registry.set_value(policy, "PolicyVersion", "DWord", int(major) << 8 | int(minor))
    for profile in ("DomainProfile", "StandardProfile", "PublicProfile"):
        settings = registry.create(state, f"{_FIREWALL}\\{profile}")
        registry.set_value(settings, "EnableFirewall", "DWord", 1)
        registry.set_value(settings, "DisableNotifications", "DWord", 0)
        logging = registry.create(state, f"{_FIREWALL}\\{profile}\\Logging")
        registry.set_value(logging, "LogFilePath", "String", "%systemroot%\\system32\\LogFiles\\Firewall\\pfirewall.log")
        for name, number in (("LogFileSize", 4096), ("LogDroppedPackets", 0), ("LogSuccessfulConnections", 0)):
            registry.set_value(logging, name, "DWord", number)


def _activate(state: State, id: str) -> None:
    key = registry.create(state, rules.KEY)
    registry.set_value(key, id, "String", registry.value(key, id).replace("Active=FALSE", "Active=TRUE"))


def _tasks(state: State) -> None:
    for (folder, name), (command, arguments, triggers) in seeds.TASKS.items():
        path = f"{folder}\\{name}"
        xml = _TASK.format(command=command, arguments=arguments, triggers=triggers)
        state.tasks[path.lower()] = {"path": path, "xml": taskxml.registered(xml, path, seeds.SYSTEM, lambda sid: sid)}


def _defender(state: State) -> None:
    for name in cmdlets_defender.KEYS.values():
        registry.create(state, rf"{cmdlets_defender.LOCAL}\{name}")
    if state.facts.product == "WinNT":
        state.security_center.append({"displayName": "Windows Defender", "productState": _DEFENDER_ON})


def _features(state: State) -> None:
    if state.facts.product != "WinNT":
        for word, names in seeds.FEATURES.items():
            state.features |= {name.lower(): {"name": name, "state": word} for name in names}


def _program(state: State, key_name: str, name: str, version: str, publisher: str, *brought: str) -> None:
    """An installed program with an uninstaller that takes it away again, and the services that it brought."""
    key = registry.create(state, f"{_UNINSTALL}\\{key_name}")
    folder = f"C:\\Program Files\\{publisher}"
    for value, data in (
        ("DisplayName", name),
        ("DisplayVersion", version),
        ("Publisher", publisher),
        ("UninstallString", f'"{folder}\\unins000.exe"'),
        ("InstallDate", "20240312"),
    ):
        registry.set_value(key, value, "String", data)
    files.put_folder(state, folder, accounts.ADMINISTRATORS)
    uninstaller = f"{folder}\\unins000.exe"
    gone = {"key": {"name": key_name, "values": {}}, "files": {uninstaller: {}}, "services": dict.fromkeys(brought, "")}
    left = installers.content(uninstalls=gone | {"made": [folder]})
    files.put_file(state, uninstaller, accounts.ADMINISTRATORS, left)
