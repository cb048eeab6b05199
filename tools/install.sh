#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
#
# Sourced by tools/run and tools/test: need GROUP… installs what is missing of tools/packages.txt.

# The Debian packages of the given groups that are not installed.
missing_packages() {
    local groups=" $* " group name _rest wanted=()
    while read -r group name _rest; do
        case "$group" in ''|'#'*) continue ;; esac
        [[ $groups == *" $group "* ]] && wanted+=("$name")
    done < tools/packages.txt
    # Prints "ok installed NAME" for each it has; the rest is what is missing.
    comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' "${wanted[@]}" 2>/dev/null |
            sed -n 's/^installed \([^:]*\).*/\1/p' | sort -u)
}

# Names of the given groups in column $1 (3: Fedora, 4: Arch), for the hint.
package_names() {
    local column=$1 groups=" ${*:2} "
    awk -v c="$column" -v g="$groups" '$1 !~ /^#/ && NF >= 4 && index(g, " " $1 " ") && $c != "-" \
        { printf "%s ", $c }' tools/packages.txt
}

need() {
    local missing sudo=""
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        command -v meson >/dev/null && command -v pkg-config >/dev/null &&
            pkg-config --exists libsoup-3.0 json-glib-1.0 libsodium libcrypto libxxhash \
                zlib libqrencode && return 0
        echo "Causeway needs some packages that are missing. Please install them and start again:"
        if command -v dnf >/dev/null; then
            echo "  sudo dnf install $(package_names 3 "$@")"
        elif command -v pacman >/dev/null; then
            echo "  sudo pacman -S --needed $(package_names 4 "$@")"
        else
            echo "  (by their Debian names) $(package_names 2 "$@")"
        fi
        exit 1
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "Causeway needs these packages; please install them as root and start again:"
            echo "  apt-get install" $missing
            exit 1
        }
        sudo=sudo
        echo "Installing what is missing (this needs your password):" $missing
    else
        echo "Installing what is missing:" $missing
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive sh -c '
        log=$(mktemp); apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
            >"$log" 2>&1 ||
        { apt-get update >>"$log" 2>&1 && apt-get install -y --no-install-recommends \
            -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; } ||
        { tail -20 "$log"; echo "apt-get could not install the packages above."; exit 1; }
        rm -f "$log"' install $missing || exit 1
}
