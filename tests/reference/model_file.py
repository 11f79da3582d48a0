#!/usr/bin/python3
"""Takes a ResNet-50 from PyTorch to resnet-train and back.

 model_file.py [--build build]

torchvision's resnet50 is written as a safetensors file; resnet-train begins with it (--init-from) and takes two steps on drawn
images; the checkpoint's model.safetensors must load into torchvision's resnet50 with strict=True and give the logits that we get
from the same file, within 1e-4.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image

import images
import models
import safetensors_io
from parity import as_torch, relative

CLASSES, SIZE, COUNT = 4, 64, 16


def draw_folder(folder):
    """An image folder of COUNT images in CLASSES classes."""
    x, _ = images.drawn(COUNT, SIZE, CLASSES)
    for i, pixels in enumerate(np.clip(64 * x + 128, 0, 255).astype(np.uint8)):
        place = f'{folder}/{"train" if i % 4 < 3 else "val"}/class{i // 4}'
        os.makedirs(place, exist_ok=True)
        Image.fromarray(pixels).save(f'{place}/{i}.png')


def train(args, folder):
    """Returns the tensors of the checkpoint that two steps from weights.safetensors end in."""
    command = ['mpirun', '-np', '2', '--oversubscribe', '--timeout', '300', f'{args.build}/bin/resnet-train', '--arch', 'resnet50',
               '--data', f'{folder}/data', '--out', f'{folder}/run', '--init-from', f'{folder}/weights.safetensors',
               '--image-size', str(SIZE), '--global-batch', '6', '--steps', '2', '--lr', '1e-5', '--eval-every', '0']
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return safetensors_io.read(f'{folder}/run/checkpoints/latest/model.safetensors')


def our_logits(args, folder, tensors, x):
    """An evaluation of the same file by our network."""
    safetensors_io.write(f'{folder}/model.safetensors', tensors)
    labels = np.zeros(len(x), np.int64)
    safetensors_io.write(f'{folder}/batch.safetensors', {'images': x, 'labels': labels, 'classes': np.int64(CLASSES)})
    subprocess.run([f'{args.build}/tests/reference/parity_pass', folder, 'resnet50', 'default', '3x3', '0'], check=True)
    return safetensors_io.read(f'{folder}/logits.safetensors')['logits']


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    args = parser.parse_args()
    start = models.build('resnet50', classes=CLASSES)
    x, _ = images.drawn(4, SIZE, CLASSES, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        draw_folder(f'{folder}/data')
        safetensors_io.write(f'{folder}/weights.safetensors', models.state_arrays(start))
        tensors = train(args, folder)
        ours = our_logits(args, folder, tensors, x)
    net = torchvision.models.resnet50(num_classes=CLASSES)
    models.load_arrays(net, tensors)
    with torch.no_grad():
        theirs = net.eval()(as_torch(x)).numpy()
    moved = relative([tensors['conv1.weight']], [start.conv1.weight.detach().numpy()])
    error = relative([ours], [theirs])
    passed = error <= 1e-4 and 0 < moved < 0.1
    print(f'resnet50 to PyTorch and back: logits differ by {error:.1e}, conv1 moved by {moved:.1e}  {"PASS" if passed else "FAIL"}')
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
