"""``opdeploy runbook``: what to do when somebody calls about the OP Portal. Its pages are docs/runbooks, in a checkout only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import yaml
from click.shell_completion import CompletionItem
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opdeploy.cli import options, terminal
from opdeploy.inventory import near
from opdeploy.inventory.problems import shown
from opdeploy.model import OpdeployError, UsageError
from opdeploy.rendering import columns, printable

OWN = Path(__file__).parents[3] / "docs" / "runbooks"
SCHEMA = "opdeploy.runbooks/1"
FORMAT = "docs/runbooks/README.md has the format"
FENCE = "---\n"


class Source(BaseModel):
    """The part of a seed page that a runbook tells."""

    model_config = ConfigDict(extra="forbid")

    file: str
    heading: str


class Runbook(BaseModel):
    """One page: its front matter, and what stands below it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    people: tuple[str, ...] = Field(alias="for")
    source: tuple[Source, ...]
    symptoms: tuple[str, ...] = Field(min_length=1)
    page: str = Field(exclude=True)


def _ids(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        return [CompletionItem(name, help=book.title) for name, book in found().items() if name.startswith(begun)]
    except OpdeployError:
        return []


@click.group("runbook")
def command() -> None:
    """Say what to do, step by step, when somebody calls about the OP Portal. No host is spoken to.

    \b
    Example:
      opdeploy runbook list
    """


@command.command("list")
@options.output
def list_(form: str) -> None:
    """List the runbooks, with what a caller says.

    \b
    Examples:
      opdeploy runbook list
      opdeploy runbook list --format json
    """
    runbooks = list(found().values())
    if form == "json":
        terminal.document({"schema": SCHEMA, "runbooks": [book.model_dump(by_alias=True) for book in runbooks]})
    else:
        terminal.write("".join(f"{line}\n" for line in _table(runbooks)))


@command.command("show")
@click.argument("name", shell_complete=_ids)
def show(name: str) -> None:
    """Print one runbook: laid out on a terminal, else as Markdown.

    \b
    Examples:
      opdeploy runbook show parent-sees-no-patient
      opdeploy runbook show welcome-email-not-received > to-print.md
    """
    runbooks = found()
    if name not in runbooks:
        hint = near(name, runbooks) or f"there are: {', '.join(runbooks)}"
        raise UsageError(f"no runbook {printable(name)}", hint)
    terminal.page(runbooks[name].page)


def found() -> dict[str, Runbook]:
    """Every runbook by its name. Raises UsageError where there are none, or one can't be read."""
    if not OWN.is_dir():
        raise UsageError("the runbooks are not here: they are in docs/runbooks of a checkout, not in an installed wheel")
    return {path.stem: _read(path) for path in sorted(OWN.glob("*.md")) if path.stem != "README"}


def _read(path: Path) -> Runbook:
    try:
        _, front, page = path.read_text(encoding="utf-8").split(FENCE, 2)
        return Runbook(**yaml.safe_load(front), page=page)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"{shown(path)}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}", FORMAT) from None
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UsageError(f"{shown(path)}: its front matter can't be read: {printable(str(error))}", FORMAT) from None


def _table(runbooks: Sequence[Runbook]) -> Iterator[str]:
    """A line for each symptom, its runbook named on the first."""
    rows = [("id", "title", "symptoms")]
    for book in runbooks:
        first, *others = book.symptoms
        rows += [(book.id, book.title, first), *(("", "", other) for other in others)]
    return columns(rows)
