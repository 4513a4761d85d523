"""Approvals of a plan: who must sign what, the signature, and what it is worth when somebody wants to apply.

`signatures` makes and verifies them, `policy` says what has to be approved and by whom, `judging` what the given ones are
worth, `binding` whether the account that applies could change the policy.
"""

from opdeploy.approvals.binding import check_owner, open_to
from opdeploy.approvals.judging import HOW, judged, latest, state
from opdeploy.approvals.policy import Need, Policy, Rule, Touched, counted, required
from opdeploy.approvals.signatures import SignedApproval, fingerprint, is_genuine, openssh, sign

__all__ = [
    "HOW",
    "Need",
    "Policy",
    "Rule",
    "SignedApproval",
    "Touched",
    "check_owner",
    "counted",
    "fingerprint",
    "is_genuine",
    "judged",
    "latest",
    "open_to",
    "openssh",
    "required",
    "sign",
    "state",
]
