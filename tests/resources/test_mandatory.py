"""Every kind has the cases that no kind may do without; what one is exempt from stands here with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from opdeploy.resources import KINDS
from opdeploy.resources.base import properties

FOLDER = Path(__file__).parent.parent / "cases"
ALWAYS = ("create", "in_sync", "absent", "wrong_type", "quotes_and_unicode", "known_after_apply", "set_by_policy", "unknown")

NOT_READ = "only what policies set of firewall, registry, rights and groups is read (RSOP_SystemService, RSOP_File are not)"
WHOLE_TEXT = "a step is signed off as a whole: test_resources_manual_step.py holds that each of its texts counts"

# (kind, how the missing file's name would begin) -> why there is none
EXEMPT = {
    ("local_user", "known_after_apply"): "an account stands on nothing that a plan makes",
    ("local_user", "set_by_policy"): "group policies that make local accounts leave no trace that tells them from ours",
    ("service", "set_by_policy"): NOT_READ,
    ("directory", "set_by_policy"): NOT_READ,
    ("access_rule", "set_by_policy"): NOT_READ,
    ("scheduled_task", "set_by_policy"): "a policy's preferences make ordinary tasks that nothing marks",
    ("file", "set_by_policy"): "a policy's preferences make ordinary files that nothing marks",
    ("jea_endpoint", "set_by_policy"): "no policy registers endpoints of PowerShell",
    ("share", "set_by_policy"): "a policy's preferences make ordinary shares that nothing marks",
    ("firewall_rule", "known_after_apply"): "a rule may name a program or a service that is not there: it stands on nothing",
    ("package", "set_by_policy"): "what a policy assigns is installed by Windows Installer, as any other package is",
    ("registry_value", "known_after_apply"): "a value's key is made with it: it stands on nothing",
    ("defender_exclusion", "known_after_apply"): "what is excluded need not be there: it stands on nothing",
    ("local_group", "known_after_apply"): "a group stands on nothing that a plan makes",
    ("local_group", "set_by_policy"): "a policy's preferences make ordinary groups that nothing marks",
    ("windows_feature", "known_after_apply"): "a feature stands on nothing that a plan makes",
    ("windows_feature", "set_by_policy"): "no group policy sets features",
    ("reachable", "create"): "it is an assertion: nothing is made",
    ("reachable", "known_after_apply"): "what it asserts is another host's, which this plan does not make",
    ("reachable", "set_by_policy"): "it is an assertion: nothing sets it",
    ("audit_policy", "known_after_apply"): "a subcategory stands on nothing: Windows has them all",
    ("event_log", "known_after_apply"): "no kind here makes a log or says that a program brings one",
    ("event_log", "absent"): "a log is removed with the program that made it: absent is refused (wrong_type_absent)",
    ("environment_variable", "known_after_apply"): "a variable may name what is not there: it stands on nothing",
    ("environment_variable", "set_by_policy"): "a policy's preferences make ordinary values that nothing marks",
    ("sql_login", "set_by_policy"): "no group policy sets what is in SQL Server",
    ("manual_step", "known_after_apply"): "a person's step stands on nothing that a plan makes",
    ("manual_step", "set_by_policy"): "no policy signs a step off",
    **{("manual_step", f"only_{text}"): WHOLE_TEXT for text in ("title", "who", "how", "why")},
}


def named(kind: str) -> list[str]:
    return [path.stem for path in sorted((FOLDER / kind).glob("*.yml"))]


def wanted(kind: str) -> list[str]:
    return [*ALWAYS, *(f"only_{name}" for name in properties(KINDS[kind]))]


def missing(kind: str, files: list[str]) -> list[str]:
    return [begins for begins in wanted(kind) if not any(name.startswith(begins) for name in files)]


@pytest.mark.parametrize("kind", KINDS)
def test_no_mandatory_case_is_missing(kind: str) -> None:
    assert [begins for begins in missing(kind, named(kind)) if (kind, begins) not in EXEMPT] == []


@pytest.mark.parametrize(("kind", "begins"), EXEMPT)
def test_no_exemption_outlives_its_reason(kind: str, begins: str) -> None:
    assert kind in KINDS
    assert begins in missing(kind, named(kind)), "there is such a case now: take the exemption out"


def test_what_is_missing_is_found() -> None:
    assert missing("service", ["create", "in_sync", "only_state"])[:3] == ["absent", "wrong_type", "quotes_and_unicode"]
