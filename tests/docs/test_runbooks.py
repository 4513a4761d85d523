"""docs/runbooks: every runbook keeps the format, every branch leads on, and nothing that the help pages say is missing.

`GISTS` goes through the two pages of OP's help line by line: seed 002 (OP Portal) and seed 004 (patient portal accounts).
A row is what a line says, the runbook that tells it, and the words that must stand there.
"""

from __future__ import annotations

import re

import pytest

from opdeploy.cli.runbook import OWN, Runbook, found

RUNBOOKS = found()
SECTIONS = [
    "When to use it",
    "Before you begin",
    "Steps",
    "Solved when",
    "If it is not solved",
    "Not said in the source",
    "Source",
]
PEOPLE = {"practice's support", "install team"}
STEP = re.compile(r"^(\d+)\. (.*(?:\n {3,4}(?! *- ).*)*)((?:\n {3,4}- .*(?:\n {5,6}.*)*)*)", re.MULTILINE)
END = re.compile(r"go to step (\d+)|go on with \[`([\w-]+)`\]|(it is solved)|(hand it over)")
BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
TIME = re.compile(r"minutes?\b")

Steps = dict[int, tuple[str, list[str]]]


def sections(book: Runbook) -> dict[str, str]:
    title, *parts = re.split(r"^## ", book.page, flags=re.MULTILINE)
    assert title == f"# {book.title}\n\n"
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def steps(book: Runbook) -> Steps:
    """Each step's text and its branches."""
    read = {}
    for number, text, branches in STEP.findall(sections(book)["Steps"]):
        read[int(number)] = (one_line(text), [one_line(branch) for branch in re.split(r"\n {3,4}- ", branches)[1:]])
    return read


def one_line(text: str) -> str:
    return " ".join(text.split())


def leads_to(number: int, told: Steps) -> set[int]:
    _, branches = told[number]
    return {int(step) for branch in branches for step, *_ in END.findall(branch) if step} if branches else {number + 1}


@pytest.fixture(params=RUNBOOKS.values(), ids=list(RUNBOOKS))
def book(request: pytest.FixtureRequest) -> Runbook:
    return request.param


# ---------------------------------------------------------------- the format


def test_the_file_has_the_runbooks_name(book: Runbook) -> None:
    assert (OWN / f"{book.id}.md").is_file()


def test_it_is_for_somebody(book: Runbook) -> None:
    assert set(book.people) <= PEOPLE
    assert book.people


def test_it_has_the_sections_in_order(book: Runbook) -> None:
    told = sections(book)
    assert list(told) == SECTIONS
    assert all(text.strip() for text in told.values())


def test_it_begins_with_what_a_caller_says(book: Runbook) -> None:
    assert sections(book)["When to use it"].startswith("\n" + "".join(f'- "{symptom}"\n' for symptom in book.symptoms))


def test_it_says_who_with_what_and_what_to_ask(book: Runbook) -> None:
    begun = re.findall(r"^- (Who|Programs|From the \w+): ", sections(book)["Before you begin"], re.MULTILINE)
    assert [one.split()[0] for one in begun] == ["Who", "Programs", "From"]


def test_it_says_whom_to_hand_it_to_and_with_what(book: Runbook) -> None:
    assert sections(book)["If it is not solved"].startswith("\nHand it to OP Support, by phone or e-mail, with: ")


def test_it_ends_with_the_pages_that_it_tells(book: Runbook) -> None:
    assert book.source
    assert sections(book)["Source"] == "\n" + "".join(f"- `{part.file}`: {part.heading}\n" for part in book.source)


def test_every_line_of_the_steps_is_read_by_this_test(book: Runbook) -> None:
    left = STEP.sub("", sections(book)["Steps"])
    assert [line for line in left.splitlines() if line.strip() and not line.startswith("### ")] == []
    assert list(steps(book)) == list(range(1, len(steps(book)) + 1))


def test_a_question_has_branches_and_nothing_else_has(book: Runbook) -> None:
    for number, (text, branches) in steps(book).items():
        assert text.endswith("?") == bool(branches), f"step {number}"
        assert len(branches) != 1, f"step {number}"
        assert all(branch.startswith("If ") for branch in branches), f"step {number}"


def test_every_branch_leads_to_one_place_that_is_there(book: Runbook) -> None:
    told = steps(book)
    for number, (_, branches) in told.items():
        for branch in branches:
            ((step, other, _solved, _over),) = END.findall(branch)
            assert not step or int(step) in told, f"step {number}: {branch}"
            assert not other or (other in RUNBOOKS and other != book.id), f"step {number}: {branch}"


def test_every_step_is_come_to_and_the_last_one_ends_it(book: Runbook) -> None:
    told = steps(book)
    reached, ahead = set(), {1}
    while ahead:
        number = ahead.pop()
        assert number in told, "a step beyond the last"
        reached.add(number)
        ahead |= leads_to(number, told) - reached
    assert reached == set(told), "a step that nothing leads to"


def test_it_can_end_well_or_be_handed_over(book: Runbook) -> None:
    text = sections(book)["Steps"]
    assert "it is solved." in text
    assert "hand it over" in text


def test_waiting_times_are_bold_and_nothing_else_is(book: Runbook) -> None:
    bold = BOLD.findall(book.page)
    assert [text for text in bold if not TIME.search(text)] == []
    assert TIME.findall(BOLD.sub("", sections(book)["Steps"])) == []


def test_the_index_has_every_runbook_with_what_a_caller_says() -> None:
    index = (OWN / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+)\.md\) \| (.*) \|$", index, re.MULTILINE)
    assert rows == [(book.id, book.id, book.symptoms[0]) for book in RUNBOOKS.values()]


# ---------------------------------------------------------------- nothing is dropped

WELCOME, FINDING, AS_PATIENT = "welcome-email-not-received", "finding-sent-mails", "parent-as-patient"
NOT_SEEN, CREATING = "parent-sees-no-patient", "creating-an-account"
CHANGE, PAYING = "portal-change-not-shown", "paying-through-the-portal"

GISTS = [
    # seed 002, from its beginning
    ("it is about the OP Portal", WELCOME, "the OP Portal"),
    ("look into the patient's family contacts", WELCOME, "In the patient's chart open *Family Contacts*"),
    ("check the parent's authority", WELCOME, "Is the parent's *Authority* right"),
    ("check the e-mail address", WELCOME, "Does *Email Address* hold the address"),
    ("both right: register sends it again", WELCOME, "Click *Register* and confirm that another e-mail shall go out"),
    ("it can always be sent again", WELCOME, "as often as needed"),
    ("above all for a new address", WELCOME, "parent whose address is new"),
    ("widgets and warnings take 15 minutes or longer", CHANGE, "**Wait 15 minutes or longer**"),
    ("widgets, warning messages and the like", CHANGE, "a widget, a warning message, something else of the kind"),
    ("instamed is preferred", PAYING, "Instamed is the vendor that OP prefers"),
    ("other vendors case by case", PAYING, "decides case by case"),
    ("a bank with a web address in use", PAYING, "a bank, with a web address at which parents pay already"),
    (
        "the address into a widget or a warning",
        PAYING,
        "a custom widget, into a warning message (in the *Billing* section), or into both",
    ),
    ("pages that say how: texts", PAYING, "*Updating Custom Texts*"),
    ("pages that say how: home page", PAYING, "*Customizing Your OP Portal Home Page*"),
    ("that change takes its time as well", PAYING, "**Wait 15 minutes or longer**"),
    # seed 002, a parent who is a patient
    ("the parent's account shows parent and dependents", AS_PATIENT, "shows only my children"),
    ("contact in the child's chart, with required fields", AS_PATIENT, "In the child's chart open *Family Contacts*"),
    ("the required fields", AS_PATIENT, "with every required field filled in"),
    ("to the parent's own chart", AS_PATIENT, "the parent's own *Patient Chart > Family Contacts*"),
    ("add the contact there", AS_PATIENT, "Add the parent as a contact of this chart"),
    ("search by last name", AS_PATIENT, "search by last name"),
    (
        "highlight the record and select it",
        AS_PATIENT,
        "click the record that is there so that it is highlighted, then click *Select*",
    ),
    ("the role is not self", AS_PATIENT, "Anything but *Self*"),
    ("other relative is recommended", AS_PATIENT, "OP recommends *Other Relative*"),
    ("authority joint or exclusive", AS_PATIENT, "*Authority* is *Joint* or *Exclusive*"),
    ("confirm the e-mail", AS_PATIENT, "See that the e-mail address is right"),
    ("once registered, they see themselves", AS_PATIENT, "Has the parent registered with the portal?"),
    ("as a dependent, with all others", AS_PATIENT, "as a dependent, beside the children and any other dependents"),
    ("self: no welcome e-mail", AS_PATIENT, "as long as that stands there, no Welcome e-mail is sent"),
    ("self: no welcome e-mail", WELCOME, "OP sends no Welcome e-mail to them"),
    # seed 002, the audit log
    ("log in as admin", FINDING, "Log in to the OP Portal as an admin"),
    ("reports, audit log on the left", FINDING, "In the navigation on the left choose *Reports > Audit Log*"),
    ("type welcome into action", FINDING, "Begin to type `Welcome` into *Action*"),
    ("choose the mail's profile", FINDING, "*Profile: Welcome Mail Sent*"),
    ("a list of all, newest first", FINDING, "every Welcome e-mail that was sent, the newest on top"),
    ("date and time in each row", FINDING, "each row has its date and time"),
    (
        "click a row for person and address",
        FINDING,
        "Click a row for its details, among them the person and the e-mail address",
    ),
    ("search for a person", FINDING, "click into *Search* and type last name and first name"),
    ("how a name is typed", FINDING, "`Smith+John`"),
    ("click that row too", FINDING, "go to step 5. - If no: go to step 5."),
    # seed 002, one or more patients not seen: the patient in OP
    ("one or more patients are not seen", NOT_SEEN, "Where several patients are missing"),
    ("open the chart", NOT_SEEN, "Open the patient's chart"),
    ("basic information tab", NOT_SEEN, "click the *Basic Information* tab"),
    ("active OP patient", NOT_SEEN, "an active OP patient"),
    ("no e-mail address, or N/A", NOT_SEEN, "an e-mail field that is empty or says *N/A*"),
    ("make active, clear the address", NOT_SEEN, "make the patient active, clear the patient's e-mail address"),
    ("then wait and look", NOT_SEEN, "3. **Wait a few minutes.** Does the parent's portal account show the patient now?"),
    ("both right: next part", NOT_SEEN, "*N/A*? - If yes: go to step 4."),
    # the parent in OP
    ("family contacts tab", NOT_SEEN, "click the *Family Contacts* tab"),
    ("the parent is among them", NOT_SEEN, "Is the parent among the contacts?"),
    ("select the contact", NOT_SEEN, "select the parent"),
    ("active: on to the portal", NOT_SEEN, "Is this contact active? - If yes: go to step 12."),
    ("not active: look for duplicates", NOT_SEEN, "If no: go to step 6. 6. Look for a duplicate of the parent"),
    ("contact manager", NOT_SEEN, "*Practice Management* tab > *Contact Manager*"),
    ("by last name first", NOT_SEEN, "search by last name. Is there one?"),
    ("then by e-mail", NOT_SEEN, "7. Search there by e-mail address"),
    ("a duplicate: merge", NOT_SEEN, "*Merge Contacts*"),
    ("none: leave for DAR", NOT_SEEN, "leave *Contact Manager*; go to step 8. 8. Open *DAR* (Demographic Analysis/Recall)"),
    ("no date restrictions, search", NOT_SEEN, "choose *No date restrictions*, click *Search*"),
    (
        "sort by e-mail",
        NOT_SEEN,
        "sort by e-mail address. Is there a duplicate? - If yes: go to step 10. - If no: go to step 9.",
    ),
    (
        "then by date of birth, where entered",
        NOT_SEEN,
        "9. Sort by date of birth, which helps only where the practice enters it for contacts",
    ),
    ("a duplicate in DAR: merge", NOT_SEEN, "contacts. Is there a duplicate? - If yes: go to step 10."),
    ("merged: wait and look", NOT_SEEN, "11. **Wait a few minutes.** Does the parent's portal account show the patient now?"),
    ("still not: next part", NOT_SEEN, "show the patient now? - If yes: it is solved. - If no: go to step 12."),
    # the patient in the portal
    ("admin side, users", NOT_SEEN, "On the admin side of the OP Portal open *Users*"),
    ("search by last and first name, select", NOT_SEEN, "search for the patient by last name and first name, and select them"),
    ("dummy address", NOT_SEEN, "Does the patient's e-mail address end in `@dummy.com`? - If yes: go to step 15."),
    ("else change it by hand", NOT_SEEN, "change it by hand to one that does; go to step 14. 14. **Wait a few minutes.**"),
    ("role patient: on", NOT_SEEN, "Is the user's *Role* *Patient*? - If yes: go to step 16."),
    ("another role: OP", NOT_SEEN, "If no: hand it over. ### The parent in the OP Portal"),
    # the parent in the portal
    (
        "admin side, profile, caregivers",
        NOT_SEEN,
        "on the admin side, with the patient selected, open *Profile* and click *Caregivers*",
    ),
    ("the parent is listed", NOT_SEEN, "*Caregivers*. Is the parent listed?"),
    ("back to users, search the parent", NOT_SEEN, "Go back to *Users*, search for the parent, select them, click *Profile*"),
    ("dependents", NOT_SEEN, "then *Dependents*. Is the patient listed?"),
    ("refresh: sources", NOT_SEEN, "Make the connection anew: click *Sources*"),
    ("disconnect, confirm", NOT_SEEN, "Under *Actions* click the three dots, *Disconnect*, *Confirm*"),
    ("connect, confirm", NOT_SEEN, "then the three dots once more, *Connect*, *Confirm*"),
    ("10 to 20 minutes", NOT_SEEN, "**Wait 10 to 20 minutes.** Does the parent's portal account show the patient now?"),
    ("still not: OP", NOT_SEEN, "show the patient now? - If yes: it is solved. - If no: hand it over."),
    # seed 004; it tells versions 14.19 and 14.10 word for word alike
    ("help is being rewritten for 14.19, OP 19", CREATING, "OP was still rewriting its help for it"),
    (
        "OP 19 is 14.19.1, of the certified OP 14 family",
        CREATING,
        '"OP 19" is 14.19 (officially 14.19.1), of the OP 14 family that is certified',
    ),
    ("where the version is seen", CREATING, "*Help > About* says which version you have"),
    ("numbers and steps may not fit", CREATING, "version numbers and steps in it may not fit your program"),
    ("two versions", CREATING, "version 14.10 and version 14.19"),
    ("first time: E-Correspondents", CREATING, "the right *E-Correspondents* are set up for the portal"),
    ("the button's first use", CREATING, "Is it the first time that *Create/Validate* is used"),
    ("ask at check-in", CREATING, "when a patient is checked in"),
    ("ask whether they have an account", CREATING, "Ask the parent whether they have an account"),
    ("F2 register shows it", CREATING, "open *F2 Register*, where the contact's data show it"),
    ("no e-mail on file: staff may create", CREATING, "Is an e-mail address on file? - If no: go to step 3."),
    ("inside OP", CREATING, "Programs: OP"),
    (
        "enter the address, create/validate beside it",
        CREATING,
        "Type the address into the e-mail field, and click *Create/Validate* to its right",
    ),
    ("no shared addresses", CREATING, "Two parents can't share an e-mail address"),
    ("yes in the dialog", CREATING, "A dialog asks whether the account shall be created: click *Yes*"),
    ("hand over the log-in", CREATING, "Give the parent the log-in information that is shown"),
    ("password is temporary", CREATING, "the password is a temporary one"),
    ("nothing is mailed", CREATING, "no e-mail tells them about this account"),
    ("OK closes", CREATING, "Close the dialog with *OK*"),
]


@pytest.mark.parametrize(("gist", "name", "words"), GISTS, ids=[f"{name}: {gist}" for gist, name, _ in GISTS])
def test_what_the_help_pages_say_is_told(gist: str, name: str, words: str) -> None:
    assert words in one_line(RUNBOOKS[name].page)


def test_every_runbook_tells_something_of_them() -> None:
    assert {name for _, name, _ in GISTS} == set(RUNBOOKS)
