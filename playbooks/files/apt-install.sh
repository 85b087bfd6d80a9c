#!/bin/sh
# Installs Debian packages for what is missing:  apt-install.sh NEED=PACKAGE...
# NEED is a command, or a file's absolute path. A package list that is a day old, or too old to
# install from, is renewed first. Says "installed ..." or nothing.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
log=$(dirname "$0")/../../.setup/apt.log

missing=
for pair in "$@"; do
    need=${pair%=*}
    case $need in
    /*) [ -e "$need" ] || missing="$missing ${pair##*=}" ;;
    *) command -v "$need" >/dev/null || missing="$missing ${pair##*=}" ;;
    esac
done
[ -n "$missing" ] || exit 0

# One dead source is no reason to stop: whether the packages can be had shows at once.
renew() { apt-get -qq -o DPkg::Lock::Timeout=120 update >>"$log" 2>&1 || true; }
install() {
    # shellcheck disable=SC2086  # a list of names
    apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 install $missing \
        </dev/null >>"$log" 2>&1
}

# The lists bear the mirror's dates; the folder that they pass through bears that of the update.
lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' 2>/dev/null | head -n 1)
recent=$(find /var/lib/apt/lists/partial -maxdepth 0 -mtime -1 2>/dev/null || true)
{ [ -n "$lists" ] && [ -n "$recent" ]; } || renew
if ! install; then
    renew
    install || {
        tail -n 15 "$log" >&2
        echo "error: apt-get could not install:$missing" >&2
        echo "remedy: see its message above; can this machine reach its Debian mirror?" >&2
        exit 1
    }
fi
echo "installed:$missing"
