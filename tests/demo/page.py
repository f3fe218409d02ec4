#!/usr/bin/python3
"""Open the demo's page in headless Chromium and say what a person would see.

    tests/demo/page.py PAGE WIDTH HEIGHT

Prints a JSON object: the number of pictures, the texts of those that show nothing,
points of charts, the window's width, how far the page is wider, texts that are cut
off, and what it asked for outside of itself.
"""

import html
import json
import os
import re
import subprocess
import sys
import tempfile

# The page is in a frame of the size that is wanted, since a window has a least width.
FRAME = """<!DOCTYPE html><body><iframe src="page.html" width="%d" height="%d"></iframe></body>"""

# Runs when all is loaded, without waiting: the answer is in the page as it is then.
# A picture counts when its pixels are there and not all the same.
PROBE = """
<script>
addEventListener("load", () => {
	const canvas = document.createElement("canvas");
	canvas.width = canvas.height = 64;
	const brush = canvas.getContext("2d", { willReadFrequently: true });
	const shows = picture => {
		if (!picture.complete || picture.naturalWidth < 2) return false;
		brush.clearRect(0, 0, 64, 64);
		brush.drawImage(picture, 0, 0, 64, 64);
		const pixels = new Uint32Array(brush.getImageData(0, 0, 64, 64).data.buffer);
		return pixels.some(pixel => pixel != pixels[0]);
	};
	const blank = [...document.images].filter(picture => !shows(picture)).map(picture => picture.alt);
	const cut = [...document.querySelectorAll("h1, h2, h3, h4, p, small, td, dd, figcaption")].filter(
		e => e.clientWidth && e.scrollWidth > e.clientWidth + 1);
	parent.document.body.textContent = "PROBE" + JSON.stringify({
		pictures: document.images.length, blank: blank, points: document.querySelectorAll("svg.chart circle").length,
		width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth,
		cut: cut.map(e => e.textContent),
		outside: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")) }) + "END";
});
</script>
"""


def main():
    page, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with open(page, encoding="utf-8") as f:
        text = f.read()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "page.html"), "w", encoding="utf-8") as f:
            f.write(text.replace("</body>", PROBE + "</body>"))
        frame = os.path.join(folder, "frame.html")
        with open(frame, "w", encoding="utf-8") as f:
            f.write(FRAME % (width, height))
        # the page is our own, and a container may have no sandbox to give
        command = ["chromium", "--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
                   "--user-data-dir=" + os.path.join(folder, "profile"), "--window-size=%d,%d" % (width, height),
                   "--allow-file-access-from-files", "--dump-dom", "file://" + frame]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    found = re.search(r"PROBE(\{.*\})END", run.stdout.decode("utf-8", "replace"), re.S)
    if not found:
        sys.exit("no answer from the page: %s" % run.stderr.decode("utf-8", "replace")[-2000:])
    print(json.dumps(json.loads(html.unescape(found.group(1)))))


if __name__ == "__main__":
    main()
