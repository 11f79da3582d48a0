"""The reference networks in PyTorch, with the parameter names that resnet-train uses (torchvision's)."""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

CIFAR_BLOCKS = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18}


class Subsample(nn.Module):
    """Shortcut A: every stride-th pixel, zeros appended behind the existing channels."""

    def __init__(self, stride, added):
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, x):
        return F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.added))


def conv3x3(cin, cout, stride=1):
    return nn.Conv2d(cin, cout, 3, stride, 1, bias=False)


def projection(cin, cout, stride):
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; without a shortcut when plain."""

    def __init__(self, cin, cout, stride, plain=False):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(cin, cout, stride), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = conv3x3(cout, cout), nn.BatchNorm2d(cout)
        self.downsample = Subsample(stride, cout - cin) if cin != cout and not plain else None
        self.plain = plain

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if not self.plain:
            y = y + (self.downsample(x) if self.downsample else x)
        return F.relu(y)


class PreBlock(nn.Module):
    """Pre-activation block; where the shape changes, the shortcut starts behind the first batch norm and ReLU."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(cin), conv3x3(cin, cout, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(cout), conv3x3(cout, cout)
        self.downsample = Subsample(stride, cout - cin) if cin != cout else None

    def forward(self, x):
        y = F.relu(self.bn1(x))
        shortcut = self.downsample(y) if self.downsample else x
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + shortcut


class CifarNet(nn.Module):
    """6n+2 layers: widths 16, 32, 64."""

    def __init__(self, depth, kind, classes=10):
        super().__init__()
        self.pre = kind == 'pre'
        self.conv1 = conv3x3(3, 16)
        cin = 16
        for stage, width in enumerate((16, 32, 64)):
            blocks = []
            for i in range(CIFAR_BLOCKS[depth]):
                stride = 2 if stage and not i else 1
                blocks.append(PreBlock(cin, width, stride) if self.pre else BasicBlock(cin, width, stride, kind == 'plain'))
                cin = width
            setattr(self, f'layer{stage + 1}', nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(64 if self.pre else 16)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.conv1(x) if self.pre else F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.pre:
            x = F.relu(self.bn1(x))
        return self.fc(x.mean((2, 3)))


def stages(net):
    return [net.layer1, net.layer2, net.layer3, net.layer4]


def set_shortcut(net, kind):
    """Turns torchvision's shortcut B into A or C."""
    for block in (block for stage in stages(net) for block in stage):
        basic = isinstance(block, torchvision.models.resnet.BasicBlock)
        cin, cout = block.conv1.in_channels, (block.conv2 if basic else block.conv3).out_channels
        if kind == 'A' and block.downsample is not None:
            block.downsample = Subsample(block.stride, cout - cin)
        if kind == 'C' and block.downsample is None:
            block.downsample = projection(cin, cout, block.stride)


def imagenet_net(arch, shortcut, stride_in, classes):
    net = getattr(torchvision.models, arch.replace('plain', 'resnet'))(num_classes=classes)
    if arch.startswith('plain'):
        cin = 64
        for i, stage in enumerate(stages(net)):
            for j in range(len(stage)):
                stage[j] = BasicBlock(cin, 64 << i, 2 if i and not j else 1, plain=True)
                cin = 64 << i
    elif shortcut in 'AC':
        set_shortcut(net, shortcut)
    if stride_in == '1x1':
        for block in (block for stage in stages(net) for block in stage):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return net


def is_cifar(arch):
    return arch.startswith('preresnet') or int(arch.lstrip('resnetplaivg')) in CIFAR_BLOCKS


def build(arch, shortcut='default', stride_in='3x3', classes=None, seed=0):
    """A float32 network in train mode, He-initialised (fan-out). CIFAR nets know their default shortcut (A) only."""
    torch.manual_seed(seed)
    if arch == 'vgg19':
        return torchvision.models.vgg19(num_classes=classes or 1000, dropout=0.0)
    if is_cifar(arch):
        kind = 'pre' if arch.startswith('pre') else 'plain' if arch.startswith('plain') else 'res'
        net = CifarNet(int(arch.lstrip('presntlai')), kind, classes or 10)
    else:
        net = imagenet_net(arch, 'B' if shortcut == 'default' else shortcut, stride_in, classes or 1000)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    return net


def state_arrays(net):
    """Parameters and running statistics as float32 arrays, and the counters as int64, by name."""
    return {name: tensor.detach().numpy().astype('float32' if tensor.is_floating_point() else 'int64')
            for name, tensor in net.state_dict().items()}


def load_arrays(net, arrays):
    """The reverse: names and shapes must match exactly."""
    net.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()}, strict=True)
