/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-session-job.h"

/* The name of the folder in which a plain wormhole client gets several items. */
#define BUNDLE_NAME "from Causeway"

CwSessionJob *
cw_session_job_new (CwSession *session,
                    GIOStream *stream,
                    CwTransfer *transfer,
                    GCancellable *cancellable)
{
    CwSessionJob *job = g_new0 (CwSessionJob, 1);

    job->session = g_object_ref (session);
    job->context = g_main_context_ref_thread_default ();
    job->stream = stream != NULL ? g_object_ref (stream) : NULL;
    job->transfer = cw_transfer_ref (transfer);
    job->cancellable = g_object_ref (cancellable);
    job->output_fd = -1;
    return job;
}

static void
job_free (CwSessionJob *job)
{
    g_clear_object (&job->stream);
    cw_transfer_unref (job->transfer);
    g_object_unref (job->cancellable);
    g_free (job->text);
    g_clear_pointer (&job->decision, cw_decision_unref);
    g_free (job->sender_id);
    g_free (job->folder);
    g_clear_error (&job->error);
    g_clear_pointer (&job->paths, g_ptr_array_unref);
    g_free (job->received_text);
    g_clear_pointer (&job->new_source, cw_v1_source_free);
    g_main_context_unref (job->context);
    g_object_unref (job->session);
    g_free (job);
}

/* --- News from the thread while it runs --- */

typedef struct {
    CwSessionJob *job; /* outlives it: done() is queued behind */
    CwOffer *offer;
} News;

static gboolean
tell_offered (gpointer data)
{
    News *news = data;

    news->job->offered (news->job->session, news->offer);
    return G_SOURCE_REMOVE;
}

static gboolean
tell_accepted (gpointer data)
{
    News *news = data;

    news->job->accepted (news->job->session);
    return G_SOURCE_REMOVE;
}

static void
news_free (gpointer data)
{
    News *news = data;

    g_clear_pointer (&news->offer, cw_offer_free);
    g_free (news);
}

/* Always through the loop, in the order of the calls. */
static void
post (GMainContext *context, GSourceFunc func, gpointer data, GDestroyNotify destroy)
{
    g_autoptr (GSource) source = g_idle_source_new ();

    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, func, data, destroy);
    g_source_attach (source, context);
}

static void
on_offered (const CwOffer *offer, gpointer user_data)
{
    CwSessionJob *job = user_data;
    News *news = g_new0 (News, 1);

    news->job = job;
    news->offer = cw_offer_copy (offer);
    post (job->context, tell_offered, news, news_free);
}

static void
on_accepted (gpointer user_data)
{
    CwSessionJob *job = user_data;
    News *news = g_new0 (News, 1);

    news->job = job;
    post (job->context, tell_accepted, news, news_free);
}

/* --- The work --- */

gboolean
cw_session_job_drop_send (CwSessionJob *job, GError **error)
{
    CwDropSendArgs args = {
        .text = job->text,
        .outgoing = job->outgoing,
        .transfer = job->transfer,
        .accepted = on_accepted,
        .user_data = job,
    };

    return cw_drop_send (job->stream, &args, job->cancellable, error);
}

gboolean
cw_session_job_drop_receive (CwSessionJob *job, GError **error)
{
    CwDropReceiveArgs args = {
        .sender_id = job->sender_id,
        .transfer = job->transfer,
        .decision = job->decision,
        .offered = on_offered,
        .user_data = job,
    };

    return cw_drop_receive (job->stream, &args, job->cancellable, &job->paths, &job->received_text,
                            error);
}

gboolean
cw_session_job_v1_measure (CwSessionJob *job, GError **error)
{
    job->new_source = cw_v1_source_new (job->outgoing, BUNDLE_NAME, job->cancellable, error);
    return job->new_source != NULL;
}

gboolean
cw_session_job_v1_send (CwSessionJob *job, GError **error)
{
    return cw_v1_send (job->stream, job->source, job->transfer, job->cancellable, error);
}

gboolean
cw_session_job_v1_receive (CwSessionJob *job, GError **error)
{
    g_autoptr (CwInbox) inbox = NULL;

    if (job->output_fd < 0) {
        inbox = cw_inbox_open (job->folder, NULL, error);
        if (inbox == NULL)
            return FALSE;
    }
    return cw_v1_receive (job->stream, job->offer, inbox, job->output_fd, job->transfer,
                          job->cancellable, &job->paths, error);
}

/* --- The thread --- */

static gboolean
tell_done (gpointer data)
{
    CwSessionJob *job = data;

    job->done (job->session, job);
    return G_SOURCE_REMOVE;
}

static gpointer
run_job (gpointer data)
{
    CwSessionJob *job = data;

    job->ok = job->run (job, &job->error);
    post (job->context, tell_done, job, (GDestroyNotify)job_free);
    return NULL;
}

void
cw_session_job_start (CwSessionJob *job)
{
    g_thread_unref (g_thread_new ("cw-transfer", run_job, job));
}
