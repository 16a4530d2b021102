"""The card, as the driver calls it, and what its maker says it can do."""

import ctypes
import shutil
import subprocess
from dataclasses import dataclass

from . import programs


@dataclass
class Card:
    """Name and driver."""

    name: str
    driver: str

    @property
    def stand_in(self):
        """Whether it is the CPU, behind the stand-in for the driver."""
        return "standing in for a GPU" in self.name


# Bytes and floating-point operations a second, by a piece of the name; dense, from the data sheets. Rates of 16-bit
# products with 32-bit sums; None where the data sheet leaves them out.
DATA_SHEETS = {
    "H200": dict(bytes=4.80e12, halves=989e12, floats=67e12),
    "H100 PCIe": dict(bytes=2.00e12, halves=756e12, floats=51e12),
    "H100 NVL": dict(bytes=3.90e12, halves=835e12, floats=60e12),
    "H100": dict(bytes=3.35e12, halves=989e12, floats=67e12),
    "A100-SXM4-80GB": dict(bytes=2.04e12, halves=312e12, floats=19.5e12),
    "A100 80GB PCIe": dict(bytes=1.94e12, halves=312e12, floats=19.5e12),
    "A100": dict(bytes=1.56e12, halves=312e12, floats=19.5e12),
    "L40S": dict(bytes=0.864e12, halves=362e12, floats=91.6e12),
    "L4": dict(bytes=0.300e12, halves=121e12, floats=30.3e12),
}


def find():
    """The first card, asked for through the library that the program loads."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        programs.stop("there is no NVIDIA driver on this machine (libcuda.so.1 is not found)", 4)
    device, name, version = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    for call, what in [
        (lambda: library.cuInit(0), "the driver does not start"),
        (lambda: library.cuDeviceGet(ctypes.byref(device), 0), "the driver sees no card"),
        (lambda: library.cuDeviceGetName(name, 256, device), "the card has no name"),
        (lambda: library.cuDriverGetVersion(ctypes.byref(version)), "the driver has no version"),
    ]:
        code = call()
        if code != 0:
            programs.stop(f"{what} (CUresult {code})", 4)
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return Card(name.value.decode(), f"{driver_release()} ({cuda})")


def driver_release():
    """As in 580.65.06; `unknown` where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "unknown"


def limit_us(card, work):
    """The time below which the data sheet says this work cannot be done, or None for a card that is not in the list.

    `work` has bytes moved at least once, and operations on 16-bit halves or on floats.
    """
    sheet = next((sheet for piece, sheet in DATA_SHEETS.items() if piece in card.name), None)
    if sheet is None or not work:
        return None
    return 1e6 * max(amount / sheet[of] for of, amount in work.items())
