#!/bin/sh
# From a bare machine to one that runs labs (`make setup`): makes .venv with the locked packages,
# then hands over to Ansible (setup.yml), which comes from there. When everything is in place
# already it says so and changes nothing. PYTHON names the interpreter to build .venv from.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
python=${PYTHON:-python3}
files=playbooks/files

fail() {
    echo "error: $1" >&2
    echo "remedy: $2" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] ||
    fail "a lab needs Linux: network namespaces, veths and Open vSwitch" "run it in a Debian 12 virtual machine"
[ "$(id -u)" = 0 ] ||
    fail "set-up installs packages and starts daemons, so it must be root" "become root (su -, or sudo -s) and call make again"
command -v apt-get >/dev/null ||
    fail "this Linux has no apt-get; set-up knows Debian and its relatives" "use Debian 12, or a container or virtual machine of it"

mkdir -p .setup
exec 9>.setup/lock
flock 9

in_place() {
    [ -x .venv/bin/python ] && [ -x .venv/bin/lab ] &&
        [ "$(cat .setup/all 2>/dev/null)" = "$(sh $files/fingerprint.sh all)" ] &&
        sh $files/start-ovs.sh --check >/dev/null && sh images/build-base.sh --check
}

make_venv() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        sh $files/apt-install.sh "$python=python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "$python is older than Python 3.11, or does not run" "name a newer one: make setup PYTHON=/path/to/python3.11"
    # Debian splits the venv module's half off into a package; other Pythons have it whole.
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

if in_place; then
    echo "setup: everything is in place"
    exit
fi
rm -f .setup/all
.venv/bin/python -c '' 2>/dev/null || make_venv
fill_venv
# Ansible wants blocking standard streams, which not every caller has; the pipe gives it one.
{
    ANSIBLE_CONFIG=playbooks/ansible.cfg .venv/bin/ansible-playbook -i localhost, playbooks/setup.yml </dev/null 2>&1 &&
        sh $files/fingerprint.sh all >.setup/all
} 9>&- | tee .setup/setup.log
[ -s .setup/all ] || fail "set-up did not finish" "see .setup/setup.log, mend what it says, and call make setup again"
