/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-record.h"

#include <sodium.h>

#include "cw-bytes.h"

#define LENGTH_SIZE 4
#define NONCE_SIZE crypto_secretbox_NONCEBYTES
#define TAG_SIZE crypto_secretbox_MACBYTES

G_STATIC_ASSERT (LENGTH_SIZE + NONCE_SIZE + TAG_SIZE == CW_TRANSIT_RECORD_OVERHEAD);

void
cw_transit_records_init (CwTransitRecords *records, const CwSecret *key)
{
    records->key = *key;
    records->next = 0;
}

void
cw_transit_records_clear (CwTransitRecords *records)
{
    cw_secret_clear (&records->key);
}

static void
store_nonce (guint8 nonce[NONCE_SIZE], guint64 number)
{
    memset (nonce, 0, NONCE_SIZE - 8);
    cw_store_be64 (nonce + NONCE_SIZE - 8, number);
}

size_t
cw_transit_records_seal (CwTransitRecords *records,
                         const guint8 *plain,
                         size_t len,
                         guint8 *ret_record)
{
    guint8 *nonce = ret_record + LENGTH_SIZE;
    guint8 *tag = nonce + NONCE_SIZE;

    g_assert (len > 0 && len <= CW_TRANSIT_RECORD_MAX);
    cw_store_be32 (ret_record, (guint32)(NONCE_SIZE + TAG_SIZE + len));
    store_nonce (nonce, records->next++);
    /* The detached form: tag and ciphertext still lie side by side, but nothing has to be moved
     * when it works in place. */
    crypto_secretbox_detached (tag + TAG_SIZE, tag, plain, len, nonce, records->key.bytes);
    return len + CW_TRANSIT_RECORD_OVERHEAD;
}

CwTransitRecordResult
cw_transit_record_peek (const guint8 *data, size_t len, size_t *ret_size)
{
    CwReader r = cw_reader (data, len);
    guint32 rest;

    *ret_size = 0;
    if (!cw_reader_be32 (&r, &rest))
        return CW_TRANSIT_RECORD_SHORT;
    if (rest < NONCE_SIZE + TAG_SIZE || rest > NONCE_SIZE + TAG_SIZE + CW_TRANSIT_RECORD_MAX)
        return CW_TRANSIT_RECORD_BAD;
    *ret_size = LENGTH_SIZE + (size_t)rest;
    return r.remaining < rest ? CW_TRANSIT_RECORD_SHORT : CW_TRANSIT_RECORD_WHOLE;
}

gboolean
cw_transit_records_open (CwTransitRecords *records,
                         const guint8 *record,
                         size_t size,
                         guint8 *ret_plain)
{
    const guint8 *nonce = record + LENGTH_SIZE;
    const guint8 *tag = nonce + NONCE_SIZE;
    guint8 expected[NONCE_SIZE];

    g_assert (size >= CW_TRANSIT_RECORD_OVERHEAD);
    store_nonce (expected, records->next);
    if (memcmp (nonce, expected, NONCE_SIZE) != 0)
        return FALSE;
    if (crypto_secretbox_open_detached (ret_plain, tag + TAG_SIZE, tag,
                                        size - CW_TRANSIT_RECORD_OVERHEAD, expected,
                                        records->key.bytes)
        != 0)
        return FALSE;
    records->next++;
    return TRUE;
}
