/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A session's blocking work on a thread of its own: the two transfer engines, each in both
 * directions, and the measuring of what v1 sends. The session fills one in, starts it, and is
 * called back on its main context. Nothing else is shared but what is locked (CwTransfer,
 * CwDecision, GCancellable). */

#include "cw-drop.h"
#include "cw-session.h"
#include "cw-v1.h"

G_BEGIN_DECLS

typedef struct _CwSessionJob CwSessionJob;

struct _CwSessionJob {
    /* In. Owned by the job. */
    GIOStream *stream;
    CwTransfer *transfer;
    GCancellable *cancellable;
    CwOutgoing *outgoing; /* borrowed: the session keeps it */
    char *text;
    CwV1Source *source;   /* borrowed */
    CwV1Message *offer;   /* v1 receive; borrowed */
    CwDecision *decision; /* drop/1 receive */
    char *sender_id;
    char *folder; /* v1 receive */
    int output_fd;

    /* Out, when done() is called. */
    gboolean ok;
    GError *error;
    GPtrArray *paths;
    char *received_text;
    CwV1Source *new_source;

    /* Called on the main context, while the thread goes on. */
    void (*offered) (CwSession *session, const CwOffer *offer);
    void (*accepted) (CwSession *session);
    void (*done) (CwSession *session, CwSessionJob *job);

    CwSession *session; /* a reference until done() returned */
    GMainContext *context;
    gboolean (*run) (CwSessionJob *job, GError **error);
};

CwSessionJob *cw_session_job_new (CwSession *session,
                                  GIOStream *stream,
                                  CwTransfer *transfer,
                                  GCancellable *cancellable);
/* The four engines and the measuring, for "run". */
gboolean cw_session_job_drop_send (CwSessionJob *job, GError **error);
gboolean cw_session_job_drop_receive (CwSessionJob *job, GError **error);
gboolean cw_session_job_v1_measure (CwSessionJob *job, GError **error);
gboolean cw_session_job_v1_send (CwSessionJob *job, GError **error);
gboolean cw_session_job_v1_receive (CwSessionJob *job, GError **error);

/* Takes @job; frees it after done(). */
void cw_session_job_start (CwSessionJob *job);

G_END_DECLS
