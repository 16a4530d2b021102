#!/usr/bin/env python3
"""Times the program's workloads in PyTorch and numpy, on inputs that the Rust benches share.

    python scripts/peers/bench.py --out peers.json                        # all cases, CPU
    python scripts/peers/bench.py --cases gemm/60000,small_net/200 --reps 20
    python scripts/peers/bench.py --device cuda --variants eager,eager+fused,compile,graph+fused --matmul highest,tf32

Prints one JSON object a line and writes all of them, with versions and machine, to --out. With --serve it answers
requests instead, a line each, as scripts/gpu/peers.py sends them.
"""

import argparse
import gc
import json
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import analyses
import training
from clock import Clock
from inputs import DEEP, NARROW, narrowed, shrunk
from training import VARIANTS, step_case

SHALLOW = [784, narrowed(2048), 10]
STEPS = {
    "step_512x8/12000": partial(step_case, widths=DEEP, activation="relu", batch_norm=True, batch=shrunk(12_000)),
    "step_512x8/60000": partial(step_case, widths=DEEP, activation="relu", batch_norm=True, batch=shrunk(60_000)),
    "step_128x21/30000": partial(step_case, widths=NARROW, activation="relu", batch_norm=True, batch=shrunk(30_000)),
    "shallow/600": partial(
        step_case, widths=SHALLOW, activation="tanh", batch_norm=False, batch=shrunk(600), steps_per_call=20
    ),
    "shallow/60000": partial(step_case, widths=SHALLOW, activation="tanh", batch_norm=False, batch=shrunk(60_000)),
    "small_net/200": partial(
        step_case,
        widths=[784, narrowed(200), narrowed(200), 10],
        activation="relu",
        batch_norm=False,
        batch=shrunk(200),
        loss="mse",
        optimizer="adamw",
        steps_per_call=200,
    ),
}
STEPS["small_net_8seeds/200"] = partial(STEPS["small_net/200"], seeds=8, steps_per_call=20)
for name in STEPS.keys() - {"small_net/200", "small_net_8seeds/200"}:
    STEPS[name] = partial(STEPS[name], loss="cross_entropy", optimizer="adam")
ANALYSES = {
    "gemm/60000": analyses.gemm,
    "gemm_u8/60000": analyses.gemm_u8,
    "gemm_dw/60000": analyses.gemm_dw,
    "forward/60000": analyses.forward,
    "rpd_layer/60000": analyses.rpd_layer,
    "lmap_curve/60000": analyses.lmap_curve,
    "basin_sample/2000": partial(analyses.basin_sample, count=shrunk(2_000)),
    "basin_weight/2000": partial(analyses.basin_weight, count=shrunk(2_000)),
    "analysis_full/2000": partial(analyses.full, count=shrunk(2_000)),
}
# For cards alone.
LARGE = {
    "ranks_layer/60000": analyses.ranks_layer,
    "basin_sample/60000": partial(analyses.basin_sample, count=shrunk(60_000)),
    "basin_weight/60000": partial(analyses.basin_weight, count=shrunk(60_000)),
    "analysis_full/60000": analyses.full,
}
PRECISIONS = dict(highest="highest", tf32="high", bf16="medium")


@dataclass(frozen=True)
class Setting:
    """What the cases need to know."""

    device: str
    variant: str
    matmul: str


class Bench:
    """Times cases. What was compiled is kept: compiling takes longer than anything that is timed."""

    def __init__(self, args):
        self.clock = Clock(args.device, args.reps, args.warm, args.max_seconds)
        self.device, self.compiled = args.device, {}

    def run(self, case, variant, matmul):
        """The results of a case, one after the other."""
        for work in self.works(case, variant, matmul):
            yield dict(case=case, matmul=matmul) | self.clock(work)

    def prepare(self, case, variant, matmul):
        """Compiles a case and times nothing."""
        before = time.perf_counter()
        for work in self.works(case, variant, matmul):
            self.clock.once(work.call)
        print(f"{case}, {variant}, {matmul}: prepared in {time.perf_counter() - before:.1f} s", flush=True)

    def works(self, case, variant, matmul):
        torch.set_float32_matmul_precision(PRECISIONS[matmul])
        setting = Setting(self.device, variant, matmul)
        make = (STEPS | ANALYSES | LARGE)[case]
        if case not in STEPS or not variant.startswith("compile"):
            return make(setting)
        if (case, setting) not in self.compiled:
            self.compiled[case, setting] = list(make(setting))
        return self.compiled[case, setting]


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    bench = Bench(args)
    document = dict(
        torch=torch.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        gpu=torch.cuda.get_device_name() if args.device == "cuda" else None,
        settings=vars(args),
        results=[],
    )
    if args.serve:
        serve(bench, document)
        return
    for matmul in args.matmul.split(","):
        for case in args.cases.split(","):
            for variant in args.variants.split(",") if case in STEPS else ["eager"]:
                for result in bench.run(case, variant, matmul):
                    print(json.dumps(result), flush=True)
                    document["results"].append(result)
                    if args.out:
                        with open(args.out, "w") as file:
                            json.dump(document, file, indent=1)


def serve(bench, about):
    """Says what it is, then answers each line {"do": "run" or "prepare", "case", "variant", "matmul"} with one of
    results or an error. Ends when the device is of no more use."""
    # Libraries print what they like: that goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = dict(results=list(getattr(bench, request.pop("do"))(**request) or []))
        except Exception as error:
            traceback.print_exc()
            answer = dict(error=f"{type(error).__name__}: {error}".splitlines()[0])
        print(json.dumps(answer), file=answers)
        # The program wants the memory too.
        gc.collect()
        if bench.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()


def arguments():
    usual = [*STEPS, *ANALYSES]
    known = [*usual, *LARGE]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(usual), help="default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    variants = f"of the training steps: {', '.join(VARIANTS)}, each also with +fused for the fused optimiser"
    parser.add_argument("--variants", default="eager,eager+fused", help=variants)
    parser.add_argument("--matmul", default="highest", help="highest,tf32,bf16")
    parser.add_argument("--reps", type=int, default=10)
    parser.add_argument("--warm", type=int, default=1)
    parser.add_argument("--max-seconds", type=float, default=60, help="stop repeating a case after this long")
    parser.add_argument("--out", help="JSON file")
    parser.add_argument("--serve", action="store_true", help="answer requests from standard input")
    args = parser.parse_args()
    for unknown in set(args.cases.split(",")) - set(known):
        parser.error(f"no case {unknown}; there are {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
