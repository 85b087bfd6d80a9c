"""Blocks of the page: a figure with its caption, and the sentence that stands in its place."""

from __future__ import annotations

import json

from lab.report import html
from lab.report.figures.base import Figure

_PLACEHOLDER = '<div class="scroll" tabindex="0"><div class="plot" style="height:{height}px"></div>'


def figure(drawn: Figure, caption: str) -> str:
    """A figure; the page's script draws it from the JSON beside its place."""
    data = json.dumps(json.loads(drawn.to_json()), separators=(",", ":")).replace("</", "<\\/")
    return (
        _PLACEHOLDER.format(height=int(drawn.layout.height))
        + f'<script type="application/json">{data}</script></div>'
        + html.paragraph(caption, "muted")
    )


def heading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{html.escaped(text)}</h3>"


def lacking(what: str, needed: str) -> str:
    """Says why a figure is not there."""
    return gap(f"Nothing can be drawn of {what}: the run has no usable rows in {needed}.")


def gap(text: str) -> str:
    """A sentence in place of something that is not there."""
    return html.paragraph(text, "gap")
