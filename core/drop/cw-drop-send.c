/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The sender of drop/1: the offer, then what the source thread makes, written by the caller's
 * thread, while a reader thread takes the responses. Answers come in the order of the requests, so
 * what waits for one is a ring.
 *
 * How it ends: the answer to the last request (done); a response that closes, or nonsense, or the
 * end of the stream (error); a cancel, after which one more request tells the other side and
 * whatever still comes is ignored. A failed write alone ends nothing at once: why the other side
 * stopped reading may be on its way. */

#include "cw-drop-send-private.h"

#include <string.h>

#include "cw-drop-offer.h"

/* --- State --- */

static CwDropBuffer *
buffer_new (void)
{
    CwDropBuffer *buffer = g_new0 (CwDropBuffer, 1);

    buffer->bytes = g_byte_array_sized_new (CW_DROP_BUFFER);
    return buffer;
}

static void
buffer_free (gpointer data)
{
    CwDropBuffer *buffer = data;

    g_byte_array_unref (buffer->bytes);
    g_free (buffer);
}

static gboolean
is_over (const CwDropSender *sender)
{
    return sender->done || sender->cancelled || sender->error != NULL;
}

static gboolean
is_stopping (const CwDropSender *sender)
{
    return is_over (sender) || sender->write_ended;
}

gboolean
cw_drop_sender_is_stopping (CwDropSender *sender)
{
    gboolean stopping;

    g_mutex_lock (&sender->lock);
    stopping = is_stopping (sender);
    g_mutex_unlock (&sender->lock);
    return stopping;
}

static void
changed (CwDropSender *sender)
{
    g_cond_broadcast (&sender->cond);
}

/* Takes @error. */
static void
fail (CwDropSender *sender, GError *error)
{
    g_mutex_lock (&sender->lock);
    if (sender->error == NULL && !sender->done)
        sender->error = error;
    else
        g_error_free (error);
    changed (sender);
    g_mutex_unlock (&sender->lock);
    g_cancellable_cancel (sender->halt);
}

/* On the line's thread. */
static void
on_cancelled (gpointer data)
{
    CwDropSender *sender = data;

    g_mutex_lock (&sender->lock);
    sender->cancelled = TRUE;
    changed (sender);
    g_mutex_unlock (&sender->lock);
    g_cancellable_cancel (sender->halt);
}

/* --- Between source, writer and reader --- */

CwDropBuffer *
cw_drop_sender_get_buffer (CwDropSender *sender)
{
    CwDropBuffer *buffer = NULL;

    g_mutex_lock (&sender->lock);
    while (!is_stopping (sender) && sender->empty.length == 0)
        g_cond_wait (&sender->cond, &sender->lock);
    if (!is_stopping (sender))
        buffer = g_queue_pop_head (&sender->empty);
    g_mutex_unlock (&sender->lock);
    return buffer;
}

static void
give_back (CwDropSender *sender, CwDropBuffer *buffer)
{
    g_byte_array_set_size (buffer->bytes, 0);
    buffer->content = 0;
    buffer->in_file = FALSE;
    g_queue_push_head (&sender->empty, buffer); /* the one still in the cache first */
    changed (sender);
}

void
cw_drop_sender_push (CwDropSender *sender, CwDropBuffer *buffer)
{
    g_mutex_lock (&sender->lock);
    g_queue_push_tail (&sender->full, buffer);
    changed (sender);
    g_mutex_unlock (&sender->lock);
}

void
cw_drop_sender_drop_buffer (CwDropSender *sender, CwDropBuffer *buffer)
{
    g_mutex_lock (&sender->lock);
    give_back (sender, buffer);
    g_mutex_unlock (&sender->lock);
}

gboolean
cw_drop_sender_expect (
    CwDropSender *sender, CwDropRequestKind kind, guint32 index, gboolean wait, guint64 *ret_number)
{
    gboolean ok;

    g_mutex_lock (&sender->lock);
    while (wait && !is_stopping (sender)
           && sender->n_asked - sender->n_answered == CW_DROP_MAX_WAITING)
        g_cond_wait (&sender->cond, &sender->lock);
    ok = !is_stopping (sender) && sender->n_asked - sender->n_answered < CW_DROP_MAX_WAITING;
    if (ok) {
        /* The reader sleeps while nothing waits. */
        if (sender->n_asked == sender->n_answered)
            changed (sender);
        *ret_number = sender->n_asked++;
        sender->waiting[*ret_number % CW_DROP_MAX_WAITING]
            = (CwDropWaiting){ .index = index, .kind = (guint8)kind };
    }
    g_mutex_unlock (&sender->lock);
    return ok;
}

static const char *
get_path (CwDropSender *sender, guint32 index)
{
    return cw_outgoing_get_item (sender->args->outgoing, index)->path;
}

void
cw_drop_sender_fail_item (CwDropSender *sender, guint64 number, guint32 index, const GError *reason)
{
    gboolean first = FALSE;

    g_mutex_lock (&sender->lock);
    /* An answer that is there already was a refusal, and is counted. */
    if (number >= sender->n_answered) {
        sender->waiting[number % CW_DROP_MAX_WAITING].failed = TRUE;
        sender->n_failed++;
        first = TRUE;
    }
    g_mutex_unlock (&sender->lock);
    if (first)
        cw_transfer_fail_file (sender->args->transfer, get_path (sender, index), reason);
}

gboolean
cw_drop_sender_await_look (CwDropSender *sender, guint64 n, CwDropLook *ret)
{
    gboolean ok;

    g_mutex_lock (&sender->lock);
    while (!is_stopping (sender) && sender->n_looked <= n)
        g_cond_wait (&sender->cond, &sender->lock);
    ok = !is_stopping (sender);
    if (ok)
        *ret = sender->looks[n % CW_DROP_LOOK_AHEAD];
    g_mutex_unlock (&sender->lock);
    return ok;
}

/* --- The reader --- */

static gboolean
refuse (GError **error, const char *message)
{
    g_set_error_literal (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL, message);
    return FALSE;
}

static void
item_refused (CwDropSender *sender, const CwDropWaiting *waiting, const GError *problem)
{
    if (waiting->failed)
        return;
    g_atomic_int_set (&sender->refused, (int)waiting->index + 1);
    g_mutex_lock (&sender->lock);
    sender->n_failed++;
    g_mutex_unlock (&sender->lock);
    cw_transfer_fail_file (sender->args->transfer, get_path (sender, waiting->index), problem);
}

static void
item_kept (CwDropSender *sender, const CwDropWaiting *waiting)
{
    if (!waiting->failed
        && cw_outgoing_get_item (sender->args->outgoing, waiting->index)->kind != CW_ITEM_FOLDER)
        cw_transfer_end_file (sender->args->transfer);
}

static gboolean
take_offer_answer (CwDropSender *sender, const GByteArray *content, GError **error)
{
    gboolean resume;

    if (!cw_drop_accept_parse ((const char *)content->data, content->len, &resume))
        return refuse (error, "the answer to the offer is malformed");
    g_mutex_lock (&sender->lock);
    sender->accepted = TRUE;
    sender->resume = resume;
    sender->done = sender->args->text != NULL;
    changed (sender);
    g_mutex_unlock (&sender->lock);
    return TRUE;
}

static void
take_look (CwDropSender *sender, const CwDropResponse *response)
{
    CwDropLook look = { 0 };

    if (response->status == CW_DROP_STATUS_OK && response->has_sha256) {
        look.length = response->length;
        memcpy (look.sha256, response->sha256, sizeof look.sha256);
    }
    g_mutex_lock (&sender->lock);
    sender->looks[sender->n_looked++ % CW_DROP_LOOK_AHEAD] = look;
    changed (sender);
    g_mutex_unlock (&sender->lock);
}

/* The request that a final response answers; it waits no more. FALSE: none does. */
static gboolean
take_waiting (CwDropSender *sender, CwDropWaiting *ret)
{
    gboolean ok;

    g_mutex_lock (&sender->lock);
    ok = sender->n_answered < sender->n_asked;
    if (ok) {
        if (sender->n_asked - sender->n_answered == CW_DROP_MAX_WAITING)
            changed (sender);
        *ret = sender->waiting[sender->n_answered++ % CW_DROP_MAX_WAITING];
    }
    g_mutex_unlock (&sender->lock);
    return ok;
}

static gboolean
take_success (CwDropSender *sender,
              const CwDropWaiting *waiting,
              const GByteArray *content,
              GError **error)
{
    switch ((CwDropRequestKind)waiting->kind) {
    case CW_DROP_REQUEST_OFFER:
        return take_offer_answer (sender, content, error);
    case CW_DROP_REQUEST_ITEM:
        item_kept (sender, waiting);
        return TRUE;
    case CW_DROP_REQUEST_DONE:
        g_mutex_lock (&sender->lock);
        sender->done = TRUE;
        changed (sender);
        g_mutex_unlock (&sender->lock);
        return TRUE;
    case CW_DROP_REQUEST_LOOK:
    case CW_DROP_REQUEST_CANCEL:
    default:
        return TRUE;
    }
}

/* A final response. FALSE and @error: it ends everything. */
static gboolean
take_response (CwDropSender *sender,
               const CwDropResponse *response,
               CwDropInput *input,
               GError **error)
{
    g_autoptr (GByteArray) content = g_byte_array_new ();
    g_autoptr (GError) problem = NULL;
    CwDropWaiting waiting = { 0 };
    gboolean waits = take_waiting (sender, &waiting);
    gboolean is_look = waits && waiting.kind == CW_DROP_REQUEST_LOOK && !response->close;

    if (!waits && !response->close)
        return refuse (error, "a response that nothing asked for");
    if (is_look) {
        take_look (sender, response);
        return TRUE;
    }
    if (response->length > CW_DROP_MAX_ANSWER)
        return refuse (error, "the content of a response is too long");
    if (!cw_drop_input_all (input, response->length, content, error))
        return FALSE;
    /* One that closes is no success of what waits: it answers a cancel. */
    if (response->close && response->status < 300)
        return refuse (error, "the other side ended without a reason");
    if (response->status < 300)
        return take_success (sender, &waiting, content, error);
    problem = cw_drop_problem_parse (response->status, (const char *)content->data, content->len);
    if (response->close || waiting.kind != CW_DROP_REQUEST_ITEM) {
        g_propagate_error (error, g_steal_pointer (&problem));
        return FALSE;
    }
    item_refused (sender, &waiting, problem);
    return TRUE;
}

/* Waits until there is something to read for. FALSE: nothing any more. */
static gboolean
await_request (CwDropSender *sender)
{
    gboolean ok;

    g_mutex_lock (&sender->lock);
    while (!is_over (sender) && !sender->write_ended && sender->n_answered == sender->n_asked)
        g_cond_wait (&sender->cond, &sender->lock);
    ok = !is_over (sender);
    g_mutex_unlock (&sender->lock);
    return ok;
}

static gboolean
read_response (CwDropSender *sender, CwDropInput *input, GError **error)
{
    CwDropResponse response;
    const char *head;
    size_t len;

    if (!cw_drop_input_head (input, CW_DROP_MAX_HEAD, &head, &len, error)
        || !cw_drop_response_parse (head, len, &response, error))
        return FALSE;
    if (response.status < 200)
        return TRUE;
    return take_response (sender, &response, input, error);
}

static gpointer
run_reader (gpointer data)
{
    CwDropSender *sender = data;
    CwDropPool *pool = cw_drop_pool_new (1);
    g_autoptr (GError) error = NULL;
    gboolean cancelled;
    CwDropInput input;

    cw_drop_input_init (&input, sender->line, pool);
    while (await_request (sender) && read_response (sender, &input, &error))
        ;
    g_mutex_lock (&sender->lock);
    cancelled = sender->cancelled;
    g_mutex_unlock (&sender->lock);
    if (cancelled)
        cw_drop_input_drain (&input);
    else if (error != NULL) {
        fail (sender, g_steal_pointer (&error));
        cw_drop_line_end_now (sender->line);
    }
    cw_drop_input_clear (&input);
    cw_drop_pool_free (pool);
    return NULL;
}

/* --- The writer --- */

static gboolean
write_bytes (CwDropSender *sender, const void *data, size_t len)
{
    g_autoptr (GError) error = NULL;

    if (cw_drop_line_write (sender->line, data, len, &error))
        return TRUE;
    /* The reader may learn a better reason in the time that is left. */
    g_mutex_lock (&sender->lock);
    sender->write_ended = TRUE;
    changed (sender);
    g_mutex_unlock (&sender->lock);
    g_cancellable_cancel (sender->halt);
    cw_drop_line_end_soon (sender->line);
    return FALSE;
}

/* What keeps a silent connection alive: an empty line between requests, a chunk that means nothing
 * within a file. */
static gboolean
write_alive (CwDropSender *sender, gboolean in_file)
{
    return in_file ? write_bytes (sender, "1;idle\r\n.\r\n", 11) : write_bytes (sender, "\r\n", 2);
}

/* Failing is no matter here: the reader finds out why. */
static void
write_offer (CwDropSender *sender, const char *json)
{
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    CwDropRequest request = { .kind = CW_DROP_REQUEST_OFFER, .length = strlen (json) };
    guint64 number;

    g_byte_array_append (bytes, (const guint8 *)CW_DROP_HELLO, strlen (CW_DROP_HELLO));
    cw_drop_request_append (bytes, &request);
    g_byte_array_append (bytes, (const guint8 *)json, (guint)request.length);
    if (cw_drop_sender_expect (sender, CW_DROP_REQUEST_OFFER, 0, FALSE, &number))
        write_bytes (sender, bytes->data, bytes->len);
}

/* The next buffer; NULL when it is over or, *@ret_over FALSE, nothing came for a while. */
static CwDropBuffer *
pop (CwDropSender *sender, gboolean until_accepted, gboolean *ret_over)
{
    gint64 until = g_get_monotonic_time () + cw_drop_line_get_alive_us ();
    CwDropBuffer *buffer = NULL;

    g_mutex_lock (&sender->lock);
    while (!is_stopping (sender) && sender->full.length == 0
           && !(until_accepted && sender->accepted)
           && g_cond_wait_until (&sender->cond, &sender->lock, until))
        ;
    *ret_over = is_stopping (sender) || (until_accepted && sender->accepted);
    if (!*ret_over)
        buffer = g_queue_pop_head (&sender->full);
    g_mutex_unlock (&sender->lock);
    return buffer;
}

static gboolean
write_buffer (CwDropSender *sender, CwDropBuffer *buffer)
{
    gboolean ok = write_bytes (sender, buffer->bytes->data, buffer->bytes->len);

    if (ok)
        cw_transfer_add_bytes (sender->args->transfer, buffer->content);
    g_mutex_lock (&sender->lock);
    give_back (sender, buffer);
    g_mutex_unlock (&sender->lock);
    return ok;
}

/* Until it is over, one way or another. */
static void
write_all (CwDropSender *sender, gboolean until_accepted, gboolean *in_file)
{
    gboolean over = FALSE, ok = TRUE;

    while (ok && !over) {
        CwDropBuffer *buffer = pop (sender, until_accepted, &over);
        if (buffer != NULL) {
            *in_file = buffer->in_file;
            ok = write_buffer (sender, buffer);
        } else if (!over) {
            ok = write_alive (sender, *in_file);
        }
    }
}

/* Buffers end between chunks or requests, so that the framing still stands. */
static void
write_cancel (CwDropSender *sender, gboolean in_file)
{
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    CwDropTrailer trailer = { .end = CW_DROP_END_STOPPED };
    CwDropRequest request = { .kind = CW_DROP_REQUEST_CANCEL };

    if (in_file)
        cw_drop_trailer_append (bytes, &trailer);
    cw_drop_request_append (bytes, &request);
    write_bytes (sender, bytes->data, bytes->len);
}

/* --- The whole --- */

static CwDropSender *
sender_new (const CwDropSendArgs *args)
{
    CwDropSender *sender = g_new0 (CwDropSender, 1);

    sender->args = args;
    sender->halt = g_cancellable_new ();
    g_mutex_init (&sender->lock);
    g_cond_init (&sender->cond);
    g_queue_init (&sender->full);
    g_queue_init (&sender->empty);
    for (guint i = 0; i < CW_DROP_N_BUFFERS; i++)
        g_queue_push_tail (&sender->empty, buffer_new ());
    return sender;
}

static void
sender_free (CwDropSender *sender)
{
    g_clear_pointer (&sender->line, cw_drop_line_free);
    g_queue_clear_full (&sender->full, buffer_free);
    g_queue_clear_full (&sender->empty, buffer_free);
    g_mutex_clear (&sender->lock);
    g_cond_clear (&sender->cond);
    g_clear_error (&sender->error);
    g_object_unref (sender->halt);
    g_free (sender);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDropSender, sender_free)

static char *
make_offer (const CwDropSendArgs *args, gboolean *ret_single, GError **error)
{
    g_autoptr (CwOffer) offer = NULL;
    g_autofree char *json = NULL;

    if (args->text != NULL) {
        offer = cw_offer_new ();
        offer->text = g_strdup (args->text);
    } else {
        offer = cw_outgoing_dup_offer (args->outgoing);
    }
    if (offer->text == NULL && offer->items->len == 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NOTHING, "there is nothing to send");
        return NULL;
    }
    json = cw_drop_offer_make (offer);
    if (strlen (json) > CW_DROP_MAX_OFFER
        || (offer->text != NULL && strlen (offer->text) > CW_DROP_MAX_TEXT)) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE,
                     "the text or the list of names is too long");
        return NULL;
    }
    cw_transfer_set_total (args->transfer, offer->size, offer->n_files);
    *ret_single = offer->n_files == 1 && offer->n_folders == 0;
    return g_steal_pointer (&json);
}

static void
count_left_out (CwDropSender *sender)
{
    GPtrArray *left_out
        = sender->args->outgoing != NULL ? cw_outgoing_get_left_out (sender->args->outgoing) : NULL;

    for (guint i = 0; left_out != NULL && i < left_out->len; i++) {
        const CwTransferFailure *failure = g_ptr_array_index (left_out, i);
        cw_transfer_fail_file (sender->args->transfer, failure->path, failure->error);
        sender->n_failed++;
    }
}

static void
send_all (CwDropSender *sender, const char *json)
{
    GThread *reader, *source;
    gboolean in_file = FALSE, accepted;

    write_offer (sender, json);
    reader = g_thread_new ("drop-reader", run_reader, sender);
    write_all (sender, TRUE, &in_file);
    g_mutex_lock (&sender->lock);
    accepted = sender->accepted;
    g_mutex_unlock (&sender->lock);
    if (accepted && sender->args->accepted != NULL)
        sender->args->accepted (sender->args->user_data);
    if (!cw_drop_sender_is_stopping (sender)) {
        source = g_thread_new ("drop-source", cw_drop_source_run, sender);
        write_all (sender, FALSE, &in_file);
        g_thread_join (source);
    }
    if (cw_drop_line_is_cancelled (sender->line))
        write_cancel (sender, in_file);
    g_thread_join (reader);
}

/* One file that failed is its own reason. */
static gboolean
conclude_done (CwDropSender *sender, gboolean single, GError **error)
{
    g_autoptr (GPtrArray) failures = NULL;

    if (sender->n_failed == 0)
        return TRUE;
    failures = cw_transfer_dup_failures (sender->args->transfer);
    if (single && failures->len == 1) {
        const CwTransferFailure *failure = g_ptr_array_index (failures, 0);
        g_propagate_error (error, g_error_copy (failure->error));
        return FALSE;
    }
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE,
                 "%" G_GUINT64_FORMAT " items failed", sender->n_failed);
    return FALSE;
}

gboolean
cw_drop_send (GIOStream *stream,
              const CwDropSendArgs *args,
              GCancellable *cancellable,
              GError **error)
{
    static const CwDropLineFuncs funcs = { .cancelled = on_cancelled };
    g_autoptr (CwDropSender) sender = sender_new (args);
    g_autofree char *json = NULL;
    gboolean single = FALSE;

    g_return_val_if_fail ((args->text != NULL) != (args->outgoing != NULL), FALSE);
    json = make_offer (args, &single, error);
    if (json == NULL)
        return FALSE;
    count_left_out (sender);
    sender->line = cw_drop_line_new (stream, cancellable, &funcs, sender);
    cw_drop_line_start (sender->line);
    send_all (sender, json);
    if (sender->done)
        return conclude_done (sender, single, error);
    if (cw_drop_line_is_cancelled (sender->line)) {
        g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the transfer was cancelled");
        return FALSE;
    }
    g_assert (sender->error != NULL);
    g_propagate_error (error, g_steal_pointer (&sender->error));
    return FALSE;
}
