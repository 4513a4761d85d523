# What runs all this: each read is answered by one line, without what can carry a token.
$request = ConvertFrom-Json -InputObject $data
$leftOut = [string]$request.left_out

function Hide-Data($data) {
    if ($data -is [string] -and $data -ne '') { return $leftOut }
    if ($data -is [array]) { return , @($data | ForEach-Object { Hide-Data $_ }) }
    return $data
}

# A key's values by name, and all of them where the key is one of command lines.
function Hide-Values($key, [bool]$all) {
    if ($null -eq $key) { return }
    foreach ($name in @($key['values'].get_Keys())) {
        if ($all -or $request.values -contains $name) { $key['values'][$name] = @($key['values'][$name][0], (Hide-Data $key['values'][$name][1])) }
    }
    if ($key.ContainsKey('subkeys')) {
        foreach ($subkey in @($key['subkeys'].get_Values())) { Hide-Values $subkey $false }
    }
}

function Hide-Task($row) {
    if ($row -is [string]) { return [regex]::Replace($row, [string]$request.in_tasks, '$1' + $leftOut + '$4') }
    return $row
}

function Hide-Token($call, $value) {
    if ($call.verb -eq 'registry.read') { Hide-Values $value ($call.args.path -match $request.keys) }
    if ($call.verb -eq 'cmdlet.read' -and $call.args.name -eq '=Export-ScheduledTask') {
        return , @($value | ForEach-Object { Hide-Task $_ })
    }
    return , $value
}

# ASCII only, so that no console's code page changes anything on the way into the file.
function Write-Line($reply) {
    $json = ConvertTo-Json -InputObject $reply -Depth 100 -Compress
    $ascii = [regex]::Replace($json, '[^\x20-\x7e]', { param($found) '\u{0:x4}' -f [int][char]$found.Value })
    [Console]::Out.WriteLine('opdeploy ' + $ascii)
}

Write-Line @{ schema = 'opdeploy.answer/1'; host = $request.host; agent = $request.agent; taken_at = [datetime]::UtcNow.ToString('o') }
foreach ($call in $request.calls) {
    $reply = @{ call = $call }
    try { $reply.value = Hide-Token $call (ConvertTo-Plain (Invoke-Call $call)) }
    catch { $reply.error = Get-Failure $_ }
    Write-Line $reply
}
Write-Line @{ done = @($request.calls).Count }
