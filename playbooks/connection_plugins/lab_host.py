"""Ansible connection into a host of the standing lab, by ``lab exec``."""

import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: lab_host
    short_description: run tasks inside a host of the standing lab
    description:
        - Runs commands in a Mininet host or container of the lab with C(lab exec).
    options:
      lab_host:
        description: The host's name in the topology, such as n5.
        type: string
        vars:
          - name: lab_host
"""

LAB = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "lab"


class Connection(ConnectionBase):  # type: ignore[misc]
    """Every command becomes ``lab exec HOST -- /bin/sh -c COMMAND``."""

    transport = "lab_host"
    has_pipelining = True

    def _connect(self) -> "Connection":
        self._connected = True
        return self

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run ``cmd`` in the host; returns exit code, stdout and stderr."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        host = self.get_option("lab_host")
        done = subprocess.run(
            [str(LAB), "exec", str(host), "--", "/bin/sh", "-c", cmd],
            input=in_data if in_data is not None else b"",
            capture_output=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the host through a shell, which works for containers too."""
        super().put_file(in_path, out_path)
        content = Path(in_path).read_bytes()
        code, _, errors = self.exec_command(f"cat > {shlex.quote(out_path)}", content)
        if code != 0:
            raise AnsibleConnectionFailure(f"cannot write {out_path}: {errors.decode()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the host."""
        super().fetch_file(in_path, out_path)
        code, content, errors = self.exec_command(f"cat {shlex.quote(in_path)}")
        if code != 0:
            raise AnsibleConnectionFailure(f"cannot read {in_path}: {errors.decode()}")
        Path(out_path).write_bytes(content)

    def close(self) -> None:
        """Nothing is kept open between commands."""
        self._connected = False
