"""What a simulated fabric is made with, beside its nodes, links and circuits. Pure.

From the parameters that a scenario knows (`FabricParams`, `AdapterCosts`) to the names that the
compiled model and its drivers know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams

FLOW_CONTROL = {"link": 0, "quench": 1}
"""By the numbers in ``lab/native/model.h``."""


class Change(NamedTuple):
    """What a sender does from a time on.

    Attributes:
        t_ns: from when.
        rate: 0 is silent, 1 or more greedy, between them paced.
        message_bytes: length of its messages.
        interval_ns: between two messages; only a paced sender needs it.
    """

    t_ns: int
    rate: float
    message_bytes: int
    interval_ns: float = 0.0


@dataclass(frozen=True)
class Loss:
    """Planned losses: parts of the cells, and the seed of which ones."""

    cell_loss: float = 0.0
    cell_corruption: float = 0.0
    control_loss: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class NiCosts:
    """What the processor of every host's adapter spends, ns; as in ``lab.fabric.adapter``."""

    single_cell_bytes: int = 40
    send_single_ns: int = 0
    receive_single_ns: int = 0
    send_ns: int = 0
    receive_ns: int = 0
    send_cell_ns: int = 0
    receive_cell_ns: int = 0


@dataclass(frozen=True)
class Setup:
    """What holds for the whole fabric.

    Attributes:
        switch_latency_ns: from a link's end to the next queue.
        window: messages of a VC that an adapter works on at a time.
        frame_cells: a message moves as frames of up to so many cells; 1 is cell-exact.
        cell_payload_bytes, trailer_bytes: of the adaptation layer.
        patience_ns: a ping whose echo takes longer was lost.
        tie_seed: orders simultaneous events (``lab/native/events.h``).
    """

    switch_latency_ns: int = 476
    window: int = 4
    frame_cells: int = 170
    cell_payload_bytes: int = 48
    trailer_bytes: int = 8
    patience_ns: int = 50_000_000
    tie_seed: int = 0
    costs: NiCosts = field(default_factory=NiCosts)
    loss: Loss = field(default_factory=Loss)


def native_params(params: FabricParams, flow_control: str) -> dict[str, int]:
    """Return the model's thresholds, by their names in ``fab_params``, in cells and ns."""
    return {
        "flow_control": FLOW_CONTROL[flow_control],
        "vci_quench_cells": params.vci_quench_cells,
        "vci_unquench_cells": params.vci_unquench_cells,
        "link_quench_cells": params.link_quench_cells,
        "buffer_quench_cells": int(params.buffer_quench_fraction * params.buffer_cells),
        "input_stop_cells": params.input_stop_cells,
        "input_go_cells": params.input_go_cells,
        "memory_stop_cells": params.memory_stop_cells,
        "memory_go_cells": params.memory_stop_cells * 4 // 5,
        "quantum_cells": params.turn_cells,
        "quench_repeat_ns": params.quench_repeat_ns,
        "quench_hold_ns": params.quench_hold_ns,
    }


def setup_of(
    params: FabricParams, costs: AdapterCosts, *, tie_seed: int = 0, loss_seed: int = 0
) -> Setup:
    """Return a simulated fabric's setup as a scenario's parameters have it."""
    return Setup(
        switch_latency_ns=params.switch_latency_ns,
        window=params.adapter_window_frames,
        frame_cells=params.frame_cells,
        cell_payload_bytes=params.cell_payload_bytes,
        trailer_bytes=params.aal5_trailer_bytes,
        tie_seed=tie_seed,
        costs=NiCosts(
            single_cell_bytes=costs.single_cell_bytes,
            send_single_ns=costs.ni_send_single_ns,
            receive_single_ns=costs.ni_receive_single_ns,
            send_ns=costs.ni_send_ns,
            receive_ns=costs.ni_receive_ns,
            send_cell_ns=costs.ni_send_cell_ns,
            receive_cell_ns=costs.ni_receive_cell_ns,
        ),
        loss=Loss(params.cell_loss, params.cell_corruption, params.control_loss, loss_seed),
    )
