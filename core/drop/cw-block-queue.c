/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-block-queue.h"

struct _CwBlockQueue {
    unsigned n_blocks;
    CwBlock *blocks;

    GMutex lock; /* guards all below */
    GCond changed;
    GQueue empty;
    GQueue full;
    gboolean ended;
    gboolean closed;
};

CwBlockQueue *
cw_block_queue_new (unsigned n_blocks, size_t block_size)
{
    CwBlockQueue *queue = g_new0 (CwBlockQueue, 1);

    g_mutex_init (&queue->lock);
    g_cond_init (&queue->changed);
    g_queue_init (&queue->empty);
    g_queue_init (&queue->full);
    queue->n_blocks = n_blocks;
    queue->blocks = g_new0 (CwBlock, n_blocks);
    for (unsigned i = 0; i < n_blocks; i++) {
        queue->blocks[i].data = g_malloc (block_size);
        queue->blocks[i].size = block_size;
        g_queue_push_tail (&queue->empty, &queue->blocks[i]);
    }
    return queue;
}

void
cw_block_queue_free (CwBlockQueue *queue)
{
    for (unsigned i = 0; i < queue->n_blocks; i++)
        g_free (queue->blocks[i].data);
    g_free (queue->blocks);
    g_queue_clear (&queue->empty);
    g_queue_clear (&queue->full);
    g_cond_clear (&queue->changed);
    g_mutex_clear (&queue->lock);
    g_free (queue);
}

CwBlock *
cw_block_queue_take_empty (CwBlockQueue *queue)
{
    CwBlock *block = NULL;

    g_mutex_lock (&queue->lock);
    while (!queue->closed && (block = g_queue_pop_tail (&queue->empty)) == NULL)
        g_cond_wait (&queue->changed, &queue->lock);
    g_mutex_unlock (&queue->lock);
    if (block != NULL)
        block->len = 0;
    return block;
}

void
cw_block_queue_put_full (CwBlockQueue *queue, CwBlock *block)
{
    g_mutex_lock (&queue->lock);
    g_queue_push_tail (&queue->full, block);
    g_cond_broadcast (&queue->changed);
    g_mutex_unlock (&queue->lock);
}

void
cw_block_queue_end (CwBlockQueue *queue)
{
    g_mutex_lock (&queue->lock);
    queue->ended = TRUE;
    g_cond_broadcast (&queue->changed);
    g_mutex_unlock (&queue->lock);
}

CwBlock *
cw_block_queue_take_full (CwBlockQueue *queue)
{
    CwBlock *block = NULL;

    g_mutex_lock (&queue->lock);
    while (!queue->closed && (block = g_queue_pop_head (&queue->full)) == NULL && !queue->ended)
        g_cond_wait (&queue->changed, &queue->lock);
    g_mutex_unlock (&queue->lock);
    return block;
}

void
cw_block_queue_put_empty (CwBlockQueue *queue, CwBlock *block)
{
    g_mutex_lock (&queue->lock);
    /* Taken from the same end: the buffer used last is the one still in the cache. */
    g_queue_push_tail (&queue->empty, block);
    g_cond_broadcast (&queue->changed);
    g_mutex_unlock (&queue->lock);
}

void
cw_block_queue_close (CwBlockQueue *queue)
{
    g_mutex_lock (&queue->lock);
    queue->closed = TRUE;
    g_cond_broadcast (&queue->changed);
    g_mutex_unlock (&queue->lock);
}
