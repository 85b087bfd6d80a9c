#!/bin/sh
# Prints a hash over the files that a part of the set-up depends on:
#   fingerprint.sh python|native|all
set -eu
cd "$(dirname "$0")/../.."

python() { echo requirements.lock; }
native() { find setup.py pyproject.toml lab/native -type f \( -name "*.[ch]" -o -name "*.py" -o -name "*.toml" \); }
all() {
    python
    native
    find playbooks/files playbooks/setup.yml playbooks/bootstrap.sh images -type f
}

{
    # The environment was filled, and the extension built, for one interpreter.
    readlink -f .venv/bin/python || true
    "$1" | LC_ALL=C sort | xargs sha256sum
} | sha256sum | cut -c1-16
