"""The analyses in PyTorch and numpy, written for speed where those libraries allow it."""

import copy

import numpy as np
import torch
from torch import nn

from clock import Work
from inputs import (
    CLASSES, DEEP, GEMM_A, GEMM_B, GEMM_DZ, SIGNS, deep_network, hashed, labels, narrowed, samples, shrunk, uniform,
)

BINS = 100
CHUNK = 10_000
AMPLITUDES = [0.05 * i for i in range(1, 21)]
TRIALS = 10
COLUMNS = 128
"""Neurons sorted together: the fastest of those tried with 60,000 samples."""

ROWS, WIDTH = shrunk(60_000), narrowed(512)


def gemm(setting):
    """x Wᵀ, weights stored [outputs, inputs]."""
    x, weight = uniform(ROWS * WIDTH, GEMM_A, 0.5).reshape(ROWS, WIDTH), weights(WIDTH)
    yield from product(setting, x, weight.T, lambda: x[0].astype(np.float64) @ weight.T.astype(np.float64))


def gemm_u8(setting):
    """The same of pixels, which are floating-point numbers here."""
    x, weight = samples(ROWS)[0].numpy(), weights(DEEP[0])
    yield from product(setting, x, weight.T, lambda: x[0].astype(np.float64) @ weight.T.astype(np.float64))


def gemm_dw(setting):
    """dzᵀ x: a sum over all samples."""
    dz, x = (uniform(ROWS * WIDTH, what, 0.5).reshape(ROWS, WIDTH) for what in (GEMM_DZ, GEMM_A))
    yield from product(setting, dz.T, x, lambda: dz[:, 0].astype(np.float64) @ x.astype(np.float64))


def weights(inputs):
    """[512, inputs]"""
    return uniform(WIDTH * inputs, GEMM_B, 0.5).reshape(WIDTH, inputs)


def product(setting, left, right, first_row):
    """A matrix product without allocation. The check is its mean magnitude and first row, the reference that row in
    f64. Operands keep their strides, so that a transposed one stays transposed."""
    number = torch.bfloat16 if setting.matmul == "bf16" and setting.device == "cuda" else torch.float32

    def placed(array):
        transposed = not array.flags.c_contiguous
        tensor = torch.from_numpy(array.T if transposed else array).to(setting.device, number)
        return tensor.T if transposed else tensor

    a, b = placed(left), placed(right)
    out = torch.empty(a.shape[0], b.shape[1], device=setting.device, dtype=number)
    flops = 2 * a.shape[0] * a.shape[1] * b.shape[1]
    reference = first_row().tolist()

    def record(peer, work, result):
        work()
        check = [float(result.float().abs().mean()), *result[0].float().tolist()]
        return Work(peer, work, flops=flops, facts=dict(check=check, reference=reference))

    yield record("torch_mm", lambda: torch.mm(a, b, out=out), out)
    if setting.device == "cpu":
        plain = out.numpy()
        yield record("numpy", lambda: np.matmul(left, right, out=plain), out)


def forward(setting, count=ROWS):
    """Logits of all samples; the check is their mean magnitude and the first sample's."""
    net, x = deep_network().to(setting.device), samples(count)[0].to(setting.device)

    @torch.no_grad
    def logits():
        return torch.cat([net(part) for part in x.split(CHUNK)])

    result = logits()
    yield Work("torch_eager", logits, facts=dict(check=[float(result.abs().mean()), *result[0].tolist()]))


def rpd_layer(setting, count=ROWS, neurons=WIDTH):
    """Rank distributions of one layer's field: sort, bin, mirror; the check is the class densities' gradients."""
    field = torch.from_numpy(uniform(count * neurons, GEMM_A, 0.5).reshape(count, neurons)).to(setting.device)
    of_sample = labels(count).to(setting.device)
    negative = torch.from_numpy((hashed(CLASSES * neurons, SIGNS) & 1).astype(bool).reshape(CLASSES, neurons))
    negative = negative.to(setting.device)
    bins = (2 * torch.arange(count, device=setting.device) + 1) * BINS // (2 * count)
    of_class = torch.bincount(of_sample, minlength=CLASSES).double()

    def with_torch():
        density = torch.zeros(CLASSES, BINS, dtype=torch.float64, device=setting.device)
        for columns in torch.arange(neurons, device=setting.device).split(COLUMNS):
            order = torch.sort(field[:, columns], dim=0, descending=True).indices
            n = order.shape[1]
            neuron = torch.arange(n, device=setting.device)
            cell = ((neuron * CLASSES + of_sample[order]) * BINS + bins[:, None]).reshape(-1)
            mass = torch.bincount(cell, minlength=n * CLASSES * BINS).view(n, CLASSES, BINS)
            mass = torch.where(negative[:, columns].T[:, :, None], mass.flip(2), mass)
            density += mass.sum(0)
        return density * (BINS / of_class)[:, None] / neurons

    def with_numpy():
        density = np.zeros((CLASSES, BINS))
        for neuron in range(neurons):
            order = np.argsort(columns_of[neuron])[::-1]
            mass = np.bincount(host_labels[order] * BINS + host_bins, minlength=CLASSES * BINS)
            mass = mass.reshape(CLASSES, BINS)
            density += np.where(host_negative[:, neuron, None], mass[:, ::-1], mass)
        return density * (BINS / np.bincount(host_labels, minlength=CLASSES))[:, None] / neurons

    yield Work("torch_sort", with_torch, facts=dict(check=gradients(with_torch().cpu().numpy())))
    if setting.device == "cpu":
        # numpy sorts contiguous rows; the transposition is not counted.
        columns_of = np.ascontiguousarray(field.numpy().T)
        host_labels, host_bins, host_negative = of_sample.numpy(), bins.numpy(), negative.numpy()
        yield Work("numpy_argsort", with_numpy, facts=dict(check=gradients(with_numpy())))


def ranks_layer(setting, count=ROWS, neurons=WIDTH):
    """The ranks of all samples in every neuron, and nothing made of them."""
    field = torch.from_numpy(uniform(count * neurons, GEMM_A, 0.5).reshape(count, neurons)).to(setting.device)
    # torch sorts contiguous rows fastest; the transposition is not counted.
    field = field.T.contiguous()
    yield Work("torch_sort", lambda: torch.sort(field, dim=1, descending=True), facts=dict(check=[]))


def gradients(density):
    """Minus the least-squares slope of every row against bin centres in [0, 1]."""
    centres = (np.arange(BINS) + 0.5) / BINS - 0.5
    return (-(density @ centres) / (centres @ centres)).tolist()


def lmap_curve(setting, count=ROWS):
    """Accuracy with the activations of layers l…L−1 left out, for every l: a whole pass for each, as one writes it.

    Labels are the network's own predictions, so that the unpruned accuracy is one.
    """
    curve = torch.no_grad(lmap_of(deep_network().to(setting.device), samples(count)[0].to(setting.device)))
    yield Work("torch_eager", curve, facts=dict(check=curve()))


def lmap_of(net, x):
    """What computes that curve."""

    def curve():
        right = [0] * (len(DEEP) - 1)
        for part in x.split(CHUNK):
            labels = net(part).argmax(1)
            for hidden in range(len(DEEP) - 1):
                h, seen = part, 0
                for module in net:
                    if isinstance(module, nn.ReLU):
                        seen += 1
                        h = module(h) if seen <= hidden else h
                    else:
                        h = module(h)
                right[hidden] += int((h.argmax(1) == labels).sum())
        return [n / len(x) for n in right][:-1]  # the last leaves nothing out

    return curve


def basin_sample(setting, count):
    """Accuracy under pixel noise at every amplitude, ten fresh draws each, and the basin size; labels are the clean
    predictions."""
    net, x = deep_network().to(setting.device), samples(count)[0].to(setting.device)
    yield from statistical(basin_of(net, x, noisy_samples))


def basin_weight(setting, count):
    """The same under weight noise, in units of each matrix's standard deviation."""
    net, x = deep_network().to(setting.device), samples(count)[0].to(setting.device)
    yield from statistical(basin_of(net, x, noisy_weights))


def noisy_samples(net, x, amplitude):
    """Logits under pixel noise."""
    return net(x + amplitude * torch.randn_like(x))


def noisy_weights(net, x, amplitude):
    """Logits under weight noise."""
    noisy = copy.deepcopy(net)
    for module in noisy:
        if isinstance(module, nn.Linear):
            unit = module.weight.std(correction=0)
            module.weight += amplitude * unit * torch.randn_like(module.weight)
    return noisy(x)


def basin_of(net, x, noisy):
    """What computes a curve and its basin's size: all amplitudes and trials are run, nothing is extrapolated."""

    def curve():
        labels = net(x).argmax(1)

        def trials(amplitude):
            return [float((noisy(net, x, amplitude).argmax(1) == labels).float().mean()) for _ in range(TRIALS)]

        measured = [(0.0, [1.0] * TRIALS)] + [(amplitude, trials(amplitude)) for amplitude in AMPLITUDES]
        bisect(measured, trials)
        return [float(np.mean(rates)) for _, rates in measured[1:]]

    return curve


def full(setting, count=ROWS):
    """A probe of everything: rank distributions of all layers, L-map pruning, both basins."""
    net, x = deep_network().to(setting.device), samples(count)[0].to(setting.device)
    parts = [lmap_of(net, x), basin_of(net, x, noisy_samples), basin_of(net, x, noisy_weights)]

    def everything():
        ranks_of(net, x)
        return [accuracy for part in parts for accuracy in part()]

    yield from statistical(everything)


def ranks_of(net, x):
    """Densities of the ranks of all hidden layers, by predicted class: sorted, mirrored by the sign of the linear map."""
    fields, linears = [], [module for module in net if isinstance(module, nn.Linear)]
    norms = [module for module in net if isinstance(module, nn.BatchNorm1d)]
    h = x
    for module in net:
        if isinstance(module, nn.ReLU):
            fields.append(h)
        h = module(h)
    labels = h.argmax(1)
    count = torch.bincount(labels, minlength=CLASSES)[:, None].double()
    bins = (2 * torch.arange(len(x), device=x.device) + 1) * BINS // (2 * len(x))
    densities, matrix = [], linears[-1].weight
    for field, linear, norm in zip(reversed(fields), reversed(linears[:-1]), reversed(norms)):
        density = torch.zeros(CLASSES, BINS, dtype=torch.float64, device=x.device)
        for columns in torch.arange(field.shape[1], device=x.device).split(COLUMNS):
            of_class = labels[torch.sort(field[:, columns], dim=0, descending=True).indices]
            mirrored = (matrix[:, columns] < 0).T.gather(1, of_class.T).T
            cell = of_class * BINS + torch.where(mirrored, BINS - 1 - bins[:, None], bins[:, None])
            density += torch.bincount(cell.flatten(), minlength=CLASSES * BINS).view(CLASSES, BINS)
        densities.append(density * BINS / count / field.shape[1])
        matrix = (matrix * norm.weight / (norm.running_var + norm.eps).sqrt()) @ linear.weight
    return densities


def statistical(curve):
    """The noise is PyTorch's own, so the check agrees within its standard error, not to rounding."""
    torch.manual_seed(0)
    curve = torch.no_grad(curve)
    yield Work("torch_eager", curve, facts=dict(check=curve(), check_is="statistical"))


def bisect(measured, trials):
    """The amplitude at which half of the predictions are lost, as finely as the program finds it; None if at none."""
    above = next((i for i, (_, rates) in enumerate(measured[1:]) if np.mean(rates) < 0.5), None)
    if above is None:
        return None
    low, high = measured[above], measured[above + 1]
    while high[0] - low[0] >= 0.02 * high[0]:
        error = max(np.std(rates, ddof=1) / TRIALS**0.5 for _, rates in (low, high))
        if np.mean(low[1]) - np.mean(high[1]) < error:
            break
        middle = (low[0] + high[0]) / 2
        point = (middle, trials(middle))
        low, high = (point, high) if np.mean(point[1]) >= 0.5 else (low, point)
    return low[0] + (high[0] - low[0]) * (np.mean(low[1]) - 0.5) / (np.mean(low[1]) - np.mean(high[1]))
