"""The programs that ours is compared with: PyTorch in one process, CUB in a program of its own."""

import json
import os
import queue
import subprocess

from .programs import ROOT
from .tests import lines_of

ENDED = "the process ended"

LONGEST = 120
"""Seconds after which a peer counts as hanging; compiling a step takes the most."""

SIZES = dict(rpd_layer=("keys", 60_000, 512), ranks_layer=("pairs", 60_000, 512))
"""What CUB sorts: samples in each of so many neurons."""


class Torch:
    """scripts/peers/bench.py as a process that answers requests: PyTorch starts, and compiles a step, only once."""

    def __init__(self, python, device, out):
        self.command = [python, ROOT / "scripts" / "peers" / "bench.py", "--serve", "--device", device]
        self.command += ["--reps", "10", "--max-seconds", "1.5"]
        self.device, self.log = device, out / "peers.log"
        self.process, self.lines, self.preparing, self.about, self.unusable = None, None, 0, None, None

    def prepare(self, requests):
        """Has steps compiled, while something else goes on."""
        for request in requests:
            self.send(dict(request, do="prepare"))
            self.preparing += 1

    def settle(self, limit):
        """Waits for what is being prepared, which would disturb a measurement: why it does not end, if so."""
        while self.preparing:
            # What went wrong in there will do so again, and be told then.
            _, why = self.answer(limit)
            if why:
                return self.unusable or why
            self.preparing -= 1
        return None

    def ask(self, request, limit):
        """Results of one request, or why there are none."""
        why = self.settle(limit)
        for _ in range(2):
            if why or self.unusable:
                break
            self.send(dict(request, do="run"))
            answer, why = self.answer(limit)
            if why is None:
                return answer.get("results"), answer.get("error")
            # An error of the card may have ended the process behind its last answer: then in another one.
            why = None if why == ENDED else why
        return None, why or self.unusable or ENDED

    def send(self, request):
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # reading its answer will tell

    def start(self):
        environment = dict(os.environ)
        if self.device == "cpu":
            # The stand-in for the driver that is found by it is not for PyTorch.
            environment.pop("LD_LIBRARY_PATH", None)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.lines, self.preparing, self.about = lines_of(self.process.stdout), 0, None

    def answer(self, limit):
        """The next answer, or why there is none; then the process is gone."""
        try:
            while True:
                line = self.lines.get(timeout=limit.left(LONGEST))
                if line is None:
                    why = ENDED
                    if self.about is None:
                        self.unusable = f"PyTorch does not start: see {self.log.name}"
                    break
                answer = json.loads(line)
                if self.about:
                    return answer, None
                self.about = answer
        except queue.Empty:
            why = "no time" if limit.left() == 0 else f"no answer for {LONGEST} s"
        self.stop()
        return None, why

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process, self.preparing = None, 0


def cub(program, workload, limit):
    """Results of the program that sorts with CUB, or why there are none."""
    what, samples, neurons = SIZES[workload]
    try:
        command = [program, what, str(samples), str(neurons)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit.left(LONGEST))
    except subprocess.TimeoutExpired:
        return None, "no time" if limit.left() == 0 else f"no answer for {LONGEST} s"
    if done.returncode != 0:
        return None, done.stderr.strip().replace("\n", "; ") or f"exit code {done.returncode}"
    return [json.loads(line) for line in done.stdout.splitlines()], None
