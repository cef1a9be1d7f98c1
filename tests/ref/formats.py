#!/usr/bin/env python3
"""Writes tests/golden/formats.h: small pictures as BMP of many kinds, JPEG 2000, AVIF, HEIC, and numbers with a point, and the
pixels that Pillow reads from them.  Run from the root with Pillow 11.3 or later and NumPy: tests/ref/formats.py SMOOTH.heic, which
libvips writes of the picture `smooth` (heifsave, compression hevc, lossless).  The output is committed."""
import io
import struct
import sys

import numpy as np
import PIL
from PIL import Image

W, H = 7, 5
yy, xx = np.mgrid[0:H, 0:W]
a = np.stack([xx * 37 % 256, yy * 59 % 256, xx * yy * 13 % 256], -1).astype("uint8")
big = np.mgrid[0:12, 0:16]
smooth = np.stack([big[1] * 14, big[0] * 20, big[1] * 6 + big[0] * 5], -1).astype("uint8")
alpha = (xx * 40).astype("uint8")

out = open("tests/golden/formats.h", "w")
out.write("/* Written by tests/ref/formats.py with Pillow %s. */\n" % PIL.__version__)
out.write("/* name, width, height, bands, tolerance, bytes, the file, its pixels */\nstatic const Format formats[] = {\n")


def c_string(data):
    text, line = "", ""
    for k, b in enumerate(data):
        if 32 <= b < 127 and b not in b'"\\?':
            line += chr(b)
        else:
            line += ("\\%03o" if data[k + 1:k + 2].isdigit() else "\\%o") % b
        if len(line) > 110:
            text, line = text + '    "%s"\n' % line, ""
    return text + '    "%s"' % line


def emit(name, data, px, tolerance=0):
    h, w, bands = px.shape
    out.write('{ "%s", %d, %d, %d, %d, %d,\n%s,\n%s },\n' % (name, w, h, bands, tolerance, len(data), c_string(data), c_string(px.tobytes())))


def saved(im, fmt, **options):
    buffer = io.BytesIO()
    im.save(buffer, fmt, **options)
    return buffer.getvalue()


def pillow(name, data, bands=3):
    emit(name, data, np.asarray(Image.open(io.BytesIO(data)).convert("RGBA" if bands == 4 else "RGB")))


def rows(line, down=False):
    parts = [line(y) for y in (range(H) if down else range(H - 1, -1, -1))]
    return b"".join(p + bytes(-len(p) % 4) for p in parts)


def bmp(bits, pixels, packing=0, header=40, masks=b"", palette=b"", height=H):
    inside = header > 40
    start = 14 + header + len(palette) + (0 if inside else len(masks))
    head = struct.pack("<IiiHHIIiiII", header, W, height, 1, bits, packing, len(pixels), 2835, 2835, 0, 0)
    head += masks.ljust(header - 40, b"\0") if inside else masks
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + palette + pixels


def old(bits, pixels, palette):
    start = 26 + len(palette)
    return b"BM" + struct.pack("<IHHIIHHHH", start + len(pixels), 0, 0, start, 12, W, H, 1, bits) + palette + pixels


def bits16(r, g, b, widths):
    def line(y):
        return b"".join(struct.pack("<H", (int(q[0]) >> 8 - widths[0]) << r | (int(q[1]) >> 8 - widths[1]) << g | (int(q[2]) >> 8 - widths[2]) << b)
                        for q in a[y])
    return rows(line)


def bits32(fourth, down=False):
    return rows(lambda y: b"".join(bytes((q[2], q[1], q[0], fourth(x, y))) for x, q in enumerate(a[y])), down)


im = Image.fromarray(a)
low = a[..., 0] >> 4
pal16 = b"".join(bytes((i * 17, 255 - i * 17, i * 5, 0)) for i in range(16))
pal256 = b"".join(bytes((i, 255 - i, i * 5 % 256, 0)) for i in range(256))


def nibbles(y):
    q = list(low[y]) + [0]
    return bytes(q[i] << 4 | q[i + 1] for i in range(0, W, 2))


def runs(line, half, y):
    text, q, i = b"", list(line), 0
    while i < W:
        if i + 3 <= W and y % 2:
            part = bytes(q[i:i + 3]) if not half else bytes((q[i] << 4 | q[i + 1], q[i + 2] << 4))
            text += bytes((0, 3)) + part + bytes(len(part) % 2)
            i += 3
        else:
            n = next((k for k in range(1, W - i) if q[i + k] != q[i]), W - i)
            text += bytes((n, q[i] * 17 if half else q[i]))
            i += n
    return text + b"\0\0"


pillow("rgb.bmp", saved(im, "BMP"))
pillow("grey.bmp", saved(im.convert("L"), "BMP"))
pillow("palette.bmp", saved(im.convert("P"), "BMP"))
pillow("bit.bmp", saved(im.convert("1"), "BMP"))
pillow("565.bmp", bmp(16, bits16(11, 5, 0, (5, 6, 5)), 3, 40, struct.pack("<III", 0xf800, 0x7e0, 0x1f)))
pillow("555.bmp", bmp(16, bits16(10, 5, 0, (5, 5, 5))))
pillow("x32.bmp", bmp(32, bits32(lambda x, y: 0)))
pillow("above.bmp", bmp(32, bits32(lambda x, y: 0, True), height=-H))
four = struct.pack("<IIII", 0xff0000, 0xff00, 0xff, 0xff000000)
pillow("v4.bmp", bmp(32, bits32(lambda x, y: alpha[y, x]), 3, 108, four), 4)
pillow("v5.bmp", bmp(32, bits32(lambda x, y: alpha[y, x]), 3, 124, four), 4)
pillow("16colours.bmp", bmp(4, rows(nibbles), palette=pal16))
pillow("os2.bmp", old(4, rows(nibbles), b"".join(pal16[i:i + 3] for i in range(0, 64, 4))))
pillow("rle8.bmp", bmp(8, b"".join(runs(a[y, :, 0], False, y) for y in range(H - 1, -1, -1)) + b"\0\1", 1, palette=pal256))
pillow("rle4.bmp", bmp(4, b"".join(runs(low[y], True, y) for y in range(H - 1, -1, -1)) + b"\0\1", 2, palette=pal16))
pillow("a.jp2", saved(im, "JPEG2000", irreversible=False))
pillow("a.j2k", saved(im, "JPEG2000", irreversible=False, no_jp2=True))
emit("a.avif", saved(Image.fromarray(smooth), "AVIF", quality=100, subsampling="4:4:4"), smooth, 3)
emit("a.heic", open(sys.argv[1], "rb").read(), smooth, 12)
grey = np.repeat(a[..., :1], 3, -1)
emit("float.tif", saved(Image.fromarray((a[..., 0] / 255).astype("float32")), "TIFF"), grey, 1)
out.write("};\n\n/* The same, to be refused: numbers beyond 1, one that is none, 32 bits with a sign. */\nstatic const Format refused[] = {\n")
emit("beyond.tif", saved(Image.fromarray(a[..., 0].astype("float32")), "TIFF"), grey)
holed = (a[..., 0] / 255).astype("float32")
holed[3, 3] = np.nan
emit("nan.tif", saved(Image.fromarray(holed), "TIFF"), grey)
emit("sign.tif", saved(Image.fromarray(a[..., 0].astype("int32")), "TIFF"), grey)
out.write("};\n")
