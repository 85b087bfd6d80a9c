"""A view drawn with characters: a head, every switch with its ports as bars, two tables."""

import re

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.topology import Topology
from lab.watch.history import History, level, sparkline
from lab.watch.view import LinkView, StreamView, View

_SPARK_WIDTH = 40
_FIXED_LINES = 9
_LEAST_ROWS = 3
_LAYERS = {0: "hosts", 1: "leaves", 2: "middles", 3: "cores"}
_ROOMY = 100


def draw(view: View, topology: Topology, history: History, console: Console) -> RenderableType:
    """Make one screenful that fits the console."""
    wiring = _wiring(view, topology, console.width)
    left = max(console.height - _FIXED_LINES - len(wiring), 2 * _LEAST_ROWS)
    congested = view.congested
    port_rows = max(_LEAST_ROWS, min(len(congested), left // 2))
    stream_rows = max(_LEAST_ROWS, left - port_rows)
    return Group(
        *_head(view, history),
        Text(),
        *wiring,
        Text(),
        _ports(congested[:port_rows], len(congested)),
        Text(),
        _streams(view.streams[:stream_rows], len(view.streams), console.width),
    )


def line(view: View) -> str:
    """Say a view in one line, for output that goes to no terminal."""
    busiest = view.busiest[0] if view.links else None
    top = f"{busiest.node}:{busiest.port} {busiest.utilisation:.0%}" if busiest else "-"
    return (
        f"{_what(view)}  t={view.virtual_s:.4f} s  {view.mbyte_per_s:.1f} MByte/s  "
        f"quenches {view.quenches_per_s:.0f}/s  congested {len(view.congested)}  "
        f"busiest {top}  lost {view.lost}"
    )


def _what(view: View) -> str:
    return view.pass_name or "no pass"


def _head(view: View, history: History) -> list[Text]:
    first = Text.assemble(
        (view.lab_id, "bold"),
        f"  {view.topology}",
        f"  {view.run}" if view.run else "  by hand",
        f"  dilation {view.dilation:g}",
    )
    second = Text.assemble(
        "pass ",
        (_what(view), "bold"),
        f"  flow control {view.flow_control or '-'}",
        f"  virtual time {view.virtual_s:.4f} s",
    )
    third = Text.assemble(
        (f"{view.mbyte_per_s:8.1f}", "bold"),
        " MByte/s  ",
        (f"{view.messages_per_s:9.0f}", "bold"),
        " messages/s  ",
        (f"{view.queued_cells:6d}", "bold"),
        " cells wait  ",
        (f"{view.lost}", "bold red" if view.lost else "bold"),
        " lost",
    )
    fourth = Text.assemble(
        (f"{view.quenches_per_s:8.0f}", "bold"),
        " quenches/s  ",
        (f"{view.stops_per_s:8.0f}", "bold"),
        " stops/s   ",
        (sparkline(history.values, _SPARK_WIDTH), "yellow"),
    )
    for text in (first, second, third, fourth):
        text.no_wrap, text.overflow = True, "ellipsis"
    return [first, second, third, fourth]


def _wiring(view: View, topology: Topology, width: int) -> list[Text]:
    """Every node with a block a port, as high as the link out of it is busy."""
    by_node: dict[str, list[LinkView]] = {}
    for link in view.links:
        by_node.setdefault(link.node, []).append(link)
    lines: list[Text] = []
    for layer in sorted({topology.layer[node] for node in by_node}, reverse=True):
        nodes = sorted((n for n in by_node if topology.layer[n] == layer), key=_number)
        cells = [_node(node, by_node[node], named=layer > 0) for node in nodes]
        title = _LAYERS.get(layer, f"layer {layer}")
        lines += _rows(title, cells, width, gap=2 if layer > 0 else 0)
    return lines


def _number(node: str) -> int:
    digits = re.search(r"\d+", node)
    return int(digits.group()) if digits else 0


def _node(node: str, links: list[LinkView], *, named: bool) -> Text:
    text = Text(f"{node:>3} " if named else "")
    for link in sorted(links, key=lambda link: link.port):
        text.append("×" if link.cut else level(link.utilisation), _colour(link))
    return text


def _colour(link: LinkView) -> str:
    if link.cut:
        return "magenta"
    if link.congested:
        return "bold red"
    if link.utilisation >= 0.8:
        return "yellow"
    return "green" if link.utilisation > 0.01 else "dim"


def _rows(title: str, cells: list[Text], width: int, gap: int) -> list[Text]:
    wide = max(len(cell) for cell in cells) + gap
    per_row = max(1, (width - 9) // wide)
    rows = []
    for at in range(0, len(cells), per_row):
        row = Text(f"{title if at == 0 else '':<8} ", "dim")
        for cell in cells[at : at + per_row]:
            row.append_text(cell)
            row.append(" " * (wide - len(cell)))
        row.no_wrap = True
        rows.append(row)
    return rows


def _table(*columns: str, left: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return table


def _ports(links: list[LinkView], every: int) -> Table:
    table = _table(f"congested ports ({every})", "to", "cells", "VCIs quenched", "busy", "", left=2)
    for link in links:
        table.add_row(
            Text(f"{link.node}:{link.port}", "bold red"),
            link.to,
            str(link.queued_cells),
            str(link.quenching),
            f"{link.utilisation:.0%}",
            "STOPPED" if link.stopped else "",
        )
    return table


def _streams(streams: tuple[StreamView, ...], every: int, width: int) -> Table:
    roomy = width >= _ROOMY
    extra = ("messages/s", "quenches/s") if roomy else ()
    table = _table(f"streams ({every})", "from", "to", "MByte/s", *extra, "cells wait", "", left=3)
    for stream in streams:
        more = (f"{stream.messages_per_s:.0f}", f"{stream.quenches_per_s:.0f}") if roomy else ()
        table.add_row(
            stream.name,
            stream.src,
            stream.dst,
            f"{stream.mbyte_per_s:.1f}",
            *more,
            str(stream.queued_cells),
            Text("held", "yellow") if stream.held else "",
        )
    return table
