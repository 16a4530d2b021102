"""compute-sanitizer over small tests: wild accesses, races in shared memory, reads of what was never written."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .programs import ROOT
from .tests import EVENTS, SLOW, event_in

TOOLS = ["memcheck", "racecheck", "initcheck"]

SKIPPED = ["large_", *SLOW]
"""Too long under a tool that slows kernels down a hundredfold."""

LEAST = 30
"""Seconds below which no tool is begun."""

LONGEST = 3600
"""Seconds after which a tool is stopped."""

SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)")


def run(program, out, only, limit, remarks):
    """Errors by tool; none, with a remark, where the tool is not installed."""
    sanitizer = find()
    if sanitizer is None:
        remarks.append("compute-sanitizer is not on this machine: no sanitizer has run")
        return []
    return [found for tool in TOOLS if (found := check(sanitizer, tool, program, out, only, limit, remarks))]


def check(sanitizer, tool, program, out, only, limit, remarks):
    if limit.left() < LEAST:
        return limit.skip(tool)
    command = [sanitizer, "--tool", tool, program, "--test-threads", "1", "--format", "json"]
    command += [only] if only else []
    for skipped in SKIPPED:
        command += ["--skip", skipped]
    environment = os.environ | dict(NETDYN_REQUIRE_CUDA="1")
    log = out / f"{tool}.log"
    with open(log, "w") as file:
        # In a group of its own: the program under the tool is to end with it.
        options = dict(cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        process = subprocess.Popen(command, **options)
        try:
            ending = f"exit code {process.wait(limit.left(LONGEST))}"
        except subprocess.TimeoutExpired:
            ending = "stopped"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    text = log.read_text(errors="replace")
    ended = [event for line in text.splitlines() if (event := event_in(line)).get("event") in EVENTS]
    summary = SUMMARY.findall(text)
    # Without a summary the tool itself failed, or was stopped: that is no clean result.
    no_time = ending == "stopped" and limit.left() == 0
    if no_time:
        limit.skip(f"the rest of {tool}")
    elif not summary:
        remarks.append(f"{tool} gave no summary ({ending}): see {tool}.log")
    failed = [event["name"] for event in ended if event["event"] == "failed"]
    if failed:
        remarks.append(f"under {tool} failed: {', '.join(failed)}")
    limit.note(f"{tool}: {len(ended)} tests")
    if no_time and not failed:
        return None
    return dict(tool=tool, tests=len(ended), errors=sum(map(int, summary)) if summary else None)


def find():
    """The tool in PATH or beside a toolkit."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    candidates = [Path(home) / "bin" / "compute-sanitizer" for home in homes if home]
    return shutil.which("compute-sanitizer") or next((str(path) for path in candidates if path.exists()), None)
