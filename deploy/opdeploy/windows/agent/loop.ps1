# The loop. Lines come in, replies go out:
#   *N BASE64     a secret, on its own line, so that no cmdlet ever has it in a parameter that Windows may log
#   {"id", "writes", "calls": [{"verb", "args"}]}   a request; each call is answered by one line, the last line ends the request
# The first `writes` calls change the host: when one of them fails, the rest of them are left out, and the reads after them still run.
Set-StrictMode -Version 2.0
$utf8 = New-Object System.Text.UTF8Encoding $false
$out = [Console]::OpenStandardOutput()
$secrets, $verbs = @{}, @{}
$system = [Environment]::SystemDirectory
# Ends a call with an error that the caller tells by its id, 'opdeploy.' and a word of ours; texts are for people.
function Stop-Call([string]$id, [string]$message) {
    $cause = New-Object System.InvalidOperationException $message
    throw (New-Object System.Management.Automation.ErrorRecord $cause, "opdeploy.$id", 'InvalidOperation', $null)
}
# A string in a request carries a tag, so that no JSON parser takes it for a date:
# '=' text, '#' bytes in base64, '*N' the secret N as a SecureString, '!N' as text.
function ConvertFrom-Tagged([string]$value) {
    $text = $value.Substring(1)
    switch ($value.Substring(0, 1)) {
        '=' { return $text }
        '#' { return , [Convert]::FromBase64String($text) }
        '!' { return $utf8.GetString($secrets[$text]) }
        '*' {
            $secret = New-Object System.Security.SecureString
            foreach ($char in $utf8.GetString($secrets[$text]).ToCharArray()) { $secret.AppendChar($char) }
            return $secret
        }
    }
    Stop-Call 'Untagged' 'a string in the request has no tag'
}

function ConvertFrom-Wire($value) {
    if ($value -is [string]) { return ConvertFrom-Tagged $value }
    if ($value -is [System.Management.Automation.PSCustomObject]) {
        $table = @{}
        foreach ($property in $value.PSObject.Properties) { $table[$property.Name] = ConvertFrom-Wire $property.Value }
        return $table
    }
    if ($value -is [array]) { return , @(foreach ($item in $value) { , (ConvertFrom-Wire $item) }) }
    return $value
}
# Types that are best told by their text.
$textual = @('System.Guid', 'System.Version', 'System.Char', 'System.Net.IPAddress', 'System.Security.Principal.SecurityIdentifier', 'System.Uri')
# Only what JSON has: enums by name, times in UTC, bytes in base64. A string loses what PowerShell may have pinned to it
# (5.1 would print that too). What has no plain form is an error, never a guess.
function ConvertTo-Plain($value, [int]$depth = 0) {
    if ($depth -gt 90) { Stop-Call 'NoPlainForm' 'nested too deep' }
    if ($null -eq $value -or $value -is [System.DBNull]) { return $null }
    if ($value -is [string]) { return $value.ToString() }
    if ($value -is [byte[]]) { return [Convert]::ToBase64String($value) }
    if ($value -is [datetime]) { return $value.ToUniversalTime().ToString('o') }
    if ($value -is [timespan]) { return [System.Xml.XmlConvert]::ToString($value) }
    if ($value -is [enum] -or $textual -contains $value.GetType().FullName) { return [string]$value }
    if ($value.GetType().IsPrimitive) { return $value }
    if ($value -is [System.Collections.IDictionary]) {
        $table = @{}
        foreach ($key in @($value.get_Keys())) { $table[[string]$key] = ConvertTo-Plain $value[$key] ($depth + 1) }
        return $table
    }
    if ($value -isnot [System.Collections.IEnumerable]) { Stop-Call 'NoPlainForm' "no plain form for $($value.GetType().FullName)" }
    return , @(foreach ($item in $value) { , (ConvertTo-Plain $item ($depth + 1)) })
}
# Chosen properties of some objects, one dictionary each; a property that this Windows does not have is left out. A string is itself, an event its XML.
function Select-Plain($objects, [string[]]$select) {
    return , @(foreach ($object in $objects) {
        if ($object -is [string]) { $object; continue }
        if ($object -is [System.Diagnostics.Eventing.Reader.EventRecord]) { $object.ToXml(); continue }
        $row = @{}
        foreach ($name in $select) { if ($property = $object.PSObject.Properties[$name]) { $row[$name] = $property.Value } }
        $row
    })
}
# Calls a cmdlet that a table names, with parameters that the table names. Told to stop at an error: a module sees no script's preference.
function Invoke-Listed($table, [string]$name, [hashtable]$parameters, [string[]]$select) {
    if (-not $table.ContainsKey($name)) { Stop-Call 'NotListed' "'$name' is not listed" }
    foreach ($parameter in $parameters.get_Keys()) {
        if ($table[$name] -notcontains $parameter) { Stop-Call 'NotListed' "'$name -$parameter' is not listed" }
    }
    return , (Select-Plain @(& $name @parameters -ErrorAction Stop) $select)
}
# Runs a program with a command line that arrives ready quoted: 5.1 mangles quotes in arguments of its own native calls, and a
# child that inherited our stdin would eat requests. Output comes back as bytes: only the caller knows their encoding.
function Invoke-Program([string]$program, [string]$line, [int]$seconds) {
    $start = New-Object System.Diagnostics.ProcessStartInfo $program, $line
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        $process.StandardInput.Close()
        $stdout, $stderr = (New-Object System.IO.MemoryStream), (New-Object System.IO.MemoryStream)
        $copies = @($process.StandardOutput.BaseStream.CopyToAsync($stdout), $process.StandardError.BaseStream.CopyToAsync($stderr))
        $ended = $process.WaitForExit($seconds * 1000)
        if (-not $ended) { $process.Kill() }
        # a grandchild may hold the pipes open long after its parent is gone
        $whole = [System.Threading.Tasks.Task]::WaitAll($copies, 2000)
        $answer = @{ ended = $ended; whole = $whole; stdout = $stdout.ToArray(); stderr = $stderr.ToArray() }
        if ($ended) { $answer.exit = $process.ExitCode }
        return $answer
    }
    finally { $process.Dispose() }
}
# Runs one of Windows' own programs, which has to end well (secedit's 3: with warnings). Its output is for people, in their language.
function Invoke-System([string]$program, [string]$line, [int]$seconds = 60, [int[]]$fine = @(0)) {
    $run = Invoke-Program ([System.IO.Path]::Combine($system, $program)) $line $seconds
    $what = $program + ' ' + ($line -split ' ')[0]
    if (-not $run.ended) { Stop-Call 'ProgramTimedOut' "$what did not end within $seconds seconds" }
    if ($fine -contains $run.exit) { return $run }
    $said = ([Console]::OutputEncoding.GetString([byte[]]($run.stdout + $run.stderr)) -replace '\s+', ' ').Trim()
    Stop-Call 'ProgramFailed' "$what ended with $($run.exit): $said"
}
# Gives a script block a new empty folder, and removes that with all that is in it.
function Use-TemporaryFolder([scriptblock]$body) {
    $folder = Join-Path ([System.IO.Path]::GetTempPath()) ('opdeploy-' + [guid]::NewGuid().ToString('N'))
    [void][System.IO.Directory]::CreateDirectory($folder)
    try { return , (& $body $folder) } finally { [System.IO.Directory]::Delete($folder, $true) }
}
# Replies gather and go out together: each write may become a round trip of its own on the wire.
$pending = New-Object System.IO.MemoryStream
$clock = [System.Diagnostics.Stopwatch]::StartNew()
function Write-Reply($reply, [bool]$last) {
    $bytes = $utf8.GetBytes('opdeploy ' + (ConvertTo-Json -InputObject $reply -Depth 100 -Compress) + "`n")
    $pending.Write($bytes, 0, $bytes.Length)
    if (-not $last -and $pending.Length -lt 65536 -and $clock.ElapsedMilliseconds -lt 500) { return }
    $pending.WriteTo($out); $out.Flush()
    $pending.SetLength(0); $clock.Restart()
}

function Get-Failure($record) {
    $cause = $record.Exception.GetBaseException()
    $kind = @{ id = [string]$record.FullyQualifiedErrorId; category = [string]$record.CategoryInfo.Category }
    return $kind + @{ message = [string]$cause.Message; type = $cause.GetType().FullName; hresult = $cause.HResult }
}

function Invoke-Call($call) {
    $verb = $verbs[[string]$call.verb]
    if (-not $verb) { Stop-Call 'NoVerb' "no verb '$($call.verb)' in this session" }
    $arguments = ConvertFrom-Wire $call.args
    return , (& $verb @arguments)
}

function Invoke-Request($request) {
    $number, $answered, $failed = -1, 0, $false
    foreach ($call in @($request.calls)) {
        $number++
        if ($failed -and $number -lt $request.writes) { continue }
        $reply = @{ id = $request.id; call = $number }
        try { $reply.value = ConvertTo-Plain (Invoke-Call $call) }
        catch { $reply.error = Get-Failure $_; $failed = $true }
        Write-Reply $reply $false
        $answered++
    }
    Write-Reply @{ id = $request.id; done = $answered } $true
}
# Nothing that comes in ends the loop; what is no request is answered as such.
function Receive-Line([string]$line) {
    try {
        if ($line.Trim() -eq '') { return }
        if ($line.StartsWith('*')) {
            $number, $bytes = $line.Substring(1) -split ' ', 2
            $secrets[$number] = [Convert]::FromBase64String($bytes)
            return
        }
        $clock.Restart()
        Invoke-Request (ConvertFrom-Json -InputObject $line)
        $secrets.Clear()
    }
    catch { $secrets.Clear(); Write-Reply @{ id = $null; error = Get-Failure $_; done = 0 } $true }
}
