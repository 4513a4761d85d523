# The write half: sent to sessions that apply, never to plan, drift or snapshot. Again all that can be done is listed.
$rule = @('Description', 'Direction', 'Action', 'Enabled', 'Profile', 'Protocol', 'LocalPort', 'RemotePort', 'IcmpType', 'LocalAddress', 'RemoteAddress', 'Program', 'Service', 'InterfaceType', 'EdgeTraversalPolicy')
$task = @('TaskName', 'TaskPath')
$named = @('Name')
$writing = @{
    'New-LocalUser' = @('Name', 'FullName', 'Description', 'Password', 'PasswordNeverExpires', 'UserMayNotChangePassword', 'AccountExpires', 'AccountNeverExpires', 'Disabled')
    'Set-LocalUser' = @('Name', 'FullName', 'Description', 'Password', 'PasswordNeverExpires', 'UserMayChangePassword', 'AccountExpires', 'AccountNeverExpires')
    'Enable-LocalUser' = $named; 'Disable-LocalUser' = $named; 'Remove-LocalUser' = @('SID')
    'New-LocalGroup' = @('Name', 'Description'); 'Set-LocalGroup' = @('Name', 'Description'); 'Remove-LocalGroup' = @('SID')
    'Add-LocalGroupMember' = @('SID', 'Member'); 'Remove-LocalGroupMember' = @('SID', 'Member')
    'New-Service' = @('Name', 'BinaryPathName', 'DisplayName', 'Description', 'StartupType')
    'Start-Service' = $named; 'Stop-Service' = $named; 'Restart-Service' = @('Name', 'Force'); 'Restart-Computer' = @('Force')
    'New-NetFirewallRule' = @('Name', 'DisplayName', 'Group') + $rule
    'Set-NetFirewallRule' = @('Name', 'NewDisplayName') + $rule; 'Remove-NetFirewallRule' = $named
    'Register-ScheduledTask' = $task + @('Xml', 'Force'); 'Unregister-ScheduledTask' = $task + @('Confirm')
    'Enable-ScheduledTask' = $task; 'Disable-ScheduledTask' = $task
    'New-Item' = @('ItemType', 'Path'); 'Remove-Item' = @('LiteralPath')
    'Add-MpPreference' = @('ExclusionPath', 'ExclusionProcess', 'ExclusionExtension')
    'Remove-MpPreference' = @('ExclusionPath', 'ExclusionProcess', 'ExclusionExtension')
    'Install-WindowsFeature' = @('Name', 'IncludeManagementTools'); 'Uninstall-WindowsFeature' = $named
    'New-SmbShare' = @('Name', 'Path', 'Description', 'CachingMode', 'FolderEnumerationMode', 'SecurityDescriptor')
    'Set-SmbShare' = @('Name', 'Description', 'CachingMode', 'FolderEnumerationMode', 'SecurityDescriptor', 'Force'); 'Remove-SmbShare' = @('Name', 'Force')
    'Register-PSSessionConfiguration' = @('Name', 'Path', 'SecurityDescriptorSddl', 'NoServiceRestart')
    'Unregister-PSSessionConfiguration' = @('Name', 'NoServiceRestart', 'Force')
    'Write-EventLog' = @('LogName', 'Source', 'EntryType', 'EventId', 'Message')
}
# Nothing may be meant by a pattern, items are folders and files of a local disk, and events are our own.
$one = '\A[^*?\[\]]+\z'
$shapes = @{ Name = $one; TaskName = $one; TaskPath = $one; ItemType = '\ADirectory\z'; Path = $localPath; LiteralPath = $localPath; Source = '\Aopdeploy\z' }
$verbs['cmdlet.write'] = { [CmdletBinding()] param([string]$name, [hashtable]$parameters = @{})
    foreach ($parameter in $parameters.get_Keys()) {
        if ($shapes.ContainsKey($parameter) -and [string]$parameters[$parameter] -notmatch $shapes[$parameter]) {
            Stop-Call 'BadName' "'$name -$parameter' does not take '$($parameters[$parameter])'"
        }
    }
    [void](Invoke-Listed $writing $name $parameters @())
}
# Programs by name and sub-command; the rest of the line arrives ready quoted.
$programs = @{
    'sc.exe' = @('config', 'description', 'failure', 'failureflag', 'delete')
    'auditpol.exe' = @('/set')
    'wevtutil.exe' = @('sl')
}
$verbs['program.write'] = { [CmdletBinding()] param([string]$program, [string]$command, [string]$line, [int]$seconds = 60)
    if ($programs[$program] -notcontains $command) { Stop-Call 'NotListed' "'$program $command' is not listed" }
    [void](Invoke-System $program "$command $line" $seconds)
}
# The registry takes signed numbers; ours are unsigned, as Windows shows them.
$verbs['registry.write'] = {
    [CmdletBinding()] param([string]$hive = 'LocalMachine', [string]$path, [string]$view = 'Registry64', [string]$name, [string]$kind, $data)
    if ('String', 'ExpandString', 'MultiString', 'DWord', 'QWord', 'Binary' -notcontains $kind) { Stop-Call 'NotListed' "registry kind '$kind' is not listed" }
    if ($kind -eq 'DWord') { $data = [BitConverter]::ToInt32([BitConverter]::GetBytes([uint32]$data), 0) }
    if ($kind -eq 'QWord') { $data = [BitConverter]::ToInt64([BitConverter]::GetBytes([uint64]$data), 0) }
    if ($kind -eq 'MultiString') { $data = [string[]]@($data) }
    $key = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view).CreateSubKey($path)
    try { $key.SetValue($name, $data, $kind) } finally { $key.Dispose() }
}
$verbs['registry.remove'] = {
    [CmdletBinding()] param([string]$hive = 'LocalMachine', [string]$path, [string]$view = 'Registry64', [string]$name)
    $key = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view).OpenSubKey($path, $true)
    if ($null -ne $key) { try { $key.DeleteValue($name, $false) } finally { $key.Dispose() } }
}
# What is replaced as a whole comes with what it should replace. Control flags go back as they were read: a lost P opens a folder.
$verbs['sddl.write'] = { [CmdletBinding()] param([string]$path, [string]$sddl, [string]$expect, [bool]$owner)
    $item = Find-Item $path
    if ($null -eq $item) { Stop-Call 'Stale' 'stale: nothing is there' }
    $now = (Get-Acl -LiteralPath $path).Sddl
    if ($now -cne $expect) { Stop-Call 'Stale' "stale: $now" }
    $sections = if ($owner) { 'Access, Owner' } else { 'Access' }
    $security = $item.GetAccessControl($sections)
    $security.SetSecurityDescriptorSddlForm($sddl, $sections)
    $item.SetAccessControl($security)
}
$serviceName = '\A[^\x00-\x1f"/\\]{1,256}\z'
$verbs['service.sddl.write'] = { [CmdletBinding()] param([string]$name, [string]$sddl, [string]$expect)
    if ($name -notmatch $serviceName) { Stop-Call 'BadName' "'$name' is no name of a service" }
    if ($sddl -notmatch '\A[^\x00-\x20"]+\z') { Stop-Call 'BadName' 'a descriptor with blanks or quotes is not written' }
    $now = [System.Text.Encoding]::ASCII.GetString((Invoke-System 'sc.exe' "sdshow `"$name`"").stdout).Trim()
    # two spellings of one list are one text; the audit list, which only some are shown, does not count
    $lists = @(foreach ($text in $now, $expect.Trim()) { (New-Object System.Security.AccessControl.RawSecurityDescriptor $text).GetSddlForm('Access') })
    if ($lists[0] -cne $lists[1]) { Stop-Call 'Stale' "stale: $now" }
    [void](Invoke-System 'sc.exe' "sdset `"$name`" `"$sddl`"")
}
$verbs['rights.write'] = { [CmdletBinding()] param([byte[]]$template, [hashtable]$expect)
    $exported = [System.Text.Encoding]::Unicode.GetString((& $verbs['export.read'] 'user rights'))
    foreach ($right in $expect.get_Keys()) {
        if ($right -notmatch '\ASe[A-Za-z]+\z') { Stop-Call 'BadName' "'$right' is no right" }
        $now = if ($exported -match "(?im)^$right[ \t]*=(.*)$") { $matches[1] -replace '\s' } else { '' }
        if ($now -ne $expect[$right]) { Stop-Call 'Stale' "stale: $right = $now" }
    }
    [void](Use-TemporaryFolder {
        param($folder)
        $file = Join-Path $folder 'rights.inf'
        [System.IO.File]::WriteAllBytes($file, $template)
        [void](Invoke-System 'secedit.exe' ('/configure /db "{0}" /cfg "{1}" /areas USER_RIGHTS /quiet' -f (Join-Path $folder 'rights.sdb'), $file) 110 @(0, 3))
    })
}
# A file arrives in pieces beside its place and takes the name only when whole and right.
$verbs['file.append'] = { [CmdletBinding()] param([string]$path, [long]$offset, $bytes)
    Assert-Local $path
    if ($bytes -is [string]) { $bytes = [Convert]::FromBase64String($bytes) } # a piece with a secret in it
    $stream = [System.IO.File]::Open("$path.opdeploy", 'OpenOrCreate', 'Write', 'None')
    try {
        if ($offset -gt $stream.Length) { Stop-Call 'Stale' "stale: piece at $offset after $($stream.Length)" }
        $stream.SetLength($offset)
        [void]$stream.Seek($offset, 'Begin')
        $stream.Write($bytes, 0, $bytes.Length)
    }
    finally { $stream.Dispose() }
}
$verbs['file.commit'] = { [CmdletBinding()] param([string]$path, [string]$sha256)
    Assert-Local $path
    $piece = "$path.opdeploy"
    $actual = (Get-FileHash -LiteralPath $piece -Algorithm SHA256).Hash.ToLower()
    if ($actual -ne $sha256) { [System.IO.File]::Delete($piece); Stop-Call 'BadHash' "the file arrived with hash $actual" }
    if ([System.IO.File]::Exists($path)) { [System.IO.File]::Replace($piece, $path, [NullString]::Value) }
    else { [System.IO.File]::Move($piece, $path) }
}
$verbs['file.discard'] = { [CmdletBinding()] param([string]$path)
    Assert-Local $path
    [System.IO.File]::Delete("$path.opdeploy")
}
# What is carried out is the text that such an expression makes on the server, which does the quoting; a name of over 128 characters makes none.
$ordering = @{
    'create windows login' = "N'CREATE LOGIN ' + QUOTENAME(@login) + N' FROM WINDOWS'"
    'create sql login' = "N'CREATE LOGIN ' + QUOTENAME(@login) + N' WITH PASSWORD = N' + QUOTENAME(@password, '''') + CASE @state WHEN N'ON' THEN N', CHECK_POLICY = ON' WHEN N'OFF' THEN N', CHECK_POLICY = OFF' END"
    'set password' = "N'ALTER LOGIN ' + QUOTENAME(@login) + N' WITH PASSWORD = N' + QUOTENAME(@password, '''')"
    'set option' = "N'ALTER LOGIN ' + QUOTENAME(@login) + CASE @option WHEN N'CHECK_POLICY' THEN N' WITH CHECK_POLICY = ' WHEN N'CHECK_EXPIRATION' THEN N' WITH CHECK_EXPIRATION = ' END + CASE @state WHEN N'ON' THEN N'ON' WHEN N'OFF' THEN N'OFF' END"
    'set default database' = "N'ALTER LOGIN ' + QUOTENAME(@login) + N' WITH DEFAULT_DATABASE = ' + QUOTENAME(@default)"
    'switch login' = "N'ALTER LOGIN ' + QUOTENAME(@login) + CASE @state WHEN N'ON' THEN N' ENABLE' WHEN N'OFF' THEN N' DISABLE' END"
    'drop login' = "N'DROP LOGIN ' + QUOTENAME(@login)"
    'create user' = "N'CREATE USER ' + QUOTENAME(@user) + N' FOR LOGIN ' + QUOTENAME(@login)"
    'drop user' = "N'DROP USER ' + QUOTENAME(@user)"
    'change member' = "N'EXEC ' + CASE @state WHEN N'ON' THEN N'sp_addrolemember N' WHEN N'OFF' THEN N'sp_droprolemember N' END + QUOTENAME(@role, '''') + N', N' + QUOTENAME(@user, '''')"
    'change grant' = "CASE @state WHEN N'ON' THEN N'GRANT ' WHEN N'OFF' THEN N'REVOKE ' END + CASE @permission WHEN N'SELECT' THEN N'SELECT' WHEN N'INSERT' THEN N'INSERT' WHEN N'UPDATE' THEN N'UPDATE' WHEN N'DELETE' THEN N'DELETE' END + N' ON OBJECT::' + QUOTENAME(@schema) + N'.' + QUOTENAME(@table) + N' TO ' + QUOTENAME(@user) + CASE @state WHEN N'ON' THEN N'' WHEN N'OFF' THEN N' CASCADE' END"
}
$verbs['sql.write'] = { [CmdletBinding()] param([string]$statement, [string]$server, [string]$database, [hashtable]$values = @{})
    if (-not $ordering.ContainsKey($statement)) { Stop-Call 'NotListed' "statement '$statement' is not listed" }
    $text = "DECLARE @text nvarchar(max) = $($ordering[$statement]); IF @text IS NULL RAISERROR('nothing to carry out', 16, 1) ELSE EXEC (@text)"
    [void](Invoke-Statement @{ $statement = $text } $statement $server $database $values)
}
# A job's folder, closed from its first moment. One that was there before has to be ours: nobody else can make one that Administrators own.
$verbs['job.open'] = { [CmdletBinding()] param([string]$id)
    $security = New-Object System.Security.AccessControl.DirectorySecurity
    $security.SetSecurityDescriptorSddlForm('O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    [void][System.IO.Directory]::CreateDirectory((Get-JobFolder $id), $security)
    [void](Find-JobFolder $id)
}
$closed = '\AO:BAG:\w+D:P(AI)?\(A;OICI;FA;;;SY\)\(A;OICI;FA;;;BA\)\z'
function Find-JobFolder([string]$id) {
    $folder = Get-JobFolder $id
    if ((Get-Acl -LiteralPath $folder).Sddl -notmatch $closed) { Stop-Call 'NotClosed' "$folder is open to others: it is not ours" }
    return $folder
}
# The runner: started with what stands in here, on one line. It never runs in the session itself.
function Start-Runner {
    $ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; $folder = [Environment]::CurrentDirectory;
    $running = [System.IO.File]::Open($folder + '\running', 'OpenOrCreate', 'Write', 'None');
    . ([ScriptBlock]::Create([System.IO.File]::ReadAllText($folder + '\agent')));
    $order = [System.IO.File]::ReadAllLines($folder + '\order'); [System.IO.File]::Delete($folder + '\order');
    $out = [System.IO.File]::Open($folder + '\replies', 'Create', 'Write', 'Read');
    Write-Reply @{ process = $PID; started = [datetime]::UtcNow.ToString('o') } $true;
    foreach ($line in $order) { Receive-Line $line };
    Remove-Variable running
}
# Through WMI, since WinRM ends what a session started; or as SYSTEM, by a task that is there only until the runner is. Back once it lives.
$verbs['job.start'] = { [CmdletBinding()] param([string]$id, [string[]]$order, [bool]$elevated)
    $folder, $name = (Find-JobFolder $id), "opdeploy-$id"
    [System.IO.File]::Delete("$folder\running") # fails while a runner lives
    [System.IO.File]::WriteAllText("$folder\agent", $source.ToString())
    [System.IO.File]::WriteAllLines("$folder\order", $order)
    $program = "$system\WindowsPowerShell\v1.0\powershell.exe"
    $line = '-NoProfile -NonInteractive -Command "{0}"' -f (${function:Start-Runner}.ToString().Trim() -replace '\s*\n\s*', ' ')
    if (-not $elevated) {
        $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = "$program $line"; CurrentDirectory = $folder }
        if ($made.ReturnValue -ne 0) { Stop-Call 'NotStarted' "Win32_Process.Create answered $($made.ReturnValue)" }
    }
    else {
        $what = @{ Action = New-ScheduledTaskAction -Execute $program -Argument $line -WorkingDirectory $folder; User = 'S-1-5-18'; RunLevel = 'Highest' }
        [void](Register-ScheduledTask -TaskName $name @what -Force)
        Start-ScheduledTask -TaskName $name
    }
    for ($waited = 0; $waited -lt 300 -and -not [System.IO.File]::Exists("$folder\running"); $waited++) { Start-Sleep -Milliseconds 100 }
    if ($elevated) { Unregister-ScheduledTask -TaskName $name -Confirm:$false }
}
$verbs['job.close'] = { [CmdletBinding()] param([string]$id)
    if ([System.IO.Directory]::Exists((Get-JobFolder $id))) { [System.IO.Directory]::Delete((Find-JobFolder $id), $true) }
}
# An installer, or what it left to be removed with. What was checked is held open, so that nobody changes it before it runs.
$verbs['install.run'] = {
    [CmdletBinding()] param([string]$program, [string]$line, [int]$seconds, [string]$file, [string]$sha256, [string]$url, [string]$subject, [string]$issuer)
    if ($url) { [System.Net.ServicePointManager]::SecurityProtocol = 'Tls12'; (New-Object System.Net.WebClient).DownloadFile($url, $file) }
    $held = if ($file) { [System.IO.File]::Open($file, 'Open', 'Read', 'Read') } else { $null }
    try {
        if ($file -and (Get-FileHash -LiteralPath $file -Algorithm SHA256).Hash -ne $sha256) { Stop-Call 'BadHash' "$file has another hash" }
        if ($subject) {
            $signature = Get-AuthenticodeSignature -LiteralPath $file
            $signer = @($signature.Status; $signature.SignerCertificate | Where-Object { $_ } | ForEach-Object { $_.Subject, $_.Issuer }) -join '; '
            if ($signer -cne "Valid; $subject; $issuer") { Stop-Call 'BadSigner' "$file is signed: $signer" }
        }
        return Invoke-Program $program $line $seconds
    }
    finally { if ($held) { $held.Dispose() } }
}
