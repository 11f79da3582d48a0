"""Batches for the comparisons: real images where a data folder is given, smooth drawn ones otherwise."""
import glob
import os

import numpy as np
import torch
from torch.nn import functional as F

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalised(pixels, mean, std):
    """pixels (n, h, w, 3) in 0..1 -> float32."""
    return ((pixels - np.asarray(mean)) / np.asarray(std)).astype(np.float32)


def drawn(count, size, classes, seed=0):
    """Random colours on a coarse grid, smoothly enlarged, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = F.interpolate(coarse, size=(size, size), mode='bicubic', align_corners=False)
    noisy = smooth + 0.05 * torch.randn(smooth.shape, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    return normalised(noisy.permute(0, 2, 3, 1).numpy(), IMAGENET_MEAN, IMAGENET_STD), labels.numpy()


def read_cifar(names):
    """Pixels (n, 32, 32, 3) uint8 and labels of CIFAR-10's binary files."""
    raw = np.concatenate([np.fromfile(name, np.uint8).reshape(-1, 3073) for name in names])
    return raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), raw[:, 0].astype(np.int64)


def cifar_statistics(folder):
    """Mean and standard deviation of each channel over the training set, of pixels in 0..255."""
    pixels, _ = read_cifar(cifar_files(folder))
    counts = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)]
    values = np.arange(256)
    mean = np.array([(n * values).sum() / n.sum() for n in counts])
    return mean, np.array([np.sqrt((n * (values - m) ** 2).sum() / n.sum()) for n, m in zip(counts, mean)])


def cifar_files(folder):
    return [os.path.join(folder, f'data_batch_{i}.bin') for i in range(1, 6)]


def cifar(folder, count, first=0):
    pixels, labels = read_cifar(cifar_files(folder)[:1])
    mean, std = cifar_statistics(folder)
    return normalised(pixels[first:first + count], mean, std), labels[first:first + count]


def from_folder(folder, count, size):
    """Centre crops from an image folder (train/CLASS/*), one class after the other."""
    from PIL import Image
    root = os.path.join(folder, 'train')
    classes = [sorted(glob.glob(os.path.join(root, name, '*'))) for name in sorted(os.listdir(root))]
    pixels, labels = [], []
    for i in range(count):
        image = Image.open(classes[i % len(classes)][i // len(classes)]).convert('RGB')
        scale = size / min(image.size)
        image = image.resize([max(size, round(side * scale)) for side in image.size], Image.BILINEAR)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        pixels.append(np.asarray(image.crop((left, top, left + size, top + size))) / 255)
        labels.append(i % len(classes))
    return normalised(np.stack(pixels), IMAGENET_MEAN, IMAGENET_STD), np.array(labels)


def batch(count, size, classes, cifar_folder=None, image_folder=None):
    """Images (count, size, size, 3) float32 and labels int64."""
    if size == 32 and cifar_folder:
        return cifar(cifar_folder, count)
    if size != 32 and image_folder:
        return from_folder(image_folder, count, size)
    return drawn(count, size, classes)
