"""compute-sanitizer over small tests: wild accesses, races in shared memory, reads of what was never written."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .programs import ROOT
from .tests import EVENTS, events

TOOLS = ["memcheck", "racecheck", "initcheck"]

SKIPPED = ["large_", "engines::", "basin::", "trajectory::", "cuda_cli::"]
"""Too long under a tool that slows kernels down a hundredfold."""

SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)")


def run(program, out, only, remarks):
    """Errors by tool; none, with a remark, where the tool is not installed."""
    sanitizer = find()
    if sanitizer is None:
        remarks.append("compute-sanitizer is not on this machine: no sanitizer has run")
        return []
    return [check(sanitizer, tool, program, out, only, remarks) for tool in TOOLS]


def check(sanitizer, tool, program, out, only, remarks):
    command = [sanitizer, "--tool", tool, program, "--test-threads", "1", "--format", "json"]
    command += [only] if only else []
    for skipped in SKIPPED:
        command += ["--skip", skipped]
    environment = os.environ | dict(NETDYN_REQUIRE_CUDA="1")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )
    (out / f"{tool}.log").write_text(done.stdout)
    ended = [event for event in events(done.stdout) if event["event"] in EVENTS]
    summary = SUMMARY.findall(done.stdout)
    # Without a summary the tool itself failed: that is no clean result.
    if not summary:
        remarks.append(f"{tool} gave no summary (exit code {done.returncode}): see {tool}.log")
    failed = [event["name"] for event in ended if event["event"] == "failed"]
    if failed:
        remarks.append(f"under {tool} failed: {', '.join(failed)}")
    return dict(tool=tool, tests=len(ended), errors=sum(map(int, summary)) if summary else None)


def find():
    """The tool in PATH or beside a toolkit."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    candidates = [Path(home) / "bin" / "compute-sanitizer" for home in homes if home]
    return shutil.which("compute-sanitizer") or next((str(path) for path in candidates if path.exists()), None)
