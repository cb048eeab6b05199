/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-drop-receive-private.h"

struct _CwDecision {
    gatomicrefcount refs;
    GMutex lock; /* guards all below; held while notify runs */
    CwDecisionState state;
    char *folder;
    int output_fd;
    void (*notify) (gpointer data);
    gpointer data;
};

CwDecision *
cw_decision_new (void)
{
    CwDecision *decision = g_new0 (CwDecision, 1);

    g_atomic_ref_count_init (&decision->refs);
    g_mutex_init (&decision->lock);
    decision->output_fd = -1;
    return decision;
}

CwDecision *
cw_decision_ref (CwDecision *decision)
{
    g_atomic_ref_count_inc (&decision->refs);
    return decision;
}

void
cw_decision_unref (CwDecision *decision)
{
    if (!g_atomic_ref_count_dec (&decision->refs))
        return;
    g_mutex_clear (&decision->lock);
    g_free (decision->folder);
    g_free (decision);
}

static void
put (CwDecision *decision, CwDecisionState state, const char *folder, int output_fd)
{
    g_mutex_lock (&decision->lock);
    if (decision->state == CW_DECISION_OPEN) {
        decision->state = state;
        decision->folder = g_strdup (folder);
        decision->output_fd = output_fd;
        if (decision->notify != NULL)
            decision->notify (decision->data);
    }
    g_mutex_unlock (&decision->lock);
}

void
cw_decision_accept (CwDecision *decision, const char *folder, int output_fd)
{
    gboolean declined = folder == NULL && output_fd < 0;

    put (decision, declined ? CW_DECISION_DECLINED : CW_DECISION_ACCEPTED, folder, output_fd);
}

void
cw_decision_decline (CwDecision *decision)
{
    put (decision, CW_DECISION_DECLINED, NULL, -1);
}

void
cw_decision_set_notify (CwDecision *decision, void (*notify) (gpointer data), gpointer data)
{
    g_mutex_lock (&decision->lock);
    decision->notify = notify;
    decision->data = data;
    if (notify != NULL && decision->state != CW_DECISION_OPEN)
        notify (data);
    g_mutex_unlock (&decision->lock);
}

CwDecisionState
cw_decision_get (CwDecision *decision, char **ret_folder, int *ret_output_fd)
{
    CwDecisionState state;

    g_mutex_lock (&decision->lock);
    state = decision->state;
    if (state == CW_DECISION_ACCEPTED) {
        *ret_folder = g_strdup (decision->folder);
        *ret_output_fd = decision->output_fd;
    }
    g_mutex_unlock (&decision->lock);
    return state;
}
