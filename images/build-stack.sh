#!/bin/sh
# Makes the image that the nodes of a stack run in: lab-<stack>:<hash>.
#   build-stack.sh STACK            make it when it is missing; says "built ..." or "present ..."
#   build-stack.sh STACK --tag      print its name
#   build-stack.sh STACK --check    succeed when it is there
#   build-stack.sh --list           print the stacks that have an image
#   build-stack.sh --all [--check]  the same for each of them
# <hash> covers all that it is made from, the stack's code included, so that a run's nodes have one
# edition of the code from its start to its end. After the first time it needs no network and
# takes seconds. `lab down` never removes it.
set -eu
cd "$(dirname "$0")/.."
docker=/usr/bin/docker

if [ "${1:-}" = --all ]; then
    for stack in $(sh images/build-stack.sh --list); do
        sh images/build-stack.sh "$stack" ${2:+"$2"}
    done
    exit
fi
if [ "${1:-}" = --list ]; then
    for folder in images/*/; do
        name=$(basename "$folder")
        case $name in base | stack) ;; *) echo "$name" ;; esac
    done
    exit
fi
stack=${1:?which stack?}
[ -d "images/$stack" ] || {
    echo "error: no image is made for a stack $stack" >&2
    echo "remedy: name one of: $(sh images/build-stack.sh --list | xargs)" >&2
    exit 1
}

# What a node runs: the shell, what all stacks share, its own stack, and a client of it.
code() {
    echo lab/__init__.py
    echo lab/errors.py
    find lab/shell lab/stacks -maxdepth 1 -name '*.py'
    find lab/stacks/client "lab/stacks/$stack" -name '*.py'
}
msgspec() { sed -n '/^msgspec==/,/^[a-z]*==/{/^msgspec==/p;/^    /p}' requirements.lock; }
fingerprint() {
    {
        echo "$base"
        msgspec
        { code; find images/stack "images/$stack" images/build-stack.sh -type f; } |
            LC_ALL=C sort | xargs sha256sum
    } | sha256sum | cut -c1-12
}
has() { timeout 10 "$docker" image inspect "$1" >/dev/null 2>&1; }

base=$(sh images/build-base.sh --tag)
image=lab-$stack:$(fingerprint)
case ${2:-} in
--tag) echo "$image" && exit ;;
--check) has "$image"; exit ;;
esac
if has "$image"; then
    echo "present $image"
    exit
fi

# msgspec is compiled: the one for the image's interpreter, which need not be this machine's.
version=$("$docker" run --rm --network none "$base" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
packages=.setup/packages-$version-$(msgspec | sha256sum | cut -c1-12)
if [ ! -d "$packages" ]; then
    half=$packages.$$
    trap 'rm -rf "$half" "$half.txt"' EXIT
    msgspec >"$half.txt"
    machine=$(uname -m)
    .venv/bin/pip install -qq --target "$half" --no-deps --no-compile --only-binary :all: --require-hashes \
        --python-version "$version" --implementation cp --platform "manylinux_2_28_$machine" \
        --platform "manylinux2014_$machine" -r "$half.txt" >&2
    mv "$half" "$packages"
    rm "$half.txt"
fi

work=.setup/image-$stack.$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/code" "$work/packages" "$work/commands"
code | xargs cp --parents -t "$work/code"
cp -r "$packages"/msgspec "$work/packages"
cp "images/$stack"/* "$work/commands"
cp images/stack/Dockerfile "$work"
"$docker" build -q --network none --build-arg BASE="$base" --build-arg STACK="$stack" \
    -t "$image" "$work" >/dev/null

# Earlier editions of ours that nothing uses; one that a container still uses stays.
for tag in $("$docker" images "lab-$stack" --format '{{.Repository}}:{{.Tag}}'); do
    [ "$tag" = "$image" ] || "$docker" rmi "$tag" >/dev/null 2>&1 || true
done
size=$("$docker" image inspect "$image" --format '{{.Size}}')
echo "built $image on $base, $((size / 1000000)) MB"
