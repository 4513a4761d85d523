"""What a Windows brings along, as tables: groups, rights, folders with their lists, tasks.

Lists are those of a Server 2022 and a Windows 10 after installation; names of groups in English and German.
"""

from __future__ import annotations

BA, BU, BG, BO, RDU, PLU = (f"S-1-5-32-{rid}" for rid in (544, 545, 546, 551, 555, 559))
EVERYONE, SERVICE, SYSTEM, LS, NS = "S-1-1-0", "S-1-5-6", "S-1-5-18", "S-1-5-19", "S-1-5-20"
WDI_SERVICE_HOST = "S-1-5-80-3139157870-2983391045-3678747466-658725712-1809340420"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

USERS = {500: ("Administrator", "Administrator"), 501: ("Guest", "Gast")}
USERS |= {503: ("DefaultAccount", "DefaultAccount"), 504: ("WDAGUtilityAccount", "WDAGUtilityAccount")}
USER_DESCRIPTIONS = {
    500: "Built-in account for administering the computer/domain",
    501: "Built-in account for guest access to the computer/domain",
    503: "A user account managed by the system.",
    504: "A user account managed and used by the system for Windows Defender Application Guard scenarios.",
}

GROUPS = {
    544: ("Administrators", "Administratoren"),
    545: ("Users", "Benutzer"),
    546: ("Guests", "Gäste"),
    547: ("Power Users", "Hauptbenutzer"),
    551: ("Backup Operators", "Sicherungs-Operatoren"),
    552: ("Replicator", "Replikations-Operator"),
    555: ("Remote Desktop Users", "Remotedesktopbenutzer"),
    556: ("Network Configuration Operators", "Netzwerkkonfigurations-Operatoren"),
    558: ("Performance Monitor Users", "Leistungsüberwachungsbenutzer"),
    559: ("Performance Log Users", "Leistungsprotokollbenutzer"),
    562: ("Distributed COM Users", "Distributed COM-Benutzer"),
    568: ("IIS_IUSRS", "IIS_IUSRS"),
    569: ("Cryptographic Operators", "Kryptografie-Operatoren"),
    573: ("Event Log Readers", "Ereignisprotokollleser"),
    578: ("Hyper-V Administrators", "Hyper-V-Administratoren"),
    579: ("Access Control Assistance Operators", "Zugriffssteuerungs-Unterstützungsoperatoren"),
    580: ("Remote Management Users", "Remoteverwaltungsbenutzer"),
    581: ("System Managed Accounts Group", "Systemverwaltete Kontengruppe"),
}
SERVER_GROUPS = {
    550: ("Print Operators", "Druck-Operatoren"),
    574: ("Certificate Service DCOM Access", "Zertifikatdienst-DCOM-Zugriff"),
    575: ("RDS Remote Access Servers", "RDS-Remotezugriffsserver"),
    576: ("RDS Endpoint Servers", "RDS-Endpunktserver"),
    577: ("RDS Management Servers", "RDS-Verwaltungsserver"),
    582: ("Storage Replica Administrators", "Speicherreplikatadministratoren"),
}

RIGHTS = {
    "SeNetworkLogonRight": [EVERYONE, BA, BU, BO],
    "SeBackupPrivilege": [BA, BO],
    "SeChangeNotifyPrivilege": [EVERYONE, LS, NS, BA, BU, BO],
    "SeSystemtimePrivilege": [LS, BA],
    "SeCreatePagefilePrivilege": [BA],
    "SeDebugPrivilege": [BA],
    "SeRemoteShutdownPrivilege": [BA],
    "SeAuditPrivilege": [LS, NS],
    "SeIncreaseQuotaPrivilege": [LS, NS, BA],
    "SeIncreaseBasePriorityPrivilege": [BA, "S-1-5-90-0"],
    "SeLoadDriverPrivilege": [BA],
    "SeBatchLogonRight": [BA, BO, PLU],
    "SeServiceLogonRight": ["S-1-5-80-0"],
    "SeInteractiveLogonRight": [BA, BU, BO],
    "SeSecurityPrivilege": [BA],
    "SeSystemEnvironmentPrivilege": [BA],
    "SeProfileSingleProcessPrivilege": [BA],
    "SeSystemProfilePrivilege": [BA, WDI_SERVICE_HOST],
    "SeAssignPrimaryTokenPrivilege": [LS, NS],
    "SeRestorePrivilege": [BA, BO],
    "SeShutdownPrivilege": [BA, BO],
    "SeTakeOwnershipPrivilege": [BA],
    "SeUndockPrivilege": [BA],
    "SeManageVolumePrivilege": [BA],
    "SeRemoteInteractiveLogonRight": [BA, RDU],
    "SeImpersonatePrivilege": [LS, NS, BA, SERVICE],
    "SeCreateGlobalPrivilege": [LS, NS, BA, SERVICE],
    "SeIncreaseWorkingSetPrivilege": [BU],
    "SeTimeZonePrivilege": [LS, BA],
    "SeCreateSymbolicLinkPrivilege": [BA],
    "SeDelegateSessionUserImpersonatePrivilege": [BA],
}
CLIENT_RIGHTS = {"SeShutdownPrivilege": [BA, BU, BO], "SeTimeZonePrivilege": [LS, BA, BU], "SeUndockPrivilege": [BA, BU]}

_SYSTEM_FOLDER = (
    f"O:{TRUSTED_INSTALLER}G:{TRUSTED_INSTALLER}D:PAI(A;;FA;;;{TRUSTED_INSTALLER})(A;CIIO;GA;;;{TRUSTED_INSTALLER})"
    "(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)"
    "(A;OICIIO;GA;;;CO)(A;;0x1200a9;;;AC)(A;OICIIO;GXGR;;;AC)"
)
_INHERITS = "O:SYG:SYD:AI"
SERVER_DRIVE = (
    f"O:{TRUSTED_INSTALLER}G:{TRUSTED_INSTALLER}D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)"
    "(A;CIIO;DC;;;BU)(A;OICIIO;GA;;;CO)"
)
CLIENT_DRIVE = (
    f"O:{TRUSTED_INSTALLER}G:{TRUSTED_INSTALLER}D:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)"
    "(A;OICIIO;SDGXGWGR;;;AU)(A;;LC;;;AU)"
)
DATA_DRIVE = (
    "O:BAG:SYD:(A;;0x1200a9;;;WD)(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)"
    "(A;CIIO;DC;;;BU)"
)
FOLDERS = {
    "C:\\Windows": _SYSTEM_FOLDER,
    "C:\\Windows\\System32": _SYSTEM_FOLDER,
    "C:\\Windows\\System32\\drivers": _INHERITS,
    "C:\\Windows\\System32\\drivers\\etc": _INHERITS,
    "C:\\Windows\\System32\\WindowsPowerShell": _INHERITS,
    "C:\\Windows\\System32\\WindowsPowerShell\\v1.0": _INHERITS,
    "C:\\Windows\\Temp": "O:SYG:SYD:PAI(A;CI;DCLCWP;;;BU)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICIIO;GA;;;CO)",
    "C:\\Program Files": _SYSTEM_FOLDER,
    "C:\\Program Files\\Common Files": _SYSTEM_FOLDER,
    "C:\\Program Files\\WindowsPowerShell": _INHERITS,
    "C:\\Program Files\\WindowsPowerShell\\Modules": _INHERITS,
    "C:\\Program Files (x86)": _SYSTEM_FOLDER,
    "C:\\ProgramData": (
        "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;DCLCRPCR;;;BU)"
    ),
    "C:\\ProgramData\\Microsoft": _INHERITS,
    "C:\\Users": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;WD)",
    "C:\\Users\\Public": (
        "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;;0x1301bf;;;IU)(A;OICIIO;SDGXGWGR;;;IU)"
    ),
    "C:\\PerfLogs": _INHERITS,
}

ENVIRONMENT = {
    "ComSpec": "%SystemRoot%\\system32\\cmd.exe",
    "NUMBER_OF_PROCESSORS": "4",
    "OS": "Windows_NT",
    "Path": "%SystemRoot%\\system32;%SystemRoot%;%SystemRoot%\\System32\\Wbem;"
    "%SYSTEMROOT%\\System32\\WindowsPowerShell\\v1.0\\",
    "PATHEXT": ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC",
    "PROCESSOR_ARCHITECTURE": "AMD64",
    "PSModulePath": "%ProgramFiles%\\WindowsPowerShell\\Modules;%SystemRoot%\\system32\\WindowsPowerShell\\v1.0\\Modules",
    "TEMP": "%SystemRoot%\\TEMP",
    "TMP": "%SystemRoot%\\TEMP",
    "USERNAME": "SYSTEM",
    "windir": "%SystemRoot%",
}
"""Of the machine; Windows expands those with a %."""

# Folder, name: command, arguments, the triggers' XML
TASKS = {
    ("\\Microsoft\\Windows\\Defrag", "ScheduledDefrag"): ("%windir%\\system32\\defrag.exe", "-c -h -k -g -$", ""),
    ("\\Microsoft\\Windows\\Time Synchronization", "SynchronizeTime"): (
        "%windir%\\system32\\sc.exe",
        "start w32time task_started",
        "<CalendarTrigger><StartBoundary>2005-01-01T01:00:00</StartBoundary><ScheduleByWeek><DaysOfWeek><Sunday/></DaysOfWeek>"
        "<WeeksInterval>1</WeeksInterval></ScheduleByWeek></CalendarTrigger>",
    ),
    ("\\Microsoft\\Windows\\UpdateOrchestrator", "Schedule Scan"): (
        "%systemroot%\\system32\\usoclient.exe",
        "StartScan",
        "<TimeTrigger><Repetition><Interval>PT22H</Interval></Repetition><StartBoundary>2024-01-01T04:13:00</StartBoundary>"
        "<RandomDelay>PT4H</RandomDelay></TimeTrigger>",
    ),
    ("\\Microsoft\\Windows\\Windows Defender", "Windows Defender Scheduled Scan"): (
        "C:\\ProgramData\\Microsoft\\Windows Defender\\platform\\MpCmdRun.exe",
        "Scan -ScheduleJob -ScanTrigger 55",
        "",
    ),
    ("\\Microsoft\\Windows\\Chkdsk", "ProactiveScan"): ("%windir%\\system32\\chkdsk.exe", "/proactive", ""),
    ("\\Microsoft\\Windows\\Servicing", "StartComponentCleanup"): (
        "%windir%\\system32\\dism.exe",
        "/startcomponentcleanup",
        "",
    ),
}
# Of a server, by the state they are in: those of Server 2022 that a practice meets.
FEATURES = {
    "Installed": [
        "FileAndStorage-Services", "Storage-Services", "NET-Framework-45-Features", "NET-Framework-45-Core",
        "NET-WCF-Services45", "NET-WCF-TCP-PortSharing45", "PowerShellRoot", "PowerShell", "System-DataArchiver",
        "Windows-Defender", "WoW64-Support", "XPS-Viewer",
    ],
    "Available": [
        "File-Services", "FS-FileServer", "Web-Server", "Web-Mgmt-Console", "Print-Services", "RDS-RD-Server", "Hyper-V",
        "Hyper-V-Tools", "Telnet-Client", "SNMP-Service", "RSAT-SNMP", "Windows-Server-Backup", "FS-SMB1",
        "NET-Framework-Features",
    ],
    "Removed": ["NET-Framework-Core"],
}  # fmt: skip
MANAGEMENT_TOOLS = {"Web-Server": "Web-Mgmt-Console", "Hyper-V": "Hyper-V-Tools", "SNMP-Service": "RSAT-SNMP"}
NEED_A_RESTART = ("Hyper-V", "RDS-RD-Server", "FS-SMB1")
STOPPED = (
    "defragsvc", "deviceinstall", "efs", "msiserver", "netlogon", "pla", "remoteregistry", "rpclocator",
    "scardsvr", "seclogon", "snmptrap", "swprv", "trustedinstaller", "vds", "vss", "wecsvc",
    "wdiservicehost", "ssdpsrv", "fdphost", "fdrespub", "appreadiness", "rasman", "msiscsi", "sharedaccess",
    "diagtrack", "wmansvc",
)  # fmt: skip
"""Services that do not run on a machine that has been up for a while, though many are started by hand or by a trigger."""
