"""A report as JUnit's XML, as CI servers read it: a suite a host, a case a resource. [github.com/testmoapp/junitxml]

What differs is a failure, what could not be read is skipped, a host that was not read is an error. In order, and not only by
name: applied, in sync, not applicable, waived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from opdeploy.model import SETTLED
from opdeploy.rendering import printable
from opdeploy.reports.document import Report, ReportedHost, ReportedResource
from opdeploy.reports.text import drift_lines, property_line

Fault = Literal["failure", "error", "skipped"]


@dataclass(frozen=True)
class Case:
    kind: str
    name: str
    fault: Fault | None = None
    message: str = ""
    details: Sequence[str] = ()


def as_junit(report: Report) -> str:
    """The whole run."""
    at = report.created_at
    return suites(f"opdeploy {report.command}", ((host.name, at, list(_cases(host, at))) for host in report.hosts))


def suites(name: str, found: Iterable[tuple[str, str, Sequence[Case]]]) -> str:
    """Suites by name, with when they were run (ISO 8601) and their cases."""
    root = ET.Element("testsuites", name=name)
    for title, at, cases in found:
        _suite(root, title, at, cases)
    _count(root, list(root.iter("testcase")))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, title: str, at: str, cases: Sequence[Case]) -> None:
    suite = ET.SubElement(root, "testsuite", name=_xml(title), timestamp=at.removesuffix("Z"))
    for case in cases:
        element = ET.SubElement(suite, "testcase", classname=_xml(f"{title}.{case.kind}"), name=_xml(case.name), time="0")
        below = {"message": _xml(case.message)} if case.fault else {}
        if case.fault or case.details:
            ET.SubElement(element, case.fault or "system-out", below).text = "\n".join(map(_xml, case.details)) or None
    _count(suite, list(suite))


def _count(element: ET.Element, cases: Sequence[ET.Element]) -> None:
    element.set("tests", str(len(cases)))
    for attribute, fault in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(fault) is not None for case in cases)))


def _xml(text: str) -> str:
    """XML 1.0 has no way to write a control character, nor half a surrogate pair, nor U+FFFE."""
    return "".join(char if char.isprintable() or char == " " else f"\\u{ord(char):04x}" for char in printable(text))


def _cases(host: ReportedHost, now: str) -> Iterator[Case]:
    if host.error:
        yield Case("host", "read", "error", host.error, [*host.details, *filter(None, [host.hint])])
    yield from (_case(one, now) for one in host.resources)


def _case(one: ReportedResource, now: str) -> Case:
    fault = _fault(one)
    if fault is None:
        return Case(one.kind, one.key)
    details = [*(property_line(one, values) for values in one.properties), *filter(None, [one.reason, one.error])]
    details += drift_lines(one.drift, now) if one.drift else []
    return Case(one.kind, one.key, fault, _message(one), details)


def _fault(one: ReportedResource) -> Fault | None:
    if one.outcome == "applied" or one.verdict in SETTLED or (one.drift and one.drift.kind == "waived"):
        return None
    return "skipped" if one.verdict == "unknown" and one.outcome is None else "failure"


def _message(one: ReportedResource) -> str:
    said = one.error or one.reason
    if one.outcome:
        word = one.outcome.replace("_", " ")
        return said if said.startswith(f"{word}: ") else f"{word}: {said}".removesuffix(": ")
    if one.verdict == "unknown":
        return said
    differs = ", ".join(values.name for values in one.properties)
    return f"would {one.action if one.action != 'none' else 'change'}: {differs}".removesuffix(": ")
