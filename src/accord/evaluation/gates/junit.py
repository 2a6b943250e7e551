"""A release's gates as JUnit XML, so that any build server shows them."""

from xml.etree import ElementTree

from accord.evaluation.gates.verdict import Release, Verdict


def to_junit(release: Release) -> str:
    """One test case a gate: failures fail, undecided and unmeasured ones are errors, waived ones skipped.

    Gates that only warn or inform are skipped with their verdict where they do not pass.
    """
    suite = ElementTree.Element("testsuite", name=release.plan_name, tests=str(len(release.results)))
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for result in release.results:
        case = ElementTree.SubElement(suite, "testcase", classname=result.gate.metric, name=result.gate.id)
        if result.verdict is Verdict.PASS:
            continue
        tag = "failure" if result.verdict is Verdict.FAIL else "error"
        tag = "skipped" if result.is_held else tag
        counts[tag] += 1
        ElementTree.SubElement(case, tag, message=f"{result.verdict}: {result.reason}")
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(counts[tag]))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
