"""The probes' two processes, through a fake adapter."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from unet_fake_ni import FakeNi

import lab.unet

UNET = Path(lab.unet.__file__).parent
CHANNELS = {1: ("probe.a", "probe.b"), 2: ("bystander.a", "bystander.b")}


def test_probes_see_what_the_adapter_does(tmp_path: Path):
    programs = []
    with FakeNi(tmp_path / "unet.sock", CHANNELS, messages_per_s=3000) as ni:
        for role, end in (("receive", "b"), ("send", "a")):
            plan = {
                "pass": "base",
                "stream": "probe",
                "group": "probes",
                "role": role,
                "channel": 1,
                "changes": [{"t_start_s": 0.0, "rate": 0.0, "message_bytes": 32}],
                "windows": [{"step": 0, "t_start_s": 1.0, "t_end_s": 20.0}],
                "end_s": 20.0,
                "drain_s": 1.0,
                "bin_s": 1.0,
                "poll_ms": 20,
            }
            path = tmp_path / f"{end}.plan"
            path.write_text(json.dumps(plan))
            command = [sys.executable, "-S", "-E", str(UNET / "stream.py"), role]
            options = ["--endpoint", f"probe.{end}", "--plan", str(path)]
            programs.append(
                subprocess.Popen(
                    [*command, *options, "--out", str(tmp_path / f"{end}.out")],
                    env={"LAB_UNET_SOCKET": ni.path},
                )
            )
        ni.wait_attached(2)
        ni.begin_pass(time.monotonic_ns())
        assert [program.wait(120) for program in programs] == [0, 0]
    out = json.loads((tmp_path / "a.out").read_text())
    seen = out["observed"]
    assert (out["messages"], out["rejected"], len(out["windows"])) == (0, 0, 1)
    assert seen["gathered_intact"] == seen["flagged_injected"] == 1
    assert seen["gathered_parts"] == seen["scattered_parts"] == 3
    assert seen["composed_in_segment"] == seen["read_in_segment"] == 1
    assert seen["pushed_refused"] == 1
    assert seen["pushed_accepted"] == seen["pushed_arrived"] == 200
    assert seen["flow_received"] == seen["flow_messages"]
    assert seen["flow_calls_sending"] - seen["flow_doorbells"] < 10
    assert seen["flow_calls_receiving"] < 10
    assert seen["select_woken"] == seen["select_received"] == 1
    assert (seen["upcall_while_disabled"], seen["upcall_largest"]) == (0, 9)
    assert (seen["almost_full_early"], seen["almost_full_warned_at"]) == (0, 12)
    assert seen["forged_channels"] == seen["rejected_channels"]
    assert seen["refused_endpoints"] == 2  # of those that nobody holds, only unknown ones
    assert seen["unbuffered_sent"] == seen["unbuffered_kept"] + seen["unbuffered_dropped"]
    assert (seen["unbuffered_dropped"], seen["unbuffered_later"]) == (20, 0)
