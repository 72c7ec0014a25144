#!/bin/bash
# Make this checkout ready to run: Debian packages that are missing, then .venv.
# Does nothing, quickly, when all is there. Ends with 3 when something cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
OLDEST_LLVM=19 # the first whose assembler knows every instruction of the table

fail() {
    echo "setup: $*" >&2
    exit 3
}

# atheris has wheels for these versions only.
usable_python() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
        >/dev/null 2>&1
}

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if usable_python "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

venv_works() {
    [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1
}

have_llvm() {
    local n
    for n in $(seq "$OLDEST_LLVM" $((OLDEST_LLVM + 10))); do
        if command -v "llvm-mc-$n" >/dev/null; then return 0; fi
    done
    return 1
}

# The packages of the lab guest's compiler, the emulator, and the tests' assemblers, archiver,
# database server and browser.
wanted() {
    echo qemu-system-arm g++ libvixl-dev pkgconf cpio postgresql chromium
    if [ "$(uname -m)" = aarch64 ]; then
        echo gcc libc6-dev binutils python3-dev
    else
        echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross binutils-aarch64-linux-gnu
    fi
}

missing_packages() {
    local installed package
    # dpkg-query fails when it does not know a name, and still tells about the others.
    # shellcheck disable=SC2046
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(wanted) 2>/dev/null || true)
    for package in $(wanted); do
        grep -qx "$package installed" <<<"$installed" || echo "$package"
    done
    have_llvm || echo "llvm-$OLDEST_LLVM"
    venv_works || find_python >/dev/null || echo python3 python3-venv
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

install_packages() {
    local missing command
    missing=$(missing_packages)
    missing=${missing//$'\n'/ }
    [ -n "$missing" ] || return 0
    command="apt-get install --no-install-recommends $missing"
    command -v apt-get >/dev/null ||
        fail "this is no Debian system; install what provides these packages: $missing"
    if [ "$(id -u)" != 0 ] && ! { [ -t 0 ] && command -v sudo >/dev/null; } &&
        ! sudo -n true 2>/dev/null; then
        fail "some packages are missing; as root, run: $command"
    fi
    echo "setup: installing $missing"
    # One unreachable source need not matter; the installation will tell.
    as_root apt-get update -qq || true
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $missing >/dev/null ||
        fail "the packages could not be installed; as root, run: $command"
}

make_venv() {
    local python key
    # An editable installation holds the path of the checkout.
    key=$(cat pyproject.toml - <<<"$PWD" | sha256sum | cut -d ' ' -f 1)
    if venv_works && [ "$(cat "$VENV/.ready" 2>/dev/null)" = "$key" ]; then return; fi
    if ! venv_works; then
        python=$(find_python) || fail "no Python from 3.11 to 3.13 with venv was found"
        echo "setup: creating $VENV with $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV" || fail "$python could not create $VENV"
    fi
    echo "setup: installing the Python packages"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]' ||
        fail "the Python packages could not be installed; see pip's message above"
    echo "$key" >"$VENV/.ready"
}

# Two makes at once take turns.
exec 9<.
flock 9
install_packages
make_venv
