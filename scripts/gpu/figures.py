"""Our workloads beside their peers: times, errors, and what the card could do at best."""

import functools
import json
import math
import os
import shutil
import statistics
import subprocess

from . import card as cards
from .peers import cub
from .programs import ROOT

LAYER, FIRST = 60_000 * 512 * 512, 60_000 * 784 * 512
DEEP = 60_000 * (784 * 512 + 7 * 512 * 512 + 512 * 10)
NARROW_FIRST = 30_000 * 784 * 128
NARROW = NARROW_FIRST + 30_000 * (20 * 128 * 128 + 128 * 10)
CELLS = 60_000 * 512
PIXELS = 60_000 * 784


def step(products, first, factor):
    """Operations of a training step: three products a layer, but two for the first; `factor` halves for one float."""
    return factor * (6 * products - 2 * first)


def peer(name, variant="eager", called=None, matmul="highest"):
    """`name` in the evidence, `called` so in the results of scripts/peers/bench.py."""
    return dict(name=name, variant=variant, called=called or f"torch_{variant}", matmul=matmul)


EAGER = peer("torch_eager", "eager+fused")
GRAPH = peer("torch_graph", "graph+fused")
COMPILED = peer("torch_compile", "compile+fused")
TF32 = peer("torch_tf32_compile", "compile+fused", matmul="tf32")
TF32_GRAPH = peer("torch_tf32_compile_graph", "compile_graph+fused", matmul="tf32")
BF16 = peer("torch_bf16_compile", "compile+fused", matmul="bf16")
TF32_EAGER = peer("torch_tf32_eager", "eager+fused", matmul="tf32")
BF16_EAGER = peer("torch_bf16_eager", "eager+fused", matmul="bf16")
SORT = peer("torch_sort", called="torch_sort")
CUB = dict(name="cub", called="cub")
PLAIN = peer("torch_eager")
IN_TURN = dict(name="in_turn")
"""Ours once more, but that no kernel begins before the last one is done."""


def cublas(matmul="highest"):
    return [peer("cublas", called="torch_mm", matmul=matmul)]


# Of each workload: the bench of ours, the case of the peers, the peers, and the work that no way of doing it avoids.
# f32 products take three of halves. What matters most comes first: the time may not suffice for all.
WORKLOADS = {
    "step_512x8_f32": (
        "step_512x8/cuda/60000",
        "step_512x8/60000",
        [EAGER, GRAPH, COMPILED, TF32, TF32_GRAPH, IN_TURN],
        dict(halves=step(DEEP, FIRST, 3)),
    ),
    "step_512x8_tf32": (
        "step_512x8/cuda-tf32/60000", "step_512x8/60000", [TF32_EAGER, TF32], dict(halves=step(DEEP, FIRST, 1)),
    ),
    "step_512x8_bf16": (
        "step_512x8/cuda-bf16/60000", "step_512x8/60000", [BF16_EAGER, BF16], dict(halves=step(DEEP, FIRST, 1)),
    ),
    "gemm_f32": ("gemm/cuda/60000", "gemm/60000", cublas(), dict(halves=6 * LAYER, bytes=8 * CELLS)),
    # Pixels are exact in one half.
    "gemm_f32_u8": (
        "gemm_u8/cuda/60000", "gemm_u8/60000", cublas(), dict(halves=4 * FIRST, bytes=4 * CELLS + PIXELS),
    ),
    "gemm_f32_dw": ("gemm_dw/cuda/60000", "gemm_dw/60000", cublas(), dict(halves=6 * LAYER, bytes=8 * CELLS)),
    "gemm_tf32": (
        "gemm/cuda-tf32/60000", "gemm/60000", cublas("tf32"), dict(halves=2 * LAYER, bytes=8 * CELLS),
    ),
    "gemm_tf32_u8": (
        "gemm_u8/cuda-tf32/60000", "gemm_u8/60000", cublas("tf32"), dict(halves=2 * FIRST, bytes=4 * CELLS + PIXELS),
    ),
    "gemm_tf32_dw": (
        "gemm_dw/cuda-tf32/60000", "gemm_dw/60000", cublas("tf32"), dict(halves=2 * LAYER, bytes=8 * CELLS),
    ),
    "gemm_bf16": (
        "gemm/cuda-bf16/60000", "gemm/60000", cublas("bf16"), dict(halves=2 * LAYER, bytes=4 * CELLS),
    ),
    "gemm_bf16_u8": (
        "gemm_u8/cuda-bf16/60000", "gemm_u8/60000", cublas("bf16"), dict(halves=2 * FIRST, bytes=2 * CELLS + PIXELS),
    ),
    "gemm_bf16_dw": (
        "gemm_dw/cuda-bf16/60000", "gemm_dw/60000", cublas("bf16"), dict(halves=2 * LAYER, bytes=4 * CELLS),
    ),
    "small_net": ("small_net/cuda/200", "small_net/200", [EAGER, GRAPH, COMPILED, IN_TURN], {}),
    "small_net_8seeds": ("small_net_8seeds/cuda/200", "small_net_8seeds/200", [EAGER, GRAPH], {}),
    "rpd_layer": ("rpd_layer/cuda/60000", "rpd_layer/60000", [SORT, CUB], dict(bytes=4 * CELLS)),
    "ranks_layer": ("ranks_layer/cuda/60000", "ranks_layer/60000", [SORT, CUB], dict(bytes=8 * CELLS)),
    "step_128x21_f32": (
        "step_128x21/cuda/30000",
        "step_128x21/30000",
        [EAGER, GRAPH, COMPILED, TF32, TF32_GRAPH, IN_TURN],
        dict(halves=step(NARROW, NARROW_FIRST, 3)),
    ),
    "step_128x21_bf16": (
        "step_128x21/cuda-bf16/30000", "step_128x21/30000", [BF16], dict(halves=step(NARROW, NARROW_FIRST, 1)),
    ),
    "basin_sample": ("basin_sample/cuda/60000", "basin_sample/60000", [PLAIN], {}),
    "basin_weight": ("basin_weight/cuda/60000", "basin_weight/60000", [PLAIN], {}),
    "analysis_full": ("analysis_full/cuda/60000", "analysis_full/60000", [PLAIN], {}),
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


LEAST = 5
"""Seconds below which no workload is begun."""

LONGEST = 300
"""Seconds after which a run of ours counts as hanging; less where the time of the run is limited."""

CRITERION = ["--bench", "--noplot", "--nresamples", "1001", "--warm-up-time"]


def requests(workloads):
    """What the peers have to compile, in the order of the workloads."""
    for workload in workloads:
        _, case, peers, _ = WORKLOADS[workload]
        for peer in peers:
            if peer.get("variant", "").startswith("compile"):
                yield request(case, peer)


def request(case, peer):
    return dict(case=case, variant=peer["variant"], matmul=peer["matmul"])


def run(packed, card, out, args, torch, limit, versions, remarks):
    """Yields all rows so far whenever a workload is done. Ours and the peers take turns, so that a card that slows
    down slows both; a second round begins when the first is through."""
    (out / "raw").mkdir(exist_ok=True)
    ours, theirs, longest = {}, {}, max(60, limit.left(6 * LONGEST) / 6)
    if torch and (why := torch.settle(limit)):
        remarks.append(f"PyTorch's steps were not compiled beforehand: {why}")
    for number in range(1, args.rounds + 1):
        for workload in args.workloads:
            if limit.left() < LEAST:
                limit.skip(f"{workload}, round {number}")
                continue
            stem = out / "raw" / f"{workload}.{number}"
            bench = WORKLOADS[workload][0]
            time = functools.partial(run_ours, packed.bench, bench, out, longest, limit, remarks)
            if found := time(stem):
                ours.setdefault(workload, []).append(found)
            for name, results in run_peers(packed, torch, time, workload, stem, number, limit, remarks):
                theirs.setdefault(workload, {}).setdefault(name, []).extend(results)
                versions |= {"cub": result["cub"] for result in results if "cub" in result}
            if torch and torch.about:
                versions |= {name: torch.about[name] for name in ("torch", "numpy")}
            rows = [row for done in ours for row in rows_of(done, ours[done], theirs.get(done), card)]
            for row in rows:
                if row["workload"] == workload:
                    limit.note(f"{workload}: {told(row)}")
            yield rows


def rows_of(workload, ours, theirs, card):
    limit = cards.limit_us(card, WORKLOADS[workload][3])
    if not theirs:
        return [row(workload, None, ours, None, limit)]
    return [row(workload, name, ours, results, limit) for name, results in theirs.items()]


def told(row):
    """A row in few words."""
    ours = f"{row['ours_us']:.4g} µs"
    return f"{ours}, {row['peer']} {row['peer_us']:.4g} µs, ratio {row['ratio']:.2f}" if row["peer"] else ours


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
        apart=apart(ours[0]["check"], theirs[0]["check"] if theirs else None),
    )


def error(check, reference):
    """Relative, in the root mean square; the last values of a check are those that the reference has."""
    if not check or not reference or len(check) < len(reference):
        return None
    off = math.dist(check[-len(reference):], reference) / math.hypot(*reference)
    return off if math.isfinite(off) else None


def apart(ours, theirs):
    """How far the results of both sides are apart at most, relative to the largest."""
    if not ours or not theirs or len(ours) != len(theirs):
        return None
    off = max(abs(a - b) for a, b in zip(ours, theirs)) / max(map(abs, theirs))
    return off if math.isfinite(off) else None


def run_ours(bench, identifier, out, longest, limit, remarks, stem, **variables):
    """One Criterion run with these variables in its environment: seconds of its samples, and the results that the
    case left."""
    home, checks = (out / "criterion").resolve(), (out / "checks").resolve()
    for folder in (home, checks):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    environment = os.environ | variables | dict(
        CRITERION_HOME=str(home), NETDYN_BENCH_CHECKS=str(checks), NETDYN_REQUIRE_CUDA="1"
    )
    # Ten samples in a second tell a median to well below the spread between two runs.
    warm, measure = ("0.01", "0.01") if "NETDYN_BENCH_SHRINK" in os.environ else ("0.3", "1")
    command = [bench, *CRITERION, warm, "--measurement-time", measure, f"^{identifier}$"]
    done = logged(command, f"{stem}.ours.log", environment, limit.left(longest))
    sample = home / identifier / "new" / "sample.json"
    if done != 0 or not sample.exists():
        if done is None and limit.left() == 0:
            limit.skip(stem.name.replace(".", ", round "))
        else:
            how = f"no end after {longest:.0f} s" if done is None else f"exit code {done}"
            remarks.append(f"`{identifier}` was not timed ({how}): see {stem.name}.ours.log")
        return None
    measured = json.loads(sample.read_text())
    seconds = [time / count * 1e-9 for time, count in zip(measured["times"], measured["iters"])]
    check = checks / f"{identifier.replace('/', '_')}.json"
    result = dict(seconds=seconds, check=json.loads(check.read_text()) if check.exists() else None)
    stem.with_name(f"{stem.name}.ours.json").write_text(json.dumps(result, indent=1))
    return result


def run_peers(packed, torch, time, workload, stem, number, limit, remarks):
    """The results of each peer in turn, under their names in the evidence. `time` runs ours."""
    _, case, peers, _ = WORKLOADS[workload]
    for peer in peers:
        if peer is IN_TURN:
            if limit.left() >= LEAST and (found := time(stem.with_name(f"{stem.name}.in_turn"), NETDYN_OVERLAP="off")):
                median = statistics.median(found["seconds"])
                yield peer["name"], [dict(median=median, check=found["check"])]
            continue
        program = packed.cub if peer["name"] == "cub" else torch
        if program is None:
            continue
        if limit.left() == 0:
            found, why = None, "no time"
        elif peer["name"] == "cub":
            found, why = cub(program, workload, limit)
        else:
            found, why = torch.ask(request(case, peer), limit)
        if why == "no time":
            limit.skip(f"{peer['name']} of {workload}, round {number}")
        elif why:
            remarks.append(f"{peer['name']} of `{workload}` was not timed: {why}")
        else:
            stem.with_name(f"{stem.name}.{peer['name']}.json").write_text(json.dumps(found, indent=1))
            yield peer["name"], [result for result in found if result["peer"] == peer["called"]]


def logged(command, file, environment, seconds):
    """Exit code of a command whose output goes to a file; None if it had to be stopped."""
    with open(file, "w") as log:
        options = dict(cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, timeout=seconds)
        try:
            return subprocess.run(command, **options).returncode
        except subprocess.TimeoutExpired:
            return None
