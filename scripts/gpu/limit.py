"""How long a run may take."""

import math
import sys
import time


class Limit:
    """An end, if there is one, and what did not fit before it."""

    def __init__(self, seconds=None):
        self.start = time.monotonic()
        self.end = math.inf if seconds is None else self.start + seconds
        self.left_out = []

    def left(self, most=math.inf):
        """Seconds until the end, but no more than `most`."""
        return min(most, max(0.0, self.end - time.monotonic()))

    def part(self, share):
        """The same for a part of the run, which ends after this share of the time left."""
        part = Limit()
        part.end, part.left_out = time.monotonic() + share * self.left(), self.left_out
        return part

    def skip(self, what):
        """Puts down something for which there was no time."""
        if what not in self.left_out:
            self.left_out.append(what)
            self.note(f"no time for {what}")

    def note(self, text):
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", file=sys.stderr, flush=True)
