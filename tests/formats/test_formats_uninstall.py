"""Uninstall keys: who installed it, and whether Windows lists it."""

from __future__ import annotations

import pytest
from format_samples import read_reg, shared

from opdeploy.formats.uninstall import InstalledProgram, parse

GUID = "{0d9c3c1e-5d4c-4b4e-9f9d-0a86f2c9a8b1}"


@pytest.mark.parametrize(
    ("key", "values", "kind"),
    [
        (GUID, {"WindowsInstaller": 1, "UninstallString": f"MsiExec.exe /I{GUID}"}, "msi"),
        (GUID, {"UninstallString": f"MsiExec.exe /X{GUID}"}, "msi"),
        (GUID, {"BundleCachePath": "C:\\x.exe", "UninstallString": '"C:\\x.exe"  /uninstall'}, "burn"),
        ("Firebird_is1", {"UninstallString": '"C:\\FB\\unins000.exe"'}, "inno"),
        ("Foo", {"Inno Setup: App Path": "C:\\FB"}, "inno"),
        ("7zip", {"UninstallString": '"C:\\Program Files\\X\\uninst.exe"'}, "nsis"),
        ("Conda", {"UninstallString": '"C:\\Conda\\Uninstall-Anaconda3.exe"'}, "nsis"),
        (f"InstallShield_{GUID}", {}, "installshield"),
        (GUID, {"UninstallString": "RunDll32 C:\\x\\ctor.dll,LaunchSetup"}, "installshield"),
        ("Teams", {"UninstallString": '"C:\\Teams\\Update.exe" --uninstall'}, "squirrel"),
        ("Other", {"UninstallString": "C:\\OneDrive\\OneDriveSetup.exe  /uninstall "}, "unknown"),
        ("Empty", {}, "unknown"),
    ],
)
def test_the_installer_is_told_by_what_it_leaves(key: str, values: dict[str, object], kind: str) -> None:
    assert parse(key, values).kind == kind


def test_values_are_kept_as_written_and_names_ignore_case() -> None:
    values = {"displayname": "OP (64-bit)", "DISPLAYVERSION": "5.9.7 (3931)", "Publisher": "X", "WindowsInstaller": 1,
              "UninstallString": "MsiExec.exe /X ", "InstallLocation": "", "BundleUpgradeCode": ["{A}", "{B}"]}  # fmt: skip
    assert parse(GUID, values) == InstalledProgram(
        key=GUID,
        kind="msi",
        product_code=GUID.upper(),
        display_name="OP (64-bit)",
        display_version="5.9.7 (3931)",
        publisher="X",
        uninstall_string="MsiExec.exe /X ",
        upgrade_codes=("{A}", "{B}"),
    )


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ({}, True),
        ({"SystemComponent": 1}, False),
        ({"ParentKeyName": "OP"}, False),
        ({"ReleaseType": "Security Update"}, False),
        ({"ReleaseType": "Product"}, True),
        ({"UninstallString": ""}, False),
        ({"UninstallString": "", "NoRemove": 1}, True),
        ({"DisplayName": ""}, False),
    ],
)
def test_windows_lists_programs_not_parts_and_updates(values: dict[str, object], listed: bool) -> None:
    assert parse("x", {"DisplayName": "OP", "UninstallString": "u.exe", **values}).listed is listed


def test_every_real_entry_is_read() -> None:
    (path,) = shared("uninstall/*.reg")
    programs = [parse(key.rsplit("\\", 1)[1], values) for key, values in read_reg(path).items() if values]
    assert all(program.listed for program in programs)
    assert {program.kind for program in programs} == {"burn", "inno", "nsis", "squirrel", "unknown"}
