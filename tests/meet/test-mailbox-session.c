/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Sessions in a simulated world (mailbox-world.h). CW_TEST_SEED repeats a run. */
#include "mailbox-world.h"

#include <sodium.h>
#include <string.h>

#include "cw-hash.h"
#include "cw-mailbox-message.h"
#include "cw-secret.h"
#include "cw-spake2.h"
#include "cw-wormhole-keys.h"

#define CODE "4-purple-sausages"
#define MINUTE (60 * SECOND)

static guint32 base_seed;

static gboolean
all_confirmed (World *world)
{
    for (guint i = 0; i < world->users->len; i++) {
        User *user = g_ptr_array_index (world->users, i);
        if (user->confirmations == 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean
all_over (World *world)
{
    for (guint i = 0; i < world->users->len; i++) {
        User *user = g_ptr_array_index (world->users, i);
        if (!user->closed && user->failure == NULL)
            return FALSE;
    }
    return TRUE;
}

static gboolean
first_has_code (World *world)
{
    return ((User *)g_ptr_array_index (world->users, 0))->code != NULL;
}

static gboolean
first_has_nameplates (World *world)
{
    return ((User *)g_ptr_array_index (world->users, 0))->nameplates != NULL;
}

static gboolean
first_is_bound (World *world)
{
    User *user = g_ptr_array_index (world->users, 0);

    return user->connection != 0 && user->offline == user->online && world->next_mailbox > 0;
}

static gboolean
first_is_over (World *world)
{
    User *user = g_ptr_array_index (world->users, 0);

    return user->closed || user->failure != NULL;
}

/* A user who has the code, or allocates one (NULL). */
static User *
add_started (World *world, const char *code)
{
    User *user = world_add_user (world, 1);
    g_autoptr (GError) error = NULL;

    cw_mailbox_session_start (user->session, world->now);
    if (code == NULL)
        cw_mailbox_session_allocate (user->session, 2, world->now);
    else
        cw_mailbox_session_set_code (user->session, code, world->now, &error);
    g_assert_no_error (error);
    return user;
}

static void
send (User *user, const char *text)
{
    g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));

    cw_mailbox_session_send (user->session, body, user->world->now);
    user_settle (user);
}

static void
close_user (User *user, CwMood mood)
{
    cw_mailbox_session_close (user->session, mood, user->world->now);
    user_settle (user);
}

static void
assert_message (User *user, guint index, const char *text)
{
    gsize len;
    const char *data;

    g_assert_cmpuint (index, <, user->messages->len);
    data = g_bytes_get_data (g_ptr_array_index (user->messages, index), &len);
    g_assert_cmpmem (data, len, text, strlen (text));
}

static void
assert_failed (User *user, CwMailboxError code)
{
    g_assert_error (user->failure, CW_MAILBOX_ERROR, (int)code);
}

static void
assert_server_empty (World *world)
{
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 0);
    g_assert_cmpuint (g_hash_table_size (world->mailboxes), ==, 0);
}

/* Each draw from the seed is another one: the side, which all see, says nothing of the secret. */
static void
test_seed (void)
{
    static const char *const urls[] = { "ws://one/v1", NULL };
    static const char *const said[]
        = { "{\"type\":\"welcome\",\"welcome\":{}}", "{\"type\":\"claimed\",\"mailbox\":\"m\"}" };
    CwSecret seed = { { 7 } };
    guint8 info[16] = "mailbox:", side[5], random[CW_SPAKE2_RANDOM_SIZE];
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];
    char side_hex[11];
    g_autoptr (CwMailboxSession) session = cw_mailbox_session_new (urls, APP_ID, "{}", &seed);
    g_autoptr (CwSpake2) pake = NULL;
    g_autoptr (GBytes) body = NULL;
    g_autofree char *add = NULL;
    gboolean seen = FALSE;
    char *text;

    cw_hkdf_sha256 (seed.bytes, 32, NULL, 0, info, 16, side, sizeof side);
    sodium_bin2hex (side_hex, sizeof side_hex, side, sizeof side);
    g_assert_cmpstr (cw_mailbox_session_get_side (session), ==, side_hex);
    info[15] = 1;
    cw_hkdf_sha256 (seed.bytes, 32, NULL, 0, info, 16, random, sizeof random);
    pake = cw_spake2_new (CW_SPAKE2_SYMMETRIC, CODE, strlen (CODE), APP_ID, NULL, random);
    cw_spake2_get_message (pake, message);
    body = cw_mailbox_pake_body (message);
    cw_mailbox_session_start (session, 1);
    g_assert_true (cw_mailbox_session_set_code (session, CODE, 1, NULL));
    cw_mailbox_session_connected (session, 1);
    for (gsize i = 0; i < G_N_ELEMENTS (said); i++)
        cw_mailbox_session_receive (session, said[i], strlen (said[i]), 1);
    add = cw_mailbox_message_write_add (3, "pake", body); /* after bind, claim, open */
    while ((text = cw_mailbox_session_next_text (session)) != NULL) {
        seen |= strcmp (text, add) == 0;
        g_free (text);
    }
    g_assert_true (seen);
}

static void
test_meet (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, NULL);
    User *b;

    g_assert_true (world_run (world, first_has_code, MINUTE));
    g_assert_true (g_str_has_prefix (a->code, "1-"));
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 1);
    send (a, "before the key");
    b = add_started (world, a->code);
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    send (b, "one");
    send (b, "two");
    world_pass (world, MINUTE);
    g_assert_cmpstr (b->code, ==, a->code);
    g_assert_cmpstr (a->versions, ==, "{\"hello\":1}");
    g_assert_cmpstr (b->versions, ==, "{\"hello\":1}");
    g_assert_cmpmem (cw_mailbox_session_get_key (a->session)->bytes, 32,
                     cw_mailbox_session_get_key (b->session)->bytes, 32);
    assert_message (b, 0, "before the key");
    assert_message (a, 0, "one");
    assert_message (a, 1, "two");
    g_assert_cmpuint (a->messages->len, ==, 2);
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 0);
    close_user (a, CW_MOOD_HAPPY);
    close_user (b, CW_MOOD_HAPPY);
    g_assert_true (world_run (world, all_over, MINUTE));
    g_assert_true (a->closed && b->closed);
    g_assert_cmpstr (world->moods->str, ==, "happy happy ");
    assert_server_empty (world);
    g_assert_cmpuint (a->dials, ==, 1);
    g_assert_cmpuint (a->offline + a->online, ==, 0);
    g_ptr_array_add (b->log, NULL);
    {
        g_autofree char *log = g_strjoinv (" ", (char **)b->log->pdata);
        g_assert_cmpstr (log, ==, "connect code key confirmed message disconnect closed");
    }
}

/* Whatever breaks, doubles and mixes up: each gets all of the other's messages once, in order. */
static void
run_lossy (guint32 seed)
{
    g_autoptr (World) world = world_new (seed);
    User *a, *b;

    g_test_message ("CW_TEST_SEED=%u", seed);
    world->drop_percent = 12;
    world->drops_left = 3; /* with those below five: six in a row are a reason to give up */
    world->twice_percent = 20;
    world->shuffle = TRUE;
    a = add_started (world, NULL);
    if (g_rand_boolean (world->rand))
        send (a, "0");
    else
        world_pass (world, SECOND);
    g_assert_true (world_run (world, first_has_code, 10 * MINUTE));
    b = add_started (world, a->code);
    for (int i = a->messages->len; i < 6; i++) {
        g_autofree char *text = g_strdup_printf ("%d", i);
        world_pass (world, g_rand_int_range (world->rand, 0, 2000000));
        send (b, text);
        if (i == 3) {
            world->drops_left++;
            world_restart_server (world, FALSE);
        }
    }
    g_assert_true (world_run (world, all_confirmed, 10 * MINUTE));
    world_pass (world, 5 * MINUTE);
    if (a->failure != NULL || b->failure != NULL)
        g_error ("seed %u: %s", seed, (a->failure != NULL ? a->failure : b->failure)->message);
    g_assert_cmpuint (a->messages->len, ==, 6);
    for (guint i = 0; i < 6; i++) {
        g_autofree char *text = g_strdup_printf ("%u", i);
        assert_message (a, i, text);
    }
    g_assert_cmpuint (b->messages->len, <=, 1);
    g_assert_cmpuint (a->confirmations, ==, 1);
    g_assert_cmpuint (a->keys, ==, 1);
    g_assert_cmpuint (a->codes, ==, 1);
    g_assert_cmpuint (a->offline, ==, a->online);
    g_assert_cmpuint (world->most_sides, ==, 2);
    close_user (a, CW_MOOD_HAPPY);
    close_user (b, CW_MOOD_HAPPY);
    g_assert_true (world_run (world, all_over, MINUTE));
    g_assert_true (a->closed && b->closed);
}

static void
test_lossy (void)
{
    for (guint32 i = 0; i < 300; i++)
        run_lossy (base_seed + i);
}

/* Both learn it, whoever has the wrong one and whatever breaks. */
static void
test_wrong_code (void)
{
    for (guint32 i = 0; i < 100; i++) {
        g_autoptr (World) world = world_new (base_seed + i);
        User *a, *b;

        g_test_message ("CW_TEST_SEED=%u", base_seed + i);
        world->drop_percent = i == 0 ? 0 : 10;
        world->drops_left = 3;
        a = add_started (world, CODE);
        b = add_started (world, "4-purple-sausage");
        send (a, "secret");
        send (b, "secret");
        g_assert_true (world_run (world, all_over, 5 * MINUTE));
        assert_failed (a, CW_MAILBOX_ERROR_WRONG_CODE);
        assert_failed (b, CW_MAILBOX_ERROR_WRONG_CODE);
        g_assert_cmpuint (a->confirmations + b->confirmations, ==, 0);
        g_assert_cmpuint (a->messages->len + b->messages->len, ==, 0);
        if (i == 0) {
            g_assert_cmpstr (world->moods->str, ==, "scary scary ");
            assert_server_empty (world);
        }
    }
}

/* Whenever the server goes away for some seconds: the proof waits for it to come back. */
static void
test_wrong_code_offline (void)
{
    for (guint32 i = 0; i < 200; i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *a = add_started (world, CODE);
        User *b = add_started (world, "4-purple-sausage");
        /* a comes back to find all that b wrote at once, so that it fails before it has said all */
        world_run (world, first_has_code, MINUTE);
        world_pass (world, 200000);
        world_cut (world, a);
        while (a->online == 0)
            world_pass (world, 10000);
        world_pass (world, (gint64)i * 5000);
        world->down = TRUE;
        world_cut (world, a);
        world_pass (world, 4 * SECOND);
        world->down = FALSE;
        g_assert_true (world_run (world, all_over, MINUTE));
        assert_failed (a, CW_MAILBOX_ERROR_WRONG_CODE);
        assert_failed (b, CW_MAILBOX_ERROR_WRONG_CODE);
    }
}

/* The number first, the words when the other is there already. */
static void
test_claim_first (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *b = world_add_user (world, 1);
    User *a = add_started (world, CODE);
    g_autoptr (GError) error = NULL;

    cw_mailbox_session_start (b->session, world->now);
    cw_mailbox_session_claim (b->session, "4", world->now);
    send (a, "hello");
    world_pass (world, MINUTE);
    g_assert_cmpuint (b->codes + b->keys, ==, 0);
    g_assert_false (cw_mailbox_session_set_code (b->session, "5-x", world->now, &error));
    g_assert_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE);
    g_clear_error (&error);
    g_assert_true (cw_mailbox_session_set_code (b->session, CODE, world->now, &error));
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    g_assert_false (cw_mailbox_session_set_code (b->session, CODE, world->now, &error));
    g_assert_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE);
    world_pass (world, MINUTE);
    assert_message (b, 0, "hello");
    g_ptr_array_add (b->log, NULL);
    {
        g_autofree char *log = g_strjoinv (" ", (char **)b->log->pdata);
        g_assert_cmpstr (log, ==, "connect code key confirmed message");
    }
}

static void
test_list (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = world_add_user (world, 1);

    add_started (world, "17-x");
    world_pass (world, MINUTE);
    cw_mailbox_session_list (user->session, world->now); /* before there is a connection */
    cw_mailbox_session_start (user->session, world->now);
    g_assert_true (world_run (world, first_has_nameplates, MINUTE));
    g_assert_cmpuint (g_strv_length (user->nameplates), ==, 1);
    g_assert_cmpstr (user->nameplates[0], ==, "17");
    g_clear_pointer (&user->nameplates, g_strfreev);
    world->fail_on = "list";
    cw_mailbox_session_list (user->session, world->now);
    g_assert_true (world_run (world, first_has_nameplates, MINUTE));
    g_assert_cmpuint (g_strv_length (user->nameplates), ==, 0);
    g_assert_no_error (user->failure);
}

static void
test_crowded (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = world_add_user (world, 1);
    User *b, *c;

    /* None of the three has words yet, so nobody's message takes the number away. */
    cw_mailbox_session_start (a->session, world->now);
    cw_mailbox_session_claim (a->session, "4", world->now);
    b = world_add_user (world, 1);
    cw_mailbox_session_start (b->session, world->now);
    cw_mailbox_session_claim (b->session, "4", world->now);
    world_pass (world, MINUTE);
    c = add_started (world, CODE);
    world_pass (world, MINUTE);
    assert_failed (c, CW_MAILBOX_ERROR_CROWDED);
    g_assert_no_error (a->failure);
    /* It is spoiled for good: whoever has to come back finds it so. */
    world_cut (world, a);
    world_pass (world, MINUTE);
    assert_failed (a, CW_MAILBOX_ERROR_CROWDED);
}

static void
test_welcome (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);

    world->welcome = "{\"motd\":\"be nice\\u001b[2J\\nto all\",\"current_cli_version\":\"9\"}";
    world_pass (world, MINUTE);
    g_assert_cmpstr (user->motd, ==, "be nice [2J\nto all");
    world_cut (world, user);
    world_pass (world, MINUTE);
    g_assert_cmpuint (user->online, ==, 1);
    g_assert_cmpuint (user->motds, ==, 1); /* once */
    world->welcome = "{\"error\":\"go away\"}";
    world_cut (world, user);
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_UNWELCOME);
    g_assert_cmpstr (user->failure->message, ==, "go away");
    world_pass (world, MINUTE);
    g_assert_cmpuint (g_hash_table_size (world->connections), ==, 0);
}

static void
test_permission (void)
{
    static const struct {
        const char *welcome;
        unsigned stamps;
        gboolean in;
    } cases[] = {
        { "{\"permission-required\":{\"none\":{}}}", 0, TRUE },
        { "{\"permission-required\":{\"none\":{},\"hashcash\":{\"bits\":20,"
          "\"resource\":\"resource\"}}}",
          0, TRUE },
        { "{\"permission-required\":{\"hashcash\":{\"bits\":20,\"resource\":\"resource\"}}}", 1,
          TRUE },
        { "{\"permission-required\":{\"hashcash\":{\"bits\":20,\"resource-string\":\"resource\"}}}",
          1, TRUE },
        { "{\"permission-required\":{\"hashcash\":{\"bits\":25,\"resource\":\"resource\"}}}", 0,
          FALSE },
        { "{\"permission-required\":{\"hashcash\":{\"bits\":-1,\"resource\":\"resource\"}}}", 0,
          FALSE },
        { "{\"permission-required\":{\"hashcash\":{\"bits\":20}}}", 0, FALSE },
        { "{\"permission-required\":{\"retina\":{}}}", 0, FALSE },
        { "{\"permission-required\":{}}", 0, FALSE },
        { "{\"permission-required\":null}", 0, FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *user = add_started (world, CODE);
        world->welcome = cases[i].welcome;
        world_pass (world, MINUTE);
        g_assert_cmpuint (user->stamps, ==, cases[i].stamps);
        if (cases[i].in)
            g_assert_cmpuint (user->codes, ==, 1);
        else
            assert_failed (user, CW_MAILBOX_ERROR_PERMISSION);
    }
}

static void
test_stamp_refused (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);

    world->welcome
        = "{\"permission-required\":{\"hashcash\":{\"bits\":20,\"resource\":\"resource\"}}}";
    world->fail_on = "submit-permissions";
    world_pass (world, MINUTE);
    assert_failed (user, CW_MAILBOX_ERROR_PERMISSION);
}

static void
test_unreachable (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = world_add_user (world, 3);
    gint64 start = world->now;

    world->url_down = 1 << 0 | 1 << 2;
    world->url_dead = 1 << 1;
    cw_mailbox_session_start (user->session, world->now);
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_UNREACHABLE);
    g_assert_cmpstr (user->failure->message, ==,
                     "cannot reach 'ws://one/v1': refused; cannot reach 'ws://two/v1': no answer "
                     "in time; cannot reach 'ws://three/v1': refused");
    g_assert_cmpuint (user->dials, ==, 3);
    g_assert_cmpint (world->now - start, >=, 10 * SECOND);
    g_assert_cmpint (world->now - start, <, 11 * SECOND);
}

/* A server that says nothing, or something else, is not one. */
static void
test_not_a_mailbox (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *mute = world_add_user (world, 1);

    world->mute = TRUE;
    cw_mailbox_session_start (mute->session, world->now);
    world_pass (world, 11 * SECOND);
    assert_failed (mute, CW_MAILBOX_ERROR_UNREACHABLE);
    {
        g_autoptr (World) other = world_new (base_seed);
        User *user = world_add_user (other, 1);
        other->welcome = "\"not an object\"";
        cw_mailbox_session_start (user->session, other->now);
        world_pass (other, 11 * SECOND);
        assert_failed (user, CW_MAILBOX_ERROR_UNREACHABLE);
    }
}

/* The address that worked is kept. */
static void
test_second_address (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = world_add_user (world, 3);

    world->url_down = 1 << 0;
    cw_mailbox_session_start (user->session, world->now);
    cw_mailbox_session_set_code (user->session, CODE, world->now, NULL);
    world_pass (world, MINUTE);
    g_assert_cmpuint (user->last_url, ==, 1);
    world->url_down = 0;
    world_cut (world, user);
    world_pass (world, MINUTE);
    g_assert_cmpuint (user->online, ==, 1);
    g_assert_cmpuint (user->last_url, ==, 1);
}

static void
test_lost (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);
    gint64 cut_at;

    world_pass (world, MINUTE);
    world->down = TRUE;
    world_cut (world, user);
    cut_at = world->now;
    world_pass (world, 9 * MINUTE);
    g_assert_cmpuint (user->offline, ==, 1);
    g_assert_cmpuint (user->online, ==, 0);
    /* 1, 1.5, 2.25 ... 60: nine short ones in two minutes, then one a minute */
    g_assert_cmpuint (user->dials, >=, 14);
    g_assert_cmpuint (user->dials, <=, 26);
    g_assert_no_error (user->failure);
    g_assert_true (world_run (world, first_is_over, 2 * MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_LOST);
    g_assert_cmpint (world->now - cut_at, ==, 10 * MINUTE);
}

static void
test_back_off (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);
    gint64 expected = SECOND;

    world_pass (world, MINUTE);
    world->down = TRUE;
    world_cut (world, user);
    user->dialled_at = world->now;
    for (unsigned i = 0; i < 11; i++) {
        gint64 from = user->dialled_at;
        unsigned dials = user->dials;
        while (user->dials == dials)
            world_pass (world, 100000);
        /* a refusal took up to 0.2 s */
        g_assert_cmpint (user->dialled_at - from, >=, expected * 3 / 4);
        g_assert_cmpint (user->dialled_at - from, <=, expected * 5 / 4 + SECOND / 5);
        expected = MIN (expected * 3 / 2, MINUTE);
    }
}

/* The server takes messages into a mailbox that is no more. */
static void
test_ghost (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = add_started (world, CODE);

    world_run (world, all_confirmed, MINUTE);
    world->ghost = TRUE;
    send (a, "into the void");
    world_pass (world, 4 * SECOND);
    g_assert_cmpuint (a->dials, ==, 1);
    world->ghost = FALSE;
    world_pass (world, 4 * SECOND);
    g_assert_cmpuint (a->dials, ==, 2);
    assert_message (b, 0, "into the void");
    world->ghost = TRUE;
    send (a, "again");
    g_assert_true (world_run (world, first_is_over, 2 * MINUTE));
    assert_failed (a, CW_MAILBOX_ERROR_SERVER);
    g_assert_cmpuint (a->dials, ==, 6);
}

static void
test_hang_up (void)
{
    static const char *const commands[] = { "bind", "allocate", "claim", "open", "add" };

    for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *user = add_started (world, i == 1 ? NULL : CODE);
        world->hang_up_on = commands[i];
        g_assert_true (world_run (world, first_is_over, 2 * MINUTE));
        assert_failed (user, CW_MAILBOX_ERROR_SERVER);
        g_assert_cmpuint (user->dials, <=, 7);
    }
}

/* No answer at all: another connection may help, an endless wait does not. */
static void
test_silent (void)
{
    static const char *const commands[] = { "allocate", "claim" };

    for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *user = add_started (world, i == 0 ? NULL : CODE);
        world->silent_on = commands[i];
        world_pass (world, 40 * SECOND);
        g_assert_cmpuint (user->offline, ==, 1);
        world->silent_on = NULL;
        world_pass (world, 40 * SECOND);
        g_assert_cmpuint (user->codes, ==, 1);
    }
}

static void
test_server_error (void)
{
    static const char *const commands[] = { "bind", "allocate", "claim", "open", "add" };

    for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *user = add_started (world, i == 1 ? NULL : CODE);
        world->fail_on = commands[i];
        g_assert_true (world_run (world, first_is_over, MINUTE));
        assert_failed (user, CW_MAILBOX_ERROR_SERVER);
        g_assert_nonnull (strstr (user->failure->message, "no such luck"));
    }
}

/* What cannot be helped in leaving does not matter. */
static void
test_release_error (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = add_started (world, CODE);

    world->fail_on = "release";
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    world->fail_on = "close";
    close_user (a, CW_MOOD_HAPPY);
    close_user (b, CW_MOOD_HAPPY);
    g_assert_true (world_run (world, all_over, SECOND));
    g_assert_true (a->closed && b->closed);
}

/* A server that lost its database while nobody had come sends the peer elsewhere. */
static void
test_forgotten_before (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, NULL);

    g_assert_true (world_run (world, first_has_code, MINUTE));
    world_pass (world, MINUTE);
    world_restart_server (world, TRUE);
    world_pass (world, MINUTE);
    add_started (world, a->code);
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    g_assert_cmpuint (a->codes, ==, 1);
}

/* And when it lost what was on its way. */
static void
test_forgotten_after (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = add_started (world, CODE);

    world_run (world, all_confirmed, MINUTE);
    world_pass (world, MINUTE);
    world_cut (world, b);
    user_settle (b);
    send (a, "is stored");
    world_pass (world, 600000); /* b is not back yet */
    g_assert_cmpuint (b->messages->len, ==, 0);
    world_restart_server (world, TRUE);
    world_pass (world, MINUTE);
    assert_message (b, 0, "is stored");
    g_assert_cmpuint (a->failure == NULL && b->failure == NULL, ==, TRUE);
}

/* The number is kept until the peer has found us. */
static void
test_release (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = world_add_user (world, 1);

    world_pass (world, MINUTE);
    world_cut (world, a);
    world_pass (world, MINUTE);
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 1);
    cw_mailbox_session_start (b->session, world->now);
    cw_mailbox_session_claim (b->session, "4", world->now);
    world_pass (world, MINUTE);
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 1); /* a holds it */
    cw_mailbox_session_set_code (b->session, CODE, world->now, NULL);
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    world_pass (world, SECOND);
    g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 0);
}

static void
test_close_alone (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, NULL);

    world_run (world, first_has_code, MINUTE);
    close_user (user, CW_MOOD_LONELY);
    g_assert_true (world_run (world, all_over, SECOND));
    g_assert_true (user->closed);
    g_assert_cmpstr (world->moods->str, ==, "lonely ");
    world_pass (world, SECOND);
    assert_server_empty (world);
    g_assert_cmpuint (g_hash_table_size (world->connections), ==, 0);
}

/* At any moment: nothing stays behind, and it takes at most 3 s. */
static void
test_close_any_time (void)
{
    for (guint32 i = 0; i < 200; i++) {
        g_autoptr (World) world = world_new (base_seed + i);
        User *a, *b;
        gint64 at;

        g_test_message ("CW_TEST_SEED=%u", base_seed + i);
        a = add_started (world, i % 2 ? CODE : NULL);
        b = add_started (world, "99-other");
        world_pass (world, (gint64)i * 10000);
        if (i % 3 == 0 && a->codes > 0)
            world_cut (world, a);
        at = world->now;
        close_user (a, CW_MOOD_ERRORY);
        close_user (b, CW_MOOD_ERRORY);
        g_assert_true (world_run (world, all_over, MINUTE));
        g_assert_true (a->closed && b->closed);
        g_assert_cmpint (world->now - at, <=, 3 * SECOND);
        world_pass (world, SECOND);
        g_assert_cmpuint (g_hash_table_size (world->nameplates), ==, 0);
    }
}

static void
test_close_odd (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *never = world_add_user (world, 1);
    User *deaf;
    gint64 at;

    /* before it began */
    close_user (never, CW_MOOD_LONELY);
    g_assert_true (never->closed);
    cw_mailbox_session_start (never->session, world->now);
    cw_mailbox_session_allocate (never->session, 2, world->now);
    user_settle (never);
    g_assert_cmpuint (never->dials, ==, 0);
    g_assert_cmpint (cw_mailbox_session_deadline (never->session), ==, G_MAXINT64);
    /* when the server does not answer */
    deaf = add_started (world, CODE);
    world_pass (world, MINUTE);
    world->silent_on = "close";
    at = world->now;
    close_user (deaf, CW_MOOD_LONELY);
    g_assert_true (world_run (world, all_over, MINUTE));
    g_assert_true (deaf->closed);
    g_assert_cmpint (world->now - at, ==, 3 * SECOND);
}

/* What was queued arrives although we close, even over a break. */
static void
test_close_flushes (void)
{
    for (int cut = 0; cut < 2; cut++) {
        g_autoptr (World) world = world_new (base_seed);
        User *a = add_started (world, CODE);
        User *b = add_started (world, CODE);

        g_assert_true (world_run (world, all_confirmed, MINUTE));
        world_pass (world, SECOND);
        if (cut)
            world_cut (world, a);
        send (a, "last words");
        close_user (a, CW_MOOD_HAPPY);
        world_pass (world, 4 * SECOND);
        g_assert_true (a->closed);
        assert_message (b, 0, "last words");
        g_assert_cmpstr (world->moods->str, ==, "happy ");
    }
}

static void
forge_text (World *world, User *user, const char *phase, const char *text)
{
    g_autofree char *hex = g_malloc (strlen (text) * 2 + 1);

    sodium_bin2hex (hex, strlen (text) * 2 + 1, (const guint8 *)text, strlen (text));
    world_forge (world, user, "mallory", phase, hex);
}

static void
test_bad_pake (void)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "{}",
        "{\"pake_v1\":5}",
        "{\"pake_v1\":\"53\"}",
        "{\"pake_v2\":\"\"}",
        "{\"pake_v1\":\"530000000000000000000000000000000000000000000000000000000000000000\"}",
        "{\"pake_v1\":\"xx0000000000000000000000000000000000000000000000000000000000000000\"}",
    };

    for (gsize i = 0; i <= G_N_ELEMENTS (bodies); i++) {
        g_autoptr (World) world = world_new (base_seed);
        User *user = add_started (world, CODE);
        world_run (world, first_has_code, MINUTE);
        world_pass (world, SECOND);
        if (i < G_N_ELEMENTS (bodies))
            forge_text (world, user, "pake", bodies[i]);
        else
            world_forge (world, user, "mallory", "pake", "not hex");
        g_assert_true (world_run (world, first_is_over, MINUTE));
        assert_failed (user, CW_MAILBOX_ERROR_INCOMPATIBLE);
        g_assert_cmpstr (world->moods->str, ==, "errory ");
        g_assert_cmpuint (user->keys, ==, 0);
    }
}

/* What a peer who has the key may still do wrong. */
static void
forge_sealed (World *world, User *user, const char *side, const char *phase, const char *text)
{
    const CwSecret *key = cw_mailbox_session_get_key (user->session);
    guint8 nonce[24] = { 1 };
    g_autoptr (GBytes) body = cw_wormhole_seal (key, side, phase, text, strlen (text), nonce);
    gsize len;
    const guint8 *data = g_bytes_get_data (body, &len);
    g_autofree char *hex = g_malloc (len * 2 + 1);

    world_forge (world, user, side, phase, sodium_bin2hex (hex, len * 2 + 1, data, len));
}

static void
test_odd_phases (void)
{
    static const char *const ignored[] = { "00", "01",      "-1",   "+7",       "7x",  "dilate-0",
                                           "",   "version", "pake", "99999999", "1.0", " 2" };
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = add_started (world, CODE);
    const char *side = cw_mailbox_session_get_side (b->session);

    g_assert_true (world_run (world, all_confirmed, MINUTE));
    for (gsize i = 0; i < G_N_ELEMENTS (ignored); i++)
        forge_sealed (world, a, side, ignored[i], "odd");
    world_forge (world, a, "third", "0", "00");
    forge_sealed (world, a, side, "2", "two");
    forge_sealed (world, a, side, "1", "one");
    forge_sealed (world, a, side, "1", "again");
    world_pass (world, SECOND);
    g_assert_cmpuint (a->messages->len, ==, 0);
    forge_sealed (world, a, side, "0", "zero");
    world_pass (world, SECOND);
    g_assert_cmpuint (a->messages->len, ==, 3);
    assert_message (a, 0, "zero");
    assert_message (a, 1, "one");
    assert_message (a, 2, "two");
    forge_sealed (world, a, side, "2", "again");
    world_pass (world, SECOND);
    g_assert_cmpuint (a->messages->len, ==, 3);
    world_forge (world, a, side, "3", "0011");
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (a, CW_MAILBOX_ERROR_INCOMPATIBLE);
    g_assert_true (g_str_has_prefix (world->moods->str, "scary "));
}

static void
test_early_flood (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);

    world_run (world, first_has_code, MINUTE);
    world_pass (world, SECOND);
    for (unsigned i = 0; i < 65; i++) {
        g_autofree char *phase = g_strdup_printf ("%u", 1000 + i);
        g_assert_no_error (user->failure);
        forge_text (world, user, phase, "x");
    }
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_INCOMPATIBLE);
}

/* However much comes again. */
static void
test_replay (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *a = add_started (world, CODE);
    User *b = add_started (world, CODE);

    g_assert_true (world_run (world, all_confirmed, MINUTE));
    for (int i = 0; i < 100; i++)
        send (a, "x");
    world_pass (world, MINUTE);
    g_assert_cmpuint (b->messages->len, ==, 100);
    world_cut (world, b);
    world_pass (world, MINUTE);
    g_assert_cmpuint (b->online, ==, 1);
    g_assert_cmpuint (b->messages->len, ==, 100);
    g_assert_no_error (b->failure);
}

/* A version message that decrypts but is not a JSON object. */
static void
test_bad_version (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);
    const guint8 random[CW_SPAKE2_RANDOM_SIZE] = { 1, 2, 3 };
    g_autoptr (CwSpake2) pake
        = cw_spake2_new (CW_SPAKE2_SYMMETRIC, CODE, strlen (CODE), APP_ID, NULL, random);
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];
    g_autoptr (GBytes) body = NULL;
    g_autofree char *text = NULL;

    world_run (world, first_has_code, MINUTE);
    world_pass (world, SECOND);
    cw_spake2_get_message (pake, message);
    body = cw_mailbox_pake_body (message);
    text = g_strndup (g_bytes_get_data (body, NULL), g_bytes_get_size (body));
    forge_text (world, user, "pake", text);
    world_pass (world, SECOND);
    g_assert_cmpuint (user->keys, ==, 1);
    forge_sealed (world, user, "mallory", "version", "[]");
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_INCOMPATIBLE);
    g_assert_cmpstr (world->moods->str, ==, "errory ");
}

/* A server may say anything at any time. */
static void
test_nonsense (void)
{
    static const char *const texts[] = {
        "{\"type\":\"welcome\",\"welcome\":{\"error\":\"late\"}}",
        "{\"type\":\"allocated\",\"nameplate\":\"9\"}",
        "{\"type\":\"claimed\",\"mailbox\":\"other\"}",
        "{\"type\":\"released\"}",
        "{\"type\":\"closed\"}",
        "{\"type\":\"pong\",\"pong\":1}",
        "{\"type\":\"nameplates\",\"nameplates\":[]}",
        "{\"type\":\"message\"}",
        "{\"type\":\"message\",\"side\":1,\"phase\":2,\"body\":3}",
        "{\"type\":\"future\"}",
    };
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);

    world_pass (world, MINUTE);
    for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
        cw_mailbox_session_receive (user->session, texts[i], strlen (texts[i]), world->now);
        user_settle (user);
    }
    g_assert_no_error (user->failure);
    g_assert_cmpuint (user->codes, ==, 1);
    g_assert_null (user->nameplates);
    add_started (world, CODE);
    g_assert_true (world_run (world, all_confirmed, MINUTE));
    cw_mailbox_session_receive (user->session, "nonsense", 8, world->now);
    g_assert_true (world_run (world, first_is_over, MINUTE));
    assert_failed (user, CW_MAILBOX_ERROR_SERVER);
}

static void
test_ignored_after_end (void)
{
    g_autoptr (World) world = world_new (base_seed);
    User *user = add_started (world, CODE);
    g_autoptr (GBytes) body = g_bytes_new_static ("x", 1);

    world_pass (world, MINUTE);
    g_assert_true (first_is_bound (world));
    close_user (user, CW_MOOD_LONELY);
    g_assert_true (world_run (world, all_over, MINUTE));
    cw_mailbox_session_list (user->session, world->now);
    cw_mailbox_session_send (user->session, body, world->now);
    cw_mailbox_session_connected (user->session, world->now);
    cw_mailbox_session_disconnected (user->session, "late", world->now);
    cw_mailbox_session_stamp (user->session, "late", world->now);
    cw_mailbox_session_close (user->session, CW_MOOD_HAPPY, world->now);
    cw_mailbox_session_expire (user->session, world->now + 1000 * MINUTE);
    user_settle (user); /* asserts that nothing follows the end */
    g_assert_null (cw_mailbox_session_next_text (user->session));
}

int
main (int argc, char **argv)
{
    const char *seed = g_getenv ("CW_TEST_SEED");

    g_test_init (&argc, &argv, NULL);
    cw_crypto_init ();
    base_seed = seed != NULL ? (guint32)g_ascii_strtoull (seed, NULL, 10) : g_random_int () >> 1;
    g_print ("# CW_TEST_SEED=%u\n", base_seed);
    g_test_add_func ("/mailbox-session/seed", test_seed);
    g_test_add_func ("/mailbox-session/meet", test_meet);
    g_test_add_func ("/mailbox-session/lossy", test_lossy);
    g_test_add_func ("/mailbox-session/wrong-code", test_wrong_code);
    g_test_add_func ("/mailbox-session/wrong-code/offline", test_wrong_code_offline);
    g_test_add_func ("/mailbox-session/claim-first", test_claim_first);
    g_test_add_func ("/mailbox-session/list", test_list);
    g_test_add_func ("/mailbox-session/crowded", test_crowded);
    g_test_add_func ("/mailbox-session/welcome", test_welcome);
    g_test_add_func ("/mailbox-session/permission", test_permission);
    g_test_add_func ("/mailbox-session/permission/refused", test_stamp_refused);
    g_test_add_func ("/mailbox-session/unreachable", test_unreachable);
    g_test_add_func ("/mailbox-session/not-a-mailbox", test_not_a_mailbox);
    g_test_add_func ("/mailbox-session/second-address", test_second_address);
    g_test_add_func ("/mailbox-session/lost", test_lost);
    g_test_add_func ("/mailbox-session/back-off", test_back_off);
    g_test_add_func ("/mailbox-session/ghost", test_ghost);
    g_test_add_func ("/mailbox-session/hang-up", test_hang_up);
    g_test_add_func ("/mailbox-session/silent", test_silent);
    g_test_add_func ("/mailbox-session/server-error", test_server_error);
    g_test_add_func ("/mailbox-session/release-error", test_release_error);
    g_test_add_func ("/mailbox-session/forgotten/before", test_forgotten_before);
    g_test_add_func ("/mailbox-session/forgotten/after", test_forgotten_after);
    g_test_add_func ("/mailbox-session/release", test_release);
    g_test_add_func ("/mailbox-session/close/alone", test_close_alone);
    g_test_add_func ("/mailbox-session/close/any-time", test_close_any_time);
    g_test_add_func ("/mailbox-session/close/odd", test_close_odd);
    g_test_add_func ("/mailbox-session/close/flushes", test_close_flushes);
    g_test_add_func ("/mailbox-session/bad-pake", test_bad_pake);
    g_test_add_func ("/mailbox-session/odd-phases", test_odd_phases);
    g_test_add_func ("/mailbox-session/early-flood", test_early_flood);
    g_test_add_func ("/mailbox-session/replay", test_replay);
    g_test_add_func ("/mailbox-session/bad-version", test_bad_version);
    g_test_add_func ("/mailbox-session/nonsense", test_nonsense);
    g_test_add_func ("/mailbox-session/after-end", test_ignored_after_end);
    return g_test_run ();
}
