#!/usr/bin/python3
"""Compares the first steps of a real training run with PyTorch, from the same weights on the same images.

 free_run.py [--build build] [--cifar FOLDER] [--ranks 4] [--steps 6]

PyTorch writes the initial weights of a ResNet-20 as a safetensors file; resnet-train begins with it (--init-from) and trains on
CIFAR-10's binary files in file order, 128 images a step, LR 0.001. PyTorch does the same in float64. The loss that metrics.jsonl
gives for each step must agree within 1e-4. Without --cifar the files hold drawn images.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch.nn import functional as F

import images
import models
import safetensors_io
from parity import as_torch

ARCH, BATCH, RATE, CLASSES = 'resnet20', 128, 0.001, 10


def draw_cifar(folder, count):
    """Files in CIFAR-10's format, of `count` images each."""
    os.mkdir(folder)
    names = images.cifar_files(folder) + [os.path.join(folder, 'test_batch.bin')]
    for seed, name in enumerate(names):
        x, y = images.drawn(count, 32, CLASSES, seed)
        pixels = np.clip(64 * x + 128, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).reshape(count, -1)
        np.concatenate([y.astype(np.uint8)[:, None], pixels], axis=1).tofile(name)


def our_losses(args, data, weights, run):
    command = ['mpirun', '-np', str(args.ranks), '--oversubscribe', '--timeout', '300', f'{args.build}/bin/resnet-train',
               '--arch', ARCH, '--data', data, '--out', run, '--init-from', weights, '--global-batch', str(BATCH),
               '--steps', str(args.steps), '--lr', str(RATE), '--lr-schedule', 'constant', '--augment', 'none', '--shuffle', 'off',
               '--log-every', '1', '--eval-every', '0']
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    with open(f'{run}/metrics.jsonl', encoding='utf-8') as file:
        events = [json.loads(line) for line in file]
    return [event['loss'] for event in events if event['event'] == 'step']


def torch_losses(net, data, steps):
    net = net.double().train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    pixels, labels = images.read_cifar(images.cifar_files(data))
    mean, std = images.cifar_statistics(data)
    for i in range(steps):
        part = slice(i * BATCH, (i + 1) * BATCH)
        optimizer.zero_grad()
        x = as_torch(images.normalised(pixels[part], mean, std), torch.float64)
        loss = F.cross_entropy(net(x), torch.from_numpy(labels[part]))
        loss.backward()
        optimizer.step()
        yield loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--cifar', help='folder with data_batch_1.bin ... and test_batch.bin; without it images are drawn')
    parser.add_argument('--ranks', type=int, default=4)
    parser.add_argument('--steps', type=int, default=6)
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    net, worst = models.build(ARCH, classes=CLASSES), 0
    with tempfile.TemporaryDirectory() as folder:
        data = args.cifar or f'{folder}/data'
        if not args.cifar:
            draw_cifar(data, max(256, (args.steps * BATCH + 4) // 5))
        safetensors_io.write(f'{folder}/weights.safetensors', models.state_arrays(net))
        ours = our_losses(args, data, f'{folder}/weights.safetensors', f'{folder}/run')
        assert len(ours) == args.steps, f'{len(ours)} step events'
        for i, (mine, other) in enumerate(zip(ours, torch_losses(net, data, args.steps))):
            worst = max(worst, abs(mine - other) / other)
            print(f'    step {i + 1}: loss {mine:.9f}, PyTorch {other:.9f}')
    passed = worst <= 1e-4
    print(f'{args.ranks} ranks, {args.steps} steps: worst difference of the loss {worst:.1e}  {"PASS" if passed else "FAIL"}')
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
