"""Streams: bytes in order, over cuts that end, and an end when they do not."""

from __future__ import annotations

from typing import Any

from lab.stacks import core
from lab.stacks.plan import Action, Ask, CasePlan, Fault
from lab.world import World


class PipeCore:
    """Opens a stream on request, sends on request, and emits whatever happens to its streams."""

    def __init__(self) -> None:
        self.outputs: list[core.Output] = []

    def handle(self, now_s: float, item: core.Input) -> None:
        match item:
            case core.Request(name="open", arguments=arguments):
                self.outputs.append(core.StreamOpen(7, arguments["to"], 0, "pipe"))
            case core.Request(name="send", arguments=arguments):
                data = arguments["data"].encode()
                self.outputs.append(core.StreamSend(arguments.get("stream", 7), data))
            case core.Request(name="close"):
                self.outputs.append(core.StreamClose(7))
            case core.Request(name="up"):
                self.outputs.append(core.Effect(1, "address-up", {"name": "cluster"}))
            case core.StreamOpened():
                self._emit("opened", stream=item.stream, peer=item.peer, inward=item.inward)
            case core.StreamData():
                self._emit("data", stream=item.stream, data=item.data.decode())
            case core.StreamClosed():
                self._emit("closed", stream=item.stream)
            case core.EffectDone():
                self._emit("effect", ok=item.ok)
            case _:
                pass

    def _emit(self, kind: str, **fields: Any) -> None:
        self.outputs.append(core.Emit(kind, fields=fields))

    def take_outputs(self) -> list[core.Output]:
        outputs, self.outputs = self.outputs, []
        return outputs

    def next_timer_s(self, level: core.Level) -> float | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}


class PipeStack:
    name = "pipe"
    channels: dict[str, core.Level] = {"pipe": "service"}  # noqa: RUF012

    def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
        return PipeCore()


def ask(at_s: float, node: int, request: str, **arguments: Any) -> Action:
    return Action(at_s, Ask(request, (node,), arguments))


def happened(*actions: Action, over_s: float = 200.0) -> list[tuple[int, str, dict[str, Any]]]:
    plan = CasePlan(name="pipe", stack="pipe", nodes=3, over_s=over_s, actions=actions)
    world = World(plan, stack=PipeStack(), traffic=False)
    world.run()
    kinds = ("opened", "data", "closed", "effect")
    return [(e.node, e.kind, e.fields) for e in world.record.events if e.kind in kinds]


OPEN = ask(1.0, 1, "open", to=2)
OPENED = [
    (2, "opened", {"stream": -1, "peer": 1, "inward": True}),
    (1, "opened", {"stream": 7, "peer": 2, "inward": False}),
]


def test_bytes_arrive_in_order_both_ways() -> None:
    sends = [ask(2.0 + n / 1000, 1, "send", data=str(n)) for n in range(5)]
    back = ask(3.0, 2, "send", stream=-1, data="back")
    found = happened(OPEN, *sends, back)
    assert found[:2] == OPENED
    assert [(n, f["data"]) for n, kind, f in found if kind == "data"] == [
        *((2, str(n)) for n in range(5)),
        (1, "back"),
    ]


def test_close_comes_after_what_was_sent() -> None:
    found = happened(OPEN, ask(2.0, 1, "send", data="last"), ask(2.0, 1, "close"))
    assert found[2:] == [
        (2, "data", {"stream": -1, "data": "last"}),
        (2, "closed", {"stream": -1}),
    ]


def test_node_whose_program_does_not_run_refuses() -> None:
    found = happened(Action(0.5, Fault("kill", (2,))), OPEN)
    assert found == [(1, "closed", {"stream": 7})]


def test_stream_breaks_when_the_peers_program_ends() -> None:
    found = happened(OPEN, Action(5.0, Fault("kill", (2,))))
    assert found == [*OPENED, (1, "closed", {"stream": 7})]


def test_bytes_wait_for_a_cut_to_end_and_are_neither_lost_nor_doubled() -> None:
    cut = Action(2.0, Fault("one-way-cut", (2,), (1,)))
    sends = [ask(3.0 + n, 1, "send", data=str(n)) for n in range(3)]
    found = happened(OPEN, cut, *sends, Action(12.0, Fault("heal")))
    assert [f["data"] for _, kind, f in found if kind == "data"] == ["0", "1", "2"]


def test_bytes_survive_loss_and_duplication() -> None:
    loss = Action(0.0, Fault("loss", value=0.3)), Action(0.0, Fault("duplicate", value=0.3))
    sends = [ask(20.0 + n, 1, "send", data=str(n)) for n in range(20)]
    found = happened(OPEN, *loss, *sends)
    data = [f["data"] for _, kind, f in found if kind == "data"]
    assert data == [str(n) for n in range(20)]


def test_stream_gives_up_when_a_cut_does_not_end() -> None:
    found = happened(OPEN, Action(2.0, Fault("cut", (2,))), ask(3.0, 1, "send", data="x"))
    assert [(n, kind) for n, kind, _ in found[2:]] == [(1, "closed"), (2, "closed")]


def test_address_moves_with_its_holder() -> None:
    found = happened(
        ask(0.1, 2, "up"), ask(1.0, 1, "open", to="cluster"), Action(2.0, Fault("kill", (2,))),
        ask(3.0, 3, "up"), ask(4.0, 1, "open", to="cluster"),
    )  # fmt: skip
    opened_to = [f["peer"] for n, kind, f in found if (n, kind) == (1, "opened")]
    assert opened_to == [2, 3]


def test_address_that_nobody_holds_cannot_be_reached() -> None:
    assert happened(ask(1.0, 1, "open", to="cluster")) == [(1, "closed", {"stream": 7})]
