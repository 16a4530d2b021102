"""Times calls, and writes down whether the machine was busy with something else meanwhile."""

import os
import statistics
import time

import torch


class Clock:
    """Repeats a piece of work `reps` times after `warm` calls, and stops early after `max_seconds`."""

    def __init__(self, device, reps, warm, max_seconds):
        self.device, self.reps, self.warm, self.max_seconds = device, reps, warm, max_seconds

    def __call__(self, work, units=1):
        """Seconds per unit, where one call of `work` does so many units."""
        for _ in range(self.warm):
            work()
        self.wait()
        calls = self.calls_between_waits(work)
        load, busy, own = os.getloadavg()[0], busy_seconds(), time.process_time()
        seconds, start = [], time.perf_counter()
        while len(seconds) < self.reps:
            before = time.perf_counter()
            for _ in range(calls):
                work()
            self.wait()
            seconds.append((time.perf_counter() - before) / units / calls)
            if time.perf_counter() - start > self.max_seconds:
                break
        wall = time.perf_counter() - start
        others = max(0.0, busy_seconds() - busy - (time.process_time() - own))
        result = dict(
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
        if self.device == "cuda":
            result["peak_gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return result

    def calls_between_waits(self, work):
        """On a GPU so many that waiting costs nothing beside them, as the program is timed; each is one on the CPU."""
        if self.device != "cuda":
            return 1
        before = time.perf_counter()
        work()
        self.wait()
        return max(1, round(0.05 / (time.perf_counter() - before)))

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
