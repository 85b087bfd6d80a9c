#!/bin/sh
# Starts Docker's engine unless it runs, with the configuration that it has. Says "started" or
# "running".
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
log=/var/log/dockerd.log

runs() { timeout 10 /usr/bin/docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# A daemon outlives its starter: it must not keep open (and locked) what that had open.
start_engine() {
    (exec python3 -c 'import os; os.closerange(3, 65536); os.execvp("setsid", ["setsid", "dockerd"])' \
        </dev/null >>"$log" 2>&1) &
    engine=$!
}

if runs; then
    echo running
    exit
fi
if [ -d /run/systemd/system ]; then
    engine=
    systemctl start docker
else
    # Where nothing mounted the control groups at boot, the engine cannot start.
    grep -q ' /sys/fs/cgroup' /proc/self/mounts || mount -t cgroup2 cgroup2 /sys/fs/cgroup
    start_engine
fi
tries=0
until runs; do
    tries=$((tries + 1))
    if [ "$tries" -ge 150 ]; then
        echo "error: Docker's engine did not start" >&2
        echo "remedy: see $log, or: journalctl -u docker" >&2
        exit 1
    fi
    sleep 0.2
    # An engine killed a moment ago may still be seen, and then the new one gives up: try again.
    [ -z "$engine" ] || kill -0 "$engine" 2>/dev/null || start_engine
done
echo started
