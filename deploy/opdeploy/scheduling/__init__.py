"""A check each night, told to what starts it: `nightly` is it as data, `systemd` and `crontab` tell it in their words."""
