"""Sampling what the machine spends while a pass runs (basis of the fidelity certificate).

A thread wakes at a fixed real rate on a monotonic schedule and reads CPU accounts from
/proc: ovs-vswitchd, the line cards, the endpoint processes, the whole machine, of that
what programs at low priority used (they give way), and the time the hypervisor took away
(steal). Values are in cores.
"""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SAMPLES_PER_S = 5.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def process_cpu_s(pid: int) -> float:
    """CPU seconds (user and system, all threads) of a process; 0.0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def machine_cpu_s(text: str | None = None) -> dict[str, float]:
    """Core-seconds since the machine started: busy, of that at low priority, and stolen."""
    line = (text if text is not None else Path("/proc/stat").read_text()).splitlines()[0]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    ticks = {
        "machine": user + nice + system + irq + softirq,
        "low-priority": nice,
        "steal": steal,
    }
    return {what: count / _TICKS_PER_S for what, count in ticks.items()}


class MachineSampler(threading.Thread):
    """Writes ``{"t_s", "what", "cpu"}`` lines until it is stopped.

    Args:
        groups: what -> process ids whose CPU is added up.
        path: the JSON-lines file (``raw/<pass>-machine.jsonl``).
        epoch_ns: CLOCK_MONOTONIC of the pass's virtual zero.
        dilation: real seconds per virtual second; ``t_s`` is virtual.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[int]], path: Path, epoch_ns: int, dilation: float
    ) -> None:
        super().__init__(name="machine-sampler", daemon=True)
        self._groups = groups
        self._path = path
        self._epoch_ns = epoch_ns
        self._dilation = dilation
        self._stop_event = threading.Event()

    def stop(self) -> None:
        """Write what is left and end the thread."""
        self._stop_event.set()
        self.join()

    def _read(self) -> dict[str, float]:
        values = {
            what: sum(process_cpu_s(pid) for pid in pids) for what, pids in self._groups.items()
        }
        return values | machine_cpu_s()

    def run(self) -> None:
        """Sample at a steady pace; a late wake-up is divided by its true interval."""
        period_s = 1.0 / SAMPLES_PER_S
        last_s, last = time.monotonic(), self._read()
        due_s = last_s + period_s
        with self._path.open("w", encoding="utf-8") as file:
            while not self._stop_event.wait(max(0.0, due_s - time.monotonic())):
                now_s, values = time.monotonic(), self._read()
                t_s = (now_s - self._epoch_ns / 1e9) / self._dilation
                for what, value in values.items():
                    # A process that ended takes its account with it: never report less than 0.
                    cpu = max(0.0, value - last[what]) / (now_s - last_s)
                    line = {"t_s": round(t_s, 9), "what": what, "cpu": round(cpu, 4)}
                    file.write(json.dumps(line) + "\n")
                last_s, last = now_s, values
                due_s = max(due_s + period_s, now_s)
