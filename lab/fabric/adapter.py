"""What a host and its adapter spend on each message: inputs, in virtual ns.

Thesis 2.4 describes two ATM adapters by such costs: one whose work is done by traps into the
kernel (SBA-100), and one with a slow processor of its own (SBA-200). A host's adapter has one
processor, which works off sending and receiving in the order in which they fall due; while it is
busy with a message, what follows waits. Costs of 0 stand for hardware whose only limit is
``FabricParams.host_messages_per_s``, as in chapter 4.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Cost = Annotated[int, Field(ge=0, le=10**9)]


class AdapterCosts(BaseModel):
    """Times that one message takes at its two ends, beside the link."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    host_send_ns: Cost = Field(
        default=0, description="Process: from wanting to send to the descriptor in the send queue."
    )
    host_receive_ns: Cost = Field(
        default=0, description="Process: from the receive queue to having the message, polling."
    )
    signal_ns: Cost = Field(
        default=0, description="More than that when the process waits for a signal (upcall)."
    )
    single_cell_bytes: int = Field(
        default=40, ge=0, le=40, description="Up to this a message travels in its descriptor."
    )
    ni_send_single_ns: Cost = Field(default=0, description="Adapter: send such a message.")
    ni_receive_single_ns: Cost = Field(default=0, description="Adapter: receive such a message.")
    ni_send_ns: Cost = Field(default=0, description="Adapter: begin to send a longer message.")
    ni_receive_ns: Cost = Field(default=0, description="Adapter: finish receiving a longer one.")
    ni_send_cell_ns: Cost = Field(default=0, description="Adapter: for each cell of it, sending.")
    ni_receive_cell_ns: Cost = Field(
        default=0, description="Adapter: for each cell of it, receiving."
    )
    kernel_ns: Cost = Field(
        default=0, description="Kernel: for each message of an emulated endpoint, each way."
    )
