"""What one principal is allowed, or denied, on a folder and below it, or on a file.

Additive by default: satisfied when the principal's explicit and inherited entries give at least this. With `exact` its
explicit rules are these and no others. What Explorer calls 'Applies to' is `applies_to` and `propagation`:

    this_folder, subfolders, files   ContainerInherit, ObjectInherit; None          (all three are the default)
    this_folder                      no inheritance
    subfolders, files                ContainerInherit, ObjectInherit; InheritOnly
    propagation: one_level           NoPropagateInherit: not what is inside the subfolders

A file has nothing below it: there both are ignored. Writing replaces the explicit entries as a whole and says what it
expects to find; the control flags go back as they were read, since a lost P would open the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from opdeploy.calls import Write, cim_read, file_stat, sddl_read, sddl_write
from opdeploy.formats import command_line, sddl
from opdeploy.formats.sddl import Ace, SecurityDescriptor
from opdeploy.model import Change, Machine, NotOurs, Principal, Unknown
from opdeploy.resources import access
from opdeploy.resources.access import ALL, AppliesTo, Masks, Propagation, Rights, RuleType
from opdeploy.resources.base import KEY, Answers, Option, Reads, Scoped, path_token, paths_above
from opdeploy.resources.values import LocalPath, observed

OTHER_TYPES = {"allow": {"XA", "OA"}, "deny": {"XD", "OD"}}


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _in_order(given: tuple[AppliesTo, ...]) -> tuple[AppliesTo, ...]:
    if not given:
        raise ValueError(f"a rule applies to something: name one or more of {', '.join(ALL)}")
    return tuple(word for word in ALL if word in given)


class AccessRule(Scoped):
    KIND = "access_rule"
    EXAMPLE = r"""
        - { path: 'D:\OP\gbd_common', principal: '.\op-support', rights: Modify }
        - { path: 'D:\OP\Backup', principal: Guests, type: deny, rights: FullControl }
    """
    ABSENT_WHEN = ("DriveNotFound",)
    SCOPE = "folder"

    path: Annotated[LocalPath, KEY]
    """The folder or file."""
    principal: Annotated[Principal, KEY]
    """Whom it is for."""
    type: Annotated[RuleType, KEY] = "allow"
    """Allowed or denied."""
    rights: Rights | None = None
    """One of Read, ReadAndExecute, Write, Modify, FullControl, or a list of .NET's FileSystemRights."""
    applies_to: Annotated[tuple[AppliesTo, ...], BeforeValidator(_one_or_more), AfterValidator(_in_order)] = ALL
    """What of a folder it is for: itself, its subfolders, its files."""
    propagation: Propagation = "all_levels"
    """Whether it reaches everything below a folder or only what is directly in it."""
    exact: Option = False
    """This principal has no other rule of its own there."""
    no_programs: Option = False
    """Refused where a service that runs as LocalSystem has its program there: whoever may change that is SYSTEM."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info) or self.absent:
            return self
        if self.rights is None:
            raise ValueError("a rule needs rights, or absent: true")
        if self.principal.sid in access.CREATORS and "this_folder" in self.applies_to:
            raise ValueError(f"{self.principal.name} is whoever makes something below: apply it to subfolders and files only")
        if self.propagation == "one_level" and self.applies_to == ("this_folder",):
            raise ValueError("propagation says how far down a rule goes, and this one applies to the folder only")
        return self

    @property
    def key(self) -> str:
        return f"{self.path} {self.principal.name or self.principal.sid} {self.type}"

    @property
    def identity(self) -> tuple[str, str]:
        return self.KIND, f"{self.path} {self.principal.identity} {self.type}".lower()

    def needs(self) -> frozenset[str]:
        return super().needs() | self.scope_needs(self.path)

    def stirs(self) -> frozenset[str]:
        """What is below inherits from it."""
        return frozenset({path_token(self.path)})

    # ------------------------------------------------------------ reading

    def had(self, change: Change[Any], answers: Answers) -> Self | None:
        """Whatever of its own the principal has there: `undone` takes all of that. What comes from above stays."""
        types = {"allow": "A", "deny": "D"}[self.type], *OTHER_TYPES[self.type]
        own = access.explicit(_aces(access.descriptor(self.path, answers)))
        if not any(ace.sid == self.principal.trustee and ace.type in types for ace in own):
            return None
        return change.actual or type(self).observed(path=self.path, principal=self.principal, type=self.type)

    def undone(self, found: Self | None) -> Self | str:
        if self.principal.sid in access.KEPT:
            return ""  # nobody takes full control from them
        return "it had rights of its own there before: look at its list" if found else self.gone()

    def reads(self) -> Reads:
        programs = {"programs": cim_read("root/cimv2", "Win32_Service", ["Name", "PathName"])} if self._spares_programs else {}
        return {"sddl": sddl_read(self.path), "stat": file_stat(self.path), **programs}

    @property
    def _spares_programs(self) -> bool:
        return self.no_programs and self.type == "allow" and not self.absent

    def actual(self, answers: Answers) -> Self | None:
        found, folder = access.descriptor(self.path, answers), _is_folder(answers)
        aces = found.dacl.aces if found.dacl else ()
        if self.absent or self.exact:
            return self._as_rule(self._explicit(aces, folder), folder)
        return self._as_rule(self._given(aces, folder), folder)

    def _explicit(self, aces: tuple[Ace, ...], folder: bool) -> Masks:
        """The principal's own entries on the object itself, whole."""
        own = access.explicit(aces)
        if any(ace.sid == self.principal.trustee and ace.type in OTHER_TYPES[self.type] for ace in own):
            raise Unknown("its list has a conditional entry for this principal, which can't be judged: look at it by hand")
        return access.united(access.entries(own, self.principal.trustee, self.type), folder)

    def _given(self, aces: tuple[Ace, ...], folder: bool) -> Masks:
        """What is there of the wanted, from the object itself or from above: more of it is no difference."""
        sid = self.principal.trustee
        if self.type == "deny":
            return access.common(self._wanted(folder), access.denied(aces, sid, folder))
        return access.common(self._wanted(folder), access.united(access.entries(aces, sid, "allow"), folder))

    def _wanted(self, folder: bool) -> Masks:
        return dict.fromkeys(self._parts(folder), self.rights.mask if self.rights else 0)

    def _parts(self, folder: bool) -> tuple[str, ...]:
        return access.parts_of(self.applies_to, self.propagation) if folder else ("this_folder",)

    def _as_rule(self, masks: Masks, folder: bool) -> Self | None:
        """Masks as the rule that comes nearest, with what it would say wrongly named in its rights."""
        if not masks:
            return None
        applies_to = tuple(word for word in ALL if word in masks or f"deeper_{word}" in masks) if folder else self.applies_to
        propagation = _propagation(masks) if folder and applies_to != ("this_folder",) else self.propagation
        implied = access.parts_of(applies_to, propagation) if folder else ("this_folder",)
        mask = masks.get(implied[0], 0)
        others = tuple((part, masks.get(part, 0)) for part in implied if masks.get(part, 0) != mask)
        return type(self).observed(
            path=self.path,
            principal=self.principal,
            type=self.type,
            rights=Rights(mask, others),
            applies_to=applies_to,
            propagation=propagation,
        )

    # ------------------------------------------------------------ judging and writing

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if self.type == "deny" or change.action == "remove" or (change.actual is None and change.action == "none"):
            return ""
        if self._spares_programs and (runs := next(self._programs(answers), "")):
            return f"refused: {runs} as SYSTEM, and whoever may change that is SYSTEM"
        found, folder = access.descriptor(self.path, answers), _is_folder(answers)
        after = found if change.action == "none" else self.applied_to(found, folder)
        if reasons := self._masking(after, folder):
            return NotOurs(f"masked by deny: {'; '.join(reasons)}")
        return ""

    def _programs(self, answers: Answers) -> Iterator[str]:
        """What runs as SYSTEM from this folder or below it, closed in between or not: who may rename a folder has all of it."""
        for row in answers.programs:
            for program in command_line.programs(row["PathName"] or ""):
                if self.path.lower() in map(str.lower, (program, *paths_above(program))):
                    yield f"the service {row['Name']} runs {program}"

    def _masking(self, found: SecurityDescriptor, folder: bool) -> list[str]:
        """Who is denied what of the wanted, the principal or those who are everybody."""
        wanted, masks = self._wanted(folder), dict[str, int]()
        for sid, part, mask in access.denials(_aces(found), self.principal.trustee, access.WIDE, folder):
            masks[sid] = masks.get(sid, 0) | mask & wanted.get(part, 0)
        return [f"{self._who(sid)} is denied {access.words(mask)}" for sid, mask in masks.items() if mask]

    def _who(self, sid: str) -> Principal:
        return self.principal if sid == self.principal.sid else Principal.of_sid(sid)

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        after = self.applied_to(access.descriptor(self.path, answers), _is_folder(answers))
        yield sddl_write(self.path, access.written(after), expect=answers.sddl)

    def applied_to(self, found: SecurityDescriptor, folder: bool) -> SecurityDescriptor:
        """The descriptor once this rule holds: explicit entries first, what is inherited behind them for evaluation.

        Other principals' entries and the control flags stay as they are.
        """
        if found.dacl is None:
            return found
        own = access.explicit(found.dacl.aces)
        if self.absent or self.exact:
            mine = access.entries(own, self.principal.trustee, self.type)
            own = tuple(ace for ace in own if ace not in mine)
        if not self.absent and self.rights:
            flags = access.flags_of(self._parts(folder)) if folder else frozenset[str]()
            own = access.with_entry(own, access.new_entry(self.type, self.principal.trustee, self.rights.mask, flags))
        inherited = tuple(ace for ace in found.dacl.aces if ace.inherited)
        return replace(found, dacl=replace(found.dacl, aces=sddl.canonical_order(own) + inherited))

    # ------------------------------------------------------------ a folder owned whole

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return {"sddl": sddl_read(of)}

    @classmethod
    def scope_needs(cls, of: str) -> frozenset[str]:
        return frozenset(path_token(path) for path in (of, *paths_above(of)))

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Whoever has an explicit rule on the folder, SYSTEM and Administrators left aside where they are allowed."""
        rules: dict[tuple[str, RuleType], None] = {}
        for ace in access.explicit(_aces(access.descriptor(of, answers))):
            type_: RuleType = "deny" if ace.denies else "allow"
            if ace.sid and not (ace.sid in access.KEPT and type_ == "allow"):
                rules[ace.sid, type_] = None
        for sid, which in rules:
            yield cls(path=of, principal=Principal.of_sid(sid), type=which, absent=True)


def _aces(found: SecurityDescriptor) -> tuple[Ace, ...]:
    return found.dacl.aces if found.dacl else ()


def _is_folder(answers: Answers) -> bool:
    return bool(answers.stat and answers.stat["directory"])


def _propagation(masks: Masks) -> Propagation:
    return "all_levels" if any(part.startswith("deeper_") for part in masks) else "one_level"
