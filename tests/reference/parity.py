#!/usr/bin/python3
"""Compares whole networks with PyTorch: same weights, same images, fp32 against float64.

 parity.py [--build build] [--cifar FOLDER] [--images FOLDER] [--winograd] [MODEL ...]

After three passes in train mode, which set the running statistics: the logits in evaluation, then loss and whole gradient of
the next pass in train mode. Errors are relative L2 errors against PyTorch's float64; PyTorch's own float32 gives the bounds:
logits and loss at most max(1e-5, twice PyTorch's error), gradient at most twice PyTorch's; with Winograd's algorithm logits and loss
at most max(5e-5, twice PyTorch's error), gradient at most ten times PyTorch's.
The gradient is judged twice: `ratio` against a float64 run with the same decisions (decisions.py), and `free` against float64 as
it is. `flips` counts the ReLUs that float64 had decided otherwise, for us and for PyTorch: with a handful of images there is one
or none and `free` is a lottery, so the batches are large enough that both programs have some. They may be up to as many times
PyTorch's as the gradient's error, and 10 more; flips are independent errors, so `free` may then be the root of that larger.
"""
import argparse
import copy
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torch.nn import functional as F

import decisions
import images
import models
import safetensors_io

PASSES = 3

# name: architecture, shortcut, where bottlenecks stride, batch, image size
CASES = {
    'resnet20': ('resnet20', 'default', '3x3', 128, 32),
    'plain20': ('plain20', 'default', '3x3', 128, 32),
    'preresnet110': ('preresnet110', 'default', '3x3', 64, 32),
    'resnet18-A': ('resnet18', 'A', '3x3', 32, 224),
    'resnet18-B': ('resnet18', 'B', '3x3', 32, 224),
    'resnet18-C': ('resnet18', 'C', '3x3', 32, 224),
    'plain34': ('plain34', 'default', '3x3', 4, 224),
    'resnet50-v1': ('resnet50', 'default', '1x1', 4, 224),
    'resnet50-v1.5': ('resnet50', 'default', '3x3', 4, 224),
    'resnet152': ('resnet152', 'default', '3x3', 12, 224),
    'vgg19': ('vgg19', 'default', '3x3', 2, 224),
}


def as_torch(x, dtype=torch.float32):
    """(n, h, w, c) -> a contiguous (n, c, h, w)."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(dtype)


class Result:
    """What one program computed: logits of the evaluation; loss, gradient by name and ReLU outputs of the pass in train mode."""

    def __init__(self, logits, loss, gradient, relus):
        self.logits, self.loss, self.gradient, self.relus = logits, loss, gradient, relus


def torch_gradient(net, x, y):
    """Loss and gradient by name."""
    net.zero_grad()
    net.train()
    loss = F.cross_entropy(net(x), torch.from_numpy(y))
    loss.backward()
    return loss.item(), {name: p.grad.numpy().copy() for name, p in net.named_parameters()}


def torch_pass(net, x, y):
    net.train()
    with torch.no_grad():
        for _ in range(PASSES):
            net(x)
    net.eval()
    with torch.no_grad():
        logits = net(x).numpy()
    with decisions.recorded() as relus:
        loss, gradient = torch_gradient(net, x, y)
    return Result(logits, loss, gradient, [relu.detach() for relu in relus])


def our_pass(program, net, x, y, arch, shortcut, stride_in, classes, winograd=()):
    with tempfile.TemporaryDirectory() as folder:
        safetensors_io.write(f'{folder}/model.safetensors', models.state_arrays(net))
        safetensors_io.write(f'{folder}/batch.safetensors', {'images': x, 'labels': y, 'classes': np.int64(classes)})
        loss = float(subprocess.run([program, folder, arch, shortcut, stride_in, str(PASSES), *winograd], check=True,
                                    stdout=subprocess.PIPE).stdout)
        logits, gradient, updated, relus = (safetensors_io.read(f'{folder}/{name}.safetensors')
                                            for name in ('logits', 'gradient', 'updated', 'relu'))
    # What we wrote must load by PyTorch's own strict names and shapes.
    models.load_arrays(copy.deepcopy(net), updated)
    return Result(logits['logits'], loss, gradient, [as_torch(relus[name]) for name in sorted(relus)])


def relative(values, reference):
    """Relative L2 error over all arrays together."""
    error = sum(np.square(a.astype(np.float64) - b).sum() for a, b in zip(values, reference))
    return np.sqrt(error / sum(np.square(b).sum() for b in reference))


def gradient_error(gradient, reference):
    return relative([gradient[name] for name in reference], reference.values())


def decided_gradient(net, x, y, relus):
    """The float64 gradient under another run's decisions, and how many ReLUs had decided otherwise."""
    with decisions.replayed(relus) as replay:
        _, gradient = torch_gradient(net, x, y)
    return gradient, replay.flips


def worst_tensors(ours, our_reference, theirs, their_reference, count):
    """Lines on the gradients whose error is largest against PyTorch's."""
    rows = []
    for name in ours:
        mine, other = relative([ours[name]], [our_reference[name]]), relative([theirs[name]], [their_reference[name]])
        rows.append((mine / other if other else 0, f'    {name}: {mine:.2e}, torch {other:.2e}'))
    return [line for _, line in sorted(rows, reverse=True)[:count]]


def compare(name, args):
    arch, shortcut, stride_in, count, size = CASES[name]
    classes = 10 if size == 32 else 1000
    start = time.time()
    net = models.build(arch, shortcut, stride_in, classes)
    exact_net = copy.deepcopy(net).double()
    x, y = images.batch(count, size, classes, args.cifar, args.images)
    ours = our_pass(f'{args.build}/tests/reference/parity_pass', net, x, y, arch, shortcut, stride_in, classes,
                    ['winograd'] if args.winograd else [])
    least, factor = (5e-5, 10) if args.winograd else (1e-5, 2)
    theirs = torch_pass(net, as_torch(x), y)
    exact = torch_pass(exact_net, as_torch(x, torch.float64), y)
    exact.relus.clear()
    logits, logits32 = (relative([run.logits], [exact.logits]) for run in (ours, theirs))
    free = gradient_error(ours.gradient, exact.gradient) / gradient_error(theirs.gradient, exact.gradient)
    loss, loss32 = (abs(run.loss - exact.loss) / abs(exact.loss) for run in (ours, theirs))
    (reference, flips), (reference32, flips32) = (
        decided_gradient(exact_net, as_torch(x, torch.float64), y, run.relus) for run in (ours, theirs))
    gradient, gradient32 = gradient_error(ours.gradient, reference), gradient_error(theirs.gradient, reference32)
    passed = (logits <= max(least, 2 * logits32) and loss <= max(least, 2 * loss32) and gradient <= factor * gradient32
              and free <= factor * np.sqrt(max(1, flips / max(1, flips32))) and flips <= factor * flips32 + 10)
    print(f'{name:14} {logits:9.2e} {logits32:9.2e} {max(least, 2 * logits32):9.2e} {loss:9.2e} {gradient:9.2e} {gradient32:9.2e} '
          f'{gradient / gradient32:6.2f} {flips:6} {flips32:6} {free:6.2f} {time.time() - start:5.0f}  '
          f'{"PASS" if passed else "FAIL"}', flush=True)
    if args.tensors or not passed:
        print('\n'.join(worst_tensors(ours.gradient, reference, theirs.gradient, reference32, args.tensors or 8)), flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', metavar='MODEL', help=', '.join(CASES))
    parser.add_argument('--build', default='build')
    parser.add_argument('--cifar', help='folder with data_batch_1.bin ...; without it images are drawn')
    parser.add_argument('--images', help='image folder for the ImageNet nets')
    parser.add_argument('--winograd', action='store_true', help="Winograd's algorithm where it is faster")
    parser.add_argument('--tensors', type=int, default=0, help='also print so many of the worst gradients')
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    print(f'{"":14} {"logits":>9} {"torch32":>9} {"bound":>9} {"loss":>9} {"gradient":>9} {"torch32":>9} {"ratio":>6} '
          f'{"flips":>6} {"t32":>6} {"free":>6} {"s":>5}')
    results = [compare(name, args) for name in args.models or CASES]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
