"""docs/pyinfra.md: its script runs, its tables are those of the code, and every global argument is decided as it says."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labs import Box
from pyinfra.api.arguments import all_global_arguments
from pyinfra.api.hiddenvalue import HiddenValue

from opdeploy.lab.windows.state import dump
from opdeploy.model import OpdeployError
from opdeploy.resources import KINDS
from opdeploy.windows import carrier, connector, facts, operations

PAGE = (Path(__file__).parents[2] / "docs/pyinfra.md").read_text(encoding="utf-8")
SCRIPT = PAGE.partition("## A script")[2].partition("```python\n")[2].partition("```")[0]
DECISIONS = PAGE.partition("## Global arguments")[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def decided() -> dict[str, str]:
    rows = [line.strip("|").split("|") for line in DECISIONS.splitlines() if line.startswith("| `")]
    return {name: row[1].strip() for row in rows for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.slow
def test_the_script_runs_and_is_then_done(db1: Box, pyinfra: Run, inventory: Path, tmp_path: Path) -> None:
    deploy = tmp_path / "my_script.py"
    deploy.write_text(SCRIPT, encoding="utf-8")
    asked = ("@winrm/db1", str(deploy), "--data", f"opdeploy_inventory={inventory}")
    before = dump(db1.state)
    assert pyinfra("--dry", *asked).returncode == 0
    assert dump(db1.state) == before
    wet = pyinfra(*asked)
    assert wet.returncode == 0, wet.stdout + wet.stderr
    after = dump(db1.state)
    assert after != before
    assert pyinfra(*asked).returncode == 0
    assert dump(db1.state) == after


def test_there_is_an_operation_for_every_kind_as_the_page_says() -> None:
    assert "one operation for every kind" in PAGE
    assert set(KINDS) <= set(operations.__all__)


def test_every_fact_is_told_with_its_arguments() -> None:
    table = PAGE.partition("## Facts")[2].partition("## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", table, re.MULTILINE))
    found = {name: fact for name, fact in vars(facts).items() if inspect.isclass(fact) and fact.__module__ == facts.__name__}
    found.pop("_Answer")
    assert {name: re.findall(r"`(\w+)`", given) for name, given in told.items()} == {
        name: list(inspect.signature(fact.command).parameters)[1:] for name, fact in found.items()
    }


def test_every_key_of_a_hosts_data_is_told() -> None:
    keys = {key for key in connector.WinRMConnector.data_meta if key != "opdeploy_station"}
    assert keys <= set(re.findall(r"`(\w+)`", PAGE))


def test_every_global_argument_of_pyinfra_is_decided() -> None:
    assert sorted(decided()) == sorted(name for name, _ in all_global_arguments())


TRUTHY: dict[str, Any] = {"_shell_executable": "bash", "_success_exit_codes": [0, 3]}


@pytest.mark.parametrize("name", [name for name, decision in decided().items() if decision.endswith("refused")
                                  or decision.startswith("refused")])  # fmt: skip
def test_what_is_said_to_be_refused_is(name: str) -> None:
    with pytest.raises(OpdeployError, match="can't hold on Windows"):
        carrier.refuse_posix({name: TRUTHY.get(name, "x")})


@pytest.mark.parametrize("name", [name for name, decision in decided().items() if "refused" not in decision])
def test_what_is_not_said_to_be_refused_is_not(name: str) -> None:
    carrier.refuse_posix({name: "x"})


def test_a_hidden_value_of_the_environment_arrives_as_it_is() -> None:
    assert carrier.environment({"OP_MODE": HiddenValue("blau"), "PORT": 3050}) == {"OP_MODE": "blau", "PORT": "3050"}
