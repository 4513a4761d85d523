# The read half: all that a plan, drift or snapshot session can ask. Nothing in here leaves a lasting change.
# The cmdlets that may be called, with the parameters that may be given. Whoever adds a line answers for its reading only.
$reading = @{
    'Export-ScheduledTask' = @('TaskName', 'TaskPath')
    'Get-LocalGroup' = @('Name')
    'Get-LocalUser' = @('Name')
    'Get-MpComputerStatus' = @()
    'Get-MpPreference' = @()
    'Get-Service' = @('Name')
    'Get-WindowsFeature' = @('Name')
    'Get-WinEvent' = @('ListLog', 'FilterXml', 'MaxEvents')
}
$verbs['cmdlet.read'] = { [CmdletBinding()] param([string]$name, [hashtable]$parameters = @{}, [string[]]$select)
    return , (Invoke-Listed $reading $name $parameters $select)
}
# The CIM classes that may be read, some in part: docs/security.md says why. Unfiltered, a member of a domain would list the domain's users.
$classes = @{
    'root/cimv2 Win32_OperatingSystem' = ''
    'root/cimv2 Win32_Service' = "StartName LIKE '%System'"
    'root/cimv2 Win32_UserAccount' = 'LocalAccount=TRUE'
    'root/rsop/computer RSOP_UserPrivilegeRight' = ''
    'root/rsop/computer RSOP_RestrictedGroup' = ''
    'root/rsop/computer RSOP_RegistryPolicySetting' = ''
    'root/SecurityCenter2 AntiVirusProduct' = ''
}
$verbs['cim.read'] = { [CmdletBinding()] param([string]$namespace, [string]$class, [string[]]$select)
    if (-not $classes.ContainsKey("$namespace $class")) { Stop-Call 'NotListed' "class '$namespace $class' is not listed" }
    $query = @{ Namespace = $namespace; ClassName = $class }
    if ($classes["$namespace $class"]) { $query['Filter'] = $classes["$namespace $class"] }
    return , (Select-Plain @(Get-CimInstance @query) $select)
}
# What everything else hangs on: which Windows, which role, in which language mode, with which token. The user must be known;
# every other part may be one that this Windows does not tell, and is then empty.
function Get-Part([scriptblock]$part, $otherwise = '') {
    try { $value = & $part } catch { $value = $null }
    if ($null -eq $value) { return $otherwise } else { return $value }
}
$verbs['host.read'] = { [CmdletBinding()] param()
    $windows = Get-Part { Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' } @{}
    $product = Get-Part { (Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\ProductOptions').ProductType }
    $domain = Get-Part { @(Get-CimInstance -ClassName Win32_ComputerSystem -Property PartOfDomain, Domain | Where-Object { $_.PartOfDomain })[0].Domain }
    $user = [System.Security.Principal.WindowsIdentity]::GetCurrent()
    $administrator = [System.Security.Principal.WindowsBuiltInRole]::Administrator
    return @{
        name = [Environment]::MachineName; product = $product; time = [datetime]::UtcNow
        build = Get-Part { $windows.CurrentBuildNumber }; ubr = Get-Part { $windows.UBR } 0
        edition = Get-Part { $windows.EditionID }; installation = Get-Part { $windows.InstallationType }
        powershell = [string]$PSVersionTable.PSVersion; language = [string]$ExecutionContext.SessionState.LanguageMode
        culture = [System.Globalization.CultureInfo]::InstalledUICulture.Name
        user = $user.User.Value; user_name = $user.Name; groups = @($user.Groups | ForEach-Object { $_.Value })
        elevated = (New-Object System.Security.Principal.WindowsPrincipal $user).IsInRole($administrator)
        domain = $domain
        domain_sid = Get-Part { if ($domain -ne '') { (Find-Sid ($domain + '\' + [Environment]::MachineName + '$')).AccountDomainSid.Value } }
        machine_sid = Get-Part { if ($product -ne 'LanmanNT') { @(Get-LocalUser)[0].SID.AccountDomainSid.Value } }
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
    if ($depth -le 0) { return @{ values = $found } }
    $subkeys = @{}
    foreach ($name in $key.GetSubKeyNames()) {
        $subkeys[$name] = $null
        try { $subkey = $key.OpenSubKey($name) } catch [System.Security.SecurityException] { continue }
        if ($null -eq $subkey) { continue }
        try { $subkeys[$name] = Read-Key $subkey $values ($depth - 1) } finally { $subkey.Dispose() }
    }
    return @{ values = $found; subkeys = $subkeys }
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
    try { return Get-Item -LiteralPath $path -Force } catch [System.Management.Automation.ItemNotFoundException] { return $null }
}
$verbs['file.stat'] = { [CmdletBinding()] param([string]$path, [bool]$hash)
    $item = Find-Item $path
    if ($null -eq $item) { return $null }
    $piece = New-Object System.IO.FileInfo "$path.opdeploy"
    $answer = @{ directory = $item.PSIsContainer; modified = $item.LastWriteTimeUtc; piece = $null }
    if ($piece.Exists) { $answer.piece = $piece.Length }
    if ($item.PSIsContainer) { return $answer + @{ empty = @(Get-ChildItem -LiteralPath $path -Force | Select-Object -First 1).Count -eq 0 } }
    if ($hash) { $answer.sha256 = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash.ToLower() }
    return $answer + @{ size = $item.Length; version = $item.VersionInfo.FileVersion }
}
$verbs['file.read'] = { [CmdletBinding()] param([string]$path, [long]$offset, [int]$length)
    Assert-Local $path
    $stream = [System.IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
    try {
        if ($offset -lt 0) { $offset = [Math]::Max([long]0, $stream.Length + $offset) } # so many from the end
        [void]$stream.Seek($offset, 'Begin')
        $buffer = New-Object byte[] $length
        $count = $stream.Read($buffer, 0, $length)
        if ($count -lt $length) { [Array]::Resize([ref]$buffer, $count) }
        return @{ bytes = $buffer; end = ($stream.Position -ge $stream.Length) }
    }
    finally { $stream.Dispose() }
}
# Owner, group and discretionary list of a file or folder, as SDDL.
$verbs['sddl.read'] = { [CmdletBinding()] param([string]$path)
    if ($null -ne (Find-Item $path)) { return (Get-Acl -LiteralPath $path).Sddl }
}
# Names to SIDs and SIDs to names: $null for one that is nobody's, a failure for one that could not be asked.
function Find-Sid([string]$name) {
    if ($name.StartsWith('.\')) { $name = [Environment]::MachineName + $name.Substring(1) }
    return (New-Object System.Security.Principal.NTAccount $name).Translate([System.Security.Principal.SecurityIdentifier])
}
function Find-Name([string]$sid) {
    return (New-Object System.Security.Principal.SecurityIdentifier $sid).Translate([System.Security.Principal.NTAccount])
}
$verbs['sid.resolve'] = { [CmdletBinding()] param([string]$name)
    try { return @{ sid = (Find-Sid $name).Value } } catch [System.Security.Principal.IdentityNotMappedException] { return @{ sid = $null } }
}
$verbs['name.resolve'] = { [CmdletBinding()] param([string]$sid)
    try { return @{ name = (Find-Name $sid).Value } } catch [System.Security.Principal.IdentityNotMappedException] { return @{ name = $null } }
}
# What can only be exported into a file: written to a temporary one, read, removed. The bytes come back: secedit writes UTF-16.
$verbs['export.read'] = { [CmdletBinding()] param([string]$what)
    return , (Use-TemporaryFolder {
        param($folder)
        $file = Join-Path $folder 'export'
        if ($what -ceq 'user rights') { [void](Invoke-System 'secedit.exe' ('/export /cfg "{0}" /areas USER_RIGHTS /quiet' -f $file)) }
        elseif ($what -ceq 'audit policy') { [void](Invoke-System 'auditpol.exe' ('/backup /file:"{0}"' -f $file)) }
        else { Stop-Call 'NotListed' "no exporter '$what'" }
        return , [System.IO.File]::ReadAllBytes($file)
    })
}
# The SIDs in a local group, given by name or SID; orphans too, which Get-LocalGroupMember chokes on.
$verbs['group.members'] = { [CmdletBinding()] param([string]$group)
    if ($group -like 'S-1-*') { $group = (Find-Name $group).Value }
    $entry = [ADSI]('WinNT://./' + $group.Substring($group.IndexOf('\') + 1) + ',group')
    return , @(foreach ($member in @($entry.Invoke('Members'))) {
        $bytes = ([ADSI]$member).InvokeGet('objectSid')
        (New-Object System.Security.Principal.SecurityIdentifier $bytes, 0).Value
    })
}
# One local logon, only ever asked for with --verify-passwords: it leaves an event in the host's security log.
$verbs['logon.probe'] = { [CmdletBinding()] param([string]$user, [string]$password)
    Add-Type -AssemblyName System.DirectoryServices.AccountManagement
    $machine = New-Object System.DirectoryServices.AccountManagement.PrincipalContext 'Machine'
    try { return @{ right = $machine.ValidateCredentials($user, $password) } } finally { $machine.Dispose() }
}
# Whether this host gets through to a port: by TCP, and over it by TLS, the name checked as Windows checks it. Nothing is said over either.
$verbs['net.probe'] = { [CmdletBinding()] param([string]$name, [int]$port, [bool]$tls, [int]$seconds)
    $client = New-Object System.Net.Sockets.TcpClient
    try {
        $client.ReceiveTimeout = $client.SendTimeout = $seconds * 1000
        if (-not $client.ConnectAsync($name, $port).Wait($seconds * 1000)) { Stop-Call 'NoAnswer' "no answer within $seconds s" }
        if ($tls) { (New-Object System.Net.Security.SslStream $client.GetStream()).AuthenticateAsClient($name, $null, 'Tls12', $false) }
        return $true
    }
    finally { $client.Dispose() }
}
# SQL Server on this host, as the session's user. A request names a statement of a table; names and values are parameters of it.
$asking = @{
    'databases' = 'SELECT name, state_desc, HAS_PERMS_BY_NAME(NULL, NULL, ''CONTROL SERVER'') AS controls FROM sys.databases'
    'login' = 'SELECT p.name, p.sid, p.type, p.is_disabled, p.default_database_name, l.is_policy_checked, l.is_expiration_checked, PWDCOMPARE(@password, l.password_hash) AS password_right FROM sys.server_principals p LEFT JOIN sys.sql_logins l ON l.principal_id = p.principal_id WHERE p.name = @login OR p.sid = SUSER_SID(@login) OR CONVERT(varchar(200), p.sid, 1) = @sid'
    'user' = 'SELECT u.name, u.sid, r.name AS role FROM sys.database_principals u LEFT JOIN sys.database_role_members m ON m.member_principal_id = u.principal_id LEFT JOIN sys.database_principals r ON r.principal_id = m.role_principal_id WHERE u.name = @login OR u.sid = SUSER_SID(@login) OR CONVERT(varchar(200), u.sid, 1) = @sid OR u.sid = (SELECT sid FROM sys.server_principals WHERE name = @login)'
    'table' = 'SELECT o.name FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name = @schema AND o.name = @table AND o.type IN (''U'', ''V'')'
    'grants' = 'SELECT s.name AS schema_name, o.name AS table_name, g.permission_name, g.state FROM sys.database_permissions g JOIN sys.database_principals u ON u.principal_id = g.grantee_principal_id JOIN sys.objects o ON o.object_id = g.major_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE g.class = 1 AND g.minor_id = 0 AND (u.sid = SUSER_SID(@login) OR CONVERT(varchar(200), u.sid, 1) = @sid OR u.sid = (SELECT sid FROM sys.server_principals WHERE name = @login))'
}
function Invoke-Statement($table, [string]$statement, [string]$server, [string]$database, [hashtable]$values) {
    if (-not $table.ContainsKey($statement)) { Stop-Call 'NotListed' "statement '$statement' is not listed" }
    $where = New-Object System.Data.SqlClient.SqlConnectionStringBuilder
    $where['Data Source'], $where['Initial Catalog'], $where['Integrated Security'] = $server, $database, $true
    $connection = New-Object System.Data.SqlClient.SqlConnection $where.ConnectionString
    try {
        $connection.Open()
        $command = New-Object System.Data.SqlClient.SqlCommand $table[$statement], $connection
        foreach ($name in $values.get_Keys()) { $command.Parameters.Add("@$name", 'NVarChar', 4000).Value = [string]$values[$name] }
        $rows = New-Object System.Data.DataTable
        [void](New-Object System.Data.SqlClient.SqlDataAdapter $command).Fill($rows)
        return , (Select-Plain $rows.Rows @($rows.Columns | ForEach-Object { $_.ColumnName }))
    }
    finally { $connection.Dispose() }
}
$verbs['sql.read'] = { [CmdletBinding()] param([string]$statement, [string]$server, [string]$database, [hashtable]$values = @{})
    return , (Invoke-Statement $asking $statement $server $database $values)
}
# A job outlives the session: an agent of its own, in a folder closed to all but SYSTEM and Administrators, that carries out one request
# and writes the replies into a file there. Its runner holds another file open as long as it lives.
function Get-JobFolder([string]$id) {
    if ($id -notmatch '\A[0-9a-f]{32}\z') { Stop-Call 'BadName' "'$id' is no job" }
    return Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) "opdeploy-$id"
}
$verbs['job.read'] = { [CmdletBinding()] param([string]$id)
    $folder = Get-JobFolder $id
    $there, $running = [System.IO.Directory]::Exists($folder), $false
    try { if ($there) { [System.IO.File]::Open("$folder\running", 'Open', 'Read', 'ReadWrite').Dispose() } }
    catch [System.IO.FileNotFoundException] { }
    catch [System.IO.IOException] { $running = $true }
    return @{ folder = $folder; there = $there; running = $running }
}
