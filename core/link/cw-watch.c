/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-watch.h"

struct _CwWatch {
    GSource source;
    int fd;
    gpointer tag; /* NULL while nothing is waited for */
    GIOCondition wanted;
    CwWatchFunc func;
    gpointer user_data;
};

static gboolean
watch_dispatch (GSource *source, GSourceFunc unused, gpointer unused_data)
{
    CwWatch *self = (CwWatch *)source;
    GIOCondition ready;

    /* An earlier callback of this turn may have stopped waiting. */
    if (self->tag == NULL)
        return G_SOURCE_CONTINUE;
    ready = g_source_query_unix_fd (source, self->tag)
            & (self->wanted | G_IO_HUP | G_IO_ERR | G_IO_NVAL);
    if (ready != 0)
        self->func (ready, self->user_data);
    return G_SOURCE_CONTINUE;
}

/* Without prepare and check, GLib looks at the file descriptors alone. */
static GSourceFuncs watch_funcs = { .dispatch = watch_dispatch };

CwWatch *
cw_watch_new (int fd, CwWatchFunc func, gpointer user_data)
{
    CwWatch *self = (CwWatch *)g_source_new (&watch_funcs, sizeof (CwWatch));

    self->fd = fd;
    self->func = func;
    self->user_data = user_data;
    g_source_attach (&self->source, g_main_context_get_thread_default ());
    return self;
}

void
cw_watch_set (CwWatch *self, GIOCondition wanted)
{
    if (wanted == self->wanted)
        return;
    self->wanted = wanted;
    if (wanted == 0) {
        g_source_remove_unix_fd (&self->source, self->tag);
        self->tag = NULL;
    } else if (self->tag == NULL) {
        self->tag = g_source_add_unix_fd (&self->source, self->fd, wanted);
    } else {
        g_source_modify_unix_fd (&self->source, self->tag, wanted);
    }
}

void
cw_watch_free (CwWatch *self)
{
    g_source_destroy (&self->source);
    g_source_unref (&self->source);
}
