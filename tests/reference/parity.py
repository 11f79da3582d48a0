#!/usr/bin/python3
"""Compares whole networks with PyTorch: same weights, same images, fp32 against float64.

 parity.py [--build build] [--cifar FOLDER] [--images FOLDER] [MODEL ...]

After three passes in train mode, which set the running statistics: the relative L2 error of the logits in evaluation, of the
whole gradient of the next pass in train mode and of its loss. PyTorch's own float32 run is judged by the same float64 run and
gives the bounds: logits at most max(1e-5, twice PyTorch's error), gradient at most twice PyTorch's, loss within 1e-5.
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

import images
import models
import safetensors_io

PASSES = 3

# name: architecture, shortcut, where bottlenecks stride, batch, image size
CASES = {
    'resnet20': ('resnet20', 'default', '3x3', 16, 32),
    'plain20': ('plain20', 'default', '3x3', 16, 32),
    'preresnet110': ('preresnet110', 'default', '3x3', 16, 32),
    'resnet18-A': ('resnet18', 'A', '3x3', 4, 224),
    'resnet18-B': ('resnet18', 'B', '3x3', 4, 224),
    'resnet18-C': ('resnet18', 'C', '3x3', 4, 224),
    'plain34': ('plain34', 'default', '3x3', 4, 224),
    'resnet50-v1': ('resnet50', 'default', '1x1', 4, 224),
    'resnet50-v1.5': ('resnet50', 'default', '3x3', 4, 224),
    'resnet152': ('resnet152', 'default', '3x3', 2, 224),
    'vgg19': ('vgg19', 'default', '3x3', 2, 224),
}


def torch_pass(net, x, y, dtype):
    """Logits in evaluation, loss, gradient by name."""
    net = copy.deepcopy(net).to(dtype)
    x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(dtype)
    y = torch.from_numpy(y)
    net.train()
    with torch.no_grad():
        for _ in range(PASSES):
            net(x)
    net.eval()
    with torch.no_grad():
        logits = net(x).numpy()
    net.train()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    return logits, loss.item(), {name: p.grad.numpy() for name, p in net.named_parameters()}


def our_pass(program, net, x, y, arch, shortcut, stride_in, classes):
    with tempfile.TemporaryDirectory() as folder:
        safetensors_io.write(f'{folder}/model.safetensors', models.state_arrays(net))
        safetensors_io.write(f'{folder}/batch.safetensors', {'images': x, 'labels': y, 'classes': np.int64(classes)})
        loss = float(subprocess.run([program, folder, arch, shortcut, stride_in, str(PASSES)], check=True,
                                    stdout=subprocess.PIPE).stdout)
        logits = safetensors_io.read(f'{folder}/logits.safetensors')['logits']
        gradient = safetensors_io.read(f'{folder}/gradient.safetensors')
        updated = safetensors_io.read(f'{folder}/updated.safetensors')
    return logits, loss, gradient, updated


def relative(values, reference):
    """Relative L2 error over all arrays together."""
    error = sum(np.square(a.astype(np.float64) - b).sum() for a, b in zip(values, reference))
    return np.sqrt(error / sum(np.square(b).sum() for b in reference))


def gradient_error(gradient, reference):
    return relative([gradient[name] for name in reference], reference.values())


def worst_tensors(ours, theirs, reference, count):
    """Lines on the tensors whose error is largest against PyTorch's."""
    rows = []
    for name, exact in reference.items():
        mine, other = relative([ours[name]], [exact]), relative([theirs[name]], [exact])
        rows.append((mine / other if other else 0, f'    {name}: {mine:.2e}, torch {other:.2e}'))
    return [line for _, line in sorted(rows, reverse=True)[:count]]


def compare(name, args):
    arch, shortcut, stride_in, count, size = CASES[name]
    classes = 10 if size == 32 else 1000
    net = models.build(arch, shortcut, stride_in, classes)
    x, y = images.batch(count, size, classes, args.cifar, args.images)
    start = time.time()
    ours = our_pass(f'{args.build}/tests/reference/parity_pass', net, x, y, arch, shortcut, stride_in, classes)
    # What we wrote must load by PyTorch's own strict names and shapes.
    models.load_arrays(copy.deepcopy(net), ours[3])
    theirs, exact = torch_pass(net, x, y, torch.float32), torch_pass(net, x, y, torch.float64)
    logits, logits32 = relative(ours[:1], exact[:1]), relative(theirs[:1], exact[:1])
    gradient, gradient32 = gradient_error(ours[2], exact[2]), gradient_error(theirs[2], exact[2])
    loss = abs(ours[1] - exact[1]) / abs(exact[1])
    passed = logits <= max(1e-5, 2 * logits32) and gradient <= 2 * gradient32 and loss <= 1e-5
    print(f'{name:14} {logits:9.2e} {logits32:9.2e} {max(1e-5, 2 * logits32):9.2e} {gradient:10.2e} {gradient32:9.2e} '
          f'{gradient / gradient32:6.2f} {loss:9.2e} {time.time() - start:6.0f}  {"PASS" if passed else "FAIL"}', flush=True)
    if args.tensors or not passed:
        print('\n'.join(worst_tensors(ours[2], theirs[2], exact[2], args.tensors or 8)), flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', metavar='MODEL', help=', '.join(CASES))
    parser.add_argument('--build', default='build')
    parser.add_argument('--cifar', help='folder with data_batch_1.bin ...; without it images are drawn')
    parser.add_argument('--images', help='image folder for the ImageNet nets')
    parser.add_argument('--tensors', type=int, default=0, help='also print so many of the worst gradients')
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    print(f'{"":14} {"logits":>9} {"torch32":>9} {"bound":>9} {"gradient":>10} {"torch32":>9} {"ratio":>6} {"loss":>9} {"s":>6}')
    results = [compare(name, args) for name in args.models or CASES]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
