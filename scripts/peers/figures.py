#!/usr/bin/env python3
"""Figures A3d and A4a in PyTorch, written plainly: seconds and results beside those of the program.

    netdyn reproduce A3d A4a --set init.rng=torch --out OUT         # on an idle machine
    python scripts/peers/figures.py OUT --data FOLDER_WITH_IDX      # on the same, afterwards; --device cuda for a card

Networks, samples, probed steps and basins are read from OUT, so they cannot differ; what is not written here is
refused. A3d is compared by its runs a3d and a3a, without the two controls. Seconds of a run begin on both sides when
data and network are in place. Training is the updates; ours also writes snapshots and checkpoints in it. Measuring is
probes and basins; ours also writes all distributions as JSON in it, and opens the backend again for the basins. With
`init.rng=torch` both sides start from the same weights; noise is each library's own.
"""

import argparse
import copy
import csv
import hashlib
import json
import re
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from analyses import BINS, gradients
from basins import basin
from clock import busy_seconds
from inputs import CLASSES

SIDES = ["ours", "peer"]
IDX = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
PRECISIONS = dict(highest="highest", tf32="high", high="high", bf16="medium")
WRITTEN = {
    "model": dict(activation=["relu"], bn=[True], bias=[False], dropout=[0]),
    "init": dict(kind=["kaiming"], gain=[1]),
    "data": dict(input=["unit"]),
    "train": dict(optimizer=["adam", "sgd"], momentum=[0], weight_decay=[0], loss=["cross_entropy"], batch=[0]),
    "probe": dict(bins=[BINS]),
}
"""The settings that this script knows."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder that `netdyn reproduce` has filled")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--figures", default="A3d,A4a", help="default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--matmul", choices=PRECISIONS, default="highest", help="as in bench.py; high is tf32")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    args = parser.parse_args()
    if unknown := set(args.figures.split(",")) - {"A3d", "A4a"}:
        parser.error(f"no figure {unknown.pop()}; there are A3d and A4a")
    torch.set_float32_matmul_precision(PRECISIONS[args.matmul])
    torch.mm(*torch.ones(2, 8, 8, device=args.device))  # a card is opened here, not in the first run's time
    device = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    document = dict(torch=torch.__version__, device=device, matmul=args.matmul, figures=[])
    for figure in args.figures.split(","):
        made = json.loads((args.out / f"{figure}.json").read_text())
        ours = {key: made["provenance"][key] for key in ("device", "precision", "threads", "commit", "date", "command")}
        if "--jobs" in ours["command"]:
            sys.exit(f"{figure}: its runs shared the machine, which lengthens their times; make it without --jobs")
        if args.device == "cpu":
            torch.set_num_threads(ours["threads"])
        busy, own, start, runs = busy_seconds(), time.process_time(), time.perf_counter(), []
        print(f"{figure}, {made['scale']}; ours:", *list(ours.values())[:4], "PyTorch:", *list(document.values())[:3])
        for name in run_names(figure, made):
            for seed in made["provenance"]["seeds"]:
                runs.append(compared(read_run(args.out, f"{name}-seed{seed}"), args))
                show(**runs[-1])
        total = {side: {part: sum(run[side][part] for run in runs) for part in runs[0][side]} for side in SIDES}
        show(figure, **total)
        others = (busy_seconds() - busy - time.process_time() + own) / (time.perf_counter() - start)
        print(f"  meanwhile {others:.1f} cores were busy with something else\n")
        about = dict(figure=figure, scale=made["scale"], provenance=ours, other_cores_used=others)
        document["figures"].append(about | total | dict(runs=runs))
    if args.json:
        args.json.write_text(json.dumps(document, indent=1))


def run_names(figure, made):
    """The runs that are compared; depths and width of A4a stand in its legend and caption."""
    if figure == "A3d":
        return ["a3d", "a3a"]
    depths = dict.fromkeys(re.match(r"depth (\d+)", series["label"])[1] for series in made["series"])
    width = re.search(r"Width (\d+)\.", made["caption"])[1]
    return [f"grid-{depth}x{width}" for depth in depths]


def read_run(out, name):
    """Settings, seconds and results of a finished run."""
    folder, *others = (out / "runs").glob(f"{name}-*")
    if others:
        sys.exit(f"{name}: there are runs of several settings; make the figures in a new folder")
    config = tomllib.loads((folder / "config.toml").read_text())
    for section, settings in WRITTEN.items():
        for key, values in settings.items():
            if config[section][key] not in values:
                sys.exit(f"{name}: {section}.{key} = {config[section][key]!r} is not written in this script")
    analyses = sorted(path for path in (folder / "analysis").iterdir() if not re.match("rpd-.*-step-", path.name))
    for path in analyses:
        if not re.match("basin-.*-best-", path.name):
            sys.exit(f"{name}: {path.name} took time that this script does not; make the figures in a new folder")
    table = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    metrics = [{column: float(cell) for column, cell in row.items() if cell} for row in table]
    manifest = json.loads((folder / "manifest.json").read_text())
    basins = [json.loads(path.read_text()) for path in analyses]
    return dict(name=name, config=config, manifest=manifest, metrics=metrics, basins=basins)


def read_data(args, run):
    """Training and test set of the run: x [P, 784] in [0, 1] and labels [P]."""
    files = [(args.data / name).read_bytes() for name in IDX]
    if [hashlib.sha256(file).hexdigest() for file in files] != run["manifest"]["sha256"]:
        sys.exit(f"{args.data}: not the data set of {run['name']}")
    arrays = [np.frombuffer(file, np.uint8, offset=4 + 4 * file[3]) for file in files]  # file[3] is the rank
    x, labels, test_x, test_labels = (torch.tensor(array, device=args.device) for array in arrays)
    x, test_x = (x.view(-1, 784).float() / 255 for x in (x, test_x))
    limit = run["config"]["data"]["limit"] or None
    return (x[:limit], labels[:limit].long()), (test_x, test_labels.long())


class Net(nn.Module):
    """Linear, batch norm and ReLU, layer by layer; initial weights are PyTorch's default, U(±1/√fan_in)."""

    def __init__(self, widths, momentum, eps):
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(n, m, bias=False) for n, m in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n, eps, momentum) for n in widths[1:-1])

    def forward(self, x, mode="train", fields=None):
        """Logits; in mode eval by the running statistics, in mode batch by those of x, and neither changes the
        network. `fields` gets, of every hidden layer, h and what the batch norm multiplies by."""
        for linear, norm in zip(self.linears, self.norms):
            z = linear(x)
            if mode == "train":
                h = norm(z)
            else:
                running = (norm.running_mean, norm.running_var) if mode == "eval" else (None, None)
                h = F.batch_norm(z, *running, norm.weight, norm.bias, mode == "batch", eps=norm.eps)
            if fields is not None:
                variance = norm.running_var if mode == "eval" else z.var(0, correction=0)
                fields.append((h, norm.weight / (variance + norm.eps).sqrt()))
            x = F.relu(h)
        return self.linears[-1](x)


def compared(run, args):
    """The run once more: seconds, and what both sides found."""
    config, (train, test) = run["config"], read_data(args, run)
    settings, seconds = config["train"], dict(training=0.0, probes=0.0, basins=0.0)

    def lap(part):
        """Adds the time since the last call; a card works behind our back until asked to finish."""
        nonlocal before
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds[part] += time.perf_counter() - before
        before = time.perf_counter()

    torch.manual_seed(config["seed"])
    net = Net(config["model"]["widths"], config["bn"]["momentum"], config["bn"]["eps"]).to(args.device)
    if settings["optimizer"] == "adam":
        options = {key: settings[key] for key in ("lr", "betas", "eps")}
        optimizer = torch.optim.Adam(net.parameters(), **options, fused=True)
    else:
        optimizer = torch.optim.SGD(net.parameters(), settings["lr"], fused=True)
    due, rows, highest = {int(row["step"]) for row in run["metrics"]}, [], -1.0
    before = time.perf_counter()
    for step in range(settings["steps"] + 1):
        if step in due:
            lap("training")
            rows.append(dict(step=step) | probe(net, config["probe"], train, test))
            lap("probes")
            if rows[-1]["test_accuracy.eval.all"] > highest:
                highest, best = rows[-1]["test_accuracy.eval.all"], copy.deepcopy(net)
        if step < settings["steps"]:
            # On a card PyTorch's bf16 is a matter of autocast; on the CPU, of the matmul precision.
            with torch.autocast("cuda", torch.bfloat16, enabled=args.device == "cuda" and args.matmul == "bf16"):
                loss = F.cross_entropy(net(train[0]), train[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    lap("training")
    basins = [basin(best, ours, *train) for ours in run["basins"]]
    lap("basins")
    if unlike := {name for name in run["metrics"][0] if "." in name} ^ (rows[0].keys() - {"step"}):
        sys.exit(f"{run['name']}: only one side measures {', '.join(sorted(unlike))}")
    checks = []
    for (what, a, within), (_, b, _) in zip(findings(run["metrics"], run["basins"]), findings(rows, basins)):
        checks.append((what, a, b, a == b if None in (a, b) else bool(abs(a - b) <= within)))
    ours = dict(zip(["training", "measuring"], run["manifest"]["seconds"]))
    return dict(run=run["name"], ours=ours, peer=seconds, checks=checks, rows=rows, basins=basins)


@torch.no_grad()
def probe(net, config, train, test):
    """A row of the metrics. One pass of the training samples serves accuracy and ranks."""
    row, what = {}, config["what"]
    sets = dict(train=[tensor[: config["limit"] or None] for tensor in train], test=test)
    for mode in ("eval", "batch"):
        for name, (x, labels) in sets.items() if "accuracy" in what else [("test", test)]:
            fields = [] if name == "train" and "rpd" in what else None
            logits = net(x, mode, fields)
            row[f"{name}_loss.{mode}.all"] = float(F.cross_entropy(logits, labels))
            row[f"{name}_accuracy.{mode}.all"] = accuracy(logits, labels)
            if fields:
                slopes = rank_gradients(net, fields, labels)
                row |= {f"rpd_gradient.{mode}.{layer}": slope for layer, slope in enumerate(slopes, 2)}
    return row


def accuracy(logits, labels):
    return float((logits.argmax(1) == labels).double().mean())


def rank_gradients(net, fields, labels):
    """The RPD gradient of every hidden layer: samples ranked by h · sign M in every neuron, counted by class and bin,
    and minus the least-squares slope over the bins. Equal fields are ranked in any order."""
    samples, share = len(labels), torch.bincount(labels, minlength=CLASSES)[:, None]
    bin_of_rank = (2 * torch.arange(samples, device=labels.device) + 1) * BINS // (2 * samples)
    densities, matrix = [], net.linears[-1].weight
    for (h, scale), linear in zip(reversed(fields), reversed(net.linears[:-1])):
        if h.device.type == "cpu":  # where numpy's sort is the faster one
            order = torch.from_numpy(np.argsort((-h.T).contiguous().numpy(), 1))
        else:
            order = torch.argsort(h.T.contiguous(), 1, descending=True)
        of_class = labels[order]
        mirrored = (matrix < 0).T.gather(1, of_class)  # one order serves all classes: a negative sign turns it round
        cells = of_class * BINS + torch.where(mirrored, BINS - 1 - bin_of_rank, bin_of_rank)
        mass = torch.bincount(cells.flatten(), minlength=CLASSES * BINS).view(CLASSES, BINS)
        densities.insert(0, (mass.double() * BINS / share / h.shape[1]).mean(0))
        matrix = (matrix * scale) @ linear.weight
    return gradients(torch.stack(densities).cpu().numpy())


def findings(rows, basins):
    """What matters, its value, and how far the other side may be from it."""
    last, best = rows[-1], "test_accuracy.eval.all"
    for loss in [name for name in ("train_loss.batch.all", "test_loss.batch.all") if name in last]:
        yield f"last {loss}", last[loss], 0.3 * last[loss]
    yield f"best {best}", max(row[best] for row in rows), 0.01
    if slopes := [last[name] for name in last if name.startswith("rpd_gradient.eval")]:
        yield "mean of last rpd_gradient.eval", np.mean(slopes), 0.15 * np.mean(slopes)
    for basin in basins:
        yield f"basin size, {basin['space']}, {basin['bn']}", basin["size"], 0.15 * (basin["size"] or 0)


def show(run, ours, peer, checks=(), **_):
    """Seconds of a run or a figure, and its checks."""
    print(f"  {run:<34}{'ours':>9}{'PyTorch':>9}{'ratio':>9}")
    probes, basins = peer["probes"], peer["basins"]
    for what, a, b in (
        ("training", ours["training"], peer["training"]),
        (f"probes {probes:.2f} + basins {basins:.2f}", ours["measuring"], probes + basins),
        ("together", sum(ours.values()), sum(peer.values())),
    ):
        print(f"    {what:<32}{a:>9.2f}{b:>9.2f}{b / a:>9.2f}")
    for what, a, b, agree in checks:
        a, b = ("none" if value is None else f"{value:.4f}" for value in (a, b))
        print(f"    {what:<32}{a:>9}{b:>9}{'' if agree else '   NOT THE SAME'}", flush=True)


if __name__ == "__main__":
    main()
