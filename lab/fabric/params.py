"""What a fabric is made of: rates, sizes and the thresholds of its flow control.

Thesis 4.3 names the parts (per-VCI queues in shared memory, congestion judged from VCI, link
and general buffer use, quench to the source, link-level control below it) but publishes no
threshold; the thresholds here are documented inputs of ours. All values are virtual: a dilated
run divides the rates and multiplies the delays when it drives the model, not here.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(gt=0, le=1e12)]
Cells = Annotated[int, Field(ge=1, le=10_000_000)]


class FabricParams(BaseModel):
    """Inputs of the fabric model; ``model_dump()`` is what the compiled model takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    link_bytes_per_s: Rate = Field(
        default=125e6, description="Raw rate of every link, bytes/s (1 Gbit/s in thesis 4.3)."
    )
    cell_bytes: int = Field(default=53, ge=1, le=65536, description="Bytes of a cell on the link.")
    cell_payload_bytes: int = Field(
        default=48, ge=1, le=65536, description="Payload bytes of a cell."
    )
    aal5_trailer_bytes: int = Field(
        default=8, ge=0, le=64, description="Bytes that AAL5 adds to a message before padding."
    )
    switch_latency_ns: int = Field(
        default=476,
        ge=0,
        le=10**9,
        description="Delay of a cell through an idle switch, ns; with the cell's 424 ns and the "
        "link's 100 a hop takes the 1 us of thesis 4.5.",
    )
    propagation_ns: int = Field(
        default=100, ge=0, le=10**9, description="Delay along a link, ns (20 m of cable)."
    )
    host_messages_per_s: Rate = Field(
        default=266_000.0,
        description="Messages/s that a host adapter handles, each way (thesis 4.5).",
    )
    buffer_cells: Cells = Field(
        default=20_000, description="Shared memory of one switch, cells (about 1 MByte)."
    )
    vci_quench_cells: Cells = Field(
        default=800,
        description="A VCI with this many cells waiting for one port is quenched.",
    )
    vci_unquench_cells: int = Field(
        default=500, ge=0, description="A quenched VCI is released at or below this many cells."
    )
    link_quench_cells: Cells = Field(
        default=1_000,
        description="With this many cells waiting for one port, a VCI that has at least its fair "
        "share of them is quenched.",
    )
    buffer_quench_fraction: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="With this part of a switch's memory in use, a VCI that has at least its fair "
        "share of it is quenched.",
    )
    input_stop_cells: Cells = Field(
        default=2_500,
        description="Link-level control: cells of one input in memory at which its link stops.",
    )
    input_go_cells: int = Field(
        default=2_000, ge=0, description="Link-level control: the link starts again at this."
    )
    memory_stop_cells: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Link-level control: cells in a switch's memory at which all its inputs stop, "
        "to start again at four fifths of them; 0: inputs are judged one by one only.",
    )
    adapter_window_frames: int = Field(
        default=4,
        ge=1,
        le=1024,
        description="Messages that a host adapter takes from an endpoint's send queue ahead of "
        "the link, per VCI.",
    )
    turn_cells: Cells = Field(
        default=43,
        description="Fair service: cells that a VCI may send at its turn (43: a 2 KByte message).",
    )

    frame_cells: Cells = Field(
        default=170,
        description="Cells of a message that move as a whole; 1 is cell-exact (a message of up to "
        "170 cells, 8152 bytes, is one frame of an emulation).",
    )
    quench_repeat_ns: int = Field(
        default=250_000,
        ge=1000,
        le=10**12,
        description="A quenched VCI whose cells still arrive after this is quenched again: the "
        "quench may have been lost.",
    )
    quench_hold_ns: int = Field(
        default=20_000_000,
        ge=1000,
        le=10**12,
        description="A source that has heard nothing for this long sends again: the unquench may "
        "have been lost.",
    )
    control_loss: float = Field(
        default=0.0, ge=0, le=1, description="Part of the quench and unquench cells that is lost."
    )
    cell_loss: float = Field(
        default=0.0, ge=0, le=1, description="Part of the data cells that a link loses."
    )
    cell_corruption: float = Field(
        default=0.0, ge=0, le=1, description="Part of the data cells that a link changes a bit of."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            ("vci_unquench_cells", "vci_quench_cells"),
            ("input_go_cells", "input_stop_cells"),
            ("vci_quench_cells", "buffer_cells"),
            ("input_stop_cells", "buffer_cells"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be smaller than {high}")
        return self

    def service_time_ns(self, message_bytes: int) -> float:
        """Time that a message of that many payload bytes occupies a link, virtual ns."""
        cells = self.message_cells(message_bytes)
        return cells * self.cell_bytes * 1e9 / self.link_bytes_per_s

    def message_cells(self, message_bytes: int) -> int:
        """Cells of one message: payload and AAL5 trailer, padded to whole cells."""
        return -(-(message_bytes + self.aal5_trailer_bytes) // self.cell_payload_bytes)

    def full_messages_per_s(self, message_bytes: int) -> float:
        """The most that one stream can carry: the link's rate or the adapter's message rate."""
        return min(1e9 / self.service_time_ns(message_bytes), self.host_messages_per_s)
