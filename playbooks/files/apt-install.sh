#!/bin/sh
# Installs Debian packages for what is missing:  apt-install.sh NEED=PACKAGE...
# NEED is a command, or a file's absolute path. A package list that is a day old, or too old to
# install from, is renewed first. Says "installed ..." or nothing.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=
for pair in "$@"; do
    need=${pair%=*}
    case $need in
    /*) [ -e "$need" ] || missing="$missing ${pair##*=}" ;;
    *) command -v "$need" >/dev/null || missing="$missing ${pair##*=}" ;;
    esac
done
[ -n "$missing" ] || exit 0

renew() { apt-get -qq -o DPkg::Lock::Timeout=120 update || true; } # one dead source is no reason to stop
install() {
    # shellcheck disable=SC2086  # a list of names
    apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 install $missing </dev/null >&2
}

fresh=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 2>/dev/null | head -n 1)
[ -n "$fresh" ] || renew
if ! install; then
    renew
    install || {
        echo "error: apt-get could not install:$missing" >&2
        echo "remedy: see its message above; can this machine reach its Debian mirror?" >&2
        exit 1
    }
fi
echo "installed:$missing"
