"""Our workloads beside their peers: times, errors, and what the card could do at best."""

import json
import math
import os
import shutil
import statistics
import subprocess

from . import card as cards
from .programs import ROOT

LAYER, FIRST = 60_000 * 512 * 512, 60_000 * 784 * 512
DEEP = 60_000 * (784 * 512 + 7 * 512 * 512 + 512 * 10)
NARROW = 60_000 * (784 * 128 + 20 * 128 * 128 + 128 * 10)
CELLS = 60_000 * 512


def step(products, first, factor):
    """Operations of a training step: three products a layer, but two for the first; `factor` halves for one float."""
    return factor * (6 * products - 2 * first)


EAGER = dict(matmul="highest", variant="eager+fused", peers=dict(torch_eager="torch_eager+fused"))
COMPILED = dict(matmul="highest", variant="compile+fused", peers=dict(torch_compile="torch_compile+fused"))
GRAPH = dict(matmul="highest", variant="graph+fused", peers=dict(torch_graph="torch_graph+fused"))
TF32 = dict(matmul="tf32", variant="compile+fused", peers=dict(torch_tf32_compile="torch_compile+fused"))
BF16 = dict(matmul="bf16", variant="compile+fused", peers=dict(torch_bf16_compile="torch_compile+fused"))


def only(name, called, matmul="highest"):
    """A peer without variants: `name` in the evidence, `called` so by scripts/peers/bench.py."""
    return [dict(matmul=matmul, variant="eager", peers={name: called})]


# Of each workload: the bench of ours, the case of the peers, and the work that no way of doing it avoids. f32 products
# take three of halves.
WORKLOADS = {
    "gemm_f32": ("gemm/cuda/60000", "gemm/60000", only("cublas", "torch_mm"), dict(halves=6 * LAYER, bytes=8 * CELLS)),
    "gemm_f32_u8": (
        "gemm_u8/cuda/60000",
        "gemm_u8/60000",
        only("cublas", "torch_mm"),
        # Pixels are exact in one half.
        dict(halves=4 * FIRST, bytes=4 * CELLS + 60_000 * 784),
    ),
    "gemm_f32_dw": (
        "gemm_dw/cuda/60000", "gemm_dw/60000", only("cublas", "torch_mm"), dict(halves=6 * LAYER, bytes=8 * CELLS),
    ),
    "gemm_tf32": (
        "gemm/cuda-tf32/60000",
        "gemm/60000",
        only("cublas", "torch_mm", "tf32"),
        dict(halves=2 * LAYER, bytes=8 * CELLS),
    ),
    "gemm_bf16": (
        "gemm/cuda-bf16/60000",
        "gemm/60000",
        only("cublas", "torch_mm", "bf16"),
        dict(halves=2 * LAYER, bytes=8 * CELLS),
    ),
    "step_512x8_f32": (
        "step_512x8/cuda/60000",
        "step_512x8/60000",
        [EAGER, COMPILED, GRAPH, TF32],
        dict(halves=step(DEEP, FIRST, 3)),
    ),
    "step_512x8_bf16": (
        "step_512x8/cuda-bf16/60000", "step_512x8/60000", [BF16], dict(halves=step(DEEP, FIRST, 1)),
    ),
    "step_128x21_f32": (
        "step_128x21/cuda/60000",
        "step_128x21/60000",
        [EAGER, COMPILED, GRAPH, TF32],
        dict(halves=step(NARROW, 60_000 * 784 * 128, 3)),
    ),
    "small_net": ("small_net/cuda/200", "small_net/200", [EAGER, COMPILED, GRAPH], {}),
    "rpd_layer": (
        "rpd_layer/cuda/60000", "rpd_layer/60000", only("torch_sort", "torch_sort"), dict(bytes=4 * CELLS),
    ),
    "ranks_layer": (
        "ranks_layer/cuda/60000", "ranks_layer/60000", only("torch_sort", "torch_sort"), dict(bytes=8 * CELLS),
    ),
    "small_net_8seeds": ("small_net_8seeds/cuda/200", "small_net_8seeds/200", [EAGER, GRAPH], {}),
    "basin_sample": ("basin_sample/cuda/60000", "basin_sample/60000", only("torch_eager", "torch_eager"), {}),
    "basin_weight": ("basin_weight/cuda/60000", "basin_weight/60000", only("torch_eager", "torch_eager"), {}),
    "analysis_full": ("analysis_full/cuda/60000", "analysis_full/60000", only("torch_eager", "torch_eager"), {}),
}


def growth():
    """Steps of f32 over width, depth and batch, each against its own limit: nothing may grow faster than that."""
    for group, values in [
        ("step_width", [128, 256, 512, 1024, 2048]),
        ("step_depth", [3, 10, 23, 50, 100]),
        ("step_batch", [1_000, 6_000, 60_000, 600_000]),
    ]:
        for value in values:
            width, hidden, batch = 512, 8, 60_000
            if group == "step_width":
                width = value
            elif group == "step_depth":
                hidden = value - 2
            else:
                batch = value
            first = batch * 784 * width
            products = first + batch * ((hidden - 1) * width * width + 10 * width)
            yield f"{group}_{value}", (f"{group}/cuda/{value}", None, [], dict(halves=step(products, first, 3)))


WORKLOADS |= growth()


def run(bench, card, out, args, versions, remarks):
    """Yields the rows of a workload as soon as it is done. Ours and the peers take turns, so that a card that slows
    down slows both."""
    for workload in args.workloads:
        ours_id, case, peers, work = WORKLOADS[workload]
        ours, theirs = [], {}
        for number in range(1, args.rounds + 1):
            stem = out / "raw" / f"{workload}.{number}"
            stem.parent.mkdir(exist_ok=True)
            ours.append(run_ours(bench, ours_id, out, stem, remarks))
            for peer in peers if args.python else []:
                for name, result in run_peer(args.python, case, peer, stem, versions, remarks):
                    theirs.setdefault(name, []).append(result)
        ours = [run for run in ours if run]
        if not ours:
            continue
        if not theirs:
            yield row(workload, None, ours, None, cards.limit_us(card, work))
        for name, results in theirs.items():
            yield row(workload, name, ours, results, cards.limit_us(card, work))


def row(workload, peer, ours, theirs, limit):
    seconds = [s for run in ours for s in run["seconds"]]
    median = statistics.median(seconds)
    of_peer = statistics.median(result["median"] for result in theirs) if theirs else None
    reference = theirs[0].get("reference") if theirs else None
    return dict(
        workload=workload,
        peer=peer,
        ours_us=1e6 * median,
        peer_us=of_peer and 1e6 * of_peer,
        ratio=of_peer and of_peer / median,
        spread=(max(seconds) - min(seconds)) / median,
        limit_us=limit,
        error=error(ours[0]["check"], reference),
        peer_error=error(theirs[0]["check"] if theirs else None, reference),
    )


def error(check, reference):
    """Relative, in the root mean square; the last values of a check are those that the reference has."""
    if not check or not reference or len(check) < len(reference):
        return None
    off = math.dist(check[-len(reference):], reference) / math.hypot(*reference)
    return off if math.isfinite(off) else None


def run_ours(bench, identifier, out, stem, remarks):
    """One Criterion run: seconds of its samples, and the results that the case left."""
    home, checks = (out / "criterion").resolve(), (out / "checks").resolve()
    for folder in (home, checks):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    environment = os.environ | dict(
        CRITERION_HOME=str(home), NETDYN_BENCH_CHECKS=str(checks), NETDYN_REQUIRE_CUDA="1"
    )
    command = [bench, "--bench", "--noplot", f"^{identifier}$"]
    done = logged(command, f"{stem}.ours.log", environment)
    sample = home / identifier / "new" / "sample.json"
    if done != 0 or not sample.exists():
        remarks.append(f"`{identifier}` was not timed (exit code {done}): see {stem.name}.ours.log")
        return None
    measured = json.loads(sample.read_text())
    seconds = [time / count * 1e-9 for time, count in zip(measured["times"], measured["iters"])]
    check = checks / f"{identifier.replace('/', '_')}.json"
    result = dict(seconds=seconds, check=json.loads(check.read_text()) if check.exists() else None)
    stem.with_name(f"{stem.name}.ours.json").write_text(json.dumps(result, indent=1))
    return result


def run_peer(python, case, peer, stem, versions, remarks):
    """The results of one peer, under the names of the evidence."""
    file = stem.with_name(f"{stem.name}.{'_'.join(peer['peers'])}.json").resolve()
    command = [python, ROOT / "scripts" / "peers" / "bench.py", "--device", "cuda", "--cases", case, "--out", file]
    command += ["--variants", peer["variant"], "--matmul", peer["matmul"]]
    done = logged(command, file.with_suffix(".log"), os.environ)
    if done != 0 or not file.exists():
        remarks.append(f"{', '.join(peer['peers'])} of `{case}` was not timed: see {file.with_suffix('.log').name}")
        return
    document = json.loads(file.read_text())
    versions |= dict(torch=document["torch"], numpy=document["numpy"])
    for name, called in peer["peers"].items():
        for result in document["results"]:
            if result["peer"] == called:
                yield name, result


def logged(command, file, environment):
    """Exit code of a command whose output goes to a file."""
    with open(file, "w") as log:
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode
