"""The evidence as a page to read."""

from collections import Counter

from .figures import WORKLOADS


def failed(evidence):
    """Whether a test failed, a sanitizer found something, or one gave no answer."""
    tests = any(test["verdict"] == "fail" for test in evidence["tests"])
    return tests or any(tool["errors"] != 0 for tool in evidence["sanitizers"])


def text(evidence, remarks):
    rehearsal = evidence["schema"].startswith("netdyn/gpu-rehearsal")
    parts = [
        f"# Rehearsal on {evidence['device']}, which is no evidence" if rehearsal else f"# {evidence['device']}",
        f"Driver {evidence['driver']}; commit {evidence['commit']}; {evidence['date']}. {peers(evidence['peers'])}",
        of_tests(evidence["tests"]),
        of_sanitizers(evidence["sanitizers"]),
        of_figures(evidence["figures"]),
    ]
    if evidence["left_out"]:
        parts.append("## Left out for want of time\n\n" + "\n".join(f"- {what}" for what in evidence["left_out"]))
    if remarks:
        parts.append("## Remarks\n\n" + "\n".join(f"- {remark}" for remark in remarks))
    kernels = [[f"`{name}`", f"`{digest[:16]}…`"] for name, digest in evidence["kernels"].items()]
    parts.append("## Kernels as run\n\n" + table(["file", "SHA-256"], kernels))
    return "\n\n".join(parts) + "\n"


def peers(versions):
    return "Peers: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "." if versions else ""


def of_tests(tests):
    if not tests:
        return "## Tests\n\nNone has run."
    count = Counter(test["verdict"] for test in tests)
    summary = f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped."
    named = lambda verdict: ", ".join(f"`{test['name']}`" for test in tests if test["verdict"] == verdict)
    bad = [f"{title}: {named(verdict)}" for title, verdict in [("Failed", "fail"), ("Skipped", "skip")] if named(verdict)]
    measured = [test for test in tests if test["error"] is not None]
    measured = [test for test in measured if test["bound"]]
    measured.sort(key=lambda test: -test["error"] / test["bound"])
    rows = [[f"`{test['name']}`", f"{test['error']:.2e}", f"{test['bound']:.2e}"] for test in measured[:30]]
    slowest = sorted((test for test in tests if test["seconds"]), key=lambda test: -test["seconds"])[:5]
    slowest = ", ".join(f"`{test['name']}` {test['seconds']:.1f} s" for test in slowest)
    parts = ["## Tests", f"{summary} The slowest: {slowest}.", *bad]
    if rows:
        parts += ["Closest to their bounds:", table(["test", "error", "bound"], rows)]
    return "\n\n".join(part for part in parts if part)


def of_sanitizers(tools):
    if not tools:
        return "## Sanitizers\n\nNone has run."
    count = lambda errors: "no answer" if errors is None else str(errors)
    rows = [[tool["tool"], str(tool["tests"]), count(tool["errors"])] for tool in tools]
    return "## Sanitizers\n\n" + table(["tool", "tests", "errors"], rows)


def of_figures(figures):
    timed = {figure["workload"] for figure in figures}
    missing = [name for name in WORKLOADS if name not in timed]
    rest = f"Not timed: {', '.join(missing)}." if missing else ""
    if not figures:
        return f"## Times\n\nNone. {rest}"
    head = [
        "workload", "ours, µs", "peer", "peer, µs", "ratio", "spread", "limit, µs", "error", "peer's error", "apart",
    ]
    rows = [
        [
            f"`{figure['workload']}`",
            number(figure["ours_us"], ".4g"),
            figure["peer"] or "–",
            number(figure["peer_us"], ".4g"),
            number(figure["ratio"], ".2f"),
            number(figure["spread"], ".1%"),
            number(figure["limit_us"], ".4g"),
            number(figure["error"], ".1e"),
            number(figure["peer_error"], ".1e"),
            number(figure["apart"], ".1e"),
        ]
        for figure in figures
    ]
    return f"## Times\n\nA ratio above 1: we are faster.\n\n{table(head, rows)}\n\n{rest}".rstrip()


def number(value, form):
    return "–" if value is None else format(value, form)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
