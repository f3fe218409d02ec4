"""The demo's database, through psql, and its photographs as thumbnails."""

import base64
import io
import json
import subprocess

from PIL import Image

THUMBNAIL = 200  # pixels, the longer side


class Database:
    """The command is psql with what it needs to connect."""

    def __init__(self, psql):
        self.psql = psql
        self.photos = {}
        self.captions = {}
        self.names = {}
        for row in self.rows("SELECT id, name, caption, encode(photo, 'base64') AS photo FROM picture ORDER BY id DESC"):
            self.photos[row["id"]] = row["photo"]
            self.captions[row["id"]] = row["caption"]
            self.names[row["name"]] = row["id"]

    def rows(self, sql):
        """The rows of a query, as dictionaries."""
        wrapped = "SELECT coalesce(json_agg(t), '[]') FROM (%s) AS t" % sql.rstrip(";\n")
        out = subprocess.run(self.psql + ["-At"], input=wrapped, stdout=subprocess.PIPE,
                             check=True, universal_newlines=True).stdout
        return json.loads(out)

    def thumbnail(self, picture):
        """A picture's JPEG on white, as a data URI."""
        image = Image.open(io.BytesIO(base64.b64decode(self.photos[picture]))).convert("RGBA")
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        out = io.BytesIO()
        ground.convert("RGB").save(out, "JPEG", quality=80, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def literal(text):
    return "'" + text.replace("'", "''") + "'"
