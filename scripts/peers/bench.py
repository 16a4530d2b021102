#!/usr/bin/env python3
"""Times the program's workloads in PyTorch and numpy, on inputs that the Rust benches share.

    python scripts/peers/bench.py --out peers.json                        # all cases, CPU
    python scripts/peers/bench.py --cases gemm/60000,small_net/200 --reps 20
    python scripts/peers/bench.py --device cuda --variants eager,eager+fused,compile,graph+fused --matmul highest,tf32

Prints one JSON object a line and writes all of them, with versions and machine, to --out.
"""

import argparse
import json
import platform
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import analyses
from clock import Clock
from inputs import DEEP, NARROW
from training import VARIANTS, step_case

SHALLOW = [784, 2048, 10]
STEPS = {
    "step_512x8/12000": partial(step_case, widths=DEEP, activation="relu", batch_norm=True, batch=12_000),
    "step_512x8/60000": partial(step_case, widths=DEEP, activation="relu", batch_norm=True, batch=60_000),
    "step_128x21/60000": partial(step_case, widths=NARROW, activation="relu", batch_norm=True, batch=60_000),
    "shallow/600": partial(
        step_case, widths=SHALLOW, activation="tanh", batch_norm=False, batch=600, steps_per_call=20
    ),
    "shallow/60000": partial(step_case, widths=SHALLOW, activation="tanh", batch_norm=False, batch=60_000),
    "small_net/200": partial(
        step_case,
        widths=[784, 200, 200, 10],
        activation="relu",
        batch_norm=False,
        batch=200,
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
    "basin_sample/2000": analyses.basin_sample,
    "basin_weight/2000": analyses.basin_weight,
}
# For cards alone.
LARGE = {
    "ranks_layer/60000": analyses.ranks_layer,
    "basin_sample/60000": partial(analyses.basin_sample, count=60_000),
    "basin_weight/60000": partial(analyses.basin_weight, count=60_000),
    "analysis_full/60000": analyses.full,
}


@dataclass
class Setting:
    """What the cases need to know."""

    device: str
    clock: Clock
    variant: str
    matmul: str


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    clock = Clock(args.device, args.reps, args.warm, args.max_seconds)
    document = dict(
        torch=torch.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        gpu=torch.cuda.get_device_name() if args.device == "cuda" else None,
        settings=vars(args),
        results=[],
    )
    for matmul in args.matmul.split(","):
        precision = dict(highest="highest", tf32="high", bf16="medium")[matmul]
        torch.set_float32_matmul_precision(precision)
        for case in args.cases.split(","):
            variants = args.variants.split(",") if case in STEPS else ["eager"]
            for variant in variants:
                setting = Setting(args.device, clock, variant, matmul)
                run = (STEPS | ANALYSES | LARGE)[case]
                for result in run(setting):
                    result = dict(case=case, matmul=matmul) | result
                    print(json.dumps(result), flush=True)
                    document["results"].append(result)
                    if args.out:
                        with open(args.out, "w") as file:
                            json.dump(document, file, indent=1)


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
    args = parser.parse_args()
    for unknown in set(args.cases.split(",")) - set(known):
        parser.error(f"no case {unknown}; there are {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
