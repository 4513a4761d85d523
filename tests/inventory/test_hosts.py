"""Connections from Ansible's names, secrets from where they are, what nobody claims, and one password for two hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from opdeploy.inventory import (
    Connection,
    Host,
    InventoryError,
    load,
    role_settings,
    secret_uses,
    select,
    shared_secrets,
    unclaimed,
)
from opdeploy.model import Secret, UsageError
from opdeploy.resources.local_user import OWN_PASSWORD

LOGIN = "ansible_user: admin\nansible_password: { from_env: PW }\n"
HOSTS = "all: { children: { servers: { hosts: { db1: , db2: } }, stations: { hosts: { pc1: } } } }\n"
ENVIRON = {"PW": "geheim", "OTHER": "geheim", "OWN": "anders"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, "hosts.yml", HOSTS)
    write(tmp_path, "group_vars/all.yml", LOGIN)
    return tmp_path


def write(directory: Path, name: str, text: str) -> None:
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text(text)


def host(directory: Path, variables: str) -> Host:
    write(directory, "host_vars/db1.yml", variables)
    return load(directory, ENVIRON).hosts[0]


def problems(directory: Path, variables: str) -> list[str]:
    with pytest.raises(InventoryError) as raised:
        host(directory, variables)
    return [str(problem).partition("host_vars/db1.yml:")[2] for problem in raised.value.problems]


def test_a_bare_host_is_reached_by_its_name_over_https_with_ntlm(directory: Path) -> None:
    assert load(directory, ENVIRON).hosts[0].connection == Connection("db1", user="admin", password=Secret("geheim"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("ansible_port: 5985", {"scheme": "http", "port": 5985}),
        ("ansible_winrm_scheme: http", {"scheme": "http", "port": 5985}),
        ("ansible_port: 15985\nansible_winrm_scheme: http", {"scheme": "http", "port": 15985}),
        ("ansible_port: 443", {"scheme": "https", "port": 443}),
        ("ansible_winrm_transport: [basic]", {"transport": "basic"}),
        ("ansible_winrm_operation_timeout_sec: 60", {"operation_timeout": 60, "read_timeout": 70}),
        ("ansible_winrm_server_cert_validation: ignore", {"server_cert_validation": "ignore"}),
        ("ansible_host: 'fe80::1'", {"address": "fe80::1"}),
        ("ansible_connection: winrm", {}),
    ],
)
def test_what_the_names_say(directory: Path, variables: str, expected: dict[str, object]) -> None:
    connection = host(directory, variables).connection
    assert {name: getattr(connection, name) for name in expected} == expected


def test_certificates_lie_relative_to_the_inventory(directory: Path) -> None:
    write(directory, ".tls/ca.pem", "x")
    connection = host(directory, "ansible_winrm_ca_trust_path: .tls/ca.pem").connection
    assert connection.ca_trust_path == str(directory / ".tls/ca.pem")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            "ansible_host: https://db1:5986",
            "1:1  ansible_host: expected a name or an IP address, without port or scheme",
        ),
        ("ansible_port: 70000", "1:1  ansible_port: expected less than or equal to 65535, found 70000"),
        (
            "ansible_winrm_password: x",
            "1:1  ansible_winrm_password: no such setting\n    did you mean ansible_password?",
        ),
        (
            "ansible_winrm_transport: [ntlm, basic]",
            "1:1  ansible_winrm_transport: expected 'ntlm', 'kerberos', 'certificate' or 'basic', found a list",
        ),
        ("ansible_winrm_ca_trust_path: ca.pem", "1:1  ansible_winrm_ca_trust_path: no such file: ca.pem"),
        (
            "ansible_winrm_operation_timeout_sec: 60\nansible_winrm_read_timeout_sec: 30",
            "2:1  ansible_winrm_read_timeout_sec: expected more than the operation time-out, which is 60",
        ),
    ],
)
def test_what_cannot_work_is_told(directory: Path, variables: str, expected: str) -> None:
    (problem,) = problems(directory, variables)
    assert problem.startswith(expected)


def test_a_certificate_needs_its_files_and_https(directory: Path) -> None:
    with pytest.raises(InventoryError) as raised:
        host(directory, "ansible_winrm_transport: certificate\nansible_port: 5985")
    keys = sorted(problem.path for problem in raised.value.problems)
    assert keys == ["ansible_winrm_cert_key_pem", "ansible_winrm_cert_pem", "ansible_winrm_transport"]


def test_a_secret_file_loses_one_line_end_and_the_digest_never_sees_it(directory: Path) -> None:
    write(directory, ".secrets/op", "pass word \r\n")
    before = load(directory, ENVIRON).sources
    settings = "op: { password: { from_file: .secrets/op } }"
    secret = host(directory, settings).variables["op"].mapping["password"].value
    assert (secret.reveal(), secret.source) == ("pass word ", "file:.secrets/op")
    with_it = load(directory, ENVIRON).sources
    write(directory, ".secrets/op", "another\n")
    assert load(directory, ENVIRON).sources == with_it != before


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("{ from_env: NOT_THERE }", "the environment variable NOT_THERE is not set"),
        ("{ from_env: [a] }", "no secret"),
        ("{ from_env: '' }", "no secret"),
        ("{ from_env: PW, from_file: x }", "no secret"),
        ("{ from_file: missing }", "the file missing cannot be read: No such file or directory"),
        ("{ from_file: . }", "the file . cannot be read: Is a directory"),
        ('{ from_file: "a\\0b" }', "the file a\\x00b cannot be read: no such path"),
        ('{ from_env: "a\\0b" }', "the environment variable a\\x00b is not set"),
        ("{ from_credential: op }", "the credential op is not there: $CREDENTIALS_DIRECTORY is not set"),
        ("{ from_credential: ../op }", "../op is no credential's name"),
    ],
)
def test_a_secret_that_is_not_there_is_named(directory: Path, form: str, expected: str) -> None:
    (problem,) = problems(directory, f"op:\n  password: {form}")
    assert problem.partition("\n")[0] == f"2:3  op.password: {expected}"


def test_a_credential_is_a_file_where_systemd_puts_it(directory: Path) -> None:
    write(directory, "given/op", "pass word\n")
    environ = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(directory / "given")}
    write(directory, "host_vars/db1.yml", "op: { password: { from_credential: op } }")
    secret = load(directory, environ).hosts[0].variables["op"].mapping["password"].value
    assert (secret.reveal(), secret.source) == ("pass word", "credential:op")
    write(directory, "host_vars/db1.yml", "op: { password: { from_credential: gone } }")
    with pytest.raises(InventoryError) as raised:
        load(directory, environ)
    assert "the credential gone cannot be read: No such file or directory" in str(raised.value)
    assert f"it is looked for in {directory / 'given'}" in str(raised.value)


def test_nobody_sees_a_secret_of_a_host(directory: Path) -> None:
    found = host(directory, "op: [{ password: { from_env: OTHER } }]")
    assert "geheim" not in repr(found) + str(found.variables["op"].value)


def test_a_secret_in_a_list_is_found_with_its_path(directory: Path) -> None:
    found = host(directory, "op: { accounts: [{ password: { from_env: OTHER } }] }")
    (use,) = secret_uses("db1", found.variables["op"], "op")
    assert (use.path, use.at.line, use.secret.source) == ("op.accounts[0].password", 1, "env:OTHER")


def test_the_same_password_on_two_hosts_is_a_problem_on_one_host_not(directory: Path) -> None:
    write(directory, "group_vars/servers.yml", "op: { password: { from_env: PW } }\n")
    write(directory, "host_vars/db2.yml", "op: { password: { from_env: OTHER }, again: { from_env: OTHER } }\n")
    write(directory, "host_vars/pc1.yml", "op: { password: { from_env: OWN } }\n")
    uses = [use for host in load(directory, ENVIRON).hosts for use in secret_uses(host.name, host.variables["op"], "op")]
    assert shared_secrets([use for use in uses if use.host != "db1"], OWN_PASSWORD) == []
    (problem,) = shared_secrets(uses, OWN_PASSWORD)
    assert "the same password for db1 and db2 (also " in problem.message
    assert "geheim" not in str(problem)


def test_variables_of_nobody_are_named_with_the_nearest_right_name(directory: Path) -> None:
    found = host(directory, "firewal: {}\nfirewall: {}\n")
    (problem,) = unclaimed(found, ["firewall"])
    assert (problem.path, problem.hint) == ("firewal", "did you mean firewall?")


def test_a_host_has_the_roles_that_stand_there_with_settings_or_nothing(directory: Path) -> None:
    found = host(directory, "one: { a: 1 }\ntwo:\nthree: 3\n")
    roles, wrong = role_settings(found, ["two", "one", "three", "four"])
    assert {name: node.value for name, node in roles.items()} == {"two": None, "one": {"a": 1}}
    assert [problem.path for problem in wrong] == ["three"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], "db1 db2 pc1"),
        (["all"], "db1 db2 pc1"),
        (["pc1", "db1"], "db1 pc1"),
        (["servers"], "db1 db2"),
        (["servers:!db1"], "db2"),
        (["!servers"], "pc1"),
        (["*1"], "db1 pc1"),
        (["s*,&*1,!db?"], "pc1"),
        (["db[13]"], "db1"),
        (["servers", "&db2"], "db2"),
    ],
)
def test_limits(directory: Path, limits: list[str], expected: str) -> None:
    assert [host.name for host in select(load(directory, ENVIRON), limits)] == expected.split()


@pytest.mark.parametrize(
    ("limit", "message", "hint"),
    [
        ("server", "the limit server matches no host and no group", "did you mean servers?"),
        ("!db11", "the limit db11 matches no host and no group", "did you mean db1?"),
        ("db1:!servers", "the limit db1:!servers leaves no host", "list the hosts with: opdeploy inventory list"),
        ("!", "a limit's & or ! names nothing", "write the name of a host or a group behind it"),
    ],
)
def test_a_limit_that_leaves_nothing_is_an_error(directory: Path, limit: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        select(load(directory, ENVIRON), [limit])
    assert (raised.value.message, raised.value.hint) == (message, hint)
