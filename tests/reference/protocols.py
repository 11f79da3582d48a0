#!/usr/bin/python3
"""Compares resnet-eval's protocols with torchvision's transforms and PyTorch: same weights, same image files.

 protocols.py [--build build] [--images FOLDER] [--arch resnet18] [--count 10] [--ten 4] [--whole 2]

torchvision's network, with statistics of its own over the first images, becomes a checkpoint; resnet-eval writes logits and
probabilities of `count` validation images (single crop, and with flips), of `ten` of them (ten crops) and of `whole` (multi-scale).
FOLDER: train/CLASS/* and val/CLASS/*; without it images are drawn. Every second image is scaled to another shape before, and
written as PNG. Passes when top-1 predictions agree on 99.5 % of the images, logits differ by less than 1e-2 on average and
probabilities by less than 1e-3. Last, --bn-recalibrate is compared with PyTorch's momentum=None.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import functional as T

import images
import models
import safetensors_io

SIZE = 224
SHAPES = [(500, 375), (333, 500), (300, 300), (640, 427), (256, 341)]
SCALES = [224, 256, 384, 480, 640]


def sources(folder, split, count):
    """(class, file) of `count` photographs, one class after the other."""
    classes = sorted(os.listdir(os.path.join(folder, split)))
    files = [sorted(glob.glob(os.path.join(folder, split, name, '*'))) for name in classes]
    return [(classes[i % len(classes)], files[i % len(classes)][i // len(classes)]) for i in range(count)]


def write_split(folder, split, photographs):
    """Every second photograph as it is, the others in another shape."""
    for i, (name, file) in enumerate(photographs):
        place = f'{folder}/{split}/{name}'
        os.makedirs(place, exist_ok=True)
        if i % 2 == 0:
            shutil.copy(file, f'{place}/{i:05}{os.path.splitext(file)[1]}')
        else:
            picture = Image.open(file).convert('RGB')
            picture.resize(SHAPES[i // 2 % len(SHAPES)], Image.BICUBIC).save(f'{place}/{i:05}.png', compress_level=1)


def draw(folder, count):
    x, _ = images.drawn(count, SIZE, 10)
    for split in ('train', 'val'):
        for i, pixels in enumerate(np.clip(64 * x + 128, 0, 255).astype(np.uint8)):
            os.makedirs(f'{folder}/{split}/c{i % 10}', exist_ok=True)
            Image.fromarray(pixels).save(f'{folder}/{split}/c{i % 10}/{i}.png')


def tensor(picture):
    return T.normalize(T.to_tensor(picture), images.IMAGENET_MEAN, images.IMAGENET_STD)


def single(picture):
    return [tensor(T.center_crop(T.resize(picture, 256), SIZE))]


def flipped(views):
    return [view for x in views for view in (x, x.flip(-1))]


def ten_crop(picture):
    return [tensor(crop) for crop in T.ten_crop(T.resize(picture, 256), SIZE)]


def whole(picture):
    return [tensor(T.resize(picture, side)) for side in SCALES]


PROTOCOLS = {
    'single': (['--protocol', 'single'], single),
    'single, flip': (['--flip'], lambda picture: flipped(single(picture))),
    '10-crop': (['--protocol', '10-crop'], ten_crop),
    'multi-scale, flip': (['--protocol', 'multi-scale', '--flip'], lambda picture: flipped(whole(picture))),
}


def set_statistics(net, batches):
    """Batch norm's running statistics become means over these batches."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        for batch in batches:
            net.train()(batch)
    return net.eval()


def train(args, folder, out, *options):
    """A run of one step that changes no weight. Returns the tensors of its checkpoint."""
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
    command = ['mpirun', '-np', '1', '--oversubscribe', '--timeout', '300', f'{args.build}/bin/resnet-train', '--arch', args.arch,
               '--data', f'{folder}/data', '--out', f'{folder}/{out}', '--init-from', f'{folder}/weights.safetensors',
               '--global-batch', '8', '--steps', '1', '--lr', '0', '--eval-every', '0']
    subprocess.run(command + list(options), check=True, stdout=subprocess.DEVNULL, env=environment)
    return safetensors_io.read(f'{folder}/{out}/checkpoints/latest/model.safetensors')


def compare_recalibration(args, folder, net, files):
    """--bn-recalibrate 2 behind a step on the first 8 images, against momentum=None over the two batches after it."""
    tensors = train(args, folder, 'recalibrated', '--augment', 'none', '--shuffle', 'off', '--bn-recalibrate', '2')
    batches = [torch.stack([tensor(T.center_crop(T.resize(Image.open(file).convert('RGB'), SIZE), SIZE)) for file in files[i:i + 8]])
               for i in (8, 16)]
    set_statistics(net, batches)
    theirs = models.state_arrays(net)
    names = [name for name in theirs if 'running_' in name]
    error = max(np.abs(tensors[name] - theirs[name]).max() / np.abs(theirs[name]).max() for name in names)
    passed = error < 1e-4
    print(f'{args.arch} --bn-recalibrate 2: running statistics differ by at most {error:.1e} of the largest  '
          f'{"PASS" if passed else "FAIL"}', flush=True)
    return passed


def our_scores(args, folder, data, options):
    subprocess.run([f'{args.build}/bin/resnet-eval', f'{folder}/run', '--data', data, '--scores', f'{folder}/scores.safetensors',
                    *options], check=True, stdout=subprocess.DEVNULL)
    return safetensors_io.read(f'{folder}/scores.safetensors')


def their_scores(net, files, make_views):
    """Means over views of logits and softmax."""
    logits, probabilities = [], []
    with torch.no_grad():
        for file in files:
            views = make_views(Image.open(file).convert('RGB'))
            alike = all(view.shape == views[0].shape for view in views)
            z = net(torch.stack(views)) if alike else torch.cat([net(view[None]) for view in views])
            logits.append(z.mean(0).numpy())
            probabilities.append(z.softmax(1).mean(0).numpy())
    return np.stack(logits), np.stack(probabilities)


def compare(name, args, folder, net, photographs):
    options, make_views = PROTOCOLS[name]
    data = f'{folder}/{len(photographs)}'
    if not os.path.isdir(data):
        write_split(data, 'val', photographs)
        os.symlink(f'{folder}/data/train', f'{data}/train')
    ours = our_scores(args, folder, data, options)
    logits, probabilities = their_scores(net, sorted(glob.glob(f'{data}/val/*/*')), make_views)
    same = np.mean(ours['probabilities'].argmax(1) == probabilities.argmax(1))
    error = np.abs(ours['logits'] - logits)
    p_error = np.abs(ours['probabilities'] - probabilities).max()
    passed = same >= 0.995 and error.mean() < 1e-2 and p_error < 1e-3
    print(f'{args.arch} {name:18} {len(photographs):4} images: top-1 equal on {100 * same:.1f} %, logits differ by '
          f'{error.mean():.1e} (most {error.max():.1e}, of a deviation of {logits.std():.2f}), probabilities by at most '
          f'{p_error:.1e}  {"PASS" if passed else "FAIL"}', flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--images')
    parser.add_argument('--arch', default='resnet18')
    parser.add_argument('--count', type=int, default=10)
    parser.add_argument('--ten', type=int, default=4)
    parser.add_argument('--whole', type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not args.images:
            draw(f'{folder}/drawn', max(args.count, 24))
        source = args.images or f'{folder}/drawn'
        write_split(f'{folder}/data', 'train', sources(source, 'train', 24))
        torch.manual_seed(0)
        classes = len(os.listdir(f'{folder}/data/train'))
        net = torchvision.models.__dict__[args.arch](num_classes=classes)
        files = sorted(glob.glob(f'{folder}/data/train/*/*'))
        # Statistics of its own, so that the logits of a random network have a sensible size.
        set_statistics(net, [torch.stack([single(Image.open(file).convert('RGB'))[0] for file in files[:16]])])
        safetensors_io.write(f'{folder}/weights.safetensors', models.state_arrays(net))
        models.load_arrays(net, train(args, folder, 'run'))
        counts = {'10-crop': args.ten, 'multi-scale, flip': args.whole}
        passed = [compare(name, args, folder, net, sources(source, 'val', counts.get(name, args.count))) for name in PROTOCOLS]
        passed.append(compare_recalibration(args, folder, net, files))
    return 0 if all(passed) else 1


if __name__ == '__main__':
    sys.exit(main())
