"""The load of the benchmark reaches the end of its chain of switches, bare and with line cards."""

import pytest

from lab.bench import chain, switches
from lab.bench.generator import Generator
from lab.bench.switches import MESSAGE_BYTES, WIRE_OVERHEAD_BYTES
from lab.emulation import net
from lab.emulation.client import LineCards

pytestmark = [pytest.mark.emulation, pytest.mark.timeout(120)]
SLOW_PER_S, TRIAL_S = 500.0, 0.4


def test_frames_cross_the_bare_chain() -> None:
    label = chain.circuit(chain.chain()).forward[0].out_label
    with chain.bare(), Generator(label, MESSAGE_BYTES + WIRE_OVERHEAD_BYTES) as generator:
        trial = generator.trial(SLOW_PER_S, TRIAL_S)
    assert trial.carried > 0
    assert net.inventory().things == []


def test_messages_cross_the_chain_with_line_cards() -> None:
    with chain.with_line_cards() as state, LineCards(state.control_socket) as cards:
        pump = switches.make_pump(state, cards)
        trial = switches.card_trial(cards, pump, SLOW_PER_S, TRIAL_S)
    assert trial.carried > 0
    assert net.inventory().things == []
