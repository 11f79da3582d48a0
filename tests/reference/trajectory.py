#!/usr/bin/python3
"""Compares single training steps with PyTorch, from the same state each time, on several ranks.

 trajectory.py [--build build] [--cifar FOLDER] [--ranks 1,2,4,8] [--steps 20]

PyTorch's float64 (one process, the whole batch) trains ResNet-20; before each step its weights, momentum and batch-norm buffers,
rounded to float32, are what all three start from: float64, PyTorch's float32, and we on P ranks with synchronised batch norm.
Judged in each step: the loss within 1e-5, and the errors of the updated weights, of the momentum and of the running statistics at
most twice PyTorch float32's, each against a float64 step with the same decisions (decisions.py). Judged over all steps together,
against float64 as it is: `free`, the ratio of the updated weights' errors, at most 2; in a single step it is a matter of which
ReLUs happen to flip. `flips` counts the ReLUs of all steps that float64 had decided otherwise, for us and for PyTorch.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch.nn import functional as F

import decisions
import images
import models
import safetensors_io
from parity import as_torch, relative

ARCH, CLASSES, SIZE, BATCH = 'resnet20', 10, 32, 128
RATE, MOMENTUM, DECAY = 0.1, 0.9, 1e-4
PARTS = ('weights', 'momentum', 'statistics')


def is_statistic(name):
    return name.endswith(('running_mean', 'running_var'))


def is_counter(name):
    return name.endswith('num_batches_tracked')


class Torch:
    """A network with its optimiser; the state goes in and out as float32 arrays."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.net = models.build(ARCH, classes=CLASSES).to(dtype).train()

    def load(self, state, momentum):
        self.net.load_state_dict({name: torch.tensor(array) for name, array in state.items()}, strict=True)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
        for name, parameter in self.net.named_parameters():
            self.optimizer.state[parameter]['momentum_buffer'] = torch.tensor(momentum[name]).to(self.dtype)

    def step(self, x, y):
        """Returns the loss, and the state after the step in full precision."""
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(as_torch(x, self.dtype)), torch.from_numpy(y))
        loss.backward()
        self.optimizer.step()
        state = {name: tensor.numpy().copy() for name, tensor in self.net.state_dict().items()}
        momentum = {name: self.optimizer.state[parameter]['momentum_buffer'].numpy().copy()
                    for name, parameter in self.net.named_parameters()}
        return loss.item(), state, momentum


def batches(steps, cifar_folder):
    """The images of all steps, cut into batches."""
    x, y = images.batch(steps * BATCH, SIZE, CLASSES, cifar_folder)
    return [(x[i * BATCH:(i + 1) * BATCH], y[i * BATCH:(i + 1) * BATCH]) for i in range(steps)]


def errors(run, exact):
    """Relative error of the loss and of each of PARTS."""
    (loss, state, momentum), (exact_loss, exact_state, exact_momentum) = run, exact
    weights = [name for name in exact_state if not is_statistic(name) and not is_counter(name)]
    statistics = [name for name in exact_state if is_statistic(name)]
    return (abs(loss - exact_loss) / abs(exact_loss),
            relative([state[n] for n in weights], [exact_state[n] for n in weights]),
            relative([momentum[n] for n in weights], [exact_momentum[n] for n in weights]),
            relative([state[n] for n in statistics], [exact_state[n] for n in statistics]))


class Judge:
    """Float64, which takes each step under the decisions of a float32 run; a step with the same decisions is taken once."""

    def __init__(self):
        self.wide, self.known = Torch(torch.float64), {}

    def exact(self, i, state, momentum, x, y, relus):
        """Float64's step number i, and how many of the decisions it had made otherwise."""
        passes = [relu > 0 for relu in relus]
        for known, exact, flips in self.known.get(i, []):
            if all(torch.equal(a, b) for a, b in zip(known, passes)):
                return exact, flips
        self.wide.load(state, momentum)
        with decisions.replayed(relus) as replay:
            exact = self.wide.step(x, y)
        self.known.setdefault(i, []).append((passes, exact, replay.flips))
        return exact, replay.flips

    def free(self, state, momentum, x, y):
        """Float64's step by its own decisions."""
        self.wide.load(state, momentum)
        return self.wide.step(x, y)


class Step:
    """The state before a step; PyTorch float32's errors and flips; float64's own step, and float32's errors against that."""

    def __init__(self, state, momentum, errors32, flips32, free, free_errors32):
        self.state, self.momentum, self.errors32, self.flips32 = state, momentum, errors32, flips32
        self.free, self.free_errors32 = free, free_errors32


def reference(folder, judge, data):
    """Writes the state before each step into `folder`; returns for each the state and the errors of PyTorch's float32."""
    narrow = Torch(torch.float32)
    state = models.state_arrays(narrow.net)
    momentum = {name: np.zeros_like(p.detach().numpy()) for name, p in narrow.net.named_parameters()}
    results = []
    for i, (x, y) in enumerate(data):
        step = f'{folder}/step-{i:02}'
        os.mkdir(step)
        safetensors_io.write(f'{step}/model.safetensors', state)
        safetensors_io.write(f'{step}/optimizer.safetensors', momentum)
        safetensors_io.write(f'{step}/batch.safetensors', {'images': x, 'labels': y, 'classes': np.int64(CLASSES)})
        narrow.load(state, momentum)
        with decisions.recorded() as relus:
            run = narrow.step(x, y)
        exact, flips = judge.exact(i, state, momentum, x, y, [relu.detach() for relu in relus])
        free = judge.free(state, momentum, x, y)
        results.append(Step(state, momentum, errors(run, exact), flips, free, errors(run, free)))
        _, state, momentum = exact
        state = {name: array if is_counter(name) else array.astype(np.float32) for name, array in state.items()}
        momentum = {name: array.astype(np.float32) for name, array in momentum.items()}
    return results


def read_relus(step, ranks):
    """The outputs of all ranks, whose parts of the batch follow each other."""
    parts = [safetensors_io.read(f'{step}/relu-{rank:04}.safetensors') for rank in range(ranks)]
    return [as_torch(np.concatenate([part[name] for part in parts])) for name in sorted(parts[0])]


def our_steps(args, folder, ranks):
    numbers = [str(number) for number in (args.steps, RATE, MOMENTUM, DECAY)]
    command = ['mpirun', '-np', str(ranks), '--oversubscribe', '--timeout', '300',
               f'{args.build}/tests/reference/parity_trajectory', folder, ARCH, *numbers]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1', OMP_NUM_THREADS='1')
    losses = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout.split()
    for i in range(args.steps):
        step = f'{folder}/step-{i:02}'
        run = (float(losses[i]), safetensors_io.read(f'{step}/updated.safetensors'),
               safetensors_io.read(f'{step}/updated_momentum.safetensors'))
        yield run, read_relus(step, ranks)


def compare(args, folder, ranks, judge, data, results):
    """Prints a line for this number of ranks; returns whether it passes."""
    loss, flips, flips32, ratios = 0, 0, 0, {part: (0, 0) for part in PARTS}
    free, free32 = [], []
    for i, ((run, relus), (x, y), step) in enumerate(zip(our_steps(args, folder, ranks), data, results)):
        exact, our_flips = judge.exact(i, step.state, step.momentum, x, y, relus)
        ours, theirs = errors(run, exact), step.errors32
        loss, flips, flips32 = max(loss, ours[0]), flips + our_flips, flips32 + step.flips32
        free.append(errors(run, step.free)[1])
        free32.append(step.free_errors32[1])
        for part, mine, other in zip(PARTS, ours[1:], theirs[1:]):
            ratios[part] = max(ratios[part], (mine / other, i + 1))
        if args.verbose:
            print(f'    step {i + 1:2}: loss {ours[0]:.1e} ' + ' '.join(
                f'{part} {mine:.2e} / {other:.2e}' for part, mine, other in zip(PARTS, ours[1:], theirs[1:]))
                + f' free weights {free[-1]:.2e} / {free32[-1]:.2e}')
    free_ratio = np.linalg.norm(free) / np.linalg.norm(free32)
    passed = (loss <= 1e-5 and all(ratio <= 2 for ratio, _ in ratios.values()) and free_ratio <= 2
              and flips <= 2 * flips32 + 10)
    worst = '  '.join(f'{part} {ratio:.2f} (step {step})' for part, (ratio, step) in ratios.items())
    print(f'{ranks} ranks: worst loss {loss:.1e}; worst ratio to PyTorch float32: {worst}; '
          f'free {free_ratio:.2f} (largest {max(free):.1e} / {max(free32):.1e}); flips {flips} / {flips32}  '
          f'{"PASS" if passed else "FAIL"}', flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--cifar', help='folder with data_batch_1.bin ...; without it images are drawn')
    parser.add_argument('--ranks', default='1,2,4,8')
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--verbose', action='store_true', help='also print a line per step')
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    with tempfile.TemporaryDirectory() as folder:
        judge, data = Judge(), batches(args.steps, args.cifar)
        results = reference(folder, judge, data)
        passed = [compare(args, folder, int(ranks), judge, data, results) for ranks in args.ranks.split(',')]
    return 0 if all(passed) else 1


if __name__ == '__main__':
    sys.exit(main())
