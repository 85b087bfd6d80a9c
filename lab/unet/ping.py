"""Round trips over a channel, for work by hand in a standing lab.

On one host a server that sends every message back, on the other the ping; both name their
own endpoint and the channel (the number of the virtual circuit, see `lab vc list`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # started as a file: make relative imports work from this directory
    __package__ = "_unet"
    _home = type(sys)(__package__)
    _home.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[__package__] = _home

from .endpoint import Endpoint
from .errors import UNetError

EXAMPLE = """\
example, with `lab vc open` having made channel 1 between endpoints a and b:
  lab exec n2 -- python3 ping.py --endpoint b --channel 1 --serve
  lab exec n1 -- python3 ping.py --endpoint a --channel 1 --count 5 --bytes 2048

Times are virtual: real time divided by the lab's dilation. The round trip is what this
process sees, including the time that both processes take to wake up; the network part is
the way of the answer, from adapter to adapter.
"""
ANSWER_TIMEOUT_S = 5.0


def serve(endpoint: Endpoint, channel: int) -> None:
    """Send every message of the channel back, until interrupted."""
    print(f"echoing channel {channel} of {endpoint.name}, end with Ctrl-C", flush=True)
    while True:
        message = endpoint.receive()
        if message is None:
            continue
        with message:
            if message.channel == channel:
                endpoint.send_wait(channel, message.view)


def ping(endpoint: Endpoint, channel: int, count: int, n_bytes: int) -> int:
    """Send ``count`` messages one by one, print each round trip; return how many came back."""
    trips_us: list[float] = []
    for number in range(count):
        data = number.to_bytes(4, "little") + bytes(n_bytes - 4)
        began_ns = endpoint.virtual_now_ns()
        endpoint.send_wait(channel, data, ANSWER_TIMEOUT_S)
        network_ns = _await_answer(endpoint, channel, data)
        if network_ns is None:
            print(f"{number}: no answer within {ANSWER_TIMEOUT_S:g} s", flush=True)
            continue
        trips_us.append((endpoint.virtual_now_ns() - began_ns) / 1e3)
        print(
            f"{number}: {n_bytes} bytes, round trip {trips_us[-1]:.1f} us, "
            f"network part of the answer {network_ns / 1e3:.1f} us",
            flush=True,
        )
    if trips_us:
        mean_us = sum(trips_us) / len(trips_us)
        print(
            f"{len(trips_us)} of {count} answered, round trip in virtual us: "
            f"min {min(trips_us):.1f}, mean {mean_us:.1f}, max {max(trips_us):.1f}"
        )
    return len(trips_us)


def _await_answer(endpoint: Endpoint, channel: int, data: bytes) -> int | None:
    """Return how long the expected answer was in the network, passing over late others."""
    while (message := endpoint.receive(ANSWER_TIMEOUT_S)) is not None:
        with message:
            if message.channel == channel and message.view == data:
                return message.latency_ns
    return None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0 when every message came back."""
    parser = argparse.ArgumentParser(
        prog="ping.py",
        description="Measure round trips over a channel.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--endpoint", required=True, help="endpoint of this host")
    parser.add_argument("--channel", required=True, type=int, help="virtual circuit number")
    parser.add_argument("--count", type=int, default=10, help="messages to send (10)")
    parser.add_argument("--bytes", type=int, default=4, help="length of each, 4 or more (4)")
    parser.add_argument("--serve", action="store_true", help="be the side that answers")
    options = parser.parse_args(arguments)
    if options.bytes < 4 or options.count < 1:
        parser.error("--bytes must be 4 or more, --count 1 or more")
    try:
        with Endpoint.attach(options.endpoint) as endpoint:
            if options.serve:
                serve(endpoint, options.channel)
            answered = ping(endpoint, options.channel, options.count, options.bytes)
    except UNetError as error:
        print(f"ping.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0 if answered == options.count else 1


if __name__ == "__main__":
    sys.exit(main())
