"""Makes small data sets and broken files for the system tests, with the standard library only.

    make_images.py cifar DIR [--train N] [--val N] [--seed S] [--twin DIR]   CIFAR-10 binary files, and the same as a PNG folder
    make_images.py huge FILE       a PNG that claims 100000 x 100000 pixels
    make_images.py jpeg FILE       a good grey JPEG of 32 x 32 pixels
    make_images.py exif FILE       the same JPEG with an EXIF orientation: turned by 90 degrees
    make_images.py kinds DIR       one picture of each kind: grey, palette, 16 bits, alpha, interlaced, CMYK, and with wrong endings
    make_images.py flip FILE AT    changes the byte at AT (a fraction of the file's length)
"""
import argparse
import base64
import os
import random
import struct
import zlib

SIDE = 32
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
JPEG = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/wAAL
CAAgACABAREA/8QAGQAAAwADAAAAAAAAAAAAAAAAAQIEAwUG/8QAKhAAAgIBAwIFBAMBAAAAAAAAAQIDEQQAEiEFMRMiQWGBFDJRUgYWI3H/2gAIAQEAAD8A5Hp3
T/qq4u9b/wDr+DiQrLnypCrfaG5Zu3YDk9x200fTOny8YfTJ8lg9W4EakfkHk/jggaD4nTm8HwMfBTfd+Zsi+36Abfnv8aH8c8PE6XJnSruWJLC/sewHY1ZIF++q
iX8SLP6hC2TlZB2xQr5VCirAPNAX7kk/9OjKr5LMkzLlSxElor2QY9Amz6GrrvdAgkVo/UkNHIjtGhB8MxloUulHlUed+Tzfb04Opelx+L0np2Iu8NkS7jt+0qo5
B+WU/GqUlOTIZUZopckf5uWC/TwL6mydti+3F7iCK0AEjjx5JMZVxlBeKJ2oIBwJHA5JJNAD3AN98hMhYujTq6xBmZ+GUkgjcQbUWeETk+24aiw33dIgh8DftxTz
uq/FYR/j0q/f21XlWCySRKUjOwx2CdsbUq8LY3SG79KI5GmYsZmVzAjrLvZmBJU8gtRBNKfIq+p/aq1MzTw5RJKpMgJsnfs3d+e/c8n7mYUKrX//2Q==
"""

INKS = """
/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAQCwwODAoQDg0OEhEQExgoGhgWFhgxIyUdKDozPTw5Mzg3QEhcTkBEV0U3OFBtUVdfYmdoZz5NcXlwZHhcZWdj/8AAFAgA
EAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAG/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwC7TSxVgAAAD//Z
"""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, rows):
    """An RGB8 PNG; rows is the raw data, of which a claim of size needs none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_kind(depth, colour, interlaced=False, extra=b""):
    """An 8 x 8 PNG of zeros of this depth and colour type; the seven passes of an interlaced one are rows of their own."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(8, 8)] if not interlaced else [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    rows = b"".join(b"\0" * (1 + (width * bits + 7) // 8) * height for width, height in passes)
    header = struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def kinds(folder):
    palette = chunk(b"PLTE", bytes(range(48)))
    pictures = {
        "grey1.png": png_kind(1, 0), "grey8.png": png_kind(8, 0), "grey16.png": png_kind(16, 0), "rgb16.png": png_kind(16, 2),
        "palette4.png": png_kind(4, 3, extra=palette), "greyalpha.png": png_kind(8, 4), "alpha16.png": png_kind(16, 6),
        "interlaced.png": png_kind(8, 2, True), "interlaced16.png": png_kind(16, 6, True),
        "cmyk.jpg": base64.b64decode(INKS), "greyjpeg.jpg": base64.b64decode(JPEG),
        "jpeg.png": base64.b64decode(JPEG), "png.jpeg": png_kind(8, 2), "none": png_kind(8, 2), "text.txt": png_kind(8, 2),
    }
    for name, data in pictures.items():
        write(os.path.join(folder, name), data)


def draw(generator, label):
    """Three planes of noise around a colour of the class, so that there is something to learn."""
    planes = b""
    for channel in range(3):
        base = (label * 25 + channel * 80) % 200
        planes += bytes(base + generator.randrange(56) for _ in range(SIDE * SIDE))
    return planes


def png_of(planes):
    """The PNG of three planes: RGB interleaved, each row behind its filter byte 0."""
    red, green, blue = (planes[i * SIDE * SIDE:(i + 1) * SIDE * SIDE] for i in range(3))
    pixels = bytes(value for triple in zip(red, green, blue) for value in triple)
    rows = b"".join(b"\0" + pixels[y * SIDE * 3:(y + 1) * SIDE * 3] for y in range(SIDE))
    return png(SIDE, SIDE, rows)


def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def cifar(options):
    generator = random.Random(options.seed)
    write(os.path.join(options.path, "batches.meta.txt"), ("\n".join(CLASSES) + "\n").encode())
    for name, split, count in (("data_batch_1.bin", "train", options.train), ("test_batch.bin", "test", options.val)):
        records = b""
        for number in range(count):
            label = number % len(CLASSES) if number < len(CLASSES) else generator.randrange(len(CLASSES))
            planes = draw(generator, label)
            records += bytes([label]) + planes
            if options.twin:
                write(os.path.join(options.twin, split, CLASSES[label], "%05d.png" % number), png_of(planes))
        write(os.path.join(options.path, name), records)


def exif(data):
    """The JPEG with an APP1 segment of one entry, orientation 6."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def flip(path, at):
    with open(path, "r+b") as file:
        place = int(at * os.path.getsize(path))
        file.seek(place)
        value = file.read(1)[0]
        file.seek(place)
        file.write(bytes([value ^ 0x55]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cifar", "huge", "jpeg", "exif", "kinds", "flip"])
    parser.add_argument("path")
    parser.add_argument("at", nargs="?", type=float, default=0.9)
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--val", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--twin")
    options = parser.parse_args()
    if options.what == "cifar":
        cifar(options)
    elif options.what == "huge":
        write(options.path, png(100000, 100000, b"\0" * 1000))
    elif options.what == "jpeg":
        write(options.path, base64.b64decode(JPEG))
    elif options.what == "exif":
        write(options.path, exif(base64.b64decode(JPEG)))
    elif options.what == "kinds":
        kinds(options.path)
    else:
        flip(options.path, options.at)


main()
