#!/bin/sh
# Starts ovsdb-server and ovs-vswitchd unless they run:  start-ovs.sh [--check]
# Says "started" or "running"; --check starts nothing and fails when they do not run.
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
scripts=/usr/share/openvswitch/scripts

# vswitchd answers on its own socket only, the database only through vsctl: ask both.
runs() {
    ovs-vsctl --timeout=3 --no-wait get Open_vSwitch . _uuid >/dev/null 2>&1 &&
        ovs-appctl --timeout=3 -t ovs-vswitchd version >/dev/null 2>&1
}

# A daemon outlives its starter: it must not keep open (and locked) what that had open.
without_inherited_files() {
    python3 -c 'import os, sys; os.closerange(3, 65536); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

if runs; then
    echo running
    exit
fi
[ "${1:-}" != --check ] || exit 1

if [ -d /run/systemd/system ]; then
    systemctl start openvswitch-switch
elif ! without_inherited_files "$scripts/ovs-ctl" start --system-id=random >&2; then
    # ovs-ctl insists on the kernel's datapath module; the lab's user datapath needs none.
    without_inherited_files "$scripts/ovs-ctl" start --system-id=random --no-ovs-vswitchd >&2
    without_inherited_files ovs-vswitchd unix:/run/openvswitch/db.sock -vconsole:emer -vsyslog:err -vfile:info \
        --log-file --pidfile --detach --monitor >&2
fi
tries=0
until runs; do
    tries=$((tries + 1))
    if [ "$tries" -ge 50 ]; then
        echo "error: Open vSwitch did not start" >&2
        echo "remedy: see /var/log/openvswitch/ovs-vswitchd.log and ovsdb-server.log" >&2
        exit 1
    fi
    sleep 0.2
done
echo started
