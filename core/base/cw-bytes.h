/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Bytes on the wire: fixed-width loads and stores, and a cursor that knows what remains. */

#include <glib.h>
#include <string.h>

static inline guint16
cw_load_be16 (const guint8 *p)
{
    return (guint16)(p[0] << 8 | p[1]);
}

static inline guint32
cw_load_be32 (const guint8 *p)
{
    return (guint32)p[0] << 24 | (guint32)p[1] << 16 | (guint32)p[2] << 8 | p[3];
}

static inline guint64
cw_load_be64 (const guint8 *p)
{
    return (guint64)cw_load_be32 (p) << 32 | cw_load_be32 (p + 4);
}

static inline void
cw_store_be16 (guint8 *p, guint16 v)
{
    p[0] = (guint8)(v >> 8);
    p[1] = (guint8)v;
}

static inline void
cw_store_be32 (guint8 *p, guint32 v)
{
    p[0] = (guint8)(v >> 24);
    p[1] = (guint8)(v >> 16);
    p[2] = (guint8)(v >> 8);
    p[3] = (guint8)v;
}

static inline void
cw_store_be64 (guint8 *p, guint64 v)
{
    cw_store_be32 (p, (guint32)(v >> 32));
    cw_store_be32 (p + 4, (guint32)v);
}

/* A read cursor over borrowed bytes. Lengths are compared with what remains, never added to a
 * pointer; after a failed read the cursor has not moved. */
typedef struct {
    const guint8 *data;
    size_t remaining;
} CwReader;

static inline CwReader
cw_reader (const void *data, size_t len)
{
    return (CwReader){ .data = data, .remaining = len };
}

/* Borrows the next @len bytes in *@ret; FALSE when fewer remain. */
static inline gboolean
cw_reader_bytes (CwReader *r, size_t len, const guint8 **ret)
{
    if (len > r->remaining)
        return FALSE;
    *ret = r->data;
    r->data += len;
    r->remaining -= len;
    return TRUE;
}

static inline gboolean
cw_reader_u8 (CwReader *r, guint8 *ret)
{
    const guint8 *p;
    if (!cw_reader_bytes (r, 1, &p))
        return FALSE;
    *ret = *p;
    return TRUE;
}

static inline gboolean
cw_reader_be32 (CwReader *r, guint32 *ret)
{
    const guint8 *p;
    if (!cw_reader_bytes (r, 4, &p))
        return FALSE;
    *ret = cw_load_be32 (p);
    return TRUE;
}
