"""A Windows service: how it starts, whether it runs, what happens when it fails, who may start it.

Configuration is read from the registry, which is raw and never translated (formats.md 5); only the state comes from
`Get-Service`. Written with `sc.exe` and the service cmdlets: the control manager caches, registry edits would come late.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from opdeploy.calls import (
    Write,
    cmdlet_read,
    cmdlet_write,
    program_write,
    registry_read,
    service_sddl_write,
    sid_resolve,
)
from opdeploy.formats import failure_actions, sddl
from opdeploy.formats.command_line import argument
from opdeploy.model import Change, Machine, NotOurs, Principal, Unknown
from opdeploy.resources.base import AS_SET_IGNORING_CASE, KEY, Answers, Comparator, Option, Reads, Scoped
from opdeploy.resources.values import OBSERVED, Duration, ServiceName, observed, span

StartMode = Literal["automatic", "automatic_delayed", "manual", "disabled", "boot", "system"]
FROM_REGISTRY: dict[int, StartMode] = {0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: "disabled"}
FOR_SC: dict[StartMode, str] = {
    "automatic": "auto", "automatic_delayed": "delayed-auto", "manual": "demand", "disabled": "disabled",
    "boot": "boot", "system": "system",
}  # fmt: skip
CONFIG = [
    "Type", "Start", "DelayedAutostart", "ImagePath", "ObjectName", "DisplayName", "Description", "DependOnService",
    "DependOnGroup", "FailureActions", "FailureCommand", "FailureActionsOnNonCrashFailures", "DeleteFlag", "LaunchProtected",
    "Security",
]  # fmt: skip

# Rights in a service's list, as words. [MS-SCMR 3.1.4; formats.md 2] None of them lets its holder become SYSTEM.
GRANTS = {"query": 0x2008D, "start": 0x10, "stop": 0x20, "pause": 0x40, "user_control": 0x100}
# With one of these its holder makes himself SYSTEM: a host may have granted them, an inventory may not.
OWNING = {"change_config": 0x2, "delete": 0x10000, "change_permissions": 0x40000, "take_ownership": 0x80000}
WORDS = GRANTS | OWNING
Right = Literal[
    "query", "start", "stop", "pause", "user_control", "change_config", "delete", "change_permissions", "take_ownership"
]
WIDE = {"S-1-1-0", "S-1-5-11", "S-1-5-32-545"}  # Everyone, Authenticated Users, Users: a deny for them hits anybody
BUILT_IN = {
    "S-1-5-18": "LocalSystem", "S-1-5-19": r"NT AUTHORITY\LocalService", "S-1-5-20": r"NT AUTHORITY\NetworkService",
}  # fmt: skip
ASSUMED = "grants: the registry holds no list, so Windows' default is assumed; sc.exe sdshow is asked before writing"


def _step(text: str) -> str:
    word, _, delay = text.strip().partition(" ")
    if word not in ("none", "restart", "run", "reboot") or (word == "none") == bool(delay):
        raise ValueError("expected 'restart 1m', 'run 30s', 'reboot 5m' or 'none'")
    return f"{word} {Duration(span(delay))}" if delay else word


class Recovery(BaseModel):
    """What the control manager does when the service fails; the last step is for every later failure too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: tuple[Annotated[str, AfterValidator(_step)], ...]
    """What is done at the first, second and every later failure: `restart 1m`, `run 30s`, `reboot 5m`, `none`."""
    reset: Literal["never"] | Duration = Duration(0)
    """After how long without a failure counting begins anew."""
    command: str = ""
    """What `run` runs."""
    on_error_exit: bool = False
    """Whether an end with an error counts as a failure."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if any(step.startswith("run ") for step in self.actions) and not self.command:
            raise ValueError("a step 'run' needs the command to run")
        if not self.actions and self.reset != Duration(0):
            raise ValueError("without actions there is no reset: Windows deletes both together")
        return self

    def __str__(self) -> str:
        reset = "never reset" if self.reset == "never" else f"reset after {self.reset}"
        notes = [reset] if self.actions else []
        notes += [f"command {self.command}"] if self.command else []
        notes += ["also when it ends with an error"] if self.on_error_exit else []
        return "; ".join([", ".join(self.actions) or "nothing", *notes])


class Grant(BaseModel):
    """What one principal may do with the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: Principal
    """Who."""
    rights: tuple[Right, ...]
    """May do what: `query`, `start`, `stop`, `pause`, `user_control`; the others are refused."""

    @field_validator("rights")
    @classmethod
    def _none_that_owns_it(cls, rights: tuple[Right, ...], info: ValidationInfo) -> tuple[Right, ...]:
        owning = next((word for word in rights if word in OWNING), None)
        if owning and not observed(info):
            raise ValueError(f"{owning} is refused: whoever may do that makes himself SYSTEM")
        return rights

    def __str__(self) -> str:
        return f"{self.principal}: {', '.join(self.rights) or 'nothing'}"


def _in_order(words: Collection[str]) -> tuple[Any, ...]:
    return tuple(word for word in WORDS if word in words)


def _granted(desired: tuple[Grant, ...], actual: tuple[Grant, ...], exact: bool) -> tuple[Grant, ...]:
    if exact:
        return desired
    held = {grant.principal: set(grant.rights) for grant in actual}
    wanted = {grant.principal: set(grant.rights) for grant in desired}
    united = {p: held.get(p, set()) | wanted.get(p, set()) for p in [*held, *wanted]}
    return tuple(Grant(principal=p, rights=_in_order(words)) for p, words in united.items())


def _same_grants(one: tuple[Grant, ...], other: tuple[Grant, ...]) -> bool:
    sides = [{(g.principal, frozenset(g.rights)) for g in grants if g.rights} for grants in (one, other)]
    return sides[0] == sides[1]


def _same_command(one: str, other: str) -> bool:
    """A path ignores case; what a program makes of its arguments, nobody knows."""
    (program, rest), (other_program, other_rest) = _program(one), _program(other)
    return program.lower() == other_program.lower() and rest == other_rest


def _program(command: str) -> tuple[str, str]:
    """The program as it stands, and the rest: up to the closing quote, or the first blank."""
    head = re.match(r'\s*("[^"]*"|\S*)', command)
    end = head.end() if head else 0
    return command[:end].strip(), command[end:].strip()


HELD = Comparator(same=_same_grants, after=_granted, joins=True)
COMMAND = Comparator(same=_same_command)


class Service(Scoped):
    KIND = "service"
    SCOPE = "name"
    EXAMPLE = r"""
        - name: OPMsg
          start_mode: automatic_delayed
          state: running
          recovery: { actions: [restart 1m, restart 5m, none], reset: 1d }
          grants:
            - { principal: '.\op-support', rights: [query, start, stop] }
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("NoServiceFoundForGivenName",)
    READ_IF_MANAGED: ClassVar[tuple[str, ...]] = ("recovery", "grants")

    name: Annotated[ServiceName, KEY]
    """Its short name, as Get-Service shows it."""
    command_line: Annotated[str | None, COMMAND] = None
    """What is run, with its arguments; needed to make it."""
    display_name: str | None = None
    """The name in Windows' console."""
    description: str | None = None
    """What it is for."""
    start_mode: StartMode | None = None
    """When it is started."""
    state: Literal["running", "stopped"] | None = None
    """Whether it runs."""
    account: Principal | None = None
    """As whom it runs: a built-in account, a virtual one (NT SERVICE\\NAME) or a managed one (DOMAIN\\NAME$)."""
    dependencies: Annotated[tuple[str, ...] | None, AS_SET_IGNORING_CASE] = None
    """Services that have to run before it."""
    recovery: Recovery | None = None
    """What Windows does when it fails."""
    grants: Annotated[tuple[Grant, ...] | None, HELD] = None
    """Who may do what with it, besides those who may already."""
    exact: Option = False
    """Who is named in `grants` may do nothing else with it; others keep what they may."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if not observed(info) and self.state == "running" and self.start_mode == "disabled":
            raise ValueError("a disabled service can't be kept running")
        return self

    def had(self, change: Change[Any], answers: Answers) -> Self | None:
        """With everybody's grants: a later inventory may name others."""
        if change.actual is None or not self.grants:
            return change.actual
        descriptor = Config(answers.config).descriptor
        aces = descriptor.dacl.aces if descriptor.dacl else ()
        held = _grants(descriptor, [Principal.of_sid(sid) for sid in dict.fromkeys(ace.sid for ace in aces)], WORDS)
        actual: Self = change.actual
        return actual.model_copy(update={"grants": held})

    def undone(self, found: Self | None) -> Self | str:
        if found is None:
            return self.gone() if self.command_line else "what installed it takes it away"
        if found.grants is None:  # nobody looked
            return self.as_it_was(found)
        before = {grant.principal: grant for grant in found.grants}
        grants = tuple(before.get(g.principal, Grant(principal=g.principal, rights=())) for g in self.grants or ())
        return self.as_it_was(found, **({"grants": grants, "exact": True} if grants else {}))

    def provides(self) -> frozenset[str]:
        return frozenset({f"service:{self.name.lower()}"})

    def needs(self) -> frozenset[str]:
        return super().needs() | {f"service:{name.lower()}" for name in self.dependencies or ()}

    def reads(self) -> Reads:
        key = rf"SYSTEM\CurrentControlSet\Services\{self.name}"
        return {
            "config": registry_read(key, values=CONFIG, depth=1),
            "status": cmdlet_read("Get-Service", ["Status"], Name=self.name),
        }

    def then_reads(self, answers: Answers) -> Reads:
        account = Config(answers.config).account
        return {"account": sid_resolve(account.name)} if account and not account.sid and not self.absent else {}

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return {"listed": cmdlet_read("Get-Service", ["Name"], Name=of)}

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Services whose names fit, `*` standing for anything; where none does, the list is empty."""
        yield from (cls(name=row["Name"], absent=True) for row in answers.listed or ())

    def actual(self, answers: Answers) -> Self | None:
        config = Config(answers.config)
        if not config.there:
            return None
        return self.observed(
            name=self.name,
            command_line=config.text("ImagePath"),
            display_name=config.text("DisplayName") or self.name,  # so Windows shows one that has none
            description=config.text("Description"),
            start_mode=config.start_mode,
            state=self._state(answers),
            account=_resolved(config.account, answers),
            dependencies=config.dependencies,
            recovery=config.recovery if self.recovery else None,
            grants=self._held(config.descriptor) if self.grants else None,
        )

    def _state(self, answers: Answers) -> Literal["running", "stopped"] | None:
        """Between the two it is unknown, which only counts where the state is managed."""
        status = str(answers.status[0]["Status"]) if answers.status else "not listed"
        if status in ("Running", "Stopped"):
            return "running" if status == "Running" else "stopped"
        if self.state:
            raise Unknown(f"it is neither running nor stopped, but {status}: look again in a minute")
        return None

    def note(self, change: Change[Any], answers: Answers) -> str:
        assumed = change.touches("grants") and not self.absent and not Config(answers.config).security
        return ASSUMED if assumed else ""

    def _held(self, descriptor: sddl.SecurityDescriptor) -> tuple[Grant, ...]:
        return _grants(descriptor, [grant.principal for grant in self.grants or ()], WORDS if self.exact else GRANTS)

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "create" and not self.command_line:
            return "it is not there, and without a command_line it can't be made"
        if change.touches("account") and self.account and not _needs_no_password(self.account):
            return "its account's password would have to be stored: refused for now"
        if change.touches("account") and self.account and not _account_name(self.account):
            return r"sc.exe takes no SID: name the account (NT SERVICE\name, DOMAIN\name$)"
        if change.action != "none" and change.actual and Config(answers.config).protected:
            return "Windows protects it (LaunchProtected): not even an administrator can change it"
        if change.action == "remove" and change.actual and change.actual.state is None:
            raise Unknown("it is neither running nor stopped: look again in a minute")
        if change.actual and not set(change.properties) - {"grants"}:
            return self._masked(Config(answers.config))
        return ""

    def _masked(self, config: Config) -> str:
        denied = self._denied(config.descriptor) if self.grants else []
        return NotOurs(f"masked by deny: its list denies {', '.join(denied)} what is granted here") if denied else ""

    def _denied(self, descriptor: sddl.SecurityDescriptor) -> list[str]:
        denies = [ace for ace in descriptor.dacl.aces if ace.type == "D"] if descriptor.dacl else []
        return [
            str(grant.principal)
            for grant in self.grants or ()
            if any(ace.sid in {grant.principal.sid, *WIDE} and ace.mask & _bits(grant) for ace in denies)
        ]

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            if change.actual and change.actual.state == "running":
                yield cmdlet_write("Stop-Service", Name=self.name)
            yield self._sc("delete")
            return
        if change.action == "create":
            yield cmdlet_write("New-Service", **self._creation())
        yield from self._configuration(change)
        if change.touches("grants"):
            yield self._grant(change, Config(None if change.action == "create" else answers.config).descriptor)
        if change.touches("state"):
            yield from self._run_or_stop(change)

    def _creation(self) -> dict[str, Any]:
        optional = {"DisplayName": self.display_name, "Description": self.description}
        given = {name: value for name, value in optional.items() if value}
        return {"Name": self.name, "BinaryPathName": self.command_line, "StartupType": "Manual", **given}

    def _configuration(self, change: Change[Any]) -> Iterator[Write]:
        new = change.action == "create"
        options = {
            "start=": FOR_SC[self.start_mode] if change.touches("start_mode") and self.start_mode else None,
            "binPath=": self.command_line if change.touches("command_line") and not new else None,
            "DisplayName=": self.display_name if change.touches("display_name") and not new else None,
            "obj=": _account_name(self.account) if change.touches("account") and self.account else None,
            "depend=": "/".join(self.dependencies or ()) or "/" if change.touches("dependencies") else None,
        }
        if options["obj="] and self.account and self.account.sid in BUILT_IN:
            options["password="] = ""  # of a managed or virtual account none may be given (ChangeServiceConfigW, lpPassword)
        words = [word for flag, value in options.items() if value is not None for word in (flag, value)]
        if words:
            yield self._sc("config", *words)
        if change.touches("description") and not new:
            yield self._sc("description", self.description or "")
        if change.touches("recovery") and self.recovery:
            yield from self._recover(self.recovery)

    def _recover(self, recovery: Recovery) -> Iterator[Write]:
        reset = "INFINITE" if recovery.reset == "never" else str(int(recovery.reset.seconds))
        steps = "/".join(_step_for_sc(step) for step in recovery.actions)
        yield self._sc("failure", "reset=", reset, "actions=", steps, "command=", recovery.command)
        yield self._sc("failureflag", "1" if recovery.on_error_exit else "0")

    def _grant(self, change: Change[Any], before: sddl.SecurityDescriptor) -> Write:
        """The list extended, never replaced; only `D:` is given, so the audit list stays."""
        aces = list(before.dacl.aces) if before.dacl else []
        for grant in change.properties["grants"].after:
            _extend(aces, grant, self.exact)
        after = replace(before.dacl or sddl.Acl(), aces=sddl.canonical_order(aces))
        return service_sddl_write(self.name, _list(after), expect=_list(before.dacl))

    def _run_or_stop(self, change: Change[Any]) -> Iterator[Write]:
        if self.state == "running":
            yield cmdlet_write("Start-Service", Name=self.name)
        elif change.action != "create":
            yield cmdlet_write("Stop-Service", Name=self.name)

    def _sc(self, command: str, *words: str) -> Write:
        return program_write("sc.exe", command, " ".join(map(argument, (self.name, *words))))


class Config:
    """A service's registry key, read as the control manager reads it. [MS-SCMR 2.2.15; formats.md 5]"""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self.values = {name.lower(): value for name, (_, value) in (answer or {}).get("values", {}).items()}
        subkeys = {name.lower(): key or {} for name, key in (answer or {}).get("subkeys", {}).items()}
        self.security = subkeys.get("security", {}).get("values", {}).get("Security")
        self.protected = bool(self.values.get("launchprotected"))
        if self.values.get("deleteflag"):
            raise Unknown("marked for deletion: it goes when its last handle closes or Windows restarts")

    @property
    def there(self) -> bool:
        return "type" in self.values

    def text(self, name: str) -> str:
        return str(self.values.get(name.lower(), ""))

    @property
    def start_mode(self) -> StartMode:
        start = FROM_REGISTRY.get(self.values.get("start", -1))
        if start is None:
            raise Unknown(f"its Start value is {self.values.get('start')!r}, which is none that is known")
        return "automatic_delayed" if start == "automatic" and self.values.get("delayedautostart") else start

    @property
    def account(self) -> Principal | None:
        name = self.text("ObjectName")
        try:
            return Principal.parse(name) if name else None
        except ValueError as error:
            raise Unknown(f"its ObjectName {name!r} is no account's name") from error

    @property
    def dependencies(self) -> tuple[str, ...]:
        groups = tuple("+" + group for group in self.values.get("dependongroup") or ())
        return tuple(self.values.get("dependonservice") or ()) + groups

    @property
    def recovery(self) -> Recovery:
        blob = base64.b64decode(self.values["failureactions"]) if "failureactions" in self.values else None
        try:
            stored = failure_actions.parse(blob, self.text("FailureCommand"))
        except ValueError as error:
            raise Unknown(str(error)) from error
        reset = "never" if stored.reset_seconds is None else Duration(stored.reset_seconds)
        return Recovery.model_construct(
            actions=tuple(_step_text(action) for action in stored.actions),
            reset=reset if stored.actions else Duration(0),
            command=stored.command or "",
            on_error_exit=bool(self.values.get("failureactionsonnoncrashfailures")),
        )

    @property
    def descriptor(self) -> sddl.SecurityDescriptor:
        """What the registry holds, or the default that Windows takes where it holds none (`ASSUMED`)."""
        if self.security is None:
            return sddl.parse(sddl.SERVICE_DEFAULT)
        try:
            return sddl.from_bytes(base64.b64decode(self.security[1]))
        except ValueError as error:
            raise Unknown(f"its security descriptor can't be read: {error}") from error


def _step_text(action: failure_actions.Action) -> str:
    word = {"run_command": "run"}.get(action.kind, action.kind)
    return word if word == "none" else f"{word} {Duration(action.delay_ms / 1000)}"


def _step_for_sc(step: str) -> str:
    word, _, delay = step.partition(" ")
    return f"{'' if word == 'none' else word}/{round(span(delay) * 1000) if delay else 0}"


def _resolved(account: Principal | None, answers: Answers) -> Principal | None:
    if account and answers.asked("account") and (sid := answers.account["sid"]):
        return Principal(account.name, sid)
    return account


def _needs_no_password(account: Principal) -> bool:
    return account.sid in BUILT_IN or account.sid.startswith("S-1-5-80-") or account.name.endswith("$")


def _account_name(account: Principal) -> str:
    """What `sc config obj=` takes. (Microsoft's page of `sc config`)"""
    return BUILT_IN.get(account.sid, account.name)


def _bits(grant: Grant) -> int:
    return sum(WORDS[word] for word in grant.rights)


def _grants(
    descriptor: sddl.SecurityDescriptor, principals: Sequence[Principal], known: Mapping[str, int]
) -> tuple[Grant, ...]:
    """What the list gives to each of them, in words; who has nothing is left out."""
    masks = {principal: _mask(descriptor, principal.sid) for principal in principals}
    words = {p: _in_order({w for w, bits in known.items() if mask & bits == bits}) for p, mask in masks.items()}
    held = ({"principal": principal, "rights": rights} for principal, rights in words.items() if rights)
    return tuple(Grant.model_validate(grant, context=OBSERVED) for grant in held)


def _mask(descriptor: sddl.SecurityDescriptor, sid: str) -> int:
    """What allow entries of this very SID give. No list at all gives everything."""
    if descriptor.dacl is None:
        return sddl.SERVICE_ALL_ACCESS
    mask = 0
    for ace in descriptor.dacl.aces:
        mask |= sddl.map_generic(ace.mask, sddl.SERVICE_GENERIC) if ace.type == "A" and ace.sid == sid else 0
    return mask


def _extend(aces: list[sddl.Ace], grant: Grant, exact: bool) -> None:
    if exact:
        aces[:] = [ace for ace in aces if (ace.type, ace.sid) != ("A", grant.principal.trustee)]
    if not grant.rights:
        return
    for index, ace in enumerate(aces):
        if ace.type == "A" and ace.sid == grant.principal.trustee and not ace.flags:
            aces[index] = replace(ace, mask=ace.mask | _bits(grant))
            return
    aces.append(sddl.Ace("A", frozenset(), _bits(grant), grant.principal.trustee))


def _list(acl: sddl.Acl | None) -> str:
    return sddl.render(sddl.SecurityDescriptor(dacl=acl))
