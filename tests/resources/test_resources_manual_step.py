"""A manual step from its text to a run on the lab: open until its very text is signed off, and never anything to apply."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from labs import Box, applied, box
from runs import run

from opdeploy import engine
from opdeploy.engine.observe import plan_snapshot
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import dump
from opdeploy.model import ExitCode
from opdeploy.reports.plan_file import host_differences, plan_document, read_plan
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.service import Service
from opdeploy.store import Store
from opdeploy.store.snapshots import take

TEXTS = {"title": "Take the disk home", "who": "whoever closes", "how": "Eject it.\nPack it.", "why": "fire"}
STEP = ManualStep(id="take-the-disk-home", **TEXTS)


@pytest.fixture(params=[servers.database_server, partial(servers.bare, 26100, "ServerNT")], ids=["believable", "bare"])
def host(request: pytest.FixtureRequest) -> Iterator[Box]:
    with box(request.param()) as made:
        yield made


def sign(store: Store, job: engine.Job, step: ManualStep = STEP) -> None:
    store.sign_step(job.host.name, step.id, step.digest, "anna", "disk B is in the safe")


# ---------------------------------------------------------------- what is signed


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_is_part_of_what_is_signed(text: str) -> None:
    assert ManualStep(id=STEP.id, **{**TEXTS, text: "something else"}).digest != STEP.digest


def test_how_yaml_ends_a_text_is_none_of_it() -> None:
    assert ManualStep(id=STEP.id, **{**TEXTS, "how": TEXTS["how"] + "\n"}).digest == STEP.digest


def test_no_word_moves_from_one_text_to_the_next() -> None:
    moved = {**TEXTS, "title": "Take the disk home whoever", "who": "closes"}
    assert ManualStep(id=STEP.id, **moved).digest != STEP.digest


# ---------------------------------------------------------------- on the lab


def test_it_is_open_until_it_is_signed_and_no_run_minds(host: Box, store: Store) -> None:
    job, before = host.job([STEP]), dump(host.state)
    for result in (engine.plan([job], store)[0], applied(store, job)):
        (item,) = result.items
        assert (item.change.verdict, item.change.action, item.outcome) == ("would_change", "none", None)
        assert (result.code, result.status) == (ExitCode.OK, "in_sync")
    sign(store, job)
    (item,) = engine.plan([job], store)[0].items
    assert item.change.verdict == "in_sync"
    assert (item.change.actual.signed.by, item.change.actual.signed.note) == ("anna", "disk B is in the safe")
    assert dump(host.state) == before


def test_the_host_is_asked_nothing_about_it(host: Box, store: Store) -> None:
    engine.plan([host.job([STEP])], store)
    assert not [line for line in host.heard if "record.step" in line or STEP.id in line]


def test_another_text_is_open_again(host: Box, store: Store) -> None:
    job = host.job([ManualStep(id=STEP.id, **{**TEXTS, "how": "Burn it."})])
    sign(store, job)
    (item,) = engine.plan([job], store)[0].items
    assert item.change.verdict == "would_change"
    assert "signed off by anna on " in item.change.reason
    assert "its text has changed since" in item.change.reason


def test_what_stands_on_nothing_of_it_is_applied_beside_it(host: Box, store: Store) -> None:
    job = host.job([STEP, Service(name="W32Time", start_mode="disabled")])
    result = applied(store, job)
    assert [item.outcome for item in result.items] == [None, "applied"]
    assert result.code == ExitCode.OK


def test_a_sign_off_between_plan_and_apply_is_no_reason_to_stop(host: Box, store: Store) -> None:
    job = host.job([STEP, Service(name="W32Time", start_mode="disabled")])
    seen = run(*engine.plan([job], store), command="apply")
    document = read_plan(plan_document(seen, store.key()).text.encode())
    sign(store, job)
    review = partial(host_differences, document, key=store.key())
    assert applied(store, job, review=review).error == ""


def test_a_snapshot_keeps_no_sign_off_and_a_plan_from_one_asks_the_store(host: Box, store: Store) -> None:
    job = host.job([STEP])
    (observed,) = engine.observe([job], store)
    kept = take(job.host.name, observed.observation, taken_at="2026-11-22T03:00:00Z", agent="a", key=store.key())
    assert not [read for read in kept.answers if STEP.id in read]
    sign(store, job)
    (item,) = plan_snapshot(job, dict(kept.answers), store).items
    assert item.change.verdict == "in_sync"
