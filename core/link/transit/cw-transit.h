/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Transit v1 (magic-wormhole-protocols transit.md): one encrypted TCP connection between the two
 * people of a code, direct or through a relay. Everything here belongs to the thread of the main
 * context it was made in, except the streams: those may be read by one thread and written by
 * another, blocking, as soon as they are handed over. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "cw-route.h"
#include "cw-secret.h"

G_BEGIN_DECLS

typedef enum {
    CW_TRANSIT_ERROR_NO_ROUTE,  /* every attempt failed, or the time was up */
    CW_TRANSIT_ERROR_BAD_RELAY, /* the relay setting is not "tcp:HOST:PORT" */
    CW_TRANSIT_ERROR_RECORD,    /* a record was forged, out of order or too large: stream is dead */
    CW_TRANSIT_ERROR_HINTS,     /* the peer's transit message is not one */
} CwTransitError;
#define CW_TRANSIT_ERROR cw_transit_error_quark ()
GQuark cw_transit_error_quark (void);

typedef enum {
    CW_TRANSIT_SENDER, /* sends the files; picks the connection */
    CW_TRANSIT_RECEIVER,
} CwTransitRole;

typedef struct {
    const char *relay;  /* "tcp:HOST:PORT" (IPv6 in brackets), NULL: none */
    gboolean no_direct; /* neither listen nor dial: relay only */
    size_t max_record;  /* plaintext bytes a record we send, 0: 16 KiB, which every client reads */
} CwTransitOptions;

#define CW_TYPE_TRANSIT (cw_transit_get_type ())
G_DECLARE_FINAL_TYPE (CwTransit, cw_transit, CW, TRANSIT, GObject)

/* Binds the listening sockets (IPv4 and IPv6, any port) and looks up this machine's addresses.
 * NULL and CW_TRANSIT_ERROR_BAD_RELAY when the relay setting is wrong; not being able to listen is
 * no error. */
CwTransit *cw_transit_new (CwTransitRole role, const CwTransitOptions *options, GError **error);

/* Our "transit" object for the peer: abilities-v1 and hints-v1. Borrowed. */
JsonNode *cw_transit_get_hints (CwTransit *self);

/* Larger records, for a peer that is known to read them (before the stream is handed over). */
void cw_transit_set_max_record (CwTransit *self, size_t max_record);

/* Dials the peer's hints, accepts on our sockets, tries the relays a little later; the first
 * connection on which both sides proved that they know @key wins. May be called before the peer's
 * hints are known (@peer_hints NULL): listening and our own relay begin at once, and
 * cw_transit_add_peer_hints() brings the rest. Time limit 60 s from the call, or 30 s from the
 * peer's hints if that is later. Once per object. */
void cw_transit_connect_async (CwTransit *self,
                               const CwSecret *key,
                               JsonNode *peer_hints,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
/* FALSE and CW_TRANSIT_ERROR_HINTS when @peer_hints are not a transit object. */
gboolean cw_transit_add_peer_hints (CwTransit *self, JsonNode *peer_hints, GError **error);
/* The stream's reads never join two records: one read gives bytes of one record only. Closing the
 * stream closes the socket. Free @ret_route with cw_route_free(). */
GIOStream *cw_transit_connect_finish (CwTransit *self,
                                      GAsyncResult *result,
                                      CwRoute **ret_route,
                                      GError **error);

/* Blocking reads of a stream from here fail with G_IO_ERROR_TIMED_OUT after so long without a
 * byte; 0: never. The default is 60 s. */
void cw_transit_stream_set_timeout (GIOStream *stream, unsigned seconds);

G_END_DECLS
