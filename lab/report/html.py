"""Pieces of HTML. Everything that comes from a run is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from lab.report.verdict import number


@dataclass(frozen=True)
class Cell:
    """A table cell: text, a second smaller line, a class for its look."""

    text: str
    small: str = ""
    style: str = ""


def figure_of(value: object) -> Cell:
    """A right-aligned cell with a number (or a dash)."""
    return Cell(number(value), style="num")


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[Cell | object]], style: str = ""
) -> str:
    """A table that scrolls sideways by itself on a narrow screen."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table class="{escape(style)}">'
        f"<caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of name and value."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in pairs
        if value
    )
    return f'<dl class="facts">{items}</dl>'


def escaped(text: str) -> str:
    """Plain text as HTML."""
    return escape(text)


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{escape(style)}">{escape(text)}</p>'


def bullets(texts: Iterable[str]) -> str:
    """A bulleted list of plain texts."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def folded(summary: str, content: str) -> str:
    """Content that the reader opens when wanted."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def section(anchor: str, title: str, *parts: str) -> str:
    """A section that the page's list of contents can point to."""
    return f'<section id="{escape(anchor)}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def _cell(cell: Cell | object) -> str:
    if not isinstance(cell, Cell):
        cell = Cell(number(cell))
    small = f'<span class="small">{escape(cell.small)}</span>' if cell.small else ""
    style = f' class="{escape(cell.style)}"' if cell.style else ""
    return f"<td{style}>{escape(cell.text)}{small}</td>"
