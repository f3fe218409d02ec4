"""A line chart as SVG that takes its colours from the page, and so follows light and dark.

The libraries for plots write fixed colours and fonts, and files of 100 kB and more.
"""

import collections
import html
import math

# name of a series, its class in the page's style, and its (x, y) points
Series = collections.namedtuple("Series", "name style points")

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 44


class Axes:
    """x linear from x0 to x1, y logarithmic over what the series hold."""

    def __init__(self, series, x0, x1):
        values = [y for one in series for x, y in one.points if x >= x0]
        self.x0, self.x1 = x0, x1
        self.low = math.floor(math.log10(min(values)) * 4) / 4
        self.high = math.ceil(math.log10(max(values)) * 4) / 4

    def x(self, value):
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def ticks(self):
        """1, 2, 5 times powers of ten."""
        for power in range(int(math.floor(self.low)), int(math.ceil(self.high)) + 1):
            for digit in (1, 2, 5):
                value = digit * 10 ** power
                if self.low <= math.log10(value) <= self.high:
                    yield value


def text(x, y, words, anchor="middle", style=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (
        x, y, anchor, ' class="%s"' % style if style else "", html.escape(words))


def grid(axes, x_ticks, x_name, y_name):
    parts = []
    for value in axes.ticks():
        y = axes.y(value)
        parts.append('<path class="grid" d="M%d %.1fH%d"/>' % (LEFT, y, WIDTH - RIGHT))
        parts.append(text(LEFT - 7, y + 4, "%s" % format(round(value), ",") if value >= 1 else "%g" % value, "end"))
    for value in x_ticks:
        x = axes.x(value)
        parts.append('<path class="grid" d="M%.1f %dV%d"/>' % (x, TOP, HEIGHT - BOTTOM))
        parts.append(text(x, HEIGHT - BOTTOM + 17, "%g" % value))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_name))
    parts.append(text(4, 14, y_name, "start"))
    return parts


def line(axes, one):
    points = [(axes.x(x), axes.y(y)) for x, y in one.points if x >= axes.x0]
    parts = []
    if len(points) > 1:
        parts.append('<path class="line" d="M%s"/>' % "L".join("%.1f %.1f" % point for point in points))
    # a point of its own may lie under that of another series: a ring is seen there
    marker = '<circle cx="%.1f" cy="%.1f" r="3"/>' if len(points) > 1 else '<circle class="ring" cx="%.1f" cy="%.1f" r="6"/>'
    parts += [marker % point for point in points]
    return '<g class="series %s"><title>%s</title>%s</g>' % (one.style, html.escape(one.name), "".join(parts))


def chart(title, series, x_range, x_ticks, x_name, y_name):
    """An <svg> that scales to its box; the last series is drawn on top."""
    axes = Axes(series, *x_range)
    parts = grid(axes, x_ticks, x_name, y_name) + [line(axes, one) for one in series]
    return '<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>' % (
        WIDTH, HEIGHT, html.escape(title, quote=True), "".join(parts))


def legend(series):
    return '<ul class="legend">%s</ul>' % "".join(
        '<li class="series %s"><svg viewBox="0 0 28 10" aria-hidden="true"><path class="line" d="M1 5H27"/>'
        '<circle cx="14" cy="5" r="3"/></svg>%s</li>' % (one.style, html.escape(one.name))
        for one in reversed(series))
