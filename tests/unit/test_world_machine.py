"""The processor model: what calls between processes cost, idle and loaded."""

from __future__ import annotations

from typing import Any

from lab.ethernet.chance import chance
from lab.stacks import core
from lab.stacks.plan import Action, Ask, CasePlan, Fault, LoadLevel
from lab.world import CaseResult, Contention, World


class CallerCore:
    """Calls all other nodes, one after the other; emits what each call took."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.size = 0
        self.asked_s = 0.0
        self.outputs: list[core.Output] = []

    def handle(self, now_s: float, item: core.Input) -> None:
        match item:
            case core.Request(arguments=arguments):
                self.size = arguments["size"]
                self._call(now_s, 2)
            case core.Received(channel="call", source=source):
                self.outputs.append(core.Send(source, 0, "answer", b"ok", "answer"))
            case core.Received(channel="answer", source=source):
                took_s = now_s - self.asked_s
                self.outputs.append(core.Emit("called", fields={"took_s": took_s}))
                self._call(now_s, source + 1)
            case _:
                pass

    def _call(self, now_s: float, to: int) -> None:
        self.asked_s = now_s
        if to <= self.nodes:
            self.outputs.append(core.Send(to, 0, "call", bytes(self.size), "call"))

    def take_outputs(self) -> list[core.Output]:
        outputs, self.outputs = self.outputs, []
        return outputs

    def next_timer_s(self, level: core.Level) -> float | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}


class CallerStack:
    name = "caller"

    def __init__(self, level: core.Level = "service") -> None:
        self.channels: dict[str, core.Level] = {"call": level, "answer": level}

    def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
        return CallerCore(options["nodes"])


def series(
    load: LoadLevel = "idle", size: int = 50, seed: int = 1, level: core.Level = "service"
) -> CaseResult:
    """Call 30 nodes in turn."""
    plan = CasePlan(
        name="series", stack="caller", nodes=31, over_s=200.0, options={"nodes": 31}, seed=seed,
        actions=(
            Action(0.0, Fault("cpu-load", level=load)),
            Action(1.0, Ask("go", (1,), {"size": size})),
        ),
    )  # fmt: skip
    world = World(plan, stack=CallerStack(level), traffic=False)
    world.run()
    return world.result()


def calls_s(result: CaseResult) -> list[float]:
    return [e.fields["took_s"] for e in result.events if e.kind == "called"]


def test_idle_series_of_calls_takes_what_was_published() -> None:
    for seed in range(10):
        took_s = calls_s(series(seed=seed))
        assert len(took_s) == 30
        assert 0.1 < sum(took_s) < 0.15
        assert all(0.0029 < call_s < 0.0052 for call_s in took_s)


def test_loaded_calls_span_what_was_published() -> None:
    took_s = sorted(s for seed in range(40) for s in calls_s(series("moderate", seed=seed)))
    assert took_s[0] > 0.003
    assert 2.5 < took_s[-1] < 3.3
    assert 0.1 < took_s[len(took_s) // 2] < 0.5


def test_heavy_load_is_worse_than_moderate() -> None:
    assert sum(calls_s(series("heavy"))) > sum(calls_s(series("moderate")))


def test_larger_calls_take_longer() -> None:
    assert 1.3 < sum(calls_s(series(size=2048))) / sum(calls_s(series(size=50))) < 1.8


def test_kernel_level_needs_no_processor() -> None:
    result = series("heavy", level="kernel")
    assert all(call_s < 0.001 for call_s in calls_s(result))


def test_processor_time_is_accounted() -> None:
    idle = series()
    assert 0 < idle.busy_s[2] < idle.busy_s[1] < 0.02
    assert series("heavy").busy_s == idle.busy_s, "waiting is not working"


def test_contention_is_spread_over_its_octaves() -> None:
    random = chance(1)
    contention = Contention(1.0, 4)
    waits = [contention.draw_s(random) for _ in range(4000)]
    assert min(waits) >= 1.0
    assert max(waits) < 16.0
    for k in range(4):
        assert 900 < sum(2**k <= wait < 2 ** (k + 1) for wait in waits) < 1100
