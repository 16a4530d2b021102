"""The tests of the operations on the card: tests/cuda.rs."""

import json
import os
import subprocess

from .programs import ROOT, stop

LIMIT = 1800
"""Seconds after which a run of the program counts as hanging in the test it is at."""

EVENTS = dict(ok="pass", failed="fail", ignored="skip")


def run(program, out, only, remarks):
    """A verdict for every test whose name contains `only`.

    A test that brings the program down must not hide the others: it is a failure, and those after it are run again.
    """
    names = listed(program, only)
    found, errors, rounds = {}, {}, 0
    with open(out / "tests.log", "w") as log:
        while left := [name for name in names if name not in found]:
            rounds += 1
            verdicts, measured, under_way = once(program, names if rounds == 1 else left, rounds == 1, only, log)
            found |= verdicts
            errors |= measured
            if not verdicts and not under_way:
                found |= dict.fromkeys(left, "fail")
                remarks.append(f"the test program ended before its first test; {len(left)} tests count as failed")
            for name in under_way:
                found[name] = "fail"
                remarks.append(f"`{name}` brought the test program down, or hung")
    row = lambda name: dict(name=name, verdict=found[name], **errors.get(name, dict(error=None, bound=None)))
    return [row(name) for name in names]


def once(program, names, first, only, log):
    """Runs tests one after the other: verdicts, measured errors, and the test that never ended."""
    chosen = ["--exact", names[0]] if not first else [only] if only else []
    command = [program, "--test-threads", "1", "--format", "json", *chosen]
    environment = os.environ | dict(NETDYN_REQUIRE_CUDA="1", NETDYN_MEASURED="1")
    log.write(f"$ {' '.join(map(str, command))}\n")
    stdout, stderr, ending = output(command, environment)
    log.write(f"{stdout}{stderr}{ending}\n")
    log.flush()
    verdicts, started = {}, set()
    for event in events(stdout):
        if event["event"] == "started":
            started.add(event["name"])
        elif event["event"] in EVENTS:
            verdicts[event["name"]] = EVENTS[event["event"]]
    return verdicts, measured(stderr), started - verdicts.keys()


def output(command, environment):
    """What a program prints, and how it ended."""
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    with subprocess.Popen(command, cwd=ROOT, env=environment, **options) as program:
        try:
            stdout, stderr = program.communicate(timeout=LIMIT)
            return stdout, stderr, f"exit code {program.returncode}"
        except subprocess.TimeoutExpired:
            program.kill()
            stdout, stderr = program.communicate()
            return stdout, stderr, f"stopped after {LIMIT} s"


def events(text):
    """The lines that are about tests."""
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("type") == "test":
            yield event


def measured(text):
    """Lines `measured NAME ERROR BOUND`: the comparison of a test that came closest to its bound, or broke it."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4 and words[0] == "measured":
            found[words[1]] = dict(error=number(words[2]), bound=number(words[3]))
    return found


def number(text):
    """JSON has no NaN: an error that is none is null."""
    value = float(text)
    return value if abs(value) < float("inf") else None


def listed(program, only):
    """Names of the tests."""
    command = [program, "--list", *([only] if only else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        stop(f"{program} does not run here: {done.stderr.strip()}", 1)
    return [line.rsplit(":", 1)[0] for line in done.stdout.splitlines() if line.endswith(": test")]
