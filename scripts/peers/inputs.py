"""Pixels, labels and weights that `benches/inputs.rs` makes too, bit for bit, from a hash of the index.

So both sides do the same work on the same numbers, and their results can be compared. With NETDYN_BENCH_SHRINK both do
the same small part of it.
"""

import functools
import math
import os

import numpy as np
import torch
from torch import nn

SHRINK = int(os.environ.get("NETDYN_BENCH_SHRINK", 1))


def shrunk(full):
    """As many samples instead of `full` ones."""
    return max(full // SHRINK, 2)


def narrowed(full):
    """A hidden layer of this width instead of one of `full`."""
    return full // math.isqrt(SHRINK)


CLASSES = 10
DEEP = [784] + [narrowed(512)] * 8 + [CLASSES]
NARROW = [784] + [narrowed(128)] * 21 + [CLASSES]

PIXELS, LABELS, SIGNS, GEMM_A, GEMM_B, GEMM_DZ, FIRST_LAYER = 1, 2, 3, 4, 5, 6, 16
"""Which numbers are drawn: the second argument of `hashed`. Layer i uses two after FIRST_LAYER."""


def hashed(count, what):
    """[count] u32 that look random: the mixer lowbias32 on index + what · golden ratio."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(what * 0x9E3779B9 & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def uniform(count, what, bound):
    """[count] f32 in (−bound, bound)."""
    unit = (hashed(count, what) + 0.5) / 2**32
    return ((2 * unit - 1) * bound).astype(np.float32)


@functools.lru_cache(maxsize=2)
def samples(count):
    """x [count, 784] in [0, 1] with as many zeros as MNIST has, and labels [count]."""
    x = hashed(count * DEEP[0], PIXELS)
    pixels = np.where((x & 255) < 49, x >> 8 & 255, 0).astype(np.float32) / 255
    return torch.from_numpy(pixels.reshape(count, -1)), labels(count)


def labels(count):
    """The labels alone."""
    return torch.from_numpy((hashed(count, LABELS) % CLASSES).astype(np.int64))


def network(widths, activation, batch_norm, gain=1.0):
    """nn.Sequential of Linear, BatchNorm1d and activation, weights and biases uniform in ±gain/√fan_in."""
    modules = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        linear = nn.Linear(inputs, outputs)
        bound = gain / inputs**0.5
        with torch.no_grad():
            weight = uniform(inputs * outputs, FIRST_LAYER + 2 * i, bound)
            linear.weight.copy_(torch.from_numpy(weight.reshape(outputs, inputs)))
            linear.bias.copy_(torch.from_numpy(uniform(outputs, FIRST_LAYER + 2 * i + 1, bound)))
        modules.append(linear)
        if i < len(widths) - 2:
            modules += [nn.BatchNorm1d(outputs)] if batch_norm else []
            modules.append(dict(relu=nn.ReLU, tanh=nn.Tanh)[activation]())
    return nn.Sequential(*modules)


def deep_network():
    """The 10-layer network of the analyses, in evaluation mode.

    The gain keeps activations of one size from layer to layer, as training would, though nothing is trained.
    """
    return network(DEEP, "relu", batch_norm=True, gain=6**0.5).eval()
