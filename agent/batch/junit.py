"""A summary as a JUnit file, which every CI reads: one test case a step, a gate that does not hold as a failure."""

import re
from pathlib import Path
from xml.etree import ElementTree

from agent.batch.outcomes import StepOutcome, Summary
from analyzers.errors import UsageError
from knowledge.files import write_whole

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


def check_path(path: Path) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
    """
    if path.is_dir():
        raise UsageError(f"--junit {path} is a folder; name a file in it, such as {path / 'batch.xml'}")
    if not path.parent.is_dir():
        raise UsageError(f"--junit {path}: there is no folder {path.parent}; make it first")


def write_junit(path: Path, summary: Summary) -> None:
    """Write the file, whole or not at all.

    Raises:
        StorageError: the disk is full or not writable.
    """
    counts = {
        "tests": len(summary.steps),
        "failures": sum(_is_gate(each) for each in summary.steps),
        "errors": sum(each.status == "failed" and not _is_gate(each) for each in summary.steps),
        "skipped": sum(each.status in ("skipped", "cancelled") for each in summary.steps),
    }
    about = {name: str(count) for name, count in counts.items()} | {"time": f"{summary.seconds:.3f}"}
    top = ElementTree.Element("testsuites", {"name": _text(summary.name), **about})
    suite = ElementTree.SubElement(
        top, "testsuite", {"name": _text(summary.name), "timestamp": f"{summary.started:%Y-%m-%dT%H:%M:%S}", **about}
    )
    for step in summary.steps:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": _text(summary.name), "name": _text(step.name), "time": f"{step.seconds:.3f}"},
        )
        if step.status == "failed":
            kind, tag = ("gate", "failure") if _is_gate(step) else ("error", "error")
            ElementTree.SubElement(case, tag, {"type": kind, "message": _text(step.message)}).text = _text(step.message)
        elif step.status in ("skipped", "cancelled"):
            ElementTree.SubElement(case, "skipped", {"message": _text(step.message)})
        lines = [
            step.command or step.verb,
            *([f"run {step.run}"] if step.run else []),
            *([step.gist] if step.gist else []),
        ]
        lines += [f"{'holds' if gate.holds else 'does not hold'}: {gate.text} ({gate.found})" for gate in step.gates]
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(lines))
    ElementTree.indent(top)
    write_whole(path, ElementTree.tostring(top, encoding="utf-8", xml_declaration=True) + b"\n")


def _is_gate(step: StepOutcome) -> bool:
    return step.status == "failed" and bool(step.gates)


def _text(given: str) -> str:
    return _FORBIDDEN.sub("?", given)
