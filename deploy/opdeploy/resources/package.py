"""A program that an installer brings: MSI, Inno Setup, NSIS, InstallShield, Burn, or an EXE whose arguments are all given.

Told to be there by its uninstall key, a file or a service (`package_detection`), never by Win32_Product, which repairs what
it lists. The installer runs as a job of its own on the host (`jobs`), outlives the session, and runs once: who plans or
applies meanwhile finds it running, done or failed. Services that it can't stand are stopped in that job, and started again
whatever became of it. Whatever it says, a package is there only when it is detected. That Windows wants to be started anew
is said by its exit code and left to the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from opdeploy.calls import (
    Failure,
    Write,
    cmdlet_read,
    cmdlet_write,
    file_push,
    file_read,
    file_stat,
    install_run,
    job_close,
    job_open,
    job_start,
)
from opdeploy.model import HIDDEN, Change, Machine, Missing, Secret, Unknown
from opdeploy.rendering import without_secrets
from opdeploy.resources import installers, jobs
from opdeploy.resources.base import KEY, OPTION, Answers, Comparator, Reads, Scoped, Work, path_token, paths_above
from opdeploy.resources.installers import LOG, REBOOT, Signer, Source, Started, Type
from opdeploy.resources.package_detection import VERSION, Detect, Installed, Version, newer, satisfied, undecided
from opdeploy.resources.values import Duration, LocalPath, ServiceName, Text, observed

NO_LEFTOVER = "nothing"
LEFTOVER = Comparator(nothing=NO_LEFTOVER)
LONGEST = 24 * 3600.0  # seconds that an installer may be given
LOG_END = 64 * 1024  # bytes of its log that are fetched when it failed
AUDITED = "a secret stands in its command line, which the host may write into its security log (event 4688)"


def _digest(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("expected a SHA-256 digest: 64 hexadecimal digits")
    return value.lower()


def _one_line(text: str) -> str:
    if any(ord(char) < 32 for char in text):
        raise ValueError("must not hold control characters: it is one command line")
    return text.strip()


def _bearable(timeout: Duration) -> Duration:
    if not 1 <= timeout.seconds <= LONGEST:
        raise ValueError("expected between 1s and 24h")
    return timeout


def _fits_in_quotes(name: str, secret: Secret) -> None:
    """What would end the quotes around it, or the line, could become another argument."""
    if re.search(r'["\x00-\x1f]|\\\Z', secret.reveal()):
        raise ValueError(f"the secret {name} holds a double quote or a control character, or ends in a backslash")


Arguments = Annotated[str, AfterValidator(_one_line)]


class Package(Scoped):
    model_config = ConfigDict(hide_input_in_errors=True)
    KIND = "package"
    EXAMPLE = r"""
        - name: Notepad++
          type: nsis
          source: { path: 'D:\Setup\npp.8.6.9.Installer.x64.exe' }
          sha256: 9fb96f78267cedbdbd273bc46a4e00c59b74ae73a3b9c149f0167459352386af
          detect: { key: Notepad++ }
          version: at least 8.6
        - name: Notepad++
          type: nsis
          detect: { key: Notepad++ }
          absent: true
    """
    SCOPE = "display name"
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("DriveNotFound", "NoServiceFoundForGivenName")

    name: Annotated[Text, KEY]
    """What it is called here."""
    version: Annotated[Version | None, VERSION] = None
    """The version that must be there: `2.5.9`, or `at least 2.5.9`; left out, any will do."""
    leftover: Annotated[str, LEFTOVER, Field(pattern=r"^(nothing|a job that .+)$")] = NO_LEFTOVER
    """A job of an earlier run; nothing is what it should be."""
    type: Annotated[Type, OPTION]
    """What kind of installer: it decides how it is told to be silent, and what it leaves to be removed with."""
    detect: Annotated[Detect, OPTION]
    """How it is told that the program is there."""
    source: Annotated[Source | None, OPTION] = None
    """Where the installer comes from."""
    sha256: Annotated[str | None, OPTION, BeforeValidator(lambda value: value and _digest(value))] = None
    """The installer's SHA-256, checked on the host right before it runs."""
    signer: Annotated[Signer | None, OPTION] = None
    """Who must have signed the installer."""
    arguments: Annotated[Arguments, OPTION] = ""
    """What else it is told; `{name}` stands for a secret, `{log}` for where its log goes."""
    uninstall_arguments: Annotated[Arguments, OPTION] = ""
    """What it is told when it is removed, where its type has no silent way of its own."""
    secrets: Annotated[dict[str, Secret], OPTION] = Field(default_factory=dict)
    """Secrets in the arguments, by the names that stand there in braces."""
    exit_codes: Annotated[tuple[int, ...], OPTION] = (0,)
    """Exit codes that mean success, besides 3010 and 1641, which mean that Windows wants to be started anew."""
    run_as: Annotated[Literal["session", "system"], OPTION] = "session"
    """As the session's user, or as SYSTEM for an installer that refuses a network logon."""
    timeout: Annotated[Duration, OPTION, AfterValidator(_bearable)] = Duration(3600)
    """After how long it is stopped."""
    provides_services: Annotated[tuple[Text, ...], OPTION] = ()
    """Services that it brings: what names them comes after it in a plan."""
    provides_paths: Annotated[tuple[LocalPath, ...], OPTION] = ()
    """Files and folders that it brings."""
    stops_services: Annotated[tuple[ServiceName, ...], OPTION] = ()
    """Services that must not run meanwhile, in the order in which they are stopped; those that ran are started again."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info):
            return self
        if not self.absent and not (self.source and self.sha256):
            raise ValueError("a package needs source and sha256, or absent: true")
        if self.absent and not self.detect.by_uninstall_key:
            raise ValueError("what removes it stands in its uninstall key: detect by product_code, key or display_name")
        if self.version and not self.detect.tells_version:
            raise ValueError("a service tells no version: detect by product_code, key, display_name or file")
        if self.source and self.source.file and self.sha256 not in (None, self.source.file.sha256):
            there = self.source.file
            raise ValueError(f"files/{there.name} has the SHA-256 {there.sha256}, the inventory says {self.sha256}")
        self._check_secrets()
        return self

    def _check_secrets(self) -> None:
        for name, secret in self.secrets.items():
            if name == "log" or f"{{{name}}}" not in self.arguments + self.uninstall_arguments:
                raise ValueError(f"the secret {name} stands nowhere in the arguments: write {{{name}}} where it belongs")
            _fits_in_quotes(name, secret)

    def undone(self, found: Self | None) -> Self | str:
        if found is not None and not found.absent:
            return "another version was there before, whose installer we do not have"
        if not self.detect.by_uninstall_key:
            return "what removes it stands in its uninstall key, and it is not detected by one: remove it by hand"
        return self.gone(type=self.type, detect=self.detect, uninstall_arguments=self.uninstall_arguments, timeout=self.timeout)

    def provides(self) -> frozenset[str]:
        return frozenset({f"package:{self.name.lower()}"})

    def brings(self) -> frozenset[str]:
        services = {f"service:{name.lower()}" for name in self.provides_services}
        return frozenset(services | {path_token(path) for path in self.provides_paths})

    def needs(self) -> frozenset[str]:
        path = self.source.path if self.source else None
        return super().needs() | {path_token(one) for one in ([path, *paths_above(path)] if path else [])}

    @property
    def job(self) -> str:
        """Whoever plans the same package with the same installer finds its job again."""
        return jobs.job_id(self.KIND, self.name.lower(), self.sha256 or "", "remove" if self.absent else "install")

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        path = self.source.path if self.source and not self.absent else None
        installer = {"installer": file_stat(path)} if path else {}
        services = {f"service {name}": cmdlet_read("Get-Service", ["Status"], Name=name) for name in self.stops_services}
        # what has ended is seen with all that it did
        return {**jobs.reads(self.job), **self.detect.reads(), **installer, **services}

    def then_reads(self, answers: Answers) -> Reads:
        return jobs.then_reads(answers)

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return Detect(display_name=of).reads()

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Programs whose names fit, `*` standing for anything, each removed by what its uninstall key says."""
        for program, view in Detect(display_name=of).programs(answers).items():
            type = program.kind if program.kind in get_args(Type) else "exe"
            detect = {"key": program.key, "view": view}
            yield cls.model_validate({"name": program.display_name, "type": type, "detect": detect, "absent": True})

    def actual(self, answers: Answers) -> Self | None:
        record = jobs.record(answers)
        found = self.detect.found(answers)
        if not self._is_as_wanted(found) and answers.asked("installer") and answers.installer is None:
            raise self._without_installer()
        if found is None:
            return self._seen(None, record, absent=True) if self.absent and record else None
        if self.version and (reason := undecided(self.version, found.version)):
            raise Unknown(reason)
        return self._seen(found.version, record, absent=False)

    def _is_as_wanted(self, found: Installed | None) -> bool:
        if self.absent or found is None:
            return self.absent and found is None
        return self.version is None or (found.version is not None and satisfied(self.version, found.version))

    def _without_installer(self) -> Missing:
        """One that should stand on the host may be what this same plan puts there."""
        path = str(self.source and self.source.path)
        return Missing(path_token(path), f"its installer {path} is not there, and nothing in this plan puts it there")

    def _seen(self, version: str | None, record: jobs.Record | None, absent: bool) -> Self:
        leftover = f"a job that {self._state(record)}" if record else NO_LEFTOVER
        same = {"name": self.name, "type": self.type, "detect": self.detect}
        return type(self).observed(**same, absent=absent, version=version, leftover=leftover)

    def _state(self, record: jobs.Record) -> str:
        if record.running:
            return "is running"
        if not record.ended:
            return "was cut off" if record.begun else "was not begun"
        exit = _exit(record)
        return "failed" if exit is None else f"ended with {exit}"

    # ------------------------------------------------------------ judging

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        record = jobs.record(answers)
        if change.action != "remove" or not self._starts(change) or (record and record.running):
            return ""
        try:
            self._removal(answers)
        except ValueError as error:
            return str(error)
        except Unknown:
            pass  # a plan from a snapshot knows that it goes, and not by what
        return ""

    def note(self, change: Change[Any], answers: Answers) -> str:
        record, starts = jobs.record(answers), self._starts(change)
        notes = []
        if record and record.running:
            since = f" since {_minute(record.started)}" if record.begun else ""
            notes.append(f"its {self._what} runs{since}: apply waits for it")
        elif record and record.begun and starts:
            came_of_it = self._failure(record, answers) or "was in vain"
            notes.append(f"the last attempt, begun {_minute(record.started)}, {came_of_it}")
        if starts and self._hides(self.uninstall_arguments if self.absent else self.arguments):
            notes.append(AUDITED)
        if starts and not (record and record.running) and (stopped := self._running(answers)):
            notes.append(f"meanwhile {', '.join(stopped)} {'is' if len(stopped) == 1 else 'are'} stopped")
        if starts and self.version and change.actual and newer(self.version, change.actual.version or ""):
            notes.append("what is there is newer: its installer may refuse to go back")
        return "; ".join(notes)

    def unseen(self, change: Change[Any]) -> str:
        """Which installer, as whom and with which arguments: an approval of the package is one of these."""
        if self.source is None or self.absent or not self._starts(change):
            return ""
        signed = f", signed by {self.signer.subject}; {self.signer.issuer}" if self.signer else ""
        who = "SYSTEM" if self.run_as == "system" else "the session's user"
        told = f", told {self.arguments}" if self.arguments else ""
        return f"its installer: {self.source.told} (SHA-256 {self.sha256}{signed}), as {who}{told}"

    @property
    def _what(self) -> str:
        return "uninstaller" if self.absent else "installer"

    def _starts(self, change: Change[Any]) -> bool:
        """Whether it needs its installer, and not only to be tidied up after."""
        there = change.actual is not None and not change.actual.absent
        return change.action == "create" or change.touches("version") or (change.action == "remove" and there)

    def follows(self, change: Change[Any]) -> bool:
        """A job is taken away when it was looked at."""
        return self._starts(change)

    def may_reboot(self, change: Change[Any]) -> bool:
        return self._starts(change)

    def reboot(self, answers: Answers) -> str:
        record = jobs.record(answers)
        exit = _exit(record) if record else None
        if record is None or exit is None or jobs.booted_since(record, answers):
            return ""
        return f"its {self._what} asks for it ({exit})" if installers.plain_code(exit) in REBOOT else ""

    # ------------------------------------------------------------ the job

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        record = jobs.record(answers)
        if record and record.running:
            return
        if not self._starts(change):
            yield job_close(self.job)
            return
        if record and record.begun:
            yield job_close(self.job)
        yield job_open(self.job)
        if self.source and self.source.file and not self.absent:
            file = self.source.file
            yield file_push(self._place(answers), file.path, file.sha256, file.size)
        run = self._uninstaller(answers) if self.absent else self._installer(answers)
        running = self._running(answers)
        stops = [cmdlet_write("Stop-Service", Name=name) for name in running]
        # what is removed may take its services with it, and what needs them
        starts = [] if self.absent else [cmdlet_write("Start-Service", Name=name) for name in reversed(running)]
        yield job_start(self.job, [*stops, run], anyway=starts, elevated=self.run_as == "system")

    def _running(self, answers: Answers) -> list[str]:
        rows = {name: getattr(answers, f"service {name}") for name in self.stops_services}
        return [name for name, row in rows.items() if row and row[0]["Status"] == "Running"]

    def _place(self, answers: Answers) -> str:
        assert self.source
        return self.source.place(answers.job["folder"], self.type)

    def _installer(self, answers: Answers) -> Write:
        assert self.source
        file = self._place(answers)
        signed = {"subject": self.signer.subject, "issuer": self.signer.issuer} if self.signer else {}
        started = installers.installation(self.type, file, self.arguments)
        return self._run(started, answers, file=file, sha256=self.sha256 or "", url=self.source.url or "", **signed)

    def _uninstaller(self, answers: Answers) -> Write:
        return self._run(self._removal(answers), answers)

    def _removal(self, answers: Answers) -> Started:
        found = self.detect.found(answers)
        program = found.program if found else None
        if not program:
            raise Unknown("no uninstall key says what it is removed with")
        return installers.removal(self.type, program, self.uninstall_arguments)

    def _run(self, started: Started, answers: Answers, **checked: Any) -> Write:
        line = self._line(started.line.replace("{log}", f"{answers.job['folder']}\\{LOG}"))
        return install_run(started.program, line, int(self.timeout.seconds), **checked)

    def _line(self, text: str) -> str | Secret:
        """With its secrets it is one itself, whose source is the line as it may be shown."""
        if not self._hides(text):
            return text
        names = re.compile("|".join(re.escape(f"{{{name}}}") for name in self.secrets))
        return Secret(names.sub(lambda found: self.secrets[found[0][1:-1]].reveal(), text), names.sub(HIDDEN, text))

    def _hides(self, text: str) -> bool:
        return any(f"{{{name}}}" in text for name in self.secrets)

    # ------------------------------------------------------------ what became of it

    def work(self, answers: Answers) -> Work | None:
        try:
            record = jobs.record(answers)
        except Unknown as unknown:
            return Work(False, f"what its job says can't be read: {unknown.reason}")
        if record is None:
            return None
        if record.running:
            return Work(True)
        log = file_read(f"{record.folder}\\{LOG}", offset=-LOG_END, length=LOG_END)
        if failure := self._failure(record, answers):
            return Work(False, f"its {self._what} {failure}", log)
        return self._afterwards(record, answers, log)

    def _afterwards(self, record: jobs.Record, answers: Answers, log: Any) -> Work:
        """Uninstallers that copy themselves, and some that unpack another, return before the work is done."""
        try:
            if self._is_as_wanted(self.detect.found(answers)):
                return Work(False)
        except Unknown:
            return Work(False)  # the plan that follows says so
        still = "it is still there" if self.absent else "it is not there as it should be: is detect right?"
        return Work(True, f"its {self._what} ended with {_exit(record)}, and yet {still}", log, settling=True)

    def _failure(self, record: jobs.Record, answers: Answers) -> str:
        """What went wrong, to be read after 'its installer'; '' if nothing did."""
        if not record.begun:
            return "was not begun: no PowerShell came to life for it"
        if record.lost:
            booted = jobs.booted_since(record, answers)
            return f"was cut off: {f'Windows was started anew at {_minute(booted)}' if booted else 'its runner was ended'}"
        if isinstance(record.value, Failure):
            return self._refused(record.value)
        exit = _exit(record)
        if exit is None:
            return f"did not end within {self.timeout}, and was ended"
        accepted = {exit, installers.plain_code(exit)} & {*REBOOT, *self.exit_codes}
        return "" if accepted else installers.in_words(self.type, exit)

    def _refused(self, failure: Failure) -> str:
        if failure.id.startswith("opdeploy.BadHash"):
            return "was not run: it arrived with another SHA-256 than the inventory says"
        if failure.id.startswith("opdeploy.BadSigner"):
            wanted = f"; it should be by {self.signer.subject}; {self.signer.issuer}" if self.signer else ""
            return f"was not run: it is not signed as it should be: {failure.message}{wanted}"
        return f"could not be run: {without_secrets(failure.message)}"


def _exit(record: jobs.Record) -> int | None:
    """Its exit code; None where it did not end by itself."""
    value = record.value
    return value["exit"] if isinstance(value, Mapping) and value.get("ended") else None


def _minute(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"
