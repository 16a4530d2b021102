"""Attraction basins of a network in PyTorch, measured as the program measured its own."""

import torch


@torch.no_grad()
def basin(net, ours, x, labels):
    """Curve and both sizes of a basin measured like `ours`: every trial is a pass with fresh noise."""
    x, labels = x[: ours["samples"]], labels[: ours["samples"]]
    clean = [linear.weight.clone() for linear in net.linears]

    def trial(amplitude):
        noisy = x + amplitude * torch.randn_like(x) if ours["space"] == "sample" else x
        for linear, weight in zip(net.linears, clean) if ours["space"] == "weight" else []:
            linear.weight.copy_(weight + amplitude * weight.std(correction=0) * torch.randn_like(weight))
        return (net(noisy, ours["bn"]).argmax(1) == labels).double().mean()

    measured = {0.0: (float((net(x, ours["bn"]).argmax(1) == labels).double().mean()), 0.0)}

    def measure(amplitude):
        if amplitude not in measured:
            right = torch.stack([trial(amplitude) for _ in range(ours["trials"])])
            measured[amplitude] = (float(right.mean()), float(right.std() / ours["trials"] ** 0.5))
        return measured[amplitude]

    amplitudes = [point["amplitude"] for point in ours["curve"]]
    curve = [measure(amplitude)[0] for amplitude in amplitudes]
    size, relative = (basin_size(measure, amplitudes, level) for level in (0.5, measured[0.0][0] / 2))
    for linear, weight in zip(net.linears, clean):
        linear.weight.copy_(weight)
    return dict(space=ours["space"], bn=ours["bn"], curve=curve, size=size, size_relative=relative)


def basin_size(measure, amplitudes, level):
    """Where the accuracy falls through `level`, searched as the program does: these amplitudes in turn, doubled ones up
    to 64, then bisection to 2 % or to the noise."""
    ladder = sorted({0.0, *amplitudes})
    while ladder[-1] < 64:
        ladder.append(min(2 * ladder[-1], 64.0))
    below = next((i for i, amplitude in enumerate(ladder) if measure(amplitude)[0] < level), 0)
    if below == 0:
        return None
    low, high = ladder[below - 1], ladder[below]
    while high - low >= 0.02 * high and measure(low)[0] - measure(high)[0] >= max(measure(low)[1], measure(high)[1]):
        middle = (low + high) / 2
        low, high = (low, middle) if measure(middle)[0] < level else (middle, high)
    above, under = measure(low)[0], measure(high)[0]
    return low + (high - low) * (above - level) / (above - under)
