#!/usr/bin/python3
"""Times PyTorch's training step on the CPU, or its forward pass: what `resnet-bench step`, `eval` and `comm` are compared with.

The same work on made-up images: forward, cross-entropy, backward, SGD with momentum 0.9 and weight decay 1e-4. CIFAR nets have
shortcut A; ImageNet nets are torchvision's. With --ddp two processes over gloo, each with half of the batch and with one of the
first two cores that this one may use; the slowest one counts. With --exposed steps that sum gradients take turns with steps that do
not, as in `resnet-bench comm`. Prints one JSON object with the keys of `resnet-bench step --json`, or `comm`'s for what is exposed.
Fast settings of the environment are tests/bench/compare.py's business.
"""
import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

CIFAR_DEPTHS = (20, 32, 44, 56, 110)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='resnet20', help='resnet20 32 44 56 110, or a residual network of torchvision')
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--image-size', type=int, default=0, help='default 32 for CIFAR nets, else 224')
    parser.add_argument('--iterations', type=int, default=9, help='steps to time, after one that is not')
    parser.add_argument('--channels-last', action='store_true', help="NHWC memory; otherwise PyTorch's usual NCHW")
    parser.add_argument('--bf16', action='store_true', help='torch.autocast to bfloat16')
    parser.add_argument('--eval', action='store_true', help='the forward pass alone, in inference mode')
    parser.add_argument('--ddp', action='store_true', help='two processes, DistributedDataParallel; --batch is over both')
    parser.add_argument('--exposed', action='store_true', help='with --ddp: what the sums of gradients cost in a step')
    parser.add_argument('--rank', type=int, default=-1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ddp and (args.eval or args.threads != 1 or args.batch % 2):
        parser.error('--ddp is for training steps on one thread each, with an even batch')
    if args.exposed and not args.ddp:
        parser.error('--exposed is for --ddp')
    return args


def start_ranks():
    """This program twice, each on a core of its own; returns the exit code."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit('step_torch.py: error: --ddp needs two cores')
    with socket.socket() as probe:  # a port that is free now
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    env = dict(os.environ, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), GLOO_SOCKET_IFNAME='lo')
    ranks = [subprocess.Popen(['taskset', '-c', str(core), sys.executable, *sys.argv, '--rank', str(rank)], env=env)
             for rank, core in enumerate(cores)]
    try:
        return max(abs(rank.wait(timeout=600)) for rank in ranks)
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.kill()


args = arguments()
if args.ddp and args.rank < 0:
    sys.exit(start_ranks())
os.environ['OMP_NUM_THREADS'] = str(args.threads)  # read when torch is imported
try:
    import torch
    from torch import distributed, nn
    from torch.nn import functional as F
except ImportError:
    sys.exit('step_torch.py: error: no module torch; install python3-torch, or name another Python by PYTHON=')


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.added = stride, cout - cin

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.added:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu(y + x, inplace=True)


class CifarNet(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, cin = [], 16
        for width in (16, 32, 64):
            for _ in range((depth - 2) // 6):
                blocks.append(Block(cin, width, 1 if cin == width else 2))
                cin = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(self.blocks(x).mean((2, 3)))


def build(arch):
    """The net, its usual image size and its classes."""
    if arch in [f'resnet{depth}' for depth in CIFAR_DEPTHS]:
        return CifarNet(int(arch[len('resnet'):])), 32, 10
    import torchvision
    if not arch.startswith('resnet') or not hasattr(torchvision.models, arch):
        sys.exit(f'step_torch.py: error: no network {arch}; see --help')
    return getattr(torchvision.models, arch)(), 224, 1000


def layer_flops(net, x):
    """Operations of a step for one image, counted as resnet-bench does: no data gradient for the first layer."""
    layers = []

    def count(module, inputs, output):
        taps = module.weight[0].numel()
        layers.append(2 * output.numel() * taps)

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    net.eval()
    with torch.no_grad():
        net(x[:1])
    for hook in hooks:
        hook.remove()
    return sum(layers) if args.eval else 3 * sum(layers) - layers[0]


def make_step(net, x, labels):
    """A function that runs one step."""
    def cast():
        return torch.autocast('cpu', dtype=torch.bfloat16) if args.bf16 else contextlib.nullcontext()

    def evaluate():
        with torch.inference_mode(), cast():
            net(x)

    def train():
        optimizer.zero_grad(set_to_none=True)
        with cast():
            error = loss(net(x), labels)
        error.backward()
        optimizer.step()

    net.train(not args.eval)
    if args.eval:
        return evaluate
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()
    return train


def time_step(step):
    if args.ddp:
        distributed.barrier()
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def time_steps(net, step, iterations):
    """The seconds of each step, and of those without sums of gradients that took turns with them."""
    seconds, alone = [], []
    for _ in range(1 + iterations):
        seconds.append(time_step(step))
        if args.exposed:
            with net.no_sync():
                alone.append(time_step(step))
    return seconds[1:], alone[1:]


def largest(value):
    """Over the ranks."""
    if not args.ddp:
        return value
    whole = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(whole, distributed.ReduceOp.MAX)
    return whole.item()


def main():
    torch.set_num_threads(args.threads)
    torch.manual_seed(max(args.rank, 0))
    net, size, classes = build(args.arch)
    size = args.image_size or size
    local_batch = args.batch // 2 if args.ddp else args.batch
    x, labels = torch.randn(local_batch, 3, size, size), torch.randint(0, classes, (local_batch,))
    if args.channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    flops = layer_flops(net, x)
    if args.ddp:
        distributed.init_process_group('gloo', rank=args.rank, world_size=2)
        net = nn.parallel.DistributedDataParallel(net)
    seconds, alone = time_steps(net, make_step(net, x, labels), args.iterations)
    median, least = largest(statistics.median(seconds)), largest(min(seconds))
    exposed = {}
    if args.exposed:
        seconds, alone = [largest(value) for value in seconds], [largest(value) for value in alone]
        median, local = statistics.median(seconds), statistics.median(alone)
        exposed = {'local_ms': round(1e3 * local, 3), 'exposed': round((median - local) / median, 4)}
    peak = largest(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    speed = args.batch / median
    if args.rank > 0:
        return
    print(json.dumps({'program': 'torch ' + torch.__version__, 'mode': 'ddp' if args.ddp else 'eval' if args.eval else 'step',
                      'arch': args.arch, 'batch': args.batch, 'image_size': size, 'threads': args.threads,
                      'precision': 'bf16' if args.bf16 else 'fp32', 'channels_last': args.channels_last,
                      'iterations': args.iterations, 'median_ms': round(1e3 * median, 3), 'min_ms': round(1e3 * least, 3),
                      'images_per_second': round(speed, 3), 'gflops': round(1e-9 * flops * speed, 3),
                      'peak_mib': round(peak, 1), **exposed}))


if __name__ == '__main__':
    main()
    if args.ddp:  # gloo's threads abort now and then when they are taken down
        distributed.barrier()
        sys.stdout.flush()
        os._exit(0)
