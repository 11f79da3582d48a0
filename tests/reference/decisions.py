"""The decisions of a network: which ReLUs pass, and which pixel wins a max pool.

A ReLU input within rounding of zero may fall on either side, and then the gradient changes by 1e-3 and not by 1e-7: whether two
float32 programs agree with float64 on such a pixel is chance. A backward pass is therefore compared with a float64 run that is
made to decide as the float32 run did.
"""
from contextlib import contextmanager
from unittest import mock

import torch
from torch.nn import functional as F

max_pool2d = F.max_pool2d


@contextmanager
def recorded():
    """Gives the list of all ReLU outputs, in forward order, of the networks that run inside."""
    outputs = []

    def relu(x, inplace=False):
        outputs.append(torch.relu(x))
        return outputs[-1]

    with mock.patch.object(F, 'relu', relu):
        yield outputs


class Replay:
    """Patched into torch.nn.functional: ReLU and max pool as decided in `outputs`. Counts the ReLUs that would decide otherwise."""

    def __init__(self, outputs):
        self.outputs, self.next, self.flips = outputs, 0, 0

    def relu(self, x, inplace=False):
        passes = (self.outputs[self.next] > 0).view(x.shape)
        self.next += 1
        self.flips += int(((x > 0) != passes).sum())
        return x * passes

    def max_pool2d(self, x, *args, return_indices=False, **kwargs):
        _, index = max_pool2d(self.outputs[self.next - 1], *args, return_indices=True, **kwargs)
        return x.flatten(2).gather(2, index.flatten(2)).view(index.shape)


@contextmanager
def replayed(outputs):
    replay = Replay(outputs)
    with mock.patch.object(F, 'relu', replay.relu), mock.patch.object(F, 'max_pool2d', replay.max_pool2d):
        yield replay
    assert replay.next == len(outputs), 'another number of ReLUs'
