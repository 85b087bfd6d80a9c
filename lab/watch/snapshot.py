"""What the line cards say of one moment: totals of every port and circuit since the pass began."""

from collections.abc import Mapping
from typing import Any, Self

import msgspec

LOSSES = ("dropped_endpoint", "overflow", "unknown", "malformed", "no_frame", "tx_refused")
"""Totals of the line cards that count something lost."""


class PortState(msgspec.Struct, frozen=True):
    """The transmitter of one direction of a cable."""

    node: str
    port: int
    frames: int
    cells: int
    busy_ns: int
    """Virtual time that it has sent."""
    queued_cells: int
    quenching: int
    stopped: bool
    cut: bool


class VcState(msgspec.Struct, frozen=True):
    """One direction of a circuit; ``vc`` is negative for the one from b to a."""

    vc: int
    messages: int
    """Delivered, as are the bytes."""
    bytes: int
    queued_cells: int
    held: bool
    quenches: int


class Snapshot(msgspec.Struct, frozen=True):
    """The whole fabric at one moment of virtual time."""

    now_ns: int
    pass_number: int
    pass_name: str
    flow_control: str
    dilation: float
    quenches: int
    stops: int
    lost: int
    ports: tuple[PortState, ...]
    vcs: tuple[VcState, ...]

    def precedes(self, later: Self) -> bool:
        """Whether both belong to one pass and time has passed between them."""
        return self.pass_number == later.pass_number and self.now_ns < later.now_ns


def decode(answer: Mapping[str, Any]) -> Snapshot:
    """Read the answer of the line cards' operation ``snapshot``: tables as columns."""
    totals: Mapping[str, int] = answer["totals"]
    return Snapshot(
        now_ns=answer["now_ns"],
        pass_number=answer["pass_number"],
        pass_name=answer["pass_name"],
        flow_control=answer["flow_control"],
        dilation=answer["dilation"],
        quenches=totals["quenches"],
        stops=totals["stops"],
        lost=sum(totals[name] for name in LOSSES),
        ports=tuple(msgspec.convert(row, PortState) for row in _rows(answer["ports"])),
        vcs=tuple(msgspec.convert(row, VcState) for row in _rows(answer["vcs"])),
    )


def _rows(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
