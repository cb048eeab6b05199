/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Transit's records as a GIOStream (its contract for users is in cw-transit.h). One thread may read
 * while another writes and a third closes; within one direction it is one at a time.
 *
 * - The end of the connection between two records is the end of the stream; within a record it is
 *   G_IO_ERROR_CONNECTION_CLOSED, as is a reset.
 * - After a forged, misplaced or oversized record every read and write fails with
 *   CW_TRANSIT_ERROR_RECORD.
 * - A write that fails or is cancelled half-way leaves half a record on the wire, so later writes
 *   fail with G_IO_ERROR_CLOSED.
 * - Both halves are pollable. The timeout is for blocking reads only. As with TLS, a non-blocking
 *   write that would block must be repeated with the same bytes.
 * - Closing wakes a blocked read or write, which fails with G_IO_ERROR_CLOSED. Closing only the
 *   output tells the other side that nothing more will come. */

#include "cw-transit-keys.h"
#include "cw-transit.h"

G_BEGIN_DECLS

#define CW_TYPE_TRANSIT_STREAM (cw_transit_stream_get_type ())
G_DECLARE_FINAL_TYPE (CwTransitStream, cw_transit_stream, CW, TRANSIT_STREAM, GIOStream)

/* Takes over a connected TCP socket after the handshake; nobody else may use it any more.
 * @max_record: as in CwTransitOptions. @early: bytes that came in behind the handshake. */
GIOStream *cw_transit_stream_new (GSocket *socket,
                                  CwTransitRole role,
                                  const CwTransitKeys *keys,
                                  size_t max_record,
                                  const guint8 *early,
                                  size_t early_len);

/* Notice a dead peer within a minute or so, and send small records at once. Harmless on a socket
 * that is not TCP. */
void cw_transit_stream_prepare_socket (GSocket *socket);

G_END_DECLS
