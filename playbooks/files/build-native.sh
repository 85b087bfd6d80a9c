#!/bin/sh
# Builds the C part and installs the lab itself, editable, into .venv when its sources have changed.
# Says "built" or "unchanged".
set -eu
cd "$(dirname "$0")/../.."
now=$(sh playbooks/files/fingerprint.sh native)
if [ "$(cat .setup/native 2>/dev/null)" = "$now" ] && .venv/bin/python -c 'import lab._native' 2>/dev/null; then
    echo unchanged
    exit
fi
rm -f .setup/native
.venv/bin/pip install -qq --no-deps --no-build-isolation --editable . >&2
.venv/bin/python -c 'import lab._native'
echo "$now" >.setup/native
echo built
