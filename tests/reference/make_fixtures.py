#!/usr/bin/python3
"""Makes tests/reference/fixtures: what PyTorch computes in float64 for layers and small networks, stored as float32.

 make_fixtures.py [FOLDER]

Weights and images are not stored: value i of a tensor is a hash of its name and i, which tests/unit/fixture_values.c works out too.
"""
import os
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import decisions
import models
import safetensors_io

# name: input (n, h, w, c), output channels, kernel, stride, padding
CONVS = {
    'conv3x3': ((2, 5, 6, 5), 7, 3, 1, 1),
    'conv3x3_stride': ((2, 7, 6, 3), 20, 3, 2, 1),
    'conv7x7_stride': ((1, 15, 13, 3), 16, 7, 2, 3),
    'conv1x1': ((2, 4, 3, 18), 9, 1, 1, 0),
    'conv1x1_stride': ((2, 5, 7, 6), 33, 1, 2, 0),
    'conv5x5_even': ((1, 8, 8, 2), 4, 5, 3, 1),
}

# name: architecture, shortcut, where bottlenecks stride, batch, image size, gradients to keep
NETS = {
    'resnet20': ('resnet20', 'default', '3x3', 2, 8, (
        'conv1.weight', 'bn1.weight', 'layer1.0.conv1.weight', 'layer2.0.conv1.weight', 'layer2.0.bn2.bias', 'layer3.0.bn1.weight',
        'layer3.2.bn2.weight', 'fc.weight', 'fc.bias')),
    'plain20': ('plain20', 'default', '3x3', 2, 8, ('conv1.weight', 'layer2.0.bn1.weight', 'layer3.2.bn2.bias', 'fc.weight')),
    'preresnet110': ('preresnet110', 'default', '3x3', 2, 8, (
        'conv1.weight', 'layer1.0.bn1.weight', 'layer2.0.conv1.weight', 'layer2.0.bn1.bias', 'bn1.weight', 'fc.weight')),
    'resnet18_c': ('resnet18', 'C', '3x3', 4, 32, (
        'bn1.weight', 'layer1.0.downsample.0.weight', 'layer1.1.downsample.1.weight', 'layer4.1.bn2.bias', 'fc.weight')),
    'resnet18_a': ('resnet18', 'A', '3x3', 4, 32, ('bn1.weight', 'layer1.0.bn1.bias', 'layer3.0.bn2.weight', 'fc.weight')),
    'resnet50': ('resnet50', 'default', '3x3', 8, 32, (
        'bn1.weight', 'layer1.0.conv1.weight', 'layer2.0.downsample.1.weight', 'layer3.0.bn2.bias', 'layer4.2.bn3.bias', 'fc.bias')),
    'resnet50_v1': ('resnet50', 'default', '1x1', 8, 32, (
        'bn1.weight', 'layer2.0.downsample.1.weight', 'layer3.0.bn1.bias', 'layer4.0.bn2.weight', 'fc.bias')),
}
CLASSES, PASSES, SALTS = 4, 3, 12


def values(name, shape, scale=1.0, shift=0.0):
    """Uniform in shift + [-scale, scale): FNV-1a of the name, plus a multiple of i, through MurmurHash3's finaliser."""
    key = 2166136261
    for byte in name.encode():
        key = (key ^ byte) * 16777619 & 0xffffffff
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(0x9e3779b9) + np.uint64(key) & np.uint64(0xffffffff)
    for shift_by, factor in ((16, 0x85ebca6b), (13, 0xc2b2ae35)):
        x = (x ^ x >> np.uint64(shift_by)) * np.uint64(factor) & np.uint64(0xffffffff)
    x ^= x >> np.uint64(16)
    uniform = (x >> np.uint64(8)).astype(np.float64) / (1 << 23) - 1
    return (shift + scale * uniform).astype(np.float32).reshape(shape)


def wide(array):
    return torch.from_numpy(array).double()


def nchw(array):
    """(n, h, w, c) float32 -> (n, c, h, w) float64 that wants a gradient."""
    return wide(array).permute(0, 3, 1, 2).contiguous().requires_grad_()


def nhwc(tensor):
    return tensor.detach().permute(0, 2, 3, 1).numpy()


def floats(case, tensors):
    """Tensors of a case under their stored names, as float32."""
    return {f'{case}/{name}': np.asarray(array.detach() if isinstance(array, torch.Tensor) else array).astype(np.float32)
            for name, array in tensors.items()}


def conv_case(name):
    shape, out_c, kernel, stride, pad = CONVS[name]
    x = nchw(values(f'{name}/in', shape))
    weight = wide(values(f'{name}/weight', (out_c, shape[3], kernel, kernel))).requires_grad_()
    y = F.conv2d(x, weight, stride=stride, padding=pad)
    d_out = values(f'{name}/d_out', nhwc(y).shape)
    y.backward(nchw(d_out))
    return floats(name, {'out': nhwc(y), 'd_in': nhwc(x.grad), 'd_weight': weight.grad})


def batchnorm_case():
    x, residual = nchw(values('bn/in', (3, 4, 5, 19), 2, 0.5)), nchw(values('bn/residual', (3, 4, 5, 19)))
    norm = nn.BatchNorm2d(19).double()
    norm.weight.data, norm.bias.data = wide(values('bn/gamma', (19,), 0.5, 1)), wide(values('bn/beta', (19,)))
    norm.running_mean, norm.running_var = wide(values('bn/mean', (19,))), wide(values('bn/variance', (19,), 0.5, 1))
    y = F.relu(norm(x) + residual)
    y.backward(nchw(values('bn/d_out', (3, 4, 5, 19))))
    trained = floats('bn', {'out': nhwc(y), 'd_in': nhwc(x.grad), 'd_residual': nhwc(residual.grad), 'd_gamma': norm.weight.grad,
                            'd_beta': norm.bias.grad, 'running_mean': norm.running_mean, 'running_var': norm.running_var})
    norm.eval()
    return {**trained, **floats('bn', {'eval': nhwc(norm(x))})}


def pool_case(name, shape, function):
    x = nchw(np.round(4 * values(f'{name}/in', shape)) / 4)  # with ties
    y = function(x)
    y.backward(nchw(values(f'{name}/d_out', nhwc(y).shape)))
    return floats(name, {'out': nhwc(y), 'd_in': nhwc(x.grad)})


def loss_case(name, smoothing):
    z = wide(values('loss/logits', (6, 11), 8)).requires_grad_()
    labels = torch.arange(6) * 3 % 11
    F.cross_entropy(z, labels, label_smoothing=smoothing).backward()
    return floats(name, {'loss': F.cross_entropy(z, labels, label_smoothing=smoothing, reduction='none'), 'd_logits': z.grad})


def sgd_case(name, nesterov):
    """Three steps, the last one at another rate."""
    w = wide(values('sgd/weight', (37,))).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    for step in range(3):
        optimizer.param_groups[0]['lr'] = 0.1 if step < 2 else 0.01
        w.grad = wide(values(f'sgd/gradient{step}', (37,)))
        optimizer.step()
    return floats(name, {'weight': w, 'velocity': optimizer.state[w]['momentum_buffer']})


def layers():
    tensors = {}
    for name in CONVS:
        tensors.update(conv_case(name))
    tensors.update(batchnorm_case())
    tensors.update(pool_case('maxpool', (2, 7, 8, 5), lambda x: F.max_pool2d(x, 3, 2, 1)))
    tensors.update(pool_case('avgpool', (2, 10, 10, 3), lambda x: F.adaptive_avg_pool2d(x, 7)))
    tensors.update(pool_case('subsample', (2, 7, 6, 3), models.Subsample(2, 5)))
    tensors.update(loss_case('loss', 0.0))
    tensors.update(loss_case('loss_smooth', 0.1))
    tensors.update(sgd_case('sgd', False))
    tensors.update(sgd_case('sgd_nesterov', True))
    return tensors


def fill(net):
    """Weights by the rule, in the sizes of He's initialisation; gamma and beta not 1 and 0, so that a mix-up shows."""
    for name, parameter in net.named_parameters():
        shape = tuple(parameter.shape)
        if len(shape) == 4:
            array = values(name, shape, np.sqrt(6 / (shape[0] * shape[2] * shape[3])))
        elif name.startswith('fc'):
            array = values(name, shape, 1 / np.sqrt(net.fc.in_features))
        elif name.endswith('bn3.weight'):
            array = values(name, shape, 0.05, 0.2)  # tames a bottleneck net, which would multiply rounding errors by a thousand
        elif name.endswith('weight'):
            array = values(name, shape, 0.25, 1)
        else:
            array = values(name, shape, 0.1)
        parameter.data = torch.from_numpy(array)


def net_run(net, x, dtype):
    """Logits in evaluation after PASSES passes, then loss, gradients and ReLU outputs of one pass more; and the statistics."""
    net = net.to(dtype).train()
    x, y = x.to(dtype), torch.arange(len(x)) % CLASSES
    with torch.no_grad():
        for _ in range(PASSES):
            net(x)
    with torch.no_grad():
        logits = net.eval()(x)
    statistics = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with decisions.recorded() as relus:
        loss = F.cross_entropy(net.train()(x), y)
    loss.backward()
    return logits, loss, {name: p.grad for name, p in net.named_parameters()}, statistics, relus


def build(case):
    arch, shortcut, stride_in = NETS[case][:3]
    net = models.build(arch, shortcut, stride_in, CLASSES)
    fill(net)
    return net


def best_salt(case):
    """The batch in which float32 and float64 decide alike in all ReLUs, or in most."""
    _, _, _, batch, size, _ = NETS[case]
    flips = []
    for salt in range(SALTS):
        x = torch.from_numpy(values(f'images{salt}', (batch, size, size, 3))).permute(0, 3, 1, 2).contiguous()
        narrow, exact = net_run(build(case), x, torch.float32)[-1], net_run(build(case), x, torch.float64)[-1]
        flips.append(sum(int(((a > 0) != (b > 0)).sum()) for a, b in zip(narrow, exact)))
        if flips[-1] == 0:
            break
    return int(np.argmin(flips)), min(flips)


def net_case(case):
    _, _, _, batch, size, names = NETS[case]
    salt, flips = best_salt(case)
    x = torch.from_numpy(values(f'images{salt}', (batch, size, size, 3))).permute(0, 3, 1, 2).contiguous()
    logits, loss, gradient, statistics, _ = net_run(build(case), x, torch.float64)
    print(f'{case}: images{salt}, {flips} ReLUs undecided, loss {loss.item():.6f}')
    deep = [name for name in statistics if name.endswith('running_var')][-1]
    kept = {'logits': logits, 'loss': loss, 'bn1.running_mean': statistics['bn1.running_mean'], deep: statistics[deep]}
    kept.update({f'gradient/{name}': gradient[name] for name in names})
    return {**floats(case, kept), f'{case}/salt': np.int64(salt)}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fixtures')
    safetensors_io.write(f'{folder}/layers.safetensors', layers())
    nets = {}
    for case in NETS:
        nets.update(net_case(case))
    safetensors_io.write(f'{folder}/nets.safetensors', nets)


if __name__ == '__main__':
    main()
