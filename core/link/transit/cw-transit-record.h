/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Transit records (transit.md, "Records"); pure, no I/O.
 *
 *   0   4       length of all that follows, big-endian
 *   4   24      nonce: the number of the record in its direction, big-endian, from 0
 *   28  16 + n  crypto_secretbox: tag, then ciphertext
 *
 * One key a direction. A record arrives in its place or not at all: the nonce must be the very next
 * one. The length is not authenticated until the tag is checked, so it is capped. */

#include <glib.h>

#include "cw-secret.h"

G_BEGIN_DECLS

#define CW_TRANSIT_RECORD_OVERHEAD 44
/* Plaintext bytes we read at most; other clients send 16 KiB, we send 64. */
#define CW_TRANSIT_RECORD_MAX (4u << 20)

/* One direction of a connection. After 2^64 records it would end; it never gets there. */
typedef struct {
    CwSecret key;
    guint64 next;
} CwTransitRecords;

void cw_transit_records_init (CwTransitRecords *records, const CwSecret *key);
void cw_transit_records_clear (CwTransitRecords *records);

/* Writes the next record, @len + CW_TRANSIT_RECORD_OVERHEAD bytes, to @ret_record and returns its
 * size. @plain either lies at @ret_record + CW_TRANSIT_RECORD_OVERHEAD (sealed in place) or does
 * not overlap. @len is 1 to CW_TRANSIT_RECORD_MAX: an empty record makes some clients fail. */
size_t cw_transit_records_seal (CwTransitRecords *records,
                                const guint8 *plain,
                                size_t len,
                                guint8 *ret_record);

typedef enum {
    CW_TRANSIT_RECORD_WHOLE,
    CW_TRANSIT_RECORD_SHORT, /* more bytes are needed */
    CW_TRANSIT_RECORD_BAD,   /* its length cannot be right */
} CwTransitRecordResult;

/* Looks at the head of what has arrived. *@ret_size is the whole record's size, set for WHOLE and
 * for SHORT once the length field is there (else it is 0). */
CwTransitRecordResult cw_transit_record_peek (const guint8 *data, size_t len, size_t *ret_size);

/* Opens one whole record of @size bytes (from peek) into @ret_plain, @size -
 * CW_TRANSIT_RECORD_OVERHEAD bytes, which either is @record + CW_TRANSIT_RECORD_OVERHEAD (opened in
 * place) or does not overlap. FALSE, and nothing written, for a forged record or one out of order.
 */
gboolean cw_transit_records_open (CwTransitRecords *records,
                                  const guint8 *record,
                                  size_t size,
                                  guint8 *ret_plain);

G_END_DECLS
