/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A world for mailbox sessions: a clock that only we move, a mailbox server as far as a session can
 * tell, and connections that are slow, break, and repeat what they carried, all from one seed. */

#include <glib.h>

#include "cw-mailbox-session.h"

#define SECOND G_GINT64_CONSTANT (1000000)
#define APP_ID "example.org/test"

typedef struct _World World;

/* One user with a session. */
typedef struct {
    World *world;
    CwMailboxSession *session;
    unsigned connection; /* 0: none, or being made */
    unsigned dialling;   /* counts attempts, so that an old one's outcome is not taken */
    unsigned dials;
    unsigned last_url;
    gint64 dialled_at;

    /* what the session said */
    char *code;
    char *versions;
    char *motd;
    char **nameplates;
    GPtrArray *messages; /* of GBytes */
    GError *failure;
    unsigned keys, confirmations, offline, online, motds, codes, stamps;
    gboolean closed;
    GPtrArray *log; /* names of the events, in order */
} User;

struct _World {
    gint64 now;
    GRand *rand;
    GPtrArray *users;
    GSequence *queue; /* what happens later */
    guint64 serial;

    /* The server's state. */
    GHashTable *nameplates;  /* number to Nameplate */
    GHashTable *mailboxes;   /* id to Mailbox */
    GHashTable *connections; /* number to Connection */
    unsigned next_connection;
    unsigned next_mailbox;
    GString *moods; /* "happy happy " */
    unsigned most_sides;

    /* Its manners. */
    const char *welcome;    /* the object; NULL: {} */
    gboolean down;          /* refuses connections */
    gboolean mute;          /* accepts them and says nothing */
    gboolean ghost;         /* takes messages and forgets them */
    const char *hang_up_on; /* a type of message that it cannot stand */
    const char *fail_on;    /* a type of message it answers with an error */
    const char *silent_on;  /* a type of message it does not answer */
    unsigned url_down;      /* bit mask of addresses that refuse */
    unsigned url_dead;      /* bit mask of addresses that never answer */

    /* The network's. */
    unsigned drop_percent; /* chance of a break for each frame, */
    unsigned drops_left;   /* but no more of them */
    unsigned twice_percent;
    gboolean shuffle; /* replays come in any order */
};

World *world_new (guint32 seed);
void world_free (World *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (World, world_free)

/* @n_urls addresses of the same server. Not started. */
User *world_add_user (World *world, unsigned n_urls);

/* Moves the clock from event to event until @done says so; FALSE when @limit_us of the world's time
 * have passed before. */
typedef gboolean (*WorldDone) (World *world);
gboolean world_run (World *world, WorldDone done, gint64 limit_us);
/* Lets that much time pass. */
void world_pass (World *world, gint64 span_us);

/* Breaks the user's connection. */
void world_cut (World *world, User *user);
/* All connections break; @forget: and all is forgotten. */
void world_restart_server (World *world, gboolean forget);

/* A message of some side that appears in the user's mailbox. */
void world_forge (
    World *world, User *user, const char *side, const char *phase, const char *body_hex);
/* The user's session is handled after something was called on it. */
void user_settle (User *user);
