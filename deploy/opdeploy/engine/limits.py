"""What a run asks for beyond the ordinary, and the time that it and each of its hosts may take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent

from opdeploy.model import HostError
from opdeploy.resources.values import Duration


@dataclass(frozen=True)
class Options:
    """What a run asks for beyond the ordinary.

    Only for what reads, since a write that is cut off has an outcome nobody knows: `budget` and `host_budget`, the seconds that
    the run and each host may take, and `second_try`, a while later, for hosts that were out of reach.
    """

    diff: bool = False
    verify_passwords: bool = False
    budget: float | None = None
    host_budget: float | None = None
    second_try: bool = False

    @property
    def asked(self) -> frozenset[str]:
        return frozenset(name for name in ("diff", "verify_passwords") if getattr(self, name))


@dataclass(frozen=True)
class Limits:
    """How long a run and each of its hosts may take; it begins when this is made."""

    options: Options
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return math.inf if self.options.budget is None else self.began + self.options.budget - time.monotonic()

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """One host's part of a run. Raises HostError where its time or the run's is up."""
        left, of_host = self.left, math.inf if self.options.host_budget is None else self.options.host_budget
        up = f"the run's time, {Duration(self.options.budget or 0)}, was up"
        if left <= 0:
            raise HostError(f"not begun: {up}", "give the run more time, or fewer hosts")
        limit = gevent.Timeout(min(left, of_host) if min(left, of_host) < math.inf else None)
        try:
            with limit:  # no Exception: nothing on the way takes it for an error of the host
                yield
        except gevent.Timeout:
            if left < of_host:
                raise HostError(f"not read to its end: {up}", "give the run more time, or fewer hosts") from None
            raise HostError(f"not read within {Duration(of_host)}", "is it overloaded? else give a host more time") from None
