#!/bin/sh
# Makes the root of the base image with debootstrap, where no image registry answers, and
# hands it to Docker:  make-root.sh TAG WORKDIR
# It uses this machine's own Debian mirror and apt's proxy. It caches nothing: WORKDIR is
# removed at the end, and also when it is stopped half-way.
set -eu
tag=$1
work=$2
docker=${LAB_DOCKER:-/usr/bin/docker}
packages=python3,iproute2

# shellcheck source=/dev/null
. /etc/os-release
suite=${VERSION_CODENAME:?the release of this machine has no code name}
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$suite" '$2 == suite && $3 == "main" && $1 ~ /^https?:/ { print $1; exit }')
if [ -z "$mirror" ]; then
    echo "error: the apt sources name no http mirror of $suite main" >&2
    echo "remedy: add one under /etc/apt/sources.list.d, run apt-get update, and try again" >&2
    exit 1
fi
proxy=$(apt-config shell p Acquire::http::Proxy | sed "s/^p='\(.*\)'$/\1/")
[ -z "$proxy" ] || export http_proxy="$proxy"

root=$work/root
mkdir -p "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

# In a mount namespace of its own, so that debootstrap's /proc disappears with it even when it
# is killed; unsafe-io because a root that is thrown away needs no fsync.
if ! DPKG_FORCE=unsafe-io unshare --mount \
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$work/log" 2>&1
then
    tail -n 15 "$work/log" >&2
    echo "error: debootstrap could not make a $suite root from $mirror" >&2
    echo "remedy: see the lines above; is the mirror reachable, and is there 1 GB of free disk?" >&2
    exit 1
fi

# What no node needs. Python's byte code stays: with dozens of containers starting at once on two
# cores, compiling the standard library in each of them costs more than its 6 MB.
cd "$root"
rm -rf usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/lintian \
    usr/lib/*/gconv var/cache/apt/* var/cache/debconf/*-old var/lib/apt/lists/* var/log/*
tar -c --numeric-owner . | "$docker" import --change 'LABEL lab.image=root' - "$tag" >/dev/null
