#!/usr/bin/env python3
"""Draw the pictures that the SQL tests read.  Needs Pillow; written with 13.0.0.

The pictures are in the repository: run this only to change them.
"""
import math
import os

from PIL import Image, ImageDraw

here = os.path.dirname(os.path.abspath(__file__))


def orange(size):
    """An orange on a blue cloth, shaded, with a leaf; alpha outside a disc."""
    w, h = size
    img = Image.new("RGBA", size, (40, 80, 160, 255))
    px = img.load()
    cx, cy, r = w * 0.5, h * 0.55, min(w, h) * 0.38
    for y in range(h):
        for x in range(w):
            d = math.hypot(x - cx, y - cy)
            if d < r:
                light = 1 - 0.6 * math.hypot(x - cx + r * 0.4, y - cy + r * 0.4) / r
                light = max(0.25, min(1.0, light + 0.35))
                dimple = 0.97 if (x * 7 + y * 13) % 5 == 0 else 1.0
                px[x, y] = (int(255 * light * dimple), int(150 * light * dimple), int(20 * light), 255)
            elif (x // 12 + y // 12) % 2:
                px[x, y] = (50, 92, 176, 255)
    draw = ImageDraw.Draw(img)
    draw.ellipse([cx, cy - r * 1.25, cx + r * 0.7, cy - r * 0.8], fill=(40, 130, 40, 255))
    return img


def save(name, img, **options):
    img.save(os.path.join(here, name), **options)


photo = orange((320, 240))
rgb = photo.convert("RGB")
save("orange.jpg", rgb, quality=85)
save("orange_progressive.jpg", rgb, quality=85, progressive=True, subsampling=0)
save("orange_gray.jpg", rgb.convert("L"), quality=85)
save("orange.png", rgb.resize((160, 120), Image.BICUBIC), optimize=True)
save("orange_palette.png", rgb.resize((160, 120), Image.BICUBIC).quantize(32), optimize=True)
save("orange.webp", rgb.resize((160, 120), Image.BICUBIC), quality=85)
save("orange.bmp", rgb.resize((40, 30), Image.BICUBIC))

# The same picture as it should be seen, stored turned: EXIF orientation 6.
exif = Image.Exif()
exif[0x0112] = 6
save("orange_turned.jpg", rgb.transpose(Image.ROTATE_90), quality=95, exif=exif)

# Cut out, transparent outside the fruit.
cut = orange((128, 128))
mask = Image.new("L", cut.size, 0)
ImageDraw.Draw(mask).ellipse([12, 18, 116, 122], fill=255)
cut.putalpha(mask)
save("orange_alpha.png", cut, optimize=True)

# A format that is recognised and refused.
save("orange.gif", rgb.resize((40, 30)))
