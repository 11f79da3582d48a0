#!/usr/bin/python3
"""Times torchvision's reading of training images on one thread, in the way of `resnet-bench data`; takes its options.

 data_torch.py --data DIR [--augment cifar|inception] [--image-size 224] [--iterations 5]

The first 512 files of DIR/train, in the order of their names: open, decode, convert, augment, tensor, normalise. Prints a JSON object.
"""
import argparse
import json
import os
import statistics
import time

os.environ['OMP_NUM_THREADS'] = '1'
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser()
parser.add_argument('--data', required=True)
parser.add_argument('--augment', choices=['cifar', 'inception'], default='inception')
parser.add_argument('--image-size', type=int, default=224)
parser.add_argument('--iterations', type=int, default=5)
args = parser.parse_args()
torch.set_num_threads(1)
crop = T.RandomCrop(args.image_size, 4) if args.augment == 'cifar' else T.RandomResizedCrop(args.image_size)
change = T.Compose([crop, T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
files = [file for file, _ in ImageFolder(os.path.join(args.data, 'train')).samples[:512]]
times = []
for _ in range(args.iterations + 1):
    start = time.process_time()
    for file in files:
        with open(file, 'rb') as stream:
            change(Image.open(stream).convert('RGB'))
    times.append(time.process_time() - start)
seconds = statistics.median(times[1:])
print(json.dumps({'program': 'torchvision', 'mode': 'data', 'images': len(files), 'image_size': args.image_size,
                  'median_ms': round(1e3 * seconds / len(files), 3), 'images_per_second': round(len(files) / seconds, 2)}))
