/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A fixed set of buffers that go round between a thread that fills them and one that empties
 * them, so that disk and network work at the same time in bounded memory. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    guint8 *data;
    size_t size; /* of the buffer */
    size_t len;  /* bytes in it; for the two threads to keep */
} CwBlock;

typedef struct _CwBlockQueue CwBlockQueue;

CwBlockQueue *cw_block_queue_new (unsigned n_blocks, size_t block_size);
/* When both threads are done with it. Blocks that were taken are freed too. */
void cw_block_queue_free (CwBlockQueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwBlockQueue, cw_block_queue_free)

/* The filling thread: waits for a buffer (NULL: closed), hands it on full, says that was all. */
CwBlock *cw_block_queue_take_empty (CwBlockQueue *queue);
void cw_block_queue_put_full (CwBlockQueue *queue, CwBlock *block);
void cw_block_queue_end (CwBlockQueue *queue);

/* The emptying thread: waits for a full one (NULL: all have come, or closed), gives it back. */
CwBlock *cw_block_queue_take_full (CwBlockQueue *queue);
void cw_block_queue_put_empty (CwBlockQueue *queue, CwBlock *block);

/* From any thread: both get NULL from now on, whatever is still queued. */
void cw_block_queue_close (CwBlockQueue *queue);

G_END_DECLS
