# The read half: all that a plan, drift or snapshot session can ask. Nothing in here leaves a lasting change.

# The cmdlets that may be called, with the parameters that may be given. Whoever adds a line answers for its reading only.
$reading = @{
    'Get-LocalUser'        = @('Name')
    'Get-Service'          = @('Name')
    'Export-ScheduledTask' = @('TaskName', 'TaskPath')
}
$verbs['cmdlet.read'] = {
    [CmdletBinding()] param([string]$name, [hashtable]$parameters = @{}, [string[]]$select)
    return , (Invoke-Listed $reading $name $parameters $select)
}

# The CIM classes that may be read: what a group policy has set, for rights, groups and the registry; whether a local password ever expires.
$classes = @{
    'root/cimv2 Win32_UserAccount'               = @('SID', 'PasswordExpires')
    'root/rsop/computer RSOP_UserPrivilegeRight' = @('UserRight', 'AccountList', 'precedence')
    'root/rsop/computer RSOP_RestrictedGroup'    = @('GroupName', 'Members', 'precedence')
    'root/rsop/computer RSOP_RegistryPolicySetting' = @('registryKey', 'valueName', 'deleted', 'precedence')
}
# Asked without this, a member of a domain would list the domain's users.
$only = @{ 'root/cimv2 Win32_UserAccount' = 'LocalAccount=TRUE' }
$verbs['cim.read'] = {
    [CmdletBinding()] param([string]$namespace, [string]$class, [string[]]$select)
    $listed = $classes["$namespace $class"]
    if ($null -eq $listed) { Stop-Call 'NotListed' "class '$namespace $class' is not listed" }
    foreach ($property in $select) {
        if ($listed -notcontains $property) { Stop-Call 'NotListed' "'$class.$property' is not listed" }
    }
    $query = @{ Namespace = $namespace; ClassName = $class }
    if ($only.ContainsKey("$namespace $class")) { $query['Filter'] = $only["$namespace $class"] }
    return , (Select-Plain @(Get-CimInstance @query) $select)
}

# What everything else hangs on: which Windows, which role, in which language mode, with which token. The user must be known;
# every other part may be one that this Windows does not tell, and is then empty.
function Get-Part([scriptblock]$part, $otherwise = '') {
    try { $value = & $part } catch { $value = $null }
    if ($null -eq $value) { return $otherwise } else { return $value }
}
function Get-Domain {
    $computer = Get-CimInstance -ClassName Win32_ComputerSystem -Property PartOfDomain, Domain
    if ($computer.PartOfDomain) { return $computer.Domain }
}
$verbs['host.read'] = {
    [CmdletBinding()] param()
    $windows = Get-Part { Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' } @{}
    $product = Get-Part { (Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\ProductOptions').ProductType }
    $domain = Get-Part { Get-Domain }
    $identity = [System.Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object System.Security.Principal.WindowsPrincipal $identity
    return @{
        name         = [Environment]::MachineName
        product      = $product
        build        = Get-Part { $windows.CurrentBuildNumber }
        ubr          = Get-Part { $windows.UBR } 0
        edition      = Get-Part { $windows.EditionID }
        installation = Get-Part { $windows.InstallationType }
        powershell   = [string]$PSVersionTable.PSVersion
        language     = [string]$ExecutionContext.SessionState.LanguageMode
        user         = $identity.User.Value
        user_name    = $identity.Name
        groups       = @($identity.Groups | ForEach-Object { $_.Value })
        elevated     = $principal.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)
        domain       = $domain
        domain_sid   = Get-Part { if ($domain -ne '') { (Find-Sid ($domain + '\' + [Environment]::MachineName + '$')).AccountDomainSid.Value } }
        machine_sid  = Get-Part { if ($product -ne 'LanmanNT') { @(Get-LocalUser)[0].SID.AccountDomainSid.Value } }
        time         = [datetime]::UtcNow
        culture      = [System.Globalization.CultureInfo]::InstalledUICulture.Name
    }
}

# A key's values, raw, with their types, and its subkeys down to a depth ($null for one that we may not open). Numbers are unsigned.
function Read-Key($key, [string[]]$values, [int]$depth) {
    $found = @{}
    foreach ($name in $key.GetValueNames()) {
        if ($null -ne $values -and $values -notcontains $name) { continue }
        $data = $key.GetValue($name, $null, 'DoNotExpandEnvironmentNames')
        if ($data -is [int]) { $data = [BitConverter]::ToUInt32([BitConverter]::GetBytes($data), 0) }
        if ($data -is [long]) { $data = [BitConverter]::ToUInt64([BitConverter]::GetBytes($data), 0) }
        $found[$name] = @([string]$key.GetValueKind($name), $data)
    }
    $answer = @{ values = $found }
    if ($depth -gt 0) {
        $subkeys = @{}
        foreach ($name in $key.GetSubKeyNames()) {
            $subkeys[$name] = $null
            try { $subkey = $key.OpenSubKey($name) } catch [System.Security.SecurityException] { continue }
            if ($null -eq $subkey) { continue }
            try { $subkeys[$name] = Read-Key $subkey $values ($depth - 1) } finally { $subkey.Dispose() }
        }
        $answer['subkeys'] = $subkeys
    }
    return $answer
}
$verbs['registry.read'] = {
    [CmdletBinding()] param([string]$hive = 'LocalMachine', [string]$path, [string]$view = 'Registry64', [string[]]$values, [int]$depth)
    $key = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view).OpenSubKey($path)
    if ($null -eq $key) { return $null }
    try { return Read-Key $key $values $depth } finally { $key.Dispose() }
}

# Local paths only: no share, no pipe, no device. An item that is not there is $null; one that may not be seen is an error.
$localPath = '\A[A-Za-z]:\\'
function Assert-Local([string]$path) {
    if ($path -notmatch $localPath) { Stop-Call 'NotLocal' "'$path' is not a local path" }
}
function Find-Item([string]$path) {
    Assert-Local $path
    try { return Get-Item -LiteralPath $path -Force }
    catch [System.Management.Automation.ItemNotFoundException] { return $null }
}

$verbs['file.stat'] = {
    [CmdletBinding()] param([string]$path, [bool]$hash)
    $item = Find-Item $path
    if ($null -eq $item) { return $null }
    $piece = New-Object System.IO.FileInfo "$path.opdeploy"
    $answer = @{ directory = $item.PSIsContainer; modified = $item.LastWriteTimeUtc; piece = $null }
    if ($piece.Exists) { $answer.piece = $piece.Length }
    if ($item.PSIsContainer) {
        $answer.empty = @(Get-ChildItem -LiteralPath $path -Force | Select-Object -First 1).Count -eq 0
        return $answer
    }
    $answer.size = $item.Length
    $answer.version = $item.VersionInfo.FileVersion
    if ($hash) { $answer.sha256 = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash.ToLower() }
    return $answer
}

$verbs['file.read'] = {
    [CmdletBinding()] param([string]$path, [long]$offset, [int]$length)
    Assert-Local $path
    $stream = [System.IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
    try {
        [void]$stream.Seek($offset, 'Begin')
        $buffer = New-Object byte[] $length
        $count = $stream.Read($buffer, 0, $length)
        if ($count -lt $length) { [Array]::Resize([ref]$buffer, $count) }
        return @{ bytes = $buffer; end = ($stream.Position -ge $stream.Length) }
    }
    finally { $stream.Dispose() }
}

# Owner, group and discretionary list of a file or folder, as SDDL.
$verbs['sddl.read'] = {
    [CmdletBinding()] param([string]$path)
    if ($null -eq (Find-Item $path)) { return $null }
    return (Get-Acl -LiteralPath $path).Sddl
}

# Names to SIDs and SIDs to names: $null for one that is nobody's, a failure for one that could not be asked.
function Find-Sid([string]$name) {
    if ($name.StartsWith('.\')) { $name = [Environment]::MachineName + $name.Substring(1) }
    return (New-Object System.Security.Principal.NTAccount $name).Translate([System.Security.Principal.SecurityIdentifier])
}
function Find-Name([string]$sid) {
    return (New-Object System.Security.Principal.SecurityIdentifier $sid).Translate([System.Security.Principal.NTAccount])
}
$verbs['sid.resolve'] = {
    [CmdletBinding()] param([string]$name)
    try { return @{ sid = (Find-Sid $name).Value } }
    catch [System.Security.Principal.IdentityNotMappedException] { return @{ sid = $null } }
}
$verbs['name.resolve'] = {
    [CmdletBinding()] param([string]$sid)
    try { return @{ name = (Find-Name $sid).Value } }
    catch [System.Security.Principal.IdentityNotMappedException] { return @{ name = $null } }
}

# User rights can only be exported into a file: written to a temporary one, read, removed. secedit writes UTF-16; the bytes come back.
function Export-Rights {
    return , (Use-TemporaryFolder {
        param($folder)
        $file = Join-Path $folder 'rights.inf'
        [void](Invoke-System 'secedit.exe' ('/export /cfg "{0}" /areas USER_RIGHTS /quiet' -f $file))
        return , [System.IO.File]::ReadAllBytes($file)
    })
}
$verbs['export.read'] = {
    [CmdletBinding()] param([string]$what)
    if ($what -cne 'user rights') { Stop-Call 'NotListed' "no exporter '$what'" }
    return , (Export-Rights)
}

# The SIDs in a local group, given by name or SID; orphans too, which Get-LocalGroupMember chokes on.
$verbs['group.members'] = {
    [CmdletBinding()] param([string]$group)
    if ($group -like 'S-1-*') { $group = (Find-Name $group).Value }
    $entry = [ADSI]('WinNT://./' + $group.Substring($group.IndexOf('\') + 1) + ',group')
    $members = New-Object System.Collections.ArrayList
    foreach ($member in @($entry.Invoke('Members'))) {
        $bytes = ([ADSI]$member).InvokeGet('objectSid')
        [void]$members.Add((New-Object System.Security.Principal.SecurityIdentifier $bytes, 0).Value)
    }
    return , $members.ToArray()
}

# One local logon, only ever asked for with --verify-passwords: it leaves an event in the host's security log.
$verbs['logon.probe'] = {
    [CmdletBinding()] param([string]$user, [string]$password)
    Add-Type -AssemblyName System.DirectoryServices.AccountManagement
    $machine = New-Object System.DirectoryServices.AccountManagement.PrincipalContext 'Machine'
    try { return @{ right = $machine.ValidateCredentials($user, $password) } }
    finally { $machine.Dispose() }
}
