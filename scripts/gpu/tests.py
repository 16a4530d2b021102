"""The tests of the operations on the card: tests/cuda.rs."""

import json
import os
import queue
import subprocess
import threading
import time

from .programs import ROOT, stop

SLOW = ["engines::", "basin::", "trajectory::", "cuda_cli::"]
"""Tests of whole networks, which begin when those of the operations are done; `large_` ones come last."""

LONG = ["linear::", "linear_backward::", "rank_sort::", "engines::"]
"""Of these the last, in this order: their references take the CPU long."""

QUIET = 600
"""Seconds after which the program counts as hanging in the test it is at; less where the time of the run is limited."""

EVENTS = dict(ok="pass", failed="fail", ignored="skip")


def run(program, out, only, limit, remarks):
    """A verdict for every test whose name contains `only`, but for those that `limit` has no time for.

    A test that brings the program or the card down must not hide the others: it is a failure, and those after it are
    run again.
    """
    known = listed(program)
    names = [name for name in known if only in name]
    quiet = max(20, limit.left(3 * QUIET) / 3)
    found = {}
    with open(out / "tests.log", "w") as log:
        for stage in stages(names):
            while (left := [name for name in stage if name not in found]) and limit.left() > 0:
                ended, under_way, why = once(program, known, left, quiet, limit, log)
                found |= ended
                if why == "no time":
                    break
                if under_way:
                    found[under_way] = dict(verdict="fail")
                    remarks.append(f"`{under_way}` {why}")
                elif why or not ended:
                    found |= {name: dict(verdict="fail") for name in left if name not in found}
                    remarks.append(f"the test program {why or 'ended'} outside a test; what was left counts as failed")
            if stage:
                limit.note(f"{len(found)} of {len(names)} tests")
    if missing := [name for name in names if name not in found]:
        limit.skip(f"{len(missing)} tests: {', '.join(missing)}")
    row = lambda name: dict(name=name, verdict="skip", error=None, bound=None, seconds=None) | found.get(name, {})
    return [row(name) for name in names]


def stages(names):
    """What takes longer comes later."""
    small = [name for name in names if "large_" not in name]
    large = [name for name in names if "large_" in name]
    for names, last in [(small, SLOW), (large, LONG)]:
        yield [name for name in names if not any(part in name for part in last)]
        yield from ([name for name in names if part in name] for part in last)


def once(program, known, wanted, quiet, limit, log):
    """Runs tests one after the other in one program: what there is to say of each that ended; the one that did not,
    and why."""
    command = [program, "--test-threads", "1", "--format", "json", "--exact"]
    for name in set(known) - set(wanted):
        command += ["--skip", name]
    environment = os.environ | dict(NETDYN_REQUIRE_CUDA="1", NETDYN_MEASURED="1")
    log.write(f"$ {program}, {len(wanted)} tests from {wanted[0]} on\n")
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **options)
    try:
        return followed(process, quiet, limit, log)
    finally:
        process.kill()
        try:
            log.write(f"exit code {process.wait(timeout=10)}\n")
        except subprocess.TimeoutExpired:
            # The driver holds it as long as a kernel does not end.
            log.write("it does not end\n")
        log.flush()


def followed(process, quiet, limit, log):
    """What `once` returns, of the program's output as it comes."""
    ended, under_way, began, said, measured = {}, None, time.monotonic(), "", {}
    lines = lines_of(process.stdout)
    while True:
        try:
            line = lines.get(timeout=limit.left(quiet))
        except queue.Empty:
            why = "no time" if limit.left() == 0 else f"said nothing for {quiet:.0f} s"
            log.write(f"{under_way}: {why}\n")
            return ended, under_way, why
        if line is None:
            return ended, under_way, "brought the test program down" if under_way else None
        log.write(line)
        said += line
        measured |= measured_in(line)
        event = event_in(line)
        if event.get("event") == "started":
            under_way, began, said = event["name"], time.monotonic(), ""
        elif event.get("event") in EVENTS:
            verdict, seconds = EVENTS[event["event"]], round(time.monotonic() - began, 3)
            numbers = measured.get(event["name"], {})
            ended[event["name"]], under_way = dict(verdict=verdict, seconds=seconds) | numbers, None
            # After some errors the driver refuses everything else that the program wants.
            if verdict == "fail" and "CUDA_ERROR_" in said:
                log.write("the rest in another program\n")
                return ended, None, None
        if limit.left() == 0:
            return ended, under_way, "no time"


def lines_of(stream):
    """A queue of a stream's lines, with None behind the last one."""
    lines = queue.Queue()

    def read():
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def event_in(line):
    """A line that is about a test, as JSON; else nothing."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) and event.get("type") == "test" else {}


def measured_in(line):
    """`measured NAME ERROR BOUND`: the comparison of a test that came closest to its bound, or broke it."""
    words = line.split()
    if len(words) != 4 or words[0] != "measured":
        return {}
    return {words[1]: dict(error=number(words[2]), bound=number(words[3]))}


def number(text):
    """JSON has no NaN: an error that is none is null."""
    value = float(text)
    return value if abs(value) < float("inf") else None


def listed(program):
    """Names of all tests."""
    done = subprocess.run([program, "--list"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        stop(f"{program} does not run here: {done.stderr.strip()}", 1)
    return [line.rsplit(":", 1)[0] for line in done.stdout.splitlines() if line.endswith(": test")]
