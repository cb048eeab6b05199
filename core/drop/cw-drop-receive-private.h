/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What the receiver's two threads share:
 *
 * intake  cw-drop-intake.c, a thread: reads the stream and cuts it into steps
 * store   cw-drop-store.c, on the caller's thread (cw-drop-receive.c): hashes, writes, answers
 *
 * The steps between them are bounded by blocks (their content) and by weight (everything else). */

#include "cw-drop-line-private.h"
#include "cw-drop-wire.h"
#include "cw-drop.h"

G_BEGIN_DECLS

/* --- Steps --- */

typedef enum {
    CW_DROP_STEP_OFFER, /* content: the JSON */
    CW_DROP_STEP_LOOK,  /* request */
    CW_DROP_STEP_ITEM,  /* request; content: a symlink's target */
    CW_DROP_STEP_DATA,  /* data, at */
    CW_DROP_STEP_END,   /* trailer: the file begun by the last ITEM ends */
    CW_DROP_STEP_DONE,
    CW_DROP_STEP_CANCEL,
    CW_DROP_STEP_BROKEN, /* error: nothing more comes */
} CwDropStepKind;

typedef struct {
    CwDropStepKind kind;
    size_t weight;
    union {
        CwDropRequest request;
        CwDropTrailer trailer;
        struct {
            CwDropBlock *block;
            const guint8 *bytes;
            size_t len;
            gint64 at; /* -1: behind the data before */
        } data;
        GError *error;
    };
    GBytes *content;
} CwDropStep;

void cw_drop_step_free (CwDropStep *step);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDropStep, cw_drop_step_free)

/* --- Intake --- */

typedef struct {
    CwDropLine *line;
    CwDropPool *pool;
    CwDropInput input;
    GThread *thread;
    int n_requests; /* atomic; that came, ever (wraps) */

    GQueue batch; /* of the intake's thread: not yet handed over */
    size_t batch_weight;

    GMutex lock; /* guards all below */
    GCond cond;  /* any of it has changed */
    GQueue steps;
    size_t weight;
    gboolean woken;   /* see cw_drop_intake_wake() */
    gboolean stopped; /* nobody takes steps any more */
} CwDropIntake;

CwDropIntake *cw_drop_intake_new (CwDropLine *line);
void cw_drop_intake_start (CwDropIntake *intake);
/* The next step; NULL when @wait is FALSE and there is none, or somebody called wake() before or
 * while it waited. */
CwDropStep *cw_drop_intake_pop (CwDropIntake *intake, gboolean wait);
/* From any thread: the pop() of now, or else the next one, is to return. */
void cw_drop_intake_wake (CwDropIntake *intake);
/* No steps any more: what still comes is thrown away until the other side closes or the line ends.
 * Waits for that. */
void cw_drop_intake_join (CwDropIntake *intake);
/* After that and the line's end. */
void cw_drop_intake_free (CwDropIntake *intake);

/* --- Answers --- */

/* Gathered so that many small ones are one write; the line's tick sends what is due. */
typedef struct {
    CwDropLine *line;
    CwDropIntake *intake;

    GMutex lock; /* guards all below; held while writing */
    GByteArray *bytes;
    int n_answered; /* final responses, ever (wraps) */
    gint64 written_us;
    gboolean failed;
} CwDropAnswers;

void cw_drop_answers_init (CwDropAnswers *answers, CwDropLine *line, CwDropIntake *intake);
void cw_drop_answers_clear (CwDropAnswers *answers);
void cw_drop_answers_add (CwDropAnswers *answers, const CwDropResponse *response);
void cw_drop_answers_add_json (CwDropAnswers *answers, const char *json);
void cw_drop_answers_add_problem (CwDropAnswers *answers, const GError *problem, gboolean close);
void cw_drop_answers_flush (CwDropAnswers *answers);
/* On the line's thread: sends what waits, or that we are still at it. */
void cw_drop_answers_tick (CwDropAnswers *answers);

/* --- Store --- */

typedef struct _CwDropStore CwDropStore;

/* @inbox (taken), or @output_fd. @offer and the rest are borrowed. */
CwDropStore *cw_drop_store_new (const CwOffer *offer,
                                CwInbox *inbox,
                                int output_fd,
                                CwTransfer *transfer,
                                CwDropAnswers *answers,
                                GCancellable *cancellable);
/* Leaves what is unfinished for the next attempt. */
void cw_drop_store_free (CwDropStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDropStore, cw_drop_store_free)

/* LOOK, ITEM, DATA and END. FALSE: everything is over. */
gboolean cw_drop_store_take (CwDropStore *store, CwDropStep *step, GError **error);
/* DONE: delivers and answers. The result is the whole transfer's. */
gboolean cw_drop_store_deliver (CwDropStore *store, GPtrArray **ret_paths, GError **error);

/* --- Decision --- */

typedef enum {
    CW_DECISION_OPEN,
    CW_DECISION_ACCEPTED,
    CW_DECISION_DECLINED,
} CwDecisionState;

/* @notify runs when the decision is put, on that thread, or at once. NULL: no more; when this
 * returns it is not running either. */
void cw_decision_set_notify (CwDecision *decision, void (*notify) (gpointer data), gpointer data);
CwDecisionState cw_decision_get (CwDecision *decision, char **ret_folder, int *ret_output_fd);

G_END_DECLS
