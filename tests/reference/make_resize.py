#!/usr/bin/env python3
"""Writes resize_pil.inc, the pictures that Pillow makes by Image.resize(BILINEAR), for tests/unit/test_resize.c.

    python3 tests/reference/make_resize.py > tests/reference/resize_pil.inc
"""
import PIL
from PIL import Image

WIDTH, HEIGHT = 23, 17

# width, height, box (left, top, right, bottom)
CASES = [
    (7, 5, (0, 0, 23, 17)),
    (31, 20, (0, 0, 23, 17)),
    (23, 6, (0, 0, 23, 17)),
    (9, 17, (0, 0, 23, 17)),
    (1, 1, (0, 0, 23, 17)),
    (8, 8, (3, 2, 19, 15)),
    (6, 9, (1.25, 0.5, 20.75, 16.125)),
]


def source():
    """The same formula is in the test."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            image.putpixel((x, y), tuple((x * x * 7 + y * 13 + c * 50 + x * y * 3) % 256 for c in range(3)))
    return image


def rows(values):
    for at in range(0, len(values), 24):
        yield "\t" + " ".join("%d," % v for v in values[at : at + 24])


def main():
    image = source()
    print("/* Made by make_resize.py with Pillow %s. */" % PIL.__version__)
    for i, (width, height, box) in enumerate(CASES):
        print("static const uint8_t pil_%d[] = {" % i)
        print("\n".join(rows(list(image.resize((width, height), Image.BILINEAR, box=box).tobytes()))))
        print("};")
    print("static const struct pil_case pil_cases[] = {")
    for i, (width, height, box) in enumerate(CASES):
        print("\t{%d, %d, {%s}, pil_%d}," % (width, height, ", ".join("%sf" % float(v) for v in box), i))
    print("};")


main()
