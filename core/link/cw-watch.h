/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One socket in the thread-default main context, whose conditions may change at every turn: much
 * cheaper than a new GSource each time. Waiting for nothing means just that, so a socket that has
 * hung up does not wake us for ever. */
typedef struct _CwWatch CwWatch;

/* @ready also holds G_IO_HUP and G_IO_ERR when they are so. The watch may be freed inside. */
typedef void (*CwWatchFunc) (GIOCondition ready, gpointer user_data);

/* Waits for nothing until cw_watch_set(). Borrows @fd. */
CwWatch *cw_watch_new (int fd, CwWatchFunc func, gpointer user_data);
/* G_IO_IN, G_IO_OUT, both or 0. */
void cw_watch_set (CwWatch *self, GIOCondition wanted);
void cw_watch_free (CwWatch *self);

G_END_DECLS
