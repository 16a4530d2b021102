"""The test and bench programs, the peer made of CUB, and what they were built from."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD = "programs.json"
TESTS, BENCH, CUB = "cuda-tests", "netdyn-bench", "cub-peer"

CUB_SOURCE = ROOT / "scripts" / "peers" / "cub.cu"
CUB_ARCHS = [80, 90, 100, 120]
"""Code for these alone keeps the program small."""


@dataclass
class Packed:
    """Programs with the commit and the kernels that are in them."""

    tests: Path
    bench: Path
    cub: Path | None
    commit: str
    kernels: dict


def pack(folder):
    """Builds the programs into `folder`, with a record of the kernels they hold."""
    if shutil.which("cargo") is None:
        stop("there is no cargo here: pack the programs on a machine that has it, then give --bin", 2)
    before = kernel_hashes()
    folder.mkdir(parents=True, exist_ok=True)
    for old in [TESTS, BENCH, CUB]:
        (folder / old).unlink(missing_ok=True)
    tests, _ = executable(["cargo", "test", "--release", "--no-run", "--test", "cuda"], "test")
    bench, nvcc = executable(["cargo", "bench", "--no-run", "--bench", "netdyn"], "bench")
    if kernel_hashes() != before:
        stop("kernels/ changed while the programs were built: pack again", 1)
    shutil.copy2(tests, folder / TESTS)
    shutil.copy2(bench, folder / BENCH)
    build_cub(nvcc, folder / CUB)
    names = [name for name in [TESTS, BENCH, CUB] if (folder / name).exists()]
    if shutil.which("strip"):
        subprocess.run(["strip", *(folder / name for name in names)], check=True)
    record = dict(
        commit=commit(), kernels=before, programs={name: sha256(folder / name) for name in names}
    )
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def build_cub(nvcc, program):
    """The peer made of CUB, or a word on why there is none."""
    command = [nvcc, "-O3", "-std=c++17", "-cudart", "static", CUB_SOURCE, "-o", program]
    command += [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in CUB_ARCHS]
    # An nvcc that was put in place by pip keeps its libraries where it does not look itself.
    command += [f"-L{Path(nvcc).parent.parent / 'lib'}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == 0 and program.read_bytes().startswith(b"\x7fELF"):
        return
    program.unlink(missing_ok=True)
    why = next((line for line in done.stdout.splitlines() if "error" in line), "it makes no programs")
    print(f"gpu-check: the peer cub is not built, so it will not be timed: {nvcc}: {why}", file=sys.stderr)


def find(folder, out):
    """The packed programs; builds them beside the results where no folder is given."""
    if folder is None:
        folder = out / "bin"
        pack(folder)
    # The tests run in the repository's folder, where their fixtures are.
    folder = Path(folder).resolve()
    if not (folder / RECORD).exists():
        stop(f"{folder} holds no {RECORD}: make it with scripts/gpu-check --pack", 2)
    record = json.loads((folder / RECORD).read_text())
    for name, digest in record["programs"].items():
        if not (folder / name).exists() or sha256(folder / name) != digest:
            stop(f"{folder / name} is not the program that {RECORD} describes: pack again", 2)
    cub = folder / CUB if CUB in record["programs"] else None
    return Packed(folder / TESTS, folder / BENCH, cub, record["commit"], record["kernels"])


def executable(command, kind):
    """What cargo made: the last program of this kind, and the nvcc of its kernels."""
    command = [*command, "--message-format", "json-render-diagnostics"]
    environment = dict(os.environ, NETDYN_CUDA="require")
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        stop(f"{' '.join(command)} failed", 1)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    made = [m["executable"] for m in messages if m.get("executable") and kind in m["target"]["kind"]]
    logs = [Path(m["out_dir"]) / "kernels.log" for m in messages if m["reason"] == "build-script-executed"]
    # "nvcc VERSION PATH"
    head = next(log for log in logs if log.exists()).read_text().splitlines()[0]
    return made[-1], head.split(maxsplit=2)[2]


def kernel_hashes():
    """SHA-256 of every file of kernels/ that a compiler reads."""
    files = sorted(path for path in (ROOT / "kernels").iterdir() if path.suffix in (".cu", ".cuh"))
    return {f"kernels/{path.name}": sha256(path) for path in files}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit():
    """The commit, marked where the tree has changes that are not in it."""
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "HEAD") or "unknown") + ("+changes" if changed else "")


def stop(text, code):
    print(f"gpu-check: {text}", file=sys.stderr)
    raise SystemExit(code)
