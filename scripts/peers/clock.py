"""Times calls, and writes down whether the machine was busy with something else meanwhile."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Work:
    """Something to time: one call does so many units. `facts` are what else there is to say: its check, a reference."""

    peer: str
    call: Callable
    units: int = 1
    flops: int | None = None
    facts: dict = field(default_factory=dict)


class Clock:
    """Repeats a piece of work `reps` times after `warm` calls, and stops early after `max_seconds`."""

    def __init__(self, device, reps, warm, max_seconds):
        self.device, self.reps, self.warm, self.max_seconds = device, reps, warm, max_seconds

    def __call__(self, work):
        """Seconds per unit, beside what is known of the work."""
        took = 0.0
        for _ in range(self.warm):
            took = self.once(work.call)
        calls = self.calls_between_waits(work.call, took)
        load, busy, own = os.getloadavg()[0], busy_seconds(), time.process_time()
        seconds, start = [], time.perf_counter()
        while len(seconds) < self.reps:
            seconds.append(self.once(work.call, calls) / work.units / calls)
            if time.perf_counter() - start > self.max_seconds:
                break
        wall = time.perf_counter() - start
        others = max(0.0, busy_seconds() - busy - (time.process_time() - own))
        timing = dict(
            min=min(seconds),
            median=statistics.median(seconds),
            mean=statistics.fmean(seconds),
            max=max(seconds),
            reps=len(seconds),
            load_before=load,
            load_after=os.getloadavg()[0],
            # The kernel counts in hundredths of a second: over a short wall time this would be noise.
            other_cores_used=round(others / wall, 2) if wall > 0.2 else None,
        )
        if work.flops:
            timing["gflops"] = work.flops / timing["min"] * 1e-9
        return dict(peer=work.peer) | work.facts | timing

    def once(self, call, calls=1):
        """Seconds of some calls until the device is done with them."""
        before = time.perf_counter()
        for _ in range(calls):
            call()
        self.wait()
        return time.perf_counter() - before

    def calls_between_waits(self, call, took):
        """On a GPU so many that waiting costs nothing beside them, as the program is timed; each is one on the CPU."""
        if self.device != "cuda" or took > 0.5:
            return 1
        # The first call may have been slow for reasons of its own.
        return max(1, round(0.05 / self.once(call)))

    def wait(self):
        """A GPU works behind our back until asked to finish."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def busy_seconds():
    """CPU seconds spent by all processes since boot; 0 where the system does not say."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
    except OSError:
        return 0.0
    idle_and_waiting = ticks[3] + ticks[4]
    return (sum(ticks) - idle_and_waiting) / os.sysconf("SC_CLK_TCK")
