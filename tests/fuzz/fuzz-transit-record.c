/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Records as they come from the network, under the key of the seeds (32 bytes 0x11). */
#include <string.h>

#include "cw-transit-record.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    CwTransitRecords apart, in_place, out;
    CwSecret key;
    size_t at = 0, len;

    memset (key.bytes, 0x11, sizeof key.bytes);
    cw_transit_records_init (&apart, &key);
    cw_transit_records_init (&in_place, &key);
    cw_transit_records_init (&out, &key);
    while (cw_transit_record_peek (data + at, size - at, &len) == CW_TRANSIT_RECORD_WHOLE) {
        g_autofree guint8 *copy = g_memdup2 (data + at, len);
        size_t plain_len = len - CW_TRANSIT_RECORD_OVERHEAD;
        g_autofree guint8 *plain = g_malloc (plain_len + 1);
        gboolean good = cw_transit_records_open (&apart, data + at, len, plain);
        g_assert_cmpint (
            cw_transit_records_open (&in_place, copy, len, copy + CW_TRANSIT_RECORD_OVERHEAD), ==,
            good);
        if (!good)
            break;
        g_assert_cmpmem (copy + CW_TRANSIT_RECORD_OVERHEAD, plain_len, plain, plain_len);
        if (plain_len > 0) {
            /* Sealing what was opened gives the same record. */
            g_autofree guint8 *again = g_malloc (len);
            g_assert_cmpuint (cw_transit_records_seal (&out, plain, plain_len, again), ==, len);
            g_assert_cmpmem (again, len, data + at, len);
        } else {
            out.next++;
        }
        at += len;
    }
    return 0;
}
