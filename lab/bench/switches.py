"""What Open vSwitch forwards, bare and with line cards, through a chain of five switches."""

import time
from dataclasses import dataclass

from lab.bench import chain
from lab.bench.generator import Generator
from lab.bench.load import Trial, highest_load
from lab.bench.pump import GEOMETRY, End, Pump
from lab.emulation.client import LineCards
from lab.emulation.state import LabState
from lab.fabric.params import FabricParams

MESSAGE_BYTES = 2048
WIRE_OVERHEAD_BYTES = 96
"""About what Ethernet, the label and the line cards' own header add to a message."""
START_PER_S = 4000.0
LIMIT_PER_S = 300_000.0
TRIAL_S = 0.8
_SETTLE_S = 0.3
_LEAD_NS = 50_000_000
_LOSSES = ("dropped_endpoint", "overflow", "unknown", "malformed", "no_frame", "tx_refused")


@dataclass(frozen=True)
class ChainSpeed:
    """Highest load without loss, frames per second from end to end."""

    bare: float
    with_cards: float


def message_cells() -> int:
    """Return the cells of a message."""
    params = FabricParams()
    return -(-(MESSAGE_BYTES + params.aal5_trailer_bytes) // params.cell_payload_bytes)


def measure_bare(trial_s: float = TRIAL_S) -> float:
    """Return the frames a second that bare switches carry without loss."""
    label = chain.circuit(chain.chain()).forward[0].out_label
    with chain.bare(), Generator(label, MESSAGE_BYTES + WIRE_OVERHEAD_BYTES) as generator:
        return highest_load(lambda load: generator.trial(load, trial_s), START_PER_S, LIMIT_PER_S)


def measure_with_cards(trial_s: float = TRIAL_S) -> float:
    """Return the messages a second that the same switches carry with line cards between."""
    with chain.with_line_cards() as state, LineCards(state.control_socket) as cards:
        pump = make_pump(state, cards)
        return highest_load(
            lambda load: card_trial(cards, pump, load, trial_s), START_PER_S, LIMIT_PER_S
        )


def measure(trial_s: float = TRIAL_S) -> ChainSpeed:
    """Measure one after the other on the same machine."""
    return ChainSpeed(bare=measure_bare(trial_s), with_cards=measure_with_cards(trial_s))


def make_pump(state: LabState, cards: LineCards) -> Pump:
    """Claim the two ends of the chain's circuit, for a pump that fills one and drains the other."""
    vc = chain.circuit(chain.chain())
    for host, name in ((vc.a, vc.a_endpoint), (vc.b, vc.b_endpoint)):
        cards.call("endpoint", host=host, name=name, segment=GEOMETRY)
    ends = (End(state, vc.a, vc.a_endpoint), End(state, vc.b, vc.b_endpoint))
    return Pump(*ends, MESSAGE_BYTES)


def card_trial(cards: LineCards, pump: Pump, frames_per_s: float, seconds: float) -> Trial:
    """Let the links carry just so many frames a second and keep the sender greedy."""
    params = chain.roomy_params(frames_per_s, message_cells())
    cards.call(
        "pass",
        name="bench",
        flow_control="link",
        epoch_ns=time.monotonic_ns() + _LEAD_NS,
        params=params.model_dump(),
    )
    pump.drain()
    began_s = time.monotonic() + _LEAD_NS / 1e9 + 0.1  # then the pipe is full
    end_s = began_s + seconds
    counted_from, got = None, 0
    while (now_s := time.monotonic()) < end_s:
        pump.fill()
        got += pump.drain()
        if counted_from is None and now_s >= began_s:
            counted_from, got = now_s, 0
        time.sleep(chain.QUANTUM_US / 1e6)
    rate = got / (time.monotonic() - (counted_from or began_s))
    _empty(cards, pump)
    stats = cards.call("stats")
    lost = sum(int(stats[name]) for name in _LOSSES) + int(stats["in_switches"])
    return Trial(offered=frames_per_s, carried=rate, lost=lost + int(stats["rx_drops"]))


def _empty(cards: LineCards, pump: Pump) -> None:
    """Take what is still under way, until nothing more comes."""
    quiet_s = time.monotonic() + _SETTLE_S
    while time.monotonic() < quiet_s:
        if pump.drain():
            quiet_s = time.monotonic() + _SETTLE_S
        time.sleep(0.01)
    cards.call("hold")
