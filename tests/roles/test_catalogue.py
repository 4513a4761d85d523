"""The catalogue of OP's products holds what the seeds list, and each product's role demands what the catalogue says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from roles_at_hand import refused

from opdeploy import roles

CATALOGUE: dict[str, dict[str, Any]] = yaml.safe_load((roles.find().paths[0] / "op_services" / "catalogue.yml").read_text())
# The rows of the table in 'OP Services and Software', On-Premise Server Access Requirement.
ROWS = {
    "opiis": "OPIIS",
    "opmsg": "OPMsg",
    "op_exchange_network": "OP Exchange Network",
    "op_exchange_network_update": "OP Exchange Network Update",
    "questhub": "OP QuestHub",
    "lab_interface": "OP Lab Interface",
    "instamed_connect": "Instamed Connect Batch Agent",
    "firebird": "Firebird",
    "op_backup": "OP Backup",
    "op_client": "OP Client",
    "op_web_update": "OP Web Update",
}
SURELY = {"seed", "verified", "general", "not found"}


def test_every_row_of_the_table_is_in_it_and_the_interface_besides() -> None:
    assert {id: entry["name"] for id, entry in CATALOGUE.items()} == ROWS | {"ophl7service": "OPHL7Service"}


@pytest.mark.parametrize("id", CATALOGUE)
def test_an_entry_says_everything_and_how_surely(id: str) -> None:
    entry = CATALOGUE[id]
    assert set(entry) == {"name", "role", "purpose", "detected", "known", "give"}
    assert all(set(fact) == {"what", "surely"} and fact["surely"] in SURELY for fact in entry["known"])
    assert {"seed", "not found"} <= {fact["surely"] for fact in entry["known"]}


@pytest.mark.parametrize("id", CATALOGUE)
def test_what_has_to_be_given_is_demanded_by_its_role(tmp_path: Path, id: str) -> None:
    role = CATALOGUE[id]["role"]
    of_its_own = role != "op_services"
    given = f"{role}: {{}}" if of_its_own else f"op_services: {{products: {{{id}: {{}}}}}}"
    path = role if of_its_own else f"op_services.products.{id}"
    told = {line.partition(" (")[0] for line in refused(tmp_path, given).splitlines()}
    assert told == {f"{path}.{setting}: missing" for setting in CATALOGUE[id]["give"]}


def test_what_has_a_role_of_its_own_is_not_to_be_had_twice(tmp_path: Path) -> None:
    for id, entry in CATALOGUE.items():
        if entry["role"] != "op_services":
            said = refused(tmp_path / id, f"op_services: {{products: {{{id}: {{}}}}}}")
            assert said == f"op_services.products: {id} has a role of its own: write {entry['role']}: beside op_services:"
