#!/usr/bin/env python3
"""large_pictures.py DIR SIDE LARGE SMALL: LARGE PNGs of SIDE x SIDE px and SMALL ones of 64 x 64, in turns."""
import struct
import sys
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, side, seed):
    row = b"\0" + bytes((x // 16 * 37 + seed * 59) % 251 for x in range(side * 3))
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


folder, side, n_large, n_small = sys.argv[1], *map(int, sys.argv[2:])
for i in range(n_large + n_small):
    every = max(1, (n_large + n_small) // max(1, n_large))
    large = i % every == 0 and i // every < n_large
    write_png(f"{folder}/{i:05d}.png", side if large else 64, i)
