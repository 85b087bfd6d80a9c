"""Judging what the doctor saw: pure, each check with what is needed and the remedy."""

from dataclasses import dataclass

from lab.doctor.facts import Engine, Facts, Unavailable

SETUP = "as root: make setup"
DATAPATH = "netdev"

# The tree with 64 containers, its line cards and the analysis stay below this.
MEMORY_BYTES = 3 * 2**30
# One core for ovs-vswitchd, which is single-threaded here, one for the line cards and endpoints.
CORES = 2
# vswitchd and the line cards hold a socket for each end of 320 veth pairs, and the hosts' queues.
OPEN_FILES = 4096
# Runs keep their raw tables, and Docker the layers of its containers.
DISK_BYTES = 2 * 2**30
# A line card reads the clock for each frame: beyond this, reading it costs more than the frame.
CLOCK_READ_NS = 2000
CLOCK_RESOLUTION_NS = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One capability: what was found, what is needed, and what to do when they differ."""

    name: str
    ok: bool
    value: str
    needed: str
    remedy: str

    @property
    def detail(self) -> str:
        """What was found, and when that is not enough, what is needed."""
        return self.value if self.ok else f"{self.value}; needed: {self.needed}"

    def as_dict(self) -> dict[str, str | bool]:
        """The check as plain data."""
        return {
            "name": self.name,
            "ok": self.ok,
            "value": self.value,
            "needed": self.needed,
            "remedy": self.remedy,
        }


def gib(n_bytes: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{n_bytes / 2**30:.1f} GiB"


def outcome(name: str, look: str | Unavailable, needed: str, remedy: str) -> Check:
    """A check that passes when the look could be had."""
    if isinstance(look, Unavailable):
        return Check(name, False, look.why, needed, remedy)
    return Check(name, True, look, needed, remedy)


def kernel_checks(facts: Facts) -> list[Check]:
    """Rights, and the kernel's features."""
    root = "become root (su -, or sudo -s)"
    kernel = "as root, on a kernel with it (CONFIG_{}); a container needs --privileged"
    return [
        Check("linux", facts.system.startswith("Linux"), facts.system, "Linux", "use Debian 12"),
        Check("root", facts.euid == 0, f"user {facts.euid}", "user 0", root),
        outcome(
            "namespaces",
            facts.namespaces,
            "network namespaces can be made",
            kernel.format("NET_NS"),
        ),
        outcome("veth", facts.veth, "veth pairs can be made", kernel.format("VETH")),
        outcome("packet sockets", facts.packet_sockets, "AF_PACKET", kernel.format("PACKET")),
        outcome(
            "shared memory", facts.sealed_memory, "sealed memfd", kernel.format("MEMFD_CREATE")
        ),
    ]


def service_checks(facts: Facts) -> list[Check]:
    """What set-up installs, builds and starts."""
    types = ", ".join(facts.datapath_types) or "none"
    return [
        outcome("open vswitch", facts.ovs, "ovs-vswitchd runs", SETUP),
        Check("datapath", DATAPATH in facts.datapath_types, types, DATAPATH, SETUP),
        Check("mnexec", bool(facts.mnexec), facts.mnexec or "missing", "Mininet's mnexec", SETUP),
        *engine_checks(facts.engine),
        outcome("native part", facts.native, "lab._native is built", SETUP),
    ]


def engine_checks(engine: Engine | Unavailable) -> list[Check]:
    """Docker's engine, and the images that it must have."""
    if isinstance(engine, Unavailable):
        works, value = False, engine.why
        base = stacks = "the engine does not answer"
        has_base = has_stacks = False
    else:
        works = engine.cgroup_version in {"1", "2"}
        value = f"{engine.version}, cgroup v{engine.cgroup_version}"
        has_base, base = engine.base_image is not None, engine.base_image or "missing"
        has_stacks = not engine.missing_images
        stacks = "there" if has_stacks else f"missing: {', '.join(engine.missing_images)}"
    needed = "the images of the stacks' present code"
    return [
        Check("docker", works, value, "an engine on cgroup v1 or v2", SETUP),
        Check("base image", has_base, base, "the image of the lab's containers", SETUP),
        Check("stack images", has_stacks, stacks, needed, SETUP),
    ]


def resource_checks(facts: Facts) -> list[Check]:
    """What the machine has to give."""
    clock = facts.clock
    steady = clock.resolution_ns <= CLOCK_RESOLUTION_NS and clock.read_ns <= CLOCK_READ_NS
    return [
        Check(
            "memory",
            facts.memory_bytes >= MEMORY_BYTES,
            f"{gib(facts.memory_bytes)} free",
            gib(MEMORY_BYTES),
            "end what uses it, or use a larger machine",
        ),
        Check("cores", facts.cores >= CORES, str(facts.cores), str(CORES), "use a larger machine"),
        Check(
            "clock",
            steady,
            f"{clock.source}, resolution {clock.resolution_ns} ns, read in {clock.read_ns} ns",
            f"resolution {CLOCK_RESOLUTION_NS} ns, read in {CLOCK_READ_NS} ns",
            "boot with clocksource=tsc (or the hypervisor's clock: kvm-clock, hyperv)",
        ),
        Check(
            "open files",
            facts.open_files >= OPEN_FILES,
            str(facts.open_files),
            f"a hard limit of {OPEN_FILES}",
            f"ulimit -Hn {OPEN_FILES}, or nofile in /etc/security/limits.conf",
        ),
        Check(
            "disk",
            facts.disk_bytes >= DISK_BYTES,
            f"{gib(facts.disk_bytes)} free",
            gib(DISK_BYTES),
            "remove old runs under results/, or: docker image prune",
        ),
    ]


def remains_check(facts: Facts) -> Check:
    """Whether a dead lab left something; one that stands is fine."""
    if isinstance(facts.remains, Unavailable):
        why = f"cannot tell: {facts.remains.why}"
        return Check("leftovers", False, why, "to see what stands", "mend the checks above first")
    standing, leftovers = facts.remains.standing, facts.remains.leftovers
    value = "none"
    if leftovers:
        value = ", ".join(leftovers[:3])
        value += f" and {len(leftovers) - 3} more" if len(leftovers) > 3 else ""
    elif standing:
        value = f"none; {standing} is standing"
    return Check("leftovers", not leftovers, value, "nothing of a dead lab", "lab down")


def judge(facts: Facts) -> list[Check]:
    """All checks, in the order in which a person would mend them."""
    return [
        *kernel_checks(facts),
        *service_checks(facts),
        *resource_checks(facts),
        remains_check(facts),
    ]
