#!/usr/bin/python3
"""Makes data/samples/openclipart-300.tar: clip art with titles and keywords, as a WebDataset.

Run by hand, never by the build or a test: the tar is in the repository. Needs Debian 12's openclipart-png, openclipart-svg
(public domain) and python3-pil; with the same versions of these the same bytes come out.

    data/sample_set.py [--root /usr/share/openclipart] [-o data/samples/openclipart-300.tar] [--sheet sheet.png]
"""

import argparse
import hashlib
import io
import json
import os
import re
import sys
import tarfile
from xml.etree import ElementTree

from PIL import Image, ImageDraw

N_SAMPLES = 300
MAX_SIDE_PX = 256
MIN_SIDE_PX = 72  # of what is drawn, transparent margins cut off
MAX_SOURCE_PIXELS = 20_000_000
MAX_ASPECT = 3.0
MAX_IMAGE_BYTES = 17_000
MAX_TAR_BYTES = 4_000_000
MIN_HASH_DISTANCE = 9  # bits of 64, between any two pictures
MAX_SAME_TITLE = 2

# Most that each folder gives; what is not named gives nothing (logos, weapons, religion, cards, most flags, icon themes).
FOLDERS = {
    "animals": 15, "animals/birds": 12, "animals/bugs": 10, "animals/dinosaurs": 3, "animals/fish": 8,
    "animals/mammals": 16, "animals/mammals/bears": 3, "animals/mammals/big_cats": 3, "animals/mammals/dogs": 3,
    "animals/mammals/horses": 2, "animals/mammals/housecats": 3, "buildings": 6, "buildings/furniture": 4,
    "buildings/homes": 8, "computer/hardware": 5, "containers": 4, "decorations": 3, "education": 5,
    "education/books": 4, "electronics": 4, "electronics/bulb": 2, "food": 11, "food/beverages": 7,
    "food/breads_and_carbs": 4, "food/dairy": 2, "food/desserts": 9, "food/fruit": 14, "food/meats_and_eggs": 4,
    "food/vegetables": 4, "geography/astronomy": 4, "office": 7, "office/telephone": 3, "people/clothing": 4,
    "people/clothing/hats": 4, "people/smilies": 4, "plants": 8, "plants/flowers": 10, "plants/trees": 4,
    "plants/trees/evergreen": 2, "recreation/games/chess": 3, "recreation/games/dice": 1, "recreation/holiday": 3,
    "recreation/holiday/christmas": 3, "recreation/music": 9, "recreation/party": 4, "recreation/sports": 7,
    "recreation/toys": 6, "science": 3, "shapes/arrows": 2, "signs_and_symbols/clocks": 4,
    "signs_and_symbols/flags": 1, "signs_and_symbols/flags/asia": 1, "signs_and_symbols/flags/europe": 2,
    "signs_and_symbols/flags/america": 1, "signs_and_symbols/flags/africa": 1, "signs_and_symbols/weather": 6,
    "special/patterns": 3, "tools": 10, "transportation": 9, "transportation/boating": 6,
    "transportation/roadsigns": 4, "transportation/vehicles": 8,
}

# Not for a set that everyone gets: offence, weapons, trade marks, persons, politics. Matched at the start of a word.
REFUSED = re.compile(
    r"(?:^|[^a-z])(weapon|gun|pistol|rifle|sword|bomb|grenade|tank|dead|death|skull|kill|blood|corpse|sex|nude|naked|"
    r"breast|bikini|pantyhose|drug|hemp|cannabis|marijuana|cigar|smok|jesus|christ|religio|cross|buddh|allah|devil|"
    r"demon|satan|nazi|swastika|hitler|bush|clinton|stalin|lenin|mao|logo|brand|linux|tux|gnu|windows|kde|gnome|debian|"
    r"ubuntu|firefox|mozilla|bsd|apple_|mac_|ipod|coca|pepsi|mcdonald|nintendo|mario|disney|mickey|pokemon|pikachu|"
    r"simpson|snoopy|playboy|ferrari|volkswagen|vw|porsche|incazz|merd|stupid|idiot|hell|pirate|confederate|amnesty)")

# Seen on the contact sheet and left out, by path without extension.
LEFT_OUT = {
    "animals/birds/duck_yellow_ii_kurt_cagl_",  # "linked image not found"
    "recreation/sports/stylized_yoga_person_ger_05",
    "plants/flowers/mirjam_meijer_mirjam_mei_01",  # the title is a person
    "animals/mammals/housecats/cartoon_vgcats_fanart_01",  # other people's characters, designs and makes
    "animals/new_penguin_charles_mcco_01",
    "computer/hardware/laptop_01",
    "electronics/zinf_santiago_diaz_",
    "office/telephone/sprint_cell_phone_joel_r",
    "recreation/toys/domo_kun_nicu_buculei_02",
    "recreation/toys/rubik_s_cube_petri_lumme_01",
    "transportation/hummer_03",
    "transportation/toyota_land_cruiser_ganson",
    "animals/tatoo_tatuaggio_tatuagg_01",  # unclear or contested
    "office/telephone/numero_verde_angelo_gelm_01",
    "science/evolution_steps_marcelo__01",
    "signs_and_symbols/flags/europe/ukrainian_map_stepan_kli_01",
}


def metadata(svg):
    """(title, keywords) of an SVG whose metadata put it in the public domain, or None."""
    dc, rdf = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    work = next((e for e in ElementTree.parse(svg).iter() if e.tag.endswith("}Work")), None)
    if work is None:
        return None
    licenses = [e.get(rdf + "resource", "") for e in work if e.tag.endswith("}license")]
    if not licenses or any("publicdomain" not in url.lower() for url in licenses):
        return None
    title = " ".join((work.findtext(dc + "title") or "").split())
    subject = work.find(dc + "subject")
    words = [] if subject is None else [" ".join((e.text or "").split()) for e in subject.iter(rdf + "li")]
    return (title, sorted({w for w in words if w and not w.startswith(("hash", "0x"))})) if title else None


def content(png):
    """The picture without transparent margins, shrunk; and its original size. None where it does not suit."""
    with Image.open(png) as im:
        original = im.size
        if original[0] * original[1] > MAX_SOURCE_PIXELS:
            return None
        im = im.convert("RGBA")
    box = im.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
    if not box:
        return None
    pad = max(box[2] - box[0], box[3] - box[1]) // 32
    im = im.crop((max(0, box[0] - pad), max(0, box[1] - pad), min(im.width, box[2] + pad), min(im.height, box[3] + pad)))
    if min(im.size) < MIN_SIDE_PX or max(im.size) > MAX_ASPECT * min(im.size):
        return None
    scale = min(1.0, MAX_SIDE_PX / max(im.size))
    im = im.resize((round(im.width * scale), round(im.height * scale)), Image.Resampling.LANCZOS)
    return (im if im.getchannel("A").getextrema()[0] < 255 else im.convert("RGB")), original


def encode(im, as_png):
    """PNG with a palette, alpha in it; or lossless WebP with alpha: both kinds, so that readers meet both."""
    out = io.BytesIO()
    small = im.quantize(160, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    if as_png:
        small.save(out, "PNG", optimize=True)
    else:
        small.convert(im.mode).save(out, "WEBP", lossless=True, quality=100, method=6)
    return out.getvalue()


def difference_hash(im):
    white = Image.new("RGB", im.size, "white")
    white.paste(im, mask=im.getchannel("A") if im.mode == "RGBA" else None)
    grey = list(white.convert("L").resize((9, 8), Image.Resampling.BOX).getdata())
    return sum(1 << (8 * y + x) for y in range(8) for x in range(8) if grey[9 * y + x] > grey[9 * y + x + 1])


def is_dull(im):
    """Nearly one colour: a silhouette, a blank."""
    white = Image.new("RGB", im.size, "white")
    white.paste(im, mask=im.getchannel("A") if im.mode == "RGBA" else None)
    colours = white.resize((48, 48), Image.Resampling.BOX).quantize(8, method=Image.Quantize.MEDIANCUT).convert("RGB")
    return max(n for n, _ in colours.getcolors()) > 0.93 * 48 * 48


def lot(path):
    return hashlib.sha256(path.encode()).hexdigest()


def candidates(root, folder):
    names = [n[:-4] for n in os.listdir(os.path.join(root, "svg", folder)) if n.endswith(".svg")]
    return sorted((f"{folder}/{n}" for n in names), key=lot)


def choose(root):
    """{path: (title, keywords, picture, original size)}, varied, without near duplicates."""
    chosen, hashes, titles = {}, [], {}
    for folder, most in FOLDERS.items():
        n = 0
        for path in candidates(root, folder):
            if n == most:
                break
            png = os.path.join(root, "png", path + ".png")
            if path in LEFT_OUT or not os.path.exists(png):
                continue
            found = metadata(os.path.join(root, "svg", path + ".svg"))
            if not found or "@" in "".join([found[0], *found[1]]):  # an address
                continue
            if REFUSED.search(" ".join([path, found[0], *found[1]]).lower()):
                continue
            plain = re.sub(r"[\W\d_]+", " ", found[0]).strip().lower()
            if titles.get(plain, 0) == MAX_SAME_TITLE:
                continue
            picture = content(png)
            if not picture or is_dull(picture[0]):
                continue
            code = difference_hash(picture[0])
            if any(bin(code ^ other).count("1") < MIN_HASH_DISTANCE for other in hashes):
                continue
            if len(encode(picture[0], False)) > MAX_IMAGE_BYTES:
                continue
            chosen[path] = (*found, *picture)
            hashes.append(code)
            titles[plain] = titles.get(plain, 0) + 1
            n += 1
    return chosen


def add_member(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644  # time and owner stay 0
    tar.addfile(info, io.BytesIO(data))


def write_tar(path, chosen):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i, source in enumerate(sorted(chosen, key=lot)[:N_SAMPLES]):
            title, keywords, im, original = chosen[source]
            key = f"{i:09d}"
            record = {
                "caption": title, "key": key, "width": im.width, "height": im.height, "original_width": original[0],
                "original_height": original[1], "keywords": keywords, "license": "public domain",
                "source": f"openclipart/png/{source}.png",
            }
            as_png = i % 3 == 0
            add_member(tar, key + (".png" if as_png else ".webp"), encode(im, as_png))
            add_member(tar, key + ".txt", title.encode())
            add_member(tar, key + ".json", json.dumps(record, ensure_ascii=False).encode())


def write_sheet(path, tar_path, cell=100, columns=20):
    """What the tar holds, to look at; a number at each picture's corner."""
    with tarfile.open(tar_path) as tar:
        members = [m for m in tar if m.name.endswith((".png", ".webp"))]
        sheet = Image.new("RGB", (columns * cell, -(-len(members) // columns) * cell), "white")
        draw = ImageDraw.Draw(sheet)
        for i, member in enumerate(members):
            im = Image.open(tar.extractfile(member)).convert("RGBA")
            im.thumbnail((cell - 4, cell - 4))
            at = (i % columns * cell, i // columns * cell)
            sheet.paste(im, at, im)
            draw.text((at[0] + 1, at[1] + cell - 12), str(i), fill="red")
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="/usr/share/openclipart")
    parser.add_argument("-o", "--out", default="data/samples/openclipart-300.tar")
    parser.add_argument("--sheet", help="also write a contact sheet (PNG)")
    options = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None  # content() looks at the size itself, before anything is decoded
    chosen = choose(options.root)
    if len(chosen) < N_SAMPLES:
        sys.exit(f"only {len(chosen)} pictures suit, expected {N_SAMPLES}")
    write_tar(options.out, chosen)
    size = os.path.getsize(options.out)
    if size > MAX_TAR_BYTES:
        sys.exit(f"{options.out}: {size} bytes, more than {MAX_TAR_BYTES}")
    if options.sheet:
        write_sheet(options.sheet, options.out)
    print(f"{options.out}: {N_SAMPLES} of {len(chosen)} chosen, {size} bytes")


if __name__ == "__main__":
    main()
