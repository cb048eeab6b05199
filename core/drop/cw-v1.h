/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Wormhole file transfer v1 (magic-wormhole-protocols file-transfer-protocol.md): what every
 * deployed wormhole client speaks. Two parts: the JSON messages of the mailbox phases (pure), and
 * the bytes on the Transit stream (blocking, on a thread of the caller's, disk on another). */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "cw-inbox.h"
#include "cw-offer.h"
#include "cw-outgoing.h"
#include "cw-transfer.h"

G_BEGIN_DECLS

/* --- Messages --- */

typedef enum {
    CW_V1_TEXT,      /* message */
    CW_V1_FILE,      /* file, filesize */
    CW_V1_DIRECTORY, /* zip on the wire */
} CwV1Kind;

/* One phase as received: any grouping of keys. */
typedef struct {
    JsonNode *transit;      /* or NULL */
    CwOffer *offer;         /* or NULL */
    CwV1Kind offer_kind;
    guint64 offer_wire_size; /* bytes on the stream: filesize or zipsize */
    gboolean message_ack;   /* answer: message_ack ok */
    gboolean file_ack;      /* answer: file_ack ok */
    char *error;            /* or NULL; the peer's text */
} CwV1Message;

/* CW_DROP_ERROR_PROTOCOL when it is not a JSON object of sane members, _UNSUPPORTED for an offer of
 * an unknown kind, _BAD_NAME for one whose name has no last component. Unknown keys are ignored. */
CwV1Message *cw_v1_message_parse (const char *data, size_t len, GError **error);
void cw_v1_message_free (CwV1Message *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwV1Message, cw_v1_message_free)

GBytes *cw_v1_make_transit (JsonNode *transit);
GBytes *cw_v1_make_text_offer (const char *text);
GBytes *cw_v1_make_answer (CwV1Kind kind);
GBytes *cw_v1_make_error (const char *text);

/* --- Sending --- */

/* What goes over the stream for @outgoing: the file itself when it is one file; else one folder as
 * a zip (several items are put into a folder called @bundle_name; a pipe is copied to an unlinked
 * temporary file first). Blocking: computes sizes and, for a zip, where every byte will be; entries
 * are stored uncompressed so that the size is known without a temporary file. Empty folders are not
 * carried; symlinks to files of the same top-level folder become copies, others are left out.
 * @outgoing must outlive the source. */
typedef struct _CwV1Source CwV1Source;
CwV1Source *cw_v1_source_new (CwOutgoing *outgoing, const char *bundle_name,
                              GCancellable *cancellable, GError **error);
void cw_v1_source_free (CwV1Source *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwV1Source, cw_v1_source_free)
GBytes *cw_v1_source_make_offer (CwV1Source *source);

/* Sends the bytes, waits for the acknowledgement and checks its hash. @source can be sent once.
 * CW_DROP_ERROR_INCOMPLETE: the rest was (see the transfer's failures); _PEER_FAILED: the receiver
 * acknowledged something else than "ok", the message is its text; _VERIFY: it got other bytes. */
gboolean cw_v1_send (GIOStream *stream, CwV1Source *source, CwTransfer *transfer,
                     GCancellable *cancellable, GError **error);

/* --- Receiving --- */

/* @inbox opened without a tag; @output_fd: write the bytes there instead (then @inbox is NULL, it
 * must be a file, and *@ret_paths is empty). A directory's zip is unpacked and counted against what
 * was offered; damaged or hostile ones are CW_DROP_ERROR_BAD_ARCHIVE or _TOO_LARGE and leave
 * nothing. When this fails the stream must be closed: before the last byte that is all v1 has to
 * say. */
gboolean cw_v1_receive (GIOStream *stream, const CwV1Message *offer, CwInbox *inbox, int output_fd,
                        CwTransfer *transfer, GCancellable *cancellable, GPtrArray **ret_paths,
                        GError **error);

G_END_DECLS
