#!/bin/sh
# From a bare machine to one that runs labs (`make setup`): makes .venv with the locked packages,
# then hands over to Ansible (setup.yml), which comes from there. When everything is in place
# already it says so and changes nothing. PYTHON names the interpreter to build .venv from. With
# --simulator it makes only what simulations need, .venv and the compiled model: that needs no root.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
python=${PYTHON:-python3}
files=playbooks/files
simulator=$([ "${1:-}" != --simulator ] || echo yes)

fail() {
    echo "error: $1" >&2
    echo "remedy: $2" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] ||
    fail "a lab needs Linux: network namespaces, veths and Open vSwitch" "run it in a Debian 12 virtual machine"
[ -n "$simulator" ] || [ "$(id -u)" = 0 ] ||
    fail "set-up installs packages and starts daemons, so it must be root" "become root (su -, or sudo -s) and call make again"
[ -n "$simulator" ] || command -v apt-get >/dev/null ||
    fail "this Linux has no apt-get; set-up knows Debian and its relatives" "use Debian 12, or a container or virtual machine of it"

simulator_in_place() {
    [ "$(cat .setup/python 2>/dev/null)" = "$(sh $files/fingerprint.sh python)" ] &&
        [ "$(cat .setup/native 2>/dev/null)" = "$(sh $files/fingerprint.sh native)" ] &&
        [ -x .venv/bin/lab ] && .venv/bin/python -c 'import lab._native' 2>/dev/null
}

if [ -n "$simulator" ] && simulator_in_place; then
    echo "setup: everything that simulations need is in place"
    exit
fi
mkdir -p .setup 2>/dev/null && [ -w .setup ] && [ -w . ] ||
    fail "you may not write into this folder" "work in a copy of your own, or have its owner call make setup"
exec 9>.setup/lock
flock 9

in_place() {
    [ -x .venv/bin/python ] && [ -x .venv/bin/lab ] &&
        [ "$(cat .setup/all 2>/dev/null)" = "$(sh $files/fingerprint.sh all)" ] &&
        sh $files/start-ovs.sh --check >/dev/null && sh images/build-base.sh --check &&
        sh images/build-stack.sh --all --check
}

make_venv() {
    [ -n "$simulator" ] || "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        sh $files/apt-install.sh "$python=python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "$python is older than Python 3.11, or does not run" "name a newer one: make setup PYTHON=/path/to/python3.11"
    # Debian splits the venv module's half off into a package; other Pythons have it whole.
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        [ -z "$simulator" ] || fail "$python has no venv module" "as root: apt-get install python3-venv"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || sh $files/apt-install.sh /no-ensurepip=python3-venv
    echo "setup: making .venv with $("$python" --version)"
    rm -rf .venv .setup/python .setup/native
    "$python" -m venv .venv
}

fill_venv() {
    now=$(sh $files/fingerprint.sh python)
    [ "$(cat .setup/python 2>/dev/null)" != "$now" ] || return 0
    echo "setup: filling .venv with the locked packages (about a minute)"
    .venv/bin/python -m pip install -qq -r requirements.lock ||
        fail "pip could not install requirements.lock" "see its message above; can this machine reach a package index?"
    echo "$now" >.setup/python
}

if [ -z "$simulator" ] && in_place; then
    echo "setup: everything is in place"
    exit
fi
[ -n "$simulator" ] || rm -f .setup/all
.venv/bin/python -c '' 2>/dev/null || make_venv
fill_venv
if [ -n "$simulator" ]; then
    sh $files/build-native.sh >/dev/null ||
        fail "the model could not be compiled" "see above; as root: apt-get install gcc python3-dev"
    echo "setup: everything that simulations need is in place"
    exit
fi
# Ansible wants blocking standard streams, which not every caller has; the pipe gives it one.
{
    ANSIBLE_CONFIG=playbooks/ansible.cfg .venv/bin/ansible-playbook -i localhost, playbooks/setup.yml </dev/null 2>&1 &&
        sh $files/fingerprint.sh all >.setup/all
} 9>&- | tee .setup/setup.log
[ -s .setup/all ] || fail "set-up did not finish" "see .setup/setup.log, mend what it says, and call make setup again"
