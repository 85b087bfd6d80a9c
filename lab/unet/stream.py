"""One end of one stream of an experiment.

    python3 stream.py send    --endpoint bg2.a --plan PLAN.json --out OUT.json
    python3 stream.py receive --endpoint bg2.b --plan PLAN.json --out OUT.json
    python3 stream.py ping    --endpoint rtt.a --plan PLAN.json --out OUT.json
    python3 stream.py pong    --endpoint rtt.b --plan PLAN.json --out OUT.json

Runs in the hosts, also from this directory alone. The program claims its endpoint, waits for
the pass to begin (the adapter writes the epoch into the segment), follows the plan in virtual
time, and writes what happened. Every number it writes was counted from messages that the
send queue accepted, the adapter injected, or the receive queue delivered.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: make relative imports work from this directory
    __package__ = "_unet"
    _home = type(sys)(__package__)
    _home.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[__package__] = _home

from .echoing import run_ping, run_pong
from .endpoint import Endpoint
from .errors import NoService, UNetError
from .kernel_path import kernel_socket
from .moving import run_receiver, run_sender
from .plan import ROLES, Plan, PlanError, load_plan
from .probing import GROUP as PROBES
from .probing import run_probe
from .tally import Tally

KERNEL_PATIENCE_S = 10.0  # real; the kernel process starts at the same time as this one
RUNNERS = {"send": run_sender, "receive": run_receiver, "ping": run_ping, "pong": run_pong}


TOTALS = (
    *("messages", "bytes", "injected", "in_send_queue", "rejected", "duplicates"),
    *("out_of_order", "corrupted", "missing", "drop_no_buffer", "drop_recv_full"),
)


def _who(plan: Plan) -> dict[str, object]:
    return {
        "stream": plan.stream,
        "group": plan.group,
        "role": plan.role,
        "pass": plan.pass_name,
        "host": os.environ.get("LAB_HOST", ""),
        "pid": os.getpid(),
    }


def report(tally: Tally, ended: str) -> dict[str, object]:
    """Return what goes into the output file; the endpoint must be detached.

    ``blocked_s`` is virtual, ``cpu_s`` real. ``messages`` are those accepted for a sender,
    those received for all others. Latency is the time in the send queue for a sender, the
    round trip for a ping, the time in the network for the others. A probe has sent nothing by
    its plan; what it did and saw is under ``observed``.
    """
    plan, endpoint, bins = tally.plan, tally.endpoint, tally.bins
    sender = plan.role == "send"
    if plan.group == PROBES:
        return {**_who(plan), **dict.fromkeys(TOTALS, 0), "blocked_s": 0.0} | {
            "ended": ended,
            "observed": tally.observed,
            "bins": [],
            "windows": tally.windows.rows(),
        }
    counters = endpoint.counters()
    return {
        **_who(plan),
        "messages": endpoint.accepted if sender else bins.messages,
        "bytes": tally.sent_bytes if sender else bins.bytes,
        "injected": endpoint.injected,
        "in_send_queue": endpoint.in_send_queue(),
        "rejected": endpoint.rejected,
        "duplicates": tally.sequence.duplicates,
        "out_of_order": tally.sequence.out_of_order,
        "corrupted": tally.corrupted,
        "missing": tally.sequence.missing,
        "blocked_s": tally.blocked_ns / 1e9,
        "unanswered": tally.unanswered,
        "late_wishes": tally.late_wishes,
        "drop_no_buffer": counters["ni_drop_no_buffer"],
        "drop_recv_full": counters["ni_drop_recv_full"],
        **endpoint.system_calls,
        "cpu_s": time.process_time(),
        "ended": ended,
        "bins": bins.rows(),
        "windows": tally.windows.rows(),
    }


def write_atomically(path: Path, content: dict[str, object]) -> None:
    """Write JSON so that a reader finds the whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def run(endpoint: Endpoint, plan: Plan, out: Path) -> str:
    """Run the plan and write the report; return how it ended ("complete" when as planned)."""
    tally = Tally(endpoint, plan)
    signal.signal(signal.SIGTERM, tally.stop)
    signal.signal(signal.SIGINT, tally.stop)
    gc.disable()  # nothing here makes cycles, and a collection would delay a batch
    try:
        tally.wait_for_epoch()
        if plan.group == PROBES:
            tally.observed = run_probe(tally)
        else:
            RUNNERS[plan.role](tally)
        ended = "stopped" if tally.stopping else "complete"
    except UNetError as error:
        ended = str(error)
    if not endpoint.detach():
        ended = "the U-Net service did not confirm the end, counts may lack the last messages"
    if plan.role == "receive" and plan.group != PROBES:
        tally.take_all()
    if endpoint.rejected and plan.group != PROBES:
        ended = f"{endpoint.rejected} messages rejected: not a channel of this endpoint"
    write_atomically(out, report(tally, ended))
    return ended


def attach(name: str, plan: Plan) -> Endpoint:
    """Claim the endpoint: of the adapter, or of the kernel when it is an emulated one."""
    if not plan.emulated:
        return Endpoint.attach(name)
    deadline_s = time.monotonic() + KERNEL_PATIENCE_S
    while True:
        try:
            return Endpoint.attach(name, kernel_socket())
        except NoService:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.05)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0 when complete or stopped by a signal."""
    parser = argparse.ArgumentParser(prog="stream.py", description="One end of a stream.")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--endpoint", required=True, help="endpoint of this host, such as bg2.a")
    parser.add_argument("--plan", required=True, help="JSON file: what to do")
    parser.add_argument("--out", required=True, type=Path, help="JSON file: what happened")
    options = parser.parse_args(arguments)
    try:
        plan = load_plan(options.plan)
        if plan.role != options.role:
            raise PlanError(f"the plan is one for role {plan.role!r}")  # noqa: TRY301
        with attach(options.endpoint, plan) as endpoint:
            ended = run(endpoint, plan, options.out)
    except (UNetError, PlanError, OSError) as error:
        print(f"stream.py: {options.endpoint}: {error}", file=sys.stderr)
        return 1
    if ended in {"complete", "stopped"}:
        return 0
    print(f"stream.py: {options.endpoint}: {ended}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
