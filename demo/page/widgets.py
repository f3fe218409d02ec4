"""What the page is made of.  Every function returns HTML; all text given to it is escaped."""

import html
import re

KEYWORDS = re.compile(r"\b(SELECT|FROM|WHERE|ORDER BY|LIMIT|AND|AS|ARRAY|CREATE INDEX ON|USING|LATERAL|JOIN|SET|ON)\b")


def escape(text):
    return html.escape(str(text), quote=True)


def sql_block(sql):
    return "<pre><code>%s</code></pre>" % KEYWORDS.sub(r"<em>\1</em>", html.escape(sql, quote=False))


def statement(sql):
    """A statement that opens on demand."""
    return "<details><summary>the SQL</summary>%s</details>" % sql_block(sql)


def image(uri, alt):
    return '<img alt="%s" src="%s">' % (escape(alt), uri)


def bar(share):
    return '<span class="bar"><i style="width:%.1f%%"></i></span>' % max(0.5, 100 * min(1.0, share))


def picture_card(images, title, score=None):
    """Pictures (image() each), what they show, and how near they are as a cosine."""
    note = ""
    if score is not None:
        note = '<small><span>cosine</span> %.3f</small>%s' % (score, bar(score))
    return '<li class="card"><div class="shot n%d">%s</div><b>%s</b>%s</li>' % (
        len(images), "".join(images), escape(title), note)


def recipe(title, ingredients, score):
    return '<li><b>%s</b><small>%.3f</small><p>%s</p>%s</li>' % (escape(title), score, escape(ingredients), bar(score))


def recipes(items):
    return '<ol class="list">%s</ol>' % "".join(items)


def tag_row(label, probability):
    return '<li><b>%s</b><small>%.1f %%</small>%s</li>' % (escape(label), 100 * probability, bar(probability))


def cards(items):
    return '<ol class="cards">%s</ol>' % "".join(items)


def asked(picture, title):
    return '<figure class="asked">%s<figcaption>%s</figcaption></figure>' % (picture, escape(title))


def query(question, sql, answer):
    """What was asked, its answer, and how."""
    return '<article class="query">%s<div class="answer">%s%s</div></article>' % (question, answer, statement(sql))


def sentence(text):
    return '<h3 class="sentence">%s</h3>' % escape(text)


def section(anchor, title, text, *parts):
    return '<section id="%s"><h2>%s</h2><p class="lead">%s</p>%s</section>' % (
        anchor, escape(title), escape(text), "".join(parts))


def figure_tiles(tiles):
    """(figure, what it is) each."""
    return '<dl class="tiles">%s</dl>' % "".join(
        "<div><dt>%s</dt><dd>%s</dd></div>" % (escape(note), escape(value)) for value, note in tiles)


def table(heads, rows):
    def line(tag, cells):
        return "<tr>%s</tr>" % "".join("<%s>%s</%s>" % (tag, escape(cell), tag) for cell in cells)
    return "<table><thead>%s</thead><tbody>%s</tbody></table>" % (
        line("th", heads), "".join(line("td", row) for row in rows))
