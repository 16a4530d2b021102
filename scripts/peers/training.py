"""One training step, as a PyTorch user would write it and in PyTorch's faster ways."""

import torch
from torch import nn
from torch.nn import functional as F

from inputs import CLASSES, network, samples

LEARNING_RATE = 1e-3


def step_case(setting, widths, activation, batch_norm, batch, loss, optimizer, steps_per_call=1, seeds=1):
    """Times steps on one fixed batch, of so many networks in turn; the check is the loss of the first three."""
    x, labels = (t.to(setting.device) for t in samples(batch))
    targets = F.one_hot(labels, CLASSES).float() if loss == "mse" else labels
    nets = [network(widths, activation, batch_norm).to(setting.device).train() for _ in range(seeds)]
    objective = dict(mse=F.mse_loss, cross_entropy=F.cross_entropy)[loss]
    update = make_optimizer(setting, optimizer, nn.ModuleList(nets))

    def value():
        # On a card PyTorch's bf16 is a matter of autocast; on the CPU, of the matmul precision.
        bf16 = setting.device == "cuda" and setting.matmul == "bf16"
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16, cache_enabled=False):
            losses = [objective(net(x), targets) for net in nets]
            return losses[0] if seeds == 1 else torch.stack(losses).sum()

    losses = [loss / seeds for loss in first_losses(value, update)]
    reference = None
    if setting.device == "cuda":
        wide = network(widths, activation, batch_norm).to(setting.device, torch.float64).train()
        x64, targets64 = x.double(), targets.double() if loss == "mse" else targets
        plain = make_optimizer(setting, optimizer, wide)
        reference = first_losses(lambda: objective(wide(x64), targets64), plain)
        del wide, x64, targets64, plain

    step = VARIANTS[setting.variant.split("+")[0]](value, update)
    timing = setting.clock(lambda: [step() for _ in range(steps_per_call)], steps_per_call)
    multiply_adds = sum(n * m for n, m in zip(widths, widths[1:]))
    # Forward, weight gradient and input gradient; the last is not needed for the first layer.
    flops = seeds * batch * (6 * multiply_adds - 2 * widths[0] * widths[1])
    checked = dict(check=losses, reference=reference)
    yield dict(peer=f"torch_{setting.variant}", gflops=flops / timing["min"] * 1e-9) | checked | timing


def first_losses(value, update):
    """The losses of three steps."""
    losses = []
    for _ in range(3):
        update.zero_grad()
        loss = value()
        loss.backward()
        update.step()
        losses.append(loss.item())
    return losses


def make_optimizer(setting, name, net):
    """PyTorch's, with the options the variant needs."""
    options = dict(lr=LEARNING_RATE)
    if setting.variant.endswith("+fused"):
        options["fused"] = True
    if setting.variant.startswith("graph"):
        options["capturable"] = True
    if name == "adamw":
        return torch.optim.AdamW(net.parameters(), weight_decay=0.01, **options)
    return torch.optim.Adam(net.parameters(), **options)


def eager(loss, optimizer):
    """The customary loop."""

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def compiled(loss, optimizer):
    """Forward and backward through torch.compile."""
    return eager(torch.compile(loss), optimizer)


def compiled_whole(loss, optimizer):
    """The optimiser through torch.compile as well."""
    loss, update = torch.compile(loss), torch.compile(lambda: optimizer.step())

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        update()

    return step


def graph(loss, optimizer):
    """The step recorded once as a CUDA graph and replayed."""

    def step():
        optimizer.zero_grad(set_to_none=False)
        loss().backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    recording = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recording):
        step()
    return recording.replay


VARIANTS = dict(eager=eager, compile=compiled, compile_full=compiled_whole, graph=graph)
