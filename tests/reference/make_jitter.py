#!/usr/bin/env python3
"""Writes jitter_pil.inc, what torchvision's adjust_* functions make of a picture with Pillow, for tests/unit/test_jitter.c.

    /usr/bin/python3 tests/reference/make_jitter.py > tests/reference/jitter_pil.inc
"""
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import functional as T

WIDTH, HEIGHT = 24, 16

CHANGES = {'brightness': [0.0, 0.37, 1.0, 1.6], 'contrast': [0.0, 0.37, 1.6, 2.5], 'saturation': [0.0, 0.37, 1.6, 2.5],
           'hue': [-0.5, -0.13, 0.1, 0.5]}


def source():
    """The same formula is in the test."""
    image = Image.new('RGB', (WIDTH, HEIGHT))
    for i in range(WIDTH * HEIGHT):
        image.putpixel((i % WIDTH, i // WIDTH), tuple((i * i * (7 + c) + i * (13 + 31 * c) + c * 50) % 256 for c in range(3)))
    return image


def main():
    image = source()
    print(f'/* Made by make_jitter.py with torchvision {torchvision.__version__} and Pillow {PIL.__version__}. */')
    rows = []
    for name, factors in CHANGES.items():
        for i, factor in enumerate(factors):
            values = list(T.__dict__['adjust_' + name](image, factor).tobytes())
            print(f'static const uint8_t {name}_{i}[] = {{')
            for at in range(0, len(values), 24):
                print('\t' + ' '.join(f'{v},' for v in values[at:at + 24]))
            print('};')
            rows.append(f'\t{{jitter_{name}, {factor}, {name}_{i}}},')
    print('static const struct pil_change pil_changes[] = {')
    print('\n'.join(rows))
    print('};')


main()
