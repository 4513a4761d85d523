# The write half: sent to sessions that apply, never to plan, drift or snapshot. Again all that can be done is listed.

$rule = @(
    'Description', 'Direction', 'Action', 'Enabled', 'Profile', 'Protocol', 'LocalPort', 'RemotePort', 'IcmpType',
    'LocalAddress', 'RemoteAddress', 'Program', 'Service', 'InterfaceType', 'EdgeTraversalPolicy'
)
$writing = @{
    'New-LocalUser'            = @('Name', 'FullName', 'Description', 'Password', 'PasswordNeverExpires', 'UserMayNotChangePassword', 'AccountExpires', 'AccountNeverExpires', 'Disabled')
    'Set-LocalUser'            = @('Name', 'FullName', 'Description', 'Password', 'PasswordNeverExpires', 'UserMayChangePassword', 'AccountExpires', 'AccountNeverExpires')
    'Enable-LocalUser'         = @('Name')
    'Disable-LocalUser'        = @('Name')
    'Remove-LocalUser'         = @('SID')
    'Add-LocalGroupMember'     = @('SID', 'Member')
    'Remove-LocalGroupMember'  = @('SID', 'Member')
    'New-Service'              = @('Name', 'BinaryPathName', 'DisplayName', 'Description', 'StartupType')
    'Start-Service'            = @('Name')
    'Stop-Service'             = @('Name')
    'New-NetFirewallRule'      = @('Name', 'DisplayName', 'Group') + $rule
    'Set-NetFirewallRule'      = @('Name', 'NewDisplayName') + $rule
    'Remove-NetFirewallRule'   = @('Name')
    'Register-ScheduledTask'   = @('TaskName', 'TaskPath', 'Xml', 'Force')
    'Unregister-ScheduledTask' = @('TaskName', 'TaskPath', 'Confirm')
    'Enable-ScheduledTask'     = @('TaskName', 'TaskPath')
    'Disable-ScheduledTask'    = @('TaskName', 'TaskPath')
    'New-Item'                 = @('ItemType', 'Path')
    'Remove-Item'              = @('LiteralPath')
}
# Nothing may be meant by a pattern, and items are folders and files of a local disk.
$shapes = @{
    Name        = '\A[^*?\[\]]+\z'
    TaskName    = '\A[^*?\[\]]+\z'
    TaskPath    = '\A[^*?\[\]]+\z'
    ItemType    = '\ADirectory\z'
    Path        = $localPath
    LiteralPath = $localPath
}
$verbs['cmdlet.write'] = {
    [CmdletBinding()] param([string]$name, [hashtable]$parameters = @{})
    foreach ($parameter in $parameters.get_Keys()) {
        $shape = $shapes[$parameter]
        if ($null -ne $shape -and [string]$parameters[$parameter] -notmatch $shape) {
            Stop-Call 'BadName' "'$name -$parameter' does not take '$($parameters[$parameter])'"
        }
    }
    [void](Invoke-Listed $writing $name $parameters @())
}

# Programs by name and sub-command; the rest of the line arrives ready quoted.
$programs = @{ 'sc.exe' = @('config', 'description', 'failure', 'failureflag', 'delete') }
$verbs['program.write'] = {
    [CmdletBinding()] param([string]$program, [string]$command, [string]$line, [int]$seconds = 60)
    if ($programs[$program] -notcontains $command) { Stop-Call 'NotListed' "'$program $command' is not listed" }
    [void](Invoke-System $program "$command $line" $seconds)
}

# The registry takes signed numbers; ours are unsigned, as Windows shows them.
function ConvertTo-RegistryData([string]$kind, $data) {
    switch ($kind) {
        'DWord' { return [BitConverter]::ToInt32([BitConverter]::GetBytes([uint32]$data), 0) }
        'QWord' { return [BitConverter]::ToInt64([BitConverter]::GetBytes([uint64]$data), 0) }
        'MultiString' { return , [string[]]@($data) }
        'Binary' { return , [byte[]]$data }
        'String' { return [string]$data }
        'ExpandString' { return [string]$data }
    }
    Stop-Call 'NotListed' "registry kind '$kind' is not listed"
}
$verbs['registry.write'] = {
    [CmdletBinding()] param([string]$hive = 'LocalMachine', [string]$path, [string]$view = 'Registry64', [string]$name, [string]$kind, $data)
    $raw = ConvertTo-RegistryData $kind $data
    $key = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view).CreateSubKey($path)
    try { $key.SetValue($name, $raw, $kind) } finally { $key.Dispose() }
}
$verbs['registry.remove'] = {
    [CmdletBinding()] param([string]$hive = 'LocalMachine', [string]$path, [string]$view = 'Registry64', [string]$name)
    $key = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view).OpenSubKey($path, $true)
    if ($null -ne $key) { try { $key.DeleteValue($name, $false) } finally { $key.Dispose() } }
}

# What is replaced as a whole comes with what it should replace. Control flags go back as they were read: a lost P opens a folder.
$verbs['sddl.write'] = {
    [CmdletBinding()] param([string]$path, [string]$sddl, [string]$expect, [bool]$owner)
    $item = Find-Item $path
    if ($null -eq $item) { Stop-Call 'Stale' 'stale: nothing is there' }
    $now = (Get-Acl -LiteralPath $path).Sddl
    if ($now -cne $expect) { Stop-Call 'Stale' "stale: $now" }
    if ($owner) { $sections = 'Access, Owner' } else { $sections = 'Access' }
    $security = $item.GetAccessControl($sections)
    $security.SetSecurityDescriptorSddlForm($sddl, $sections)
    $item.SetAccessControl($security)
}

$serviceName = '\A[^\x00-\x1f"/\\]{1,256}\z'
$verbs['service.sddl.write'] = {
    [CmdletBinding()] param([string]$name, [string]$sddl, [string]$expect)
    if ($name -notmatch $serviceName) { Stop-Call 'BadName' "'$name' is no name of a service" }
    if ($sddl -notmatch '\A[^\x00-\x20"]+\z') { Stop-Call 'BadName' 'a descriptor with blanks or quotes is not written' }
    $shown = Invoke-System 'sc.exe' "sdshow `"$name`""
    $now = [System.Text.Encoding]::ASCII.GetString($shown.stdout).Trim()
    # two spellings of one list are one text; the audit list, which only some are shown, does not count
    $lists = @(foreach ($text in $now, $expect.Trim()) { (New-Object System.Security.AccessControl.RawSecurityDescriptor $text).GetSddlForm('Access') })
    if ($lists[0] -cne $lists[1]) { Stop-Call 'Stale' "stale: $now" }
    [void](Invoke-System 'sc.exe' "sdset `"$name`" `"$sddl`"")
}

# A right's holders as text to compare: in lower case, each once, sorted.
function Format-Holders([string[]]$holders) {
    $names = @(foreach ($holder in $holders) { $holder.Trim().ToLower() })
    return (@($names | Where-Object { $_ -ne '' } | Sort-Object -Unique) -join ',')
}
function Find-Holders([string]$template, [string]$right) {
    if ($template -notmatch ('(?im)^' + $right + '[ \t]*=(.*)$')) { return '' }
    return Format-Holders ($matches[1] -split ',')
}
$verbs['rights.write'] = {
    [CmdletBinding()] param([byte[]]$template, [hashtable]$expect)
    $exported = [System.Text.Encoding]::Unicode.GetString((Export-Rights))
    foreach ($right in $expect.get_Keys()) {
        if ($right -notmatch '\ASe[A-Za-z]+\z') { Stop-Call 'BadName' "'$right' is no right" }
        $now = Find-Holders $exported $right
        if ($now -cne (Format-Holders $expect[$right])) { Stop-Call 'Stale' "stale: $right = $now" }
    }
    [void](Use-TemporaryFolder {
        param($folder)
        $file = Join-Path $folder 'rights.inf'
        [System.IO.File]::WriteAllBytes($file, $template)
        [void](Invoke-System 'secedit.exe' ('/configure /db "{0}" /cfg "{1}" /areas USER_RIGHTS /quiet' -f (Join-Path $folder 'rights.sdb'), $file) 110 @(0, 3))
    })
}

# A file arrives in pieces beside its place and takes the name only when whole and right.
$verbs['file.append'] = {
    [CmdletBinding()] param([string]$path, [long]$offset, $bytes)
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
$verbs['file.commit'] = {
    [CmdletBinding()] param([string]$path, [string]$sha256)
    Assert-Local $path
    $piece = "$path.opdeploy"
    $actual = (Get-FileHash -LiteralPath $piece -Algorithm SHA256).Hash.ToLower()
    if ($actual -ne $sha256) {
        [System.IO.File]::Delete($piece)
        Stop-Call 'BadHash' "the file arrived with hash $actual"
    }
    if ([System.IO.File]::Exists($path)) { [System.IO.File]::Replace($piece, $path, [NullString]::Value) }
    else { [System.IO.File]::Move($piece, $path) }
}
$verbs['file.discard'] = {
    [CmdletBinding()] param([string]$path)
    Assert-Local $path
    [System.IO.File]::Delete("$path.opdeploy")
}
