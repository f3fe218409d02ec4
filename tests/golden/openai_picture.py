#!/usr/bin/env python3
"""What OpenAI's CLIP makes of a picture before it is a tensor.

    openai_picture.py IN OUT.png [SIZE]

The short side resized to SIZE (224) by Pillow's bicubic filter, a square cut
from the centre, and only then RGB: alpha is dropped, so that what is
transparent becomes the colour below it, mostly black.  mmodal lays pictures
over white instead; OUT.png has nothing left that the two could differ on.
Imports nothing of this project.
"""

import sys

try:
    from PIL import Image
except ImportError as e:
    sys.exit("openai_picture: %s" % e)


def preprocess(image, size):
    """As torchvision's Resize(size, bicubic) and CenterCrop(size) round."""
    w, h = image.size
    short, long = min(w, h), max(w, h)
    if short != size:
        other = int(size * long / short)
        image = image.resize((size, other) if w <= h else (other, size), Image.BICUBIC)
    left, top = (int(round((side - size) / 2.0)) for side in image.size)
    return image.crop((left, top, left + size, top + size)).convert("RGB")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    try:
        with Image.open(sys.argv[1]) as image:
            preprocess(image, int(sys.argv[3]) if len(sys.argv) > 3 else 224).save(sys.argv[2], "PNG")
    except (OSError, ValueError) as e:
        sys.exit("openai_picture: %s" % e)


if __name__ == "__main__":
    main()
