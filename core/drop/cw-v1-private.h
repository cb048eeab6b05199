/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What the files of v1 share:
 *
 * cw-v1-message.c  JSON of the mailbox phases and of the acknowledgement; pure
 * cw-v1-source.c   the bytes of an outgoing file or folder, in order
 * cw-v1-send.c     those bytes onto the stream, then the acknowledgement
 * cw-v1-receive.c  bytes from the stream to the disk, then the acknowledgement
 * cw-zip-write.c, cw-zip-read.c  the folder's form on the wire */

#include "cw-v1.h"

G_BEGIN_DECLS

/* Of a block that goes between the disk's thread and the stream's; CW_V1_N_BLOCKS of them bound
 * what is in memory, enough for one side to pause while the other catches up. */
#define CW_V1_BLOCK_SIZE (256 * 1024)
#define CW_V1_N_BLOCKS 8

/* --- cw-v1-message.c --- */

GBytes *cw_v1_make_file_offer (const char *name, guint64 size);
GBytes *cw_v1_make_directory_offer (const char *name,
                                    guint64 zip_size,
                                    guint64 n_bytes,
                                    guint64 n_files);
GBytes *cw_v1_make_ack (const guint8 sha256[32]);
/* "It did not work here": no client takes this for success, and some show it to their person. */
GBytes *cw_v1_make_nack (const char *reason);
/* TRUE: the peer has the bytes whose hash is @sha256. CW_DROP_ERROR_PROTOCOL, _PEER_FAILED with
 * its text, or _VERIFY. */
gboolean cw_v1_check_ack (const char *data, size_t len, const guint8 sha256[32], GError **error);

/* --- cw-v1-source.c --- */

guint64 cw_v1_source_get_wire_size (CwV1Source *source);
guint64 cw_v1_source_get_n_files (CwV1Source *source);
/* TRUE: a folder, which most receivers unpack before they acknowledge. */
gboolean cw_v1_source_is_zip (CwV1Source *source);
/* Counts in @transfer what cannot be sent. */
void cw_v1_source_report_left_out (CwV1Source *source, CwTransfer *transfer);
/* The next bytes, from the start to the wire size, once: fills @data whenever that many remain.
 * *@ret_len 0: the end. Files are begun and ended in @transfer. CW_DROP_ERROR_SOURCE_*. */
gboolean cw_v1_source_read (CwV1Source *source,
                            guint8 *data,
                            size_t len,
                            CwTransfer *transfer,
                            size_t *ret_len,
                            GError **error);

/* --- cw-v1-send.c --- */

/* An error of the stream in our words: cancelled stays what it is; the rest is
 * CW_DROP_ERROR_PEER_LOST, or _PROTOCOL when it is not one of I/O (a forged record). Takes @error;
 * always FALSE. */
gboolean cw_v1_fail_stream (GError **ret_error, GError *error, const char *doing);

/* Seconds without a word, beyond the stream's own limit, that a receiver may need to put what it
 * got in its place before it acknowledges. */
guint64 cw_v1_ack_patience_s (gboolean is_zip, guint64 n_bytes, guint64 n_files);

G_END_DECLS
