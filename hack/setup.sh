#!/usr/bin/env bash
# Make .venv: a virtual environment with this project (editable) and its development tools.
#
# A stamp in .venv holds what it was made from, so that a second run ends at once.
# PYTHON names the interpreter to use; without it, the first one on PATH that is new enough.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OLDEST="3.11"
readonly VENV=".venv"
readonly STAMP="$VENV/.made-from"
readonly LOG="build/setup.log"

say() { printf '[setup] %s\n' "$*" >&2; }

fail() {
    printf '\n[setup] %s\n' "$@" >&2
    exit 1
}

# Everything that .venv depends on. Its scripts contain the path of the clone, so a moved clone needs a new one.
wanted_stamp() { cat pyproject.toml hack/setup.sh && pwd; }

# Run a command with its output in the log; print a line every ten seconds while it runs.
quietly() {
    local what=$1 began=$SECONDS last_said=$SECONDS status=0
    shift
    say "$what ..."
    "$@" >>"$LOG" 2>&1 &
    local job=$!
    # A background job of a script ignores Ctrl-C.
    trap 'kill "$job" 2>/dev/null || true; exit 130' INT TERM
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - last_said >= 10)); then
            last_said=$SECONDS
            say "$what: still running after $((SECONDS - began)) s"
        fi
    done
    wait "$job" || status=$?
    trap - INT TERM
    if ((status != 0)); then
        tail -n 20 "$LOG" | sed 's/^/    /' >&2
        fail "$what failed; the lines above are the last of $LOG."
    fi
}

on_debian_as_root() { ((EUID == 0)) && command -v apt-get >/dev/null; }

install_debian_packages() {
    export DEBIAN_FRONTEND=noninteractive
    quietly "reading the list of Debian packages" apt-get update
    quietly "installing Debian packages: $*" apt-get install --yes --no-install-recommends "$@"
}

# $PYTHON, or the first interpreter on PATH that is new enough. It has to be run to know: version managers
# put stand-ins on PATH that only print what to install.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < (${OLDEST/./, }))" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

can_make_venvs() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

choose_python() {
    local python
    if ! python=$(find_python); then
        [[ -z ${PYTHON:-} ]] || fail "PYTHON is $PYTHON, which is not Python $OLDEST or later."
        on_debian_as_root || fail \
            "No Python $OLDEST or later on PATH. Install one (Debian: apt install python3 python3-venv)," \
            "or name it: make setup PYTHON=/path/to/python3"
        install_debian_packages python3 python3-venv
        python=$(find_python) || fail \
            "This release's own Python is older than $OLDEST. Install a newer one and name it:" \
            "make setup PYTHON=/path/to/python3"
    fi
    if ! can_make_venvs "$python"; then
        local package
        package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        on_debian_as_root || fail "$python cannot make virtual environments. Install $package and try again."
        install_debian_packages "$package"
        can_make_venvs "$python" || fail "$python still cannot make virtual environments; name another: PYTHON=..."
    fi
    printf '%s\n' "$python"
}

# A changed pyproject.toml only installs what is new; a clone that has moved starts over.
make_venv() {
    local python
    if [[ -x $VENV/bin/pip && $(tail -n 1 "$STAMP" 2>/dev/null) == "$PWD" ]]; then
        say "updating $VENV"
        return
    fi
    python=$(choose_python)
    say "making $VENV with $("$python" --version), $python"
    rm -rf "$VENV"
    quietly "making the virtual environment" "$python" -m venv "$VENV"
    # --group needs pip 25.1; Python 3.11 comes with 23.
    quietly "updating pip" "$VENV/bin/python" -m pip install --upgrade "pip>=25.1"
}

install() {
    quietly "installing Nightcrawler and its development tools (a minute or two the first time)" \
        "$VENV/bin/python" -m pip install --editable . --group dev
    wanted_stamp >"$STAMP"
}

is_made() { [[ -x $VENV/bin/python ]] && wanted_stamp | cmp --silent - "$STAMP"; }

is_made && exit 0
mkdir -p build
if command -v flock >/dev/null; then
    # Two runs at once: the second waits, and finds it made.
    exec 9>build/setup.lock
    flock 9
    is_made && exit 0
fi
: >"$LOG"
make_venv
install
say "done in $SECONDS s"
