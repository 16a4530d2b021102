"""One training step, as a PyTorch user would write it and in PyTorch's faster ways."""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from clock import Work
from inputs import CLASSES, network, samples

LEARNING_RATE = 1e-3

# One process compiles several steps. Each is compiled for its own shapes, as if it were alone, and none may quietly run
# uncompiled.
torch._dynamo.config.recompile_limit = 64
torch._dynamo.config.fail_on_recompile_limit_hit = True


def step_case(setting, widths, activation, batch_norm, batch, loss, optimizer, steps_per_call=1, seeds=1):
    """Steps on one fixed batch, of so many networks in turn; the check is the loss of the first three."""
    if setting.variant.startswith("graph") and setting.device != "cuda":
        raise ValueError("only a card records graphs")
    x, labels = (t.to(setting.device) for t in samples(batch))
    targets = F.one_hot(labels, CLASSES).float() if loss == "mse" else labels
    nets = [network(widths, activation, batch_norm).to(setting.device).train() for _ in range(seeds)]
    objective = OBJECTIVES[loss]
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
        reference = exact_losses(setting.device, tuple(widths), activation, batch_norm, batch, loss, optimizer)

    step = VARIANTS[setting.variant.split("+")[0]](value, update)
    multiply_adds = sum(n * m for n, m in zip(widths, widths[1:]))
    # Forward, weight gradient and input gradient; the last is not needed for the first layer.
    flops = seeds * batch * (6 * multiply_adds - 2 * widths[0] * widths[1])
    yield Work(
        f"torch_{setting.variant}",
        lambda: [step() for _ in range(steps_per_call)],
        steps_per_call,
        flops,
        dict(check=losses, reference=reference),
    )


OBJECTIVES = dict(mse=F.mse_loss, cross_entropy=F.cross_entropy)


@functools.cache
def exact_losses(device, widths, activation, batch_norm, batch, loss, optimizer):
    """The same losses in f64."""
    x, labels = (t.to(device) for t in samples(batch))
    targets = F.one_hot(labels, CLASSES).double() if loss == "mse" else labels
    net, x = network(widths, activation, batch_norm).to(device, torch.float64).train(), x.double()
    update = OPTIMIZERS[optimizer](net.parameters(), lr=LEARNING_RATE)
    return first_losses(lambda: OBJECTIVES[loss](net(x), targets), update)


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
    if "graph" in setting.variant:
        options["capturable"] = True
    return OPTIMIZERS[name](net.parameters(), **options)


OPTIMIZERS = dict(adam=torch.optim.Adam, adamw=functools.partial(torch.optim.AdamW, weight_decay=0.01))


def eager(loss, optimizer):
    """The customary loop."""

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def compiled(loss, optimizer):
    """Forward and backward through torch.compile."""
    return eager(torch.compile(loss, dynamic=False), optimizer)


def compiled_whole(loss, optimizer):
    """The optimiser through torch.compile as well."""
    loss, update = torch.compile(loss, dynamic=False), torch.compile(lambda: optimizer.step(), dynamic=False)

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

    def replay(of=step):
        # A recording does not keep alive what it works on: network, samples, moments.
        recording.replay()

    return replay


def compiled_graph(loss, optimizer):
    """Both: what is compiled, recorded once and replayed."""
    return graph(torch.compile(loss, dynamic=False), optimizer)


VARIANTS = dict(
    eager=eager, compile=compiled, compile_full=compiled_whole, compile_graph=compiled_graph, graph=graph
)
