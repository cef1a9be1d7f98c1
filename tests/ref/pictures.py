#!/usr/bin/env python3
"""Writes tests/golden/pictures.h: small picture files of many kinds, and what Pillow makes of some when it resizes them.
Run from the root with Pillow 9.4 and NumPy; the output is committed."""
import io
import struct
import zlib

import PIL
import numpy as np
from PIL import Image

out = open("tests/golden/pictures.h", "w")
out.write("/* Written by tests/ref/pictures.py with Pillow %s. */\n" % PIL.__version__)


def c_string(data):
    text, line = "", ""
    for k, b in enumerate(data):
        follows = data[k + 1:k + 2]
        if 32 <= b < 127 and b not in b'"\\?':
            line += chr(b)
        elif follows.isdigit():
            line += "\\%03o" % b
        else:
            line += "\\%o" % b
        if len(line) > 110:
            text, line = text + '    "%s"\n' % line, ""
    return text + '    "%s"' % line


def emit(name, data, size, bands, pixel, tolerance):
    pixel = list(pixel) + [0] * (4 - len(pixel))
    out.write('{ "%s", %d, %d, %d, { %d, %d, %d, %d }, %d, %d,\n%s },\n'
              % (name, *size, bands, *pixel, tolerance, len(data), c_string(data)))


def saved(im, fmt, **options):
    buffer = io.BytesIO()
    im.save(buffer, fmt, **options)
    return buffer.getvalue()


def png(w, h, depth, colour, raw):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


rgb = Image.new("RGB", (8, 4), (200, 40, 60))
out.write("/* name, width, height, bands, pixel (1,1), tolerance, bytes, the file */\n")
out.write("static const Picture pictures[] = {\n")
emit("rgb.jpg", saved(rgb, "JPEG", quality=95), (8, 4), 3, (200, 40, 60), 2)
emit("progressive.jpg", saved(rgb, "JPEG", quality=95, progressive=True), (8, 4), 3, (200, 40, 60), 2)
emit("grey.jpg", saved(Image.new("L", (8, 4), 90), "JPEG"), (8, 4), 3, (90, 90, 90), 2)
cmyk = saved(Image.new("CMYK", (8, 4), (20, 200, 120, 40)), "JPEG", quality=95)
emit("cmyk.jpg", cmyk, (8, 4), 3, Image.open(io.BytesIO(cmyk)).convert("RGB").getpixel((1, 1)), 2)
turned = Image.new("RGB", (16, 8), (10, 10, 10))
turned.paste((250, 0, 0), (0, 0, 8, 8))
exif = turned.getexif()
exif[0x112] = 6
emit("turned.jpg", saved(turned, "JPEG", exif=exif, quality=100, subsampling=0), (8, 16), 3, (250, 0, 0), 2)
emit("rgb.png", saved(rgb, "PNG"), (8, 4), 3, (200, 40, 60), 0)
emit("rgba.png", saved(Image.new("RGBA", (8, 4), (200, 40, 60, 128)), "PNG"), (8, 4), 4, (200, 40, 60, 128), 0)
emit("bit.png", saved(Image.new("1", (8, 4), 1), "PNG"), (8, 4), 3, (255, 255, 255), 0)
emit("grey_alpha.png", saved(Image.new("LA", (8, 4), (90, 77)), "PNG"), (8, 4), 4, (90, 90, 90, 77), 0)
emit("palette.png", saved(rgb.quantize(4), "PNG"), (8, 4), 3, (200, 40, 60), 0)
emit("grey16.png", png(8, 4, 16, 0, (b"\0" + struct.pack(">H", 40000) * 8) * 4), (8, 4), 3, (156, 156, 156), 0)
emit("rgba16.png", png(8, 4, 16, 6, (b"\0" + struct.pack(">4H", 40000, 20000, 10000, 32768) * 8) * 4),
     (8, 4), 4, (156, 78, 39, 128), 0)
emit("rgb.gif", saved(rgb.quantize(4), "GIF"), (8, 4), 3, (200, 40, 60), 0)
emit("rgb.webp", saved(rgb, "WEBP", lossless=True), (8, 4), 3, (200, 40, 60), 0)
emit("rgb.tif", saved(rgb, "TIFF"), (8, 4), 3, (200, 40, 60), 0)
emit("rgb.ppm", saved(rgb, "PPM"), (8, 4), 3, (200, 40, 60), 0)
out.write("};\n\n")

# The picture that tests/io/image/test_image.c draws: (h, w, bands), the formula in `draw` there.
def drawn(w, h, bands):
    y, x, b = np.mgrid[0:h, 0:w, 0:bands]
    return ((x * 37 + y * 59 + b * 101 + x * y % 64 * 3) % 256).astype(np.uint8)


def square(px, size, pad):
    if px.shape[2] == 4:
        a = px[..., 3:].astype(int)
        px = ((px[..., :3] * a + 127 * (255 - a) + 127) // 255).astype(np.uint8)
    im = Image.fromarray(px)
    if pad:
        side = max(im.size)
        canvas = Image.new("RGB", (side, side), (127, 127, 127))
        canvas.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
        im = canvas
    return np.asarray(im.resize((size, size), Image.BICUBIC))


# A picture like a photograph, in integers: `photograph` in tests/io/image/test_image.c.
def photograph(w, h, bands):
    y, x, b = np.mgrid[0:h, 0:w, 0:bands].astype(np.int64)

    def wave(t, half):
        return np.abs(t % (2 * half) - half) * 255 // half
    light = (2 * wave(x + 2 * y + 40 * b, 197) + wave(3 * x - y + 5000, 61 + 10 * b) + wave(x * y // 64, 331)) // 4
    noise = (x * 374761393 + y * 668265263 + b * 2246822519) % 2**32
    noise = (noise ^ noise >> 13) * 1274126177 % 2**32
    return np.clip(light + (noise >> 24) % 25 - 12, 0, 255).astype(np.uint8)


SIDE = 15
out.write("/* width, height, bands, pad, the square that Pillow makes of the photograph; or width 0 and bytes of a file */\n")
out.write("static const Photo photos[] = {\n")


def photo(head, px, pad, data=b""):
    values = square(px, SIDE, pad).reshape(-1, 27)
    rows = ",\n    ".join(", ".join(map(str, row)) for row in values)
    out.write("{ %s, %d, %d,\n%s, {\n    %s } },\n" % (head, pad, len(data), c_string(data), rows))


for w, h, bands, pad in ((1023, 517, 3, 1), (1023, 517, 3, 0), (300, 451, 4, 1), (20, 13, 3, 1)):
    photo("%d, %d, %d" % (w, h, bands), photograph(w, h, bands), pad)
smooth = Image.fromarray(photograph(96, 64, 3)).resize((72, 48), Image.BICUBIC)
for mode, pad, options in (("RGB", 1, {"quality": 85}), ("L", 0, {"quality": 85}), ("CMYK", 1, {"quality": 80}),
                           ("RGB", 0, {"quality": 75, "progressive": True})):
    data = saved(smooth.convert(mode), "JPEG", **options)
    photo("0, 0, 0", np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), pad, data)
out.write("};\n\n")

out.write("/* width, height, bands, pad, size, the square that Pillow makes of it */\n")
out.write("static const Square squares[] = {\n")
for w, h, bands, pad, size in ((37, 23, 3, 1, 5), (37, 23, 3, 0, 5), (23, 38, 4, 1, 5), (5, 3, 3, 1, 6), (5, 3, 3, 0, 6),
                               (200, 7, 3, 0, 4), (1, 1, 3, 1, 3), (6, 6, 3, 0, 6)):
    values = square(drawn(w, h, bands), size, pad).reshape(size, -1)
    rows = ",\n    ".join(", ".join(map(str, row)) for row in values)
    out.write("{ %d, %d, %d, %d, %d, {\n    %s } },\n" % (w, h, bands, pad, size, rows))
out.write("};\n")
