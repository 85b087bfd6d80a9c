"""The report of a run: one HTML file that needs nothing else, not even a network.

It is made from the run's own files alone. Whatever is missing is named on the page instead of
being left out in silence.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from lab.report import assets, html, info
from lab.report.rundata import RunData, load_run
from lab.report.sections import SECTIONS, head
from lab.report.stacks.sections import STACK_SECTIONS

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
"""Makes sure that the page asks nobody for anything, whatever the library inside could do."""


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run's directory and return its path.

    Raises:
        LabError: there is nothing of a run in `run_dir`.
    """
    page = render(load_run(run_dir))
    path = run_dir / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def render(run: RunData) -> str:
    """The whole page as text."""
    sections = STACK_SECTIONS if run.of_stack else SECTIONS
    contents = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    body = "".join(html.section(anchor, title, make(run)) for anchor, title, make in sections)
    title = escape(info.told(run, "title") or info.name(run))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} - report</title><style>{assets.style()}</style></head><body><main>"
        f'{head(run)}<nav aria-label="Contents">{contents}</nav>'
        "<noscript>The figures need JavaScript; the tables do not.</noscript>"
        f"{body}</main><script>{_library()}</script><script>{assets.script()}</script>"
        "</body></html>"
    )


def _library() -> str:
    """Plotly's own script, as the Python package carries it."""
    source = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return source.replace("</script", "<\\/script")
