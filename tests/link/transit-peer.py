#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""The other side of a Transit connection, by Debian's magic-wormhole.

transit-peer.py sender|receiver KEY-HEX RELAY-HINT|- direct|relay

Prints its transit object as one line of JSON, reads ours from standard input, connects, says "hello
from python" in one record, answers one record with its bytes reversed, and waits until the connection
ends."""

import json
import sys

from twisted.internet import defer, task
from wormhole.transit import TransitReceiver, TransitSender


@defer.inlineCallbacks
def main(reactor, role, key, relay, how):
    cls = TransitSender if role == "sender" else TransitReceiver
    transit = cls(None if relay == "-" else relay, no_listen=how == "relay", reactor=reactor)
    transit.set_transit_key(bytes.fromhex(key))
    hints = yield transit.get_connection_hints()
    ours = {"abilities-v1": transit.get_connection_abilities(), "hints-v1": hints}
    print(json.dumps(ours), flush=True)
    theirs = json.loads(sys.stdin.readline())
    transit.add_connection_hints(theirs["hints-v1"])
    pipe = yield transit.connect()
    lost = defer.Deferred()
    ended = pipe.connectionLost
    pipe.connectionLost = lambda reason=None: (ended(reason), lost.callback(None))
    pipe.send_record(b"hello from python")
    record = yield pipe.receive_record()
    pipe.send_record(record[::-1])
    yield lost


task.react(main, sys.argv[1:])
