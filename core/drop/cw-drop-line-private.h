/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What both engines of drop/1 need of their stream: blocking reads and writes that end when they
 * must, and reading in large blocks whose parts can be handed to another thread uncopied. */

#include <gio/gio.h>

#include "cw-drop-error.h"

G_BEGIN_DECLS

/* --- The stream --- */

typedef struct _CwDropLine CwDropLine;

/* On threads of the line's own, holding nothing. Either may be NULL; only the tick may write. */
typedef struct {
    void (*cancelled) (gpointer data); /* the user cancelled: wake whoever waits */
    void (*tick) (gpointer data);      /* every CW_DROP_ALIVE_SECONDS */
} CwDropLineFuncs;

/* Until start() nothing of @funcs is called. */
CwDropLine *cw_drop_line_new (GIOStream *stream,
                              GCancellable *cancellable,
                              const CwDropLineFuncs *funcs,
                              gpointer data);
void cw_drop_line_start (CwDropLine *line);
/* Ends the threads and closes the stream. Nobody may be reading or writing any more. */
void cw_drop_line_free (CwDropLine *line);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDropLine, cw_drop_line_free)

gboolean cw_drop_line_is_cancelled (CwDropLine *line);
/* Reads and writes go on for two seconds more (a cancel does the same by itself), or end now. */
void cw_drop_line_end_soon (CwDropLine *line);
void cw_drop_line_end_now (CwDropLine *line);

/* One thread may read and another write. Failures are CW_DROP_ERROR_PEER_LOST. read() gives 0 at
 * the end, -1 on failure. */
gboolean cw_drop_line_write (CwDropLine *line, const void *data, size_t len, GError **error);
gssize cw_drop_line_read (CwDropLine *line, void *buffer, size_t size, GError **error);

/* For tests, before anything starts: instead of CW_DROP_ALIVE_SECONDS. */
void cw_drop_line_set_alive_ms (guint ms);
gint64 cw_drop_line_get_alive_us (void);

/* --- Blocks --- */

#define CW_DROP_BLOCK 262144

typedef struct _CwDropPool CwDropPool;

typedef struct {
    int ref_count;
    CwDropPool *pool;
    guint8 *data; /* CW_DROP_BLOCK of them */
} CwDropBlock;

/* At most @n_blocks exist at a time. Thread-safe. */
CwDropPool *cw_drop_pool_new (guint n_blocks);
/* All blocks must be back. */
void cw_drop_pool_free (CwDropPool *pool);
/* Nobody waits for a block any more; get() gives NULL. */
void cw_drop_pool_stop (CwDropPool *pool);
CwDropBlock *cw_drop_block_ref (CwDropBlock *block);
void cw_drop_block_unref (CwDropBlock *block);

/* --- Reading --- */

/* One thread. What read calls return is borrowed from the current block and stays valid as long as
 * a reference to input->block as of then is held, at least until the next call. All fail with
 * CW_DROP_ERROR_PEER_LOST (also at the end of the stream) or _PROTOCOL. */
typedef struct {
    CwDropLine *line;
    CwDropPool *pool;
    CwDropBlock *block;
    size_t start, end; /* what is there and not used */
    /* Before a read that may block, or NULL. */
    void (*before_read) (gpointer data);
    gpointer data;
} CwDropInput;

void cw_drop_input_init (CwDropInput *input, CwDropLine *line, CwDropPool *pool);
void cw_drop_input_clear (CwDropInput *input);

/* A head of at most @max bytes, the empty line not included; empty lines before it are skipped. */
gboolean cw_drop_input_head (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error);
/* A line without its CRLF. */
gboolean cw_drop_input_line (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error);
/* The trailers behind a last chunk: like a head, but there may be none. */
gboolean cw_drop_input_trailers (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error);
/* Between 1 and @max bytes. */
gboolean cw_drop_input_some (
    CwDropInput *input, guint64 max, const guint8 **ret, size_t *ret_len, GError **error);
/* Exactly @len bytes, appended. */
gboolean cw_drop_input_all (CwDropInput *input, size_t len, GByteArray *to, GError **error);
/* Reads until the other side closes or the line ends. */
void cw_drop_input_drain (CwDropInput *input);

G_END_DECLS
