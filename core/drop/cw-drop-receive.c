/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The receiver of drop/1, on the caller's thread: the offer, the decision, then step by step into
 * the store until the sender is done. Whatever ends it is answered, and then what still comes is
 * read and thrown away for two seconds at most: closing at once could take the answer away before
 * it was read. */

#include "cw-drop-receive-private.h"

#include "cw-drop-offer.h"

typedef struct {
    const CwDropReceiveArgs *args;
    CwDropLine *line;
    CwDropIntake *intake;
    CwDropAnswers answers;
    GCancellable *cancellable;
    gboolean answered; /* the last thing was: no problem needs telling */
} Receiver;

static void
on_cancelled (gpointer data)
{
    Receiver *receiver = data;

    cw_drop_intake_wake (receiver->intake);
}

static void
on_tick (gpointer data)
{
    Receiver *receiver = data;

    cw_drop_answers_tick (&receiver->answers);
}

static void
on_decided (gpointer data)
{
    Receiver *receiver = data;

    cw_drop_intake_wake (receiver->intake);
}

static gboolean
refuse (GError **error, const char *message)
{
    g_set_error_literal (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL, message);
    return FALSE;
}

static gboolean
check_cancelled (Receiver *receiver, GError **error)
{
    if (!cw_drop_line_is_cancelled (receiver->line))
        return TRUE;
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the transfer was cancelled");
    return FALSE;
}

/* What ends everything at any time. FALSE and @error for such a step. */
static gboolean
check_end (Receiver *receiver, CwDropStep *step, GError **error)
{
    CwDropResponse bye = { .status = CW_DROP_STATUS_NO_CONTENT, .close = TRUE };

    if (step->kind == CW_DROP_STEP_BROKEN) {
        g_propagate_error (error, g_error_copy (step->error));
        return FALSE;
    }
    if (step->kind != CW_DROP_STEP_CANCEL)
        return TRUE;
    cw_drop_answers_add (&receiver->answers, &bye);
    receiver->answered = TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED, "the sender cancelled");
    return FALSE;
}

static CwDropStep *
next_step (Receiver *receiver, GError **error)
{
    g_autoptr (CwDropStep) step = NULL;

    while (step == NULL) {
        if (!check_cancelled (receiver, error))
            return NULL;
        step = cw_drop_intake_pop (receiver->intake, FALSE);
        if (step == NULL) {
            cw_drop_answers_flush (&receiver->answers);
            step = cw_drop_intake_pop (receiver->intake, TRUE);
        }
    }
    return check_end (receiver, step, error) ? g_steal_pointer (&step) : NULL;
}

/* --- Offer and decision --- */

static CwOffer *
receive_offer (Receiver *receiver, GError **error)
{
    g_autoptr (CwDropStep) step = next_step (receiver, error);
    CwOffer *offer;
    const char *json;
    size_t len;

    if (step == NULL)
        return NULL;
    if (step->kind != CW_DROP_STEP_OFFER) {
        refuse (error, "a request before the offer");
        return NULL;
    }
    json = g_bytes_get_data (step->content, &len);
    offer = cw_drop_offer_parse (json, len, error);
    if (offer == NULL)
        return NULL;
    cw_transfer_set_total (receiver->args->transfer, offer->size, offer->n_files);
    if (receiver->args->offered != NULL)
        receiver->args->offered (offer, receiver->args->user_data);
    return offer;
}

/* A sender waits for the answer; all it may do is leave. */
static gboolean
wait_while_open (Receiver *receiver, GError **error)
{
    g_autoptr (CwDropStep) step = NULL;

    if (!check_cancelled (receiver, error))
        return FALSE;
    step = cw_drop_intake_pop (receiver->intake, TRUE);
    if (step == NULL)
        return TRUE;
    return check_end (receiver, step, error)
           && refuse (error, "a request before the answer to the offer");
}

static gboolean
await_decision (Receiver *receiver, char **ret_folder, int *ret_output_fd, GError **error)
{
    CwDecision *decision = receiver->args->decision;
    CwDecisionState state;
    gboolean ok = TRUE;

    cw_decision_set_notify (decision, on_decided, receiver);
    while ((state = cw_decision_get (decision, ret_folder, ret_output_fd)) == CW_DECISION_OPEN
           && ok)
        ok = wait_while_open (receiver, error);
    cw_decision_set_notify (decision, NULL, NULL);
    if (!ok)
        return FALSE;
    if (state == CW_DECISION_ACCEPTED)
        return TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_DECLINED, "the offer was declined");
    return FALSE;
}

/* --- Items --- */

static CwInbox *
open_inbox (Receiver *receiver, const CwOffer *offer, const char *folder, GError **error)
{
    g_autofree char *tag = cw_drop_offer_make_tag (offer, receiver->args->sender_id);

    return cw_inbox_open (folder, tag, error);
}

static gboolean
receive_items (Receiver *receiver, CwDropStore *store, GPtrArray **ret_paths, GError **error)
{
    while (TRUE) {
        g_autoptr (CwDropStep) step = next_step (receiver, error);
        if (step == NULL)
            return FALSE;
        if (step->kind == CW_DROP_STEP_DONE)
            break;
        if (!cw_drop_store_take (store, step, error))
            return FALSE;
    }
    if (!cw_drop_store_deliver (store, ret_paths, error)) {
        receiver->answered = *ret_paths != NULL;
        return FALSE;
    }
    return TRUE;
}

static gboolean
receive_accepted (Receiver *receiver,
                  const CwOffer *offer,
                  const char *folder,
                  int output_fd,
                  GPtrArray **ret_paths,
                  GError **error)
{
    g_autoptr (CwDropStore) store = NULL;
    g_autofree char *json = NULL;
    CwInbox *inbox = NULL;

    if (output_fd >= 0 && (offer->n_files != 1 || offer->n_folders > 0)) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED,
                     "only a single file can be written to a stream");
        return FALSE;
    }
    if (output_fd < 0) {
        inbox = open_inbox (receiver, offer, folder, error);
        if (inbox == NULL)
            return FALSE;
    }
    json = cw_drop_accept_make (inbox != NULL && cw_inbox_is_resumed (inbox));
    store = cw_drop_store_new (offer, inbox, output_fd, receiver->args->transfer,
                               &receiver->answers, receiver->cancellable);
    cw_drop_answers_add_json (&receiver->answers, json);
    return receive_items (receiver, store, ret_paths, error);
}

static gboolean
receive (Receiver *receiver, GPtrArray **ret_paths, char **ret_text, GError **error)
{
    g_autoptr (CwOffer) offer = receive_offer (receiver, error);
    g_autofree char *folder = NULL;
    g_autofree char *json = NULL;
    int output_fd = -1;

    if (offer == NULL || !await_decision (receiver, &folder, &output_fd, error))
        return FALSE;
    if (offer->text == NULL)
        return receive_accepted (receiver, offer, folder, output_fd, ret_paths, error);
    json = cw_drop_accept_make (FALSE);
    cw_drop_answers_add_json (&receiver->answers, json);
    *ret_text = g_strdup (offer->text);
    return TRUE;
}

/* Tells the sender why it ends, unless it knows or has gone. */
static void
say_goodbye (Receiver *receiver, const GError *error)
{
    if (error != NULL && !receiver->answered
        && !g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST))
        cw_drop_answers_add_problem (&receiver->answers, error, TRUE);
    /* First: the sender may not even read that. */
    cw_drop_line_end_soon (receiver->line);
    cw_drop_answers_flush (&receiver->answers);
    /* One that cancelled has said its last word, and waits for us to close. */
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_CANCELLED))
        cw_drop_line_end_now (receiver->line);
}

gboolean
cw_drop_receive (GIOStream *stream,
                 const CwDropReceiveArgs *args,
                 GCancellable *cancellable,
                 GPtrArray **ret_paths,
                 char **ret_text,
                 GError **error)
{
    static const CwDropLineFuncs funcs = { .cancelled = on_cancelled, .tick = on_tick };
    Receiver receiver = { .args = args, .cancellable = cancellable };
    g_autoptr (GPtrArray) paths = NULL;
    g_autofree char *text = NULL;
    g_autoptr (GError) local = NULL;

    receiver.line = cw_drop_line_new (stream, cancellable, &funcs, &receiver);
    receiver.intake = cw_drop_intake_new (receiver.line);
    cw_drop_answers_init (&receiver.answers, receiver.line, receiver.intake);
    cw_drop_line_start (receiver.line);
    cw_drop_intake_start (receiver.intake);

    receive (&receiver, &paths, &text, &local);
    say_goodbye (&receiver, local);
    cw_drop_intake_join (receiver.intake);
    cw_drop_line_free (receiver.line);
    cw_drop_intake_free (receiver.intake);
    cw_drop_answers_clear (&receiver.answers);

    if (paths != NULL && ret_paths != NULL)
        *ret_paths = g_steal_pointer (&paths);
    if (text != NULL && ret_text != NULL)
        *ret_text = g_steal_pointer (&text);
    if (local == NULL)
        return TRUE;
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
}
