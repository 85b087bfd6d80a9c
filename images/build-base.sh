#!/bin/sh
# Makes the image that every container of a lab starts from: lab-base:<hash> and lab-base:latest.
#   build-base.sh          make it when it is missing; says "built ..." or "present ..."
#   build-base.sh --tag    print its name
#   build-base.sh --check  succeed when it is there
# <hash> covers the files it is made from. `lab down` never removes it.
set -eu
cd "$(dirname "$0")/.."
# Another client may come first in the PATH; Debian's own fits Debian's engine.
docker=/usr/bin/docker
export LAB_DOCKER="$docker"
official=debian:bookworm-slim

fingerprint() { cat "$@" | sha256sum | cut -c1-12; }
has() { timeout 10 "$docker" image inspect "$1" >/dev/null 2>&1; }

image=lab-base:$(fingerprint images/base/* images/build-base.sh)
case ${1:-} in
--tag) echo "$image" && exit ;;
--check) has "$image" && has lab-base:latest; exit ;;
esac
if has "$image"; then
    "$docker" tag "$image" lab-base:latest
    echo "present $image"
    exit
fi

# A registry that does not answer says so at once, or after the engine's own 15 s.
if has "$official" || timeout 120 "$docker" pull -q "$official" >/dev/null 2>&1; then
    root=$official
    network=default
else
    root=lab-root:$(fingerprint images/base/make-root.sh)
    network=none
    has "$root" || sh images/base/make-root.sh "$root" "$PWD/.setup/root.$$"
fi
"$docker" build -q --network "$network" --build-arg ROOT="$root" \
    --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
    -t "$image" -t lab-base:latest images/base >/dev/null

# Earlier editions of ours that nothing uses; one that a container still uses stays.
for tag in $("$docker" images lab-base --format '{{.Repository}}:{{.Tag}}'); do
    [ "$tag" = "$image" ] || [ "$tag" = lab-base:latest ] || "$docker" rmi "$tag" >/dev/null 2>&1 || true
done
size=$("$docker" image inspect "$image" --format '{{.Size}}')
echo "built $image from $root, $((size / 1000000)) MB"
