"""The snippets of a page of docs/, for the tests that run them."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def snippets(page, language):
    """[(line, text)] of the page's blocks in a language."""
    with open(os.path.join(ROOT, "docs", page)) as f:
        text = f.read()
    return [(text.count("\n", 0, found.start(1)) + 1, found.group(1))
            for found in re.finditer(r"^```%s\n(.*?)^```$" % language, text, re.M | re.S)]
