#!/bin/sh
# Starts Docker's engine unless it runs, with the configuration that it has. Says "started" or
# "running".
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
log=/var/log/dockerd.log

runs() { timeout 10 /usr/bin/docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# A daemon outlives its starter: it must not keep open (and locked) what that had open.
without_inherited_files() {
    python3 -c 'import os, sys; os.closerange(3, 65536); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

if runs; then
    echo running
    exit
fi
if [ -d /run/systemd/system ]; then
    systemctl start docker
else
    # Where nothing mounted the control groups at boot, the engine cannot start.
    grep -q ' /sys/fs/cgroup' /proc/self/mounts || mount -t cgroup2 cgroup2 /sys/fs/cgroup
    without_inherited_files setsid dockerd </dev/null >>"$log" 2>&1 &
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
done
echo started
