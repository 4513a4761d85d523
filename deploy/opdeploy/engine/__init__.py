"""Observe and apply, over many hosts at once: the only place that drives pyinfra's API.

Each host is a `Job` and goes at its own pace in pyinfra's pool; what becomes of it is a `HostResult`, whatever happens to the
others. Plan, drift and snapshots only observe; `apply` makes one pyinfra operation of each change.
"""

from opdeploy.engine.apply import Review, apply
from opdeploy.engine.fleet import Job, Progress
from opdeploy.engine.interruption import pause
from opdeploy.engine.limits import Options
from opdeploy.engine.observe import Observed, observe, plan, plan_snapshot

__all__ = ["Job", "Observed", "Options", "Progress", "Review", "apply", "observe", "pause", "plan", "plan_snapshot"]
