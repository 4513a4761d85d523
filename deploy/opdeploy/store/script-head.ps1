# opdeploy snapshot: reads this computer's settings and prints them, so that somebody elsewhere can tell what differs from
# what was agreed. It changes nothing, connects to nothing and leaves nothing behind. Please read it before you run it, as
# an administrator, and send back the file that it writes:
#
#     powershell -NoProfile -ExecutionPolicy RemoteSigned -File THIS-FILE.ps1 > answer.txt
#
# What is read stands below, one line each, in $data. After it come the functions that read (the same that opdeploy uses over
# WinRM, without those that write), and at the end what runs them. Command lines, the arguments of tasks, environments of
# services and uninstall strings may hold passwords or licences: they are left out here, before anything is printed.
# 'opdeploy snapshot show answer.txt' shows an answer in full.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    'This PowerShell is locked down (' + $ExecutionContext.SessionState.LanguageMode + '): nothing was read.'
    exit 3
}
