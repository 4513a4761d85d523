"""What a big file costs the controller: its peak of memory for a push of 300 MB beside one of 1 MB, and the throughput.

Each push is a process of its own, against a simulated server in another, over real WS-Man on loopback. The peak is VmHWM:
`ru_maxrss` of a child starts at what its parent had.

    .venv/bin/python benchmarks/push.py [--mb MB] [--piece KB] [--latency MS]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
MB = 1024 * 1024
BOUND = 30  # MB that the big one's peak may be above the small one's
ON_HOST = r"C:\pushed.bin"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- the server's process, and a client's


def serve(latency: float) -> None:
    """A simulated server until stdin ends; first it says its port."""
    from opdeploy.lab.http import serve
    from opdeploy.lab.windows import servers
    from opdeploy.lab.windows.computer import Computer

    server = serve(Computer(servers.bare()))
    server.settings.latency = latency / 1000
    say(str(server.port))
    sys.stdin.read()


def push(port: int, source: Path, piece: int) -> None:
    from labs import PASSWORD

    from opdeploy.calls import file_push
    from opdeploy.inventory import Connection
    from opdeploy.lab.windows import servers
    from opdeploy.store import Store
    from opdeploy.windows import sending
    from opdeploy.windows.station import Records, Station
    from opdeploy.windows.targets import of_connection

    sending.PIECE = piece or sending.PIECE
    with source.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    target = of_connection(Connection("127.0.0.1", port=port, scheme="http", user=servers.ADMIN, password=PASSWORD))
    with tempfile.TemporaryDirectory() as folder:
        station = Station(target, Records(Store.open(Path(folder)), "db1"))
        began = time.perf_counter()
        assert station.write([file_push(ON_HOST, str(source), sha256, source.stat().st_size)], []) == []
        seconds = time.perf_counter() - began
        station.close()
    say(json.dumps({"seconds": seconds, "posts": station.cost.posts, "peak": peak()}))


def peak() -> float:
    """MB that this process has held at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


# ---------------------------------------------------------------- one beside the other


@contextmanager
def server(latency: float) -> Iterator[int]:
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.communicate()


def measured(folder: Path, megabytes: int, asked: argparse.Namespace) -> dict[str, float]:
    source = folder / f"{megabytes}.bin"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MB))
    with server(asked.latency) as port:
        command = [sys.executable, __file__, "--push", str(source), "--port", str(port), "--piece", str(asked.piece)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    rate = megabytes / found["seconds"]
    say(f"{megabytes} MB: peak {found['peak']:.1f} MB, {found['posts']:.0f} POSTs, {found['seconds']:.1f} s, {rate:.1f} MB/s")
    return found | {"rate": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=300, metavar="MB", help="size of the big file")
    parser.add_argument("--piece", type=int, default=0, metavar="KB", help="another size of a piece")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="added to each POST")
    for own in ("--serve", "--push", "--port"):
        parser.add_argument(own, nargs="?", const=True, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.latency)
    elif asked.push:
        push(int(asked.port), Path(asked.push), asked.piece * 1024)
    else:
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, big = (measured(Path(folder), megabytes, asked) for megabytes in (1, asked.mb))
    above = big["peak"] - small["peak"]
    say(f"peak of {asked.mb} MB above that of 1 MB: {above:.1f} MB")
    say(f"throughput of {asked.mb} MB to that of 1 MB: {big['rate'] / small['rate']:.1f} times")
    if above >= BOUND:
        raise SystemExit(f"the peak is {above:.1f} MB above, {BOUND} MB are allowed")


if __name__ == "__main__":
    main()
