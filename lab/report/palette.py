"""Colours of the report, in a light and a dark dress.

Figures are drawn in the light colours; the page swaps each for its dark twin when the
reader's system asks for a dark page. All series colours come from the Okabe-Ito set, which
stays apart for every common kind of colour blindness; what matters is also told apart by
dash, marker or position.
"""

from __future__ import annotations

INK = "#1b1f24"
MUTED = "#5c6670"
GRID = "#e3e6ea"
SURFACE = "#ffffff"
LINK = "#c9ced4"
NODE = "#eceff2"

BLUE = "#0072b2"
VERMILION = "#d55e00"
GREEN = "#009e73"
PINK = "#b4578f"
AMBER = "#b37700"
SKY = "#3a8fc4"

SERIES = (BLUE, VERMILION, GREEN, PINK, AMBER, SKY)

_HEAT_LOW, _HEAT_MIDDLE, _HEAT_HIGH = "#bcd0e0", "#6fa3c7", "#2f6f9f"

LIGHT_TO_DARK = {
    _HEAT_LOW: "#2b4a61",
    _HEAT_MIDDLE: "#3f7fa8",
    _HEAT_HIGH: "#86c8f0",
    INK: "#e8eaed",
    MUTED: "#a3acb6",
    GRID: "#333a42",
    SURFACE: "#14181d",
    LINK: "#454d57",
    NODE: "#262c33",
    BLUE: "#56b4e9",
    VERMILION: "#ff8c3b",
    GREEN: "#2cc79a",
    PINK: "#e79cc6",
    AMBER: "#f0b429",
    SKY: "#8ccdf2",
}


_KNOWN_GROUPS = {"background": BLUE, "congestion": VERMILION}


def group_colours(groups: list[str]) -> dict[str, str]:
    """Give every stream group a colour; the two groups of thesis chapter 4 keep theirs."""
    colours = {g: _KNOWN_GROUPS[g] for g in groups if g in _KNOWN_GROUPS}
    left = [c for c in SERIES if c not in colours.values()]
    for index, group in enumerate(g for g in groups if g not in colours):
        colours[group] = left[index % len(left)]
    return colours


HEAT = (
    (0.0, NODE),
    (0.3, _HEAT_LOW),
    (0.55, _HEAT_MIDDLE),
    (0.8, _HEAT_HIGH),
    (1.0, VERMILION),
)
"""Empty, then further and further from the page's ground; the top end alone is vermilion."""
