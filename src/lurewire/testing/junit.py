"""Outcomes as JUnit XML, in the form that CI systems read (https://github.com/testmoapp/junitxml)."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .running import Outcome

#: Characters that XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"failed": "failure", "error": "error"}


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """A document with a suite for each file."""
    top = ET.Element("testsuites", _counts(outcomes))
    for path, group in groupby(outcomes, key=lambda one: str(one.path)):
        found = list(group)
        suite = ET.SubElement(top, "testsuite", {"name": _clean(path), **_counts(found)})
        for one in found:
            attributes = {"name": _clean(one.name), "classname": _clean(path), "time": f"{one.seconds:.3f}"}
            case = ET.SubElement(suite, "testcase", attributes)
            element = _ELEMENTS.get(one.status)
            if element is not None:
                text = _clean(one.message)
                ET.SubElement(case, element, {"message": text.split("\n", 1)[0]}).text = text
    return bytes(ET.tostring(top, encoding="utf-8", xml_declaration=True))


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {
        "tests": str(len(outcomes)),
        "failures": str(sum(one.status == "failed" for one in outcomes)),
        "errors": str(sum(one.status == "error" for one in outcomes)),
        "time": f"{sum(one.seconds for one in outcomes):.3f}",
    }


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
