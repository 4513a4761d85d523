"""Telling people what a drift check found, by apprise (https://appriseit.com).

An address holds a token. apprise's own words quote addresses: nobody hears them, and an error names the address by its number
and where it is from. apprise is imported when somebody is to be told, since it takes a tenth of a second.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opdeploy.findings import Finding, Message, message, remembered
from opdeploy.model import ExitCode, Secret
from opdeploy.results import Run
from opdeploy.store import Store, telling

if TYPE_CHECKING:
    from apprise import AppriseResult, NotifyBase

Say = Callable[[str], None]

TEST = Message("opdeploy: a test", ("Who reads this is told of drift checks.",), "docs/notifications.md says of what", "info")
LOUD = ("apprise", "urllib3")  # loggers that quote addresses; without a handler, Python prints their warnings
NOBODY = logging.NullHandler()
STATUS = re.compile(r"\berror[=:]? ?([1-5]\d\d)\b")  # how nearly all of apprise's plugins say HTTP's
WIDER = 4 / 3  # what a text may grow by, where a service's Markdown has to escape it


def told(
    run: Run,
    store: Store,
    urls: Sequence[Secret],
    say: Say,
    narrowed: Sequence[str] = (),
    wrong: Sequence[str] = (),
    code: ExitCode | None = None,
) -> bool:
    """Tells what is new. What did not reach everybody is not taken for known: the next check says it again.

    `narrowed`: what the check was limited to, in any words; such a one remembers on its own. `wrong`: what is told in any
    case; `code`: the exit code, where it is not the run's.
    """
    if not urls:
        return True
    scope = telling.scope(str(Path(run.inventory).resolve()), narrowed)
    before = [Finding(*row) for row in telling.last_told(store, scope)]
    news = message(run, before, wrong, code)
    if news and send(news, urls, say) < len(urls):
        return False
    telling.remember(store, run.run_id, scope, remembered(run, before))
    return True


def send(message: Message, urls: Sequence[Secret], say: Say) -> int:
    """How many addresses it reached; says which it did not."""
    failed = {number: why for number, url in enumerate(urls, start=1) if (why := _failed(message, url))}
    for number, why in failed.items():
        say(f"error: nobody was told at address {number} ({urls[number - 1].source}): {why}")
    return len(urls) - len(failed)


def _failed(message: Message, url: Secret) -> str:
    """Why it did not arrive, in words of ours; '' if it did."""
    _quieten()
    try:
        from apprise import Apprise, AppriseAsset

        # A POST that is sent elsewhere becomes a GET, whose 200 says nothing: no redirects. No picture from the Internet.
        asset = AppriseAsset(app_id="opdeploy", http_redirects=False, image_url_mask="")
        service = Apprise.instantiate(url.reveal().strip(), asset)
        if service is None:
            return "it is no address that apprise knows; docs/notifications.md has examples"
        sender = Apprise(service, asset)
        told = sender.notify(_text(message, service), message.title, notify_type=message.kind, body_format="text")
        return "" if told else _why(told)
    except Exception as error:  # a plugin's, which may quote anything
        return f"apprise broke with {type(error).__name__}"


def _text(message: Message, service: NotifyBase) -> str:
    """As long as the service takes; Teams joins lines that no empty one parts."""
    end = "\n\n" if service.resolve_format("text") == "markdown" else "\n"
    return message.text(int((service.body_maxlen - len(message.title)) / WIDER), end)


def _why(told: AppriseResult) -> str:
    codes = [found[1] for entry in told.logs() if (found := STATUS.search(entry.message))]
    if codes:
        return f"the service answered with HTTP status {codes[-1]}"
    return "the service can't be reached, or did not take it"


def _quieten() -> None:
    for name in LOUD:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(NOBODY)
