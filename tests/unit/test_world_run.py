"""The simulated world: repeatable, and every fault does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.stacks.events import read_events
from lab.stacks.plan import Action, Ask
from lab.world import CaseResult, World, run_case

from world_toy import ToyStack, toy_plan  # isort: skip


def run(*actions: Action, **more: Any) -> CaseResult:
    return run_case(toy_plan(actions=actions, **more), stack=ToyStack())


def say(at_s: float, fact: int, *nodes: int) -> Action:
    return Action(at_s, Ask("say", nodes=nodes, arguments={"fact": fact}))


def knowing(result: CaseResult, fact: int) -> set[int]:
    return {e.node for e in result.events if e.kind == "learned" and e.fields["fact"] == fact}


def test_what_is_said_gets_around() -> None:
    assert knowing(run(say(1.0, 5, 1)), 5) == {1, 2, 3}


def test_same_plan_same_digest_and_events() -> None:
    first, second = run(say(1.0, 5, 1)), run(say(1.0, 5, 1))
    assert first.digest == second.digest
    assert first.events == second.events


def test_another_seed_another_digest() -> None:
    assert run(say(1.0, 5, 1)).digest != run(say(1.0, 5, 1), seed=2).digest


def test_world_can_be_run_in_steps() -> None:
    world = World(toy_plan(), stack=ToyStack())
    world.run(until_s=5.0)
    core = world.hosts[1].core
    assert core is not None
    assert core.state()["beats"] == {2: 4, 3: 4}


def test_digest_is_the_same_in_another_process_and_on_other_hashes() -> None:
    code = (
        "from lab.world import run_case\n"
        "from lab.world.swarm import swarm_case\n"
        "from world_toy import ToyStack, toy_exercise\n"
        "plan = swarm_case('toy', toy_exercise(), 11).plan\n"
        "print(run_case(plan, stack=ToyStack()).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1
    # Bit for bit the same on any machine: change it only with the world's rules.
    assert digests == {"7ee5e46dc3e95e5239c9273fe67a3a55\n"}


def test_digest_does_not_depend_on_steps_or_on_what_is_kept() -> None:
    whole = run(say(1.0, 5, 1))
    world = World(toy_plan(actions=(say(1.0, 5, 1),)), stack=ToyStack(), traffic=False)
    for step in range(21):
        world.run(until_s=float(step))
        world.record.digest()
    assert world.result().digest == whole.digest


def test_logs_are_those_of_a_container_run(tmp_path: Path) -> None:
    plan = toy_plan(actions=(say(1.0, 5, 1),))
    result = run_case(plan, stack=ToyStack(), directory=tmp_path)
    logs = {node: list(read_events(tmp_path / f"{node}.events.jsonl")) for node in range(4)}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{node}.events.jsonl" for node in range(4)
    ]
    for node, events in logs.items():
        assert events == [event for event in result.events if event.node == node]


def test_sent_and_received_datagrams_have_one_name() -> None:
    result = run(say(1.0, 5, 1))
    sent = {e.cause: e for e in result.events if e.kind == "send"}
    received = [e for e in result.events if e.kind == "receive"]
    assert len(sent) == result.sent
    assert received
    for event in received:
        origin = sent[event.cause]
        assert (event.fields["peer"], origin.fields["peer"]) == (origin.node, event.node)
        assert event.fields["label"] == origin.fields["label"]
        assert event.t_s > origin.t_s


def test_without_traffic_only_the_nodes_own_events_are_kept() -> None:
    kinds = {e.kind for e in run_case(toy_plan(), stack=ToyStack(), traffic=False).events}
    assert kinds == {"started"}


def test_multicast_reaches_all_others_with_one_operation() -> None:
    one_by_one, at_once = run(), run(options={"multicast": True})
    beats = [
        [e for e in r.events if e.fields.get("label") == "beat"] for r in (one_by_one, at_once)
    ]
    sent = [sum(e.kind == "send" for e in events) for events in beats]
    received = [sum(e.kind == "receive" for e in events) for events in beats]
    assert sent[0] == 2 * sent[1] > 0
    assert received[0] == received[1]
