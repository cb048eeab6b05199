# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Fails on an #include that points up: a layer of core/ may use only those below it, app/ only the
façade, and third-party headers only in their folder. TAP."""

import os
import re
import sys

# From the bottom up (README.md, "Where things are").
LAYERS = ["base", "net", "noise", "link", "meet", "tailnet", "share", "drop", "agent"]
# What app/ may include of core/: the façade of the agent and the values it speaks in. It goes
# through D-Bus instead when the agent is a process of its own.
APP_MAY = {"base", "agent", "link", "meet", "drop"}
# Third-party header prefix: the folders (or files) that may include it.
ONLY_IN = {
    "libsoup/": ["core/meet/mailbox/", "core/drop/cw-drop-wire"],
    "openssl/": ["core/base/cw-hash.c"],
    "zlib.h": ["core/drop/cw-zip"],
    "xxhash.h": ["core/drop/"],
    "qrencode.h": ["app/cli/"],
    "readline/": ["app/cli/"],
    "sqlite3.h": ["core/agent/store/"],
    "nice/": ["core/link/ice/"],
    "ngtcp2/": ["core/link/quic/"],
    "lwip/": ["core/tailnet/netstack/"],
    "nghttp2/": ["core/tailnet/control/"],
    "gtk/": ["app/gtk/"],
    "adwaita.h": ["app/gtk/"],
}


def sources(top, folder):
    for base, dirs, files in os.walk(os.path.join(top, folder)):
        dirs.sort()
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(base, name), top)


def layer_of(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "core" else None


def check(path, line, owners):
    """A sentence about what is wrong with this include line, or None."""
    match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
    if match is None:
        return None
    name = match.group(2)
    if match.group(1) == "<":
        for prefix, places in ONLY_IN.items():
            if name.startswith(prefix) and not any(path.startswith(p) for p in places):
                return f"<{name}> belongs into {' or '.join(places)} only"
        return None
    owner = owners.get(os.path.basename(name))
    if owner is None:
        return f'"{name}" is nobody\'s header'
    own, other = layer_of(path), layer_of(owner)
    if own is not None and other is None:
        return f"core/ must not include {owner}"
    if own is not None and LAYERS.index(other) > LAYERS.index(own):
        return f"{own}/ is below {other}/ and must not include {owner}"
    if own is None and other is not None and other not in APP_MAY:
        return f"app/ must not include {owner}"
    if os.path.basename(name).endswith("-private.h") and \
            os.path.dirname(owner) != os.path.dirname(path):
        return f"{owner} is private to its folder"
    return None


def violations(top):
    paths = list(sources(top, "core")) + list(sources(top, "app"))
    owners = {os.path.basename(p): p for p in paths if p.endswith(".h")}
    for path in paths:
        with open(os.path.join(top, path), encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                problem = check(path, line, owners)
                if problem is not None:
                    yield f"{path}:{number}: {problem}"


def self_test():
    owners = {"cw-session.h": "core/agent/cw-session.h", "cw-bytes.h": "core/base/cw-bytes.h",
              "cw-x-private.h": "core/link/quic/cw-x-private.h"}
    bad = [("core/base/cw-bytes.c", '#include "cw-session.h"'),
           ("core/link/cw-route.c", "#include <openssl/evp.h>"),
           ("core/link/ice/cw-ice.c", '#include "cw-x-private.h"'),
           ("core/base/cw-bytes.c", '#  include "cw-session.h"')]
    good = [("core/agent/cw-session.c", '#include "cw-bytes.h"'),
            ("core/base/cw-hash.c", "#include <openssl/evp.h>"),
            ("app/cli/x.c", '#include "cw-session.h"')]
    return all(check(p, line, owners) for p, line in bad) and \
        not any(check(p, line, owners) for p, line in good)


def main():
    top = os.environ.get("CW_SRC", ".")
    found = list(violations(top))
    print("1..2")
    print(("ok" if self_test() else "not ok") + " 1 an include against the arrows is found")
    for line in found:
        print("# " + line)
    print(("not ok" if found else "ok") + " 2 no include points up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
