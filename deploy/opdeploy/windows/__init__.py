"""WinRM: the session, the pyinfra connector, facts and operations, and the PowerShell that is sent."""
