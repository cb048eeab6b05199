/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A receiver is killed, and the same offer is received again, until somebody tells the sender that
 * it has arrived. However often that takes, nothing wrong or half is ever under a final name, and
 * in the end everything is there once.
 *
 * The program is linked with --wrap for the calls that change the disk, so that a child can be
 * killed right before each one of them in turn, and so that file systems without RENAME_NOREPLACE
 * or without hard links can be had. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cw-hash.h"
#include "cw-inbox.h"

/* --- Calls that count, and kill --- */

static unsigned calls_left; /* 0: no limit */
static gboolean lacks_noreplace, lacks_links;
static const char *fails_for; /* a name that cannot be renamed to; NULL: none */

static void
count (void)
{
    if (calls_left > 0 && --calls_left == 0)
        kill (getpid (), SIGKILL);
}

#define WRAP(result, name, parameters, arguments)                                                  \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        count ();                                                                                  \
        return __real_##name arguments;                                                            \
    }

WRAP (int, mkdirat, (int dir_fd, const char *name, mode_t mode), (dir_fd, name, mode))
WRAP (int, unlinkat, (int dir_fd, const char *name, int flags), (dir_fd, name, flags))
WRAP (int, symlinkat, (const char *target, int dir_fd, const char *name), (target, dir_fd, name))
WRAP (int,
      renameat,
      (int from_fd, const char *from, int to_fd, const char *to),
      (from_fd, from, to_fd, to))
WRAP (int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP (int, flock, (int fd, int operation), (fd, operation))
WRAP (int, ftruncate64, (int fd, off_t length), (fd, length))
WRAP (ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))
WRAP (ssize_t,
      pwrite64,
      (int fd, const void *data, size_t len, off_t offset),
      (fd, data, len, offset))

int __real_renameat2 (int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2 (int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int
__wrap_renameat2 (int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    count ();
    if (fails_for != NULL && strcmp (to, fails_for) == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (lacks_noreplace && flags != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_renameat2 (from_fd, from, to_fd, to, flags);
}

int __real_linkat (int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat (int from_fd, const char *from, int to_fd, const char *to, int flags);
int
__wrap_linkat (int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    count ();
    if (lacks_links) {
        errno = EPERM;
        return -1;
    }
    return __real_linkat (from_fd, from, to_fd, to, flags);
}

/* Killing a process loses nothing that the kernel has, so the disk need not be waited for. */
int __wrap_fsync (int fd);
int __wrap_fdatasync (int fd);
int __wrap_syncfs (int fd);
int
__wrap_fsync (int fd)
{
    return 0;
}
int
__wrap_fdatasync (int fd)
{
    return 0;
}
int
__wrap_syncfs (int fd)
{
    return 0;
}

/* --- The offer --- */

#define TAG "crash"
/* So that an item is written in several pieces. */
#define PIECE 30000

static const struct {
    const char *path;
    size_t size; /* 0: a folder */
} offer[] = {
    { "a", 100000 }, /* the target has one already */
    { "d", 0 },      { "d/e", 0 },   { "d/e/f", 50000 },
    { "d/g", 10 },   { "b", 70000 }, { "empty", 0 },
};
static const char *const top_level[] = { "a", "b", "d", "empty" };

static guint8 *
make_content (const char *path, size_t size)
{
    guint8 *content = g_malloc (size);
    g_autoptr (GRand) rand = g_rand_new_with_seed (g_str_hash (path));

    for (size_t i = 0; i < size; i++)
        content[i] = (guint8)g_rand_int (rand);
    return content;
}

/* --- The receiver that dies --- */

/* How much of what is there is right. */
static guint64
find_kept (CwInbox *inbox, const char *path, const guint8 *content, size_t size)
{
    guint8 found[32], expected[32];
    guint64 length;

    if (!cw_inbox_look_up (inbox, path, NULL, &length, found, NULL) || length > size)
        return 0;
    cw_sha256 (content, length, expected);
    return memcmp (found, expected, 32) == 0 ? length : 0;
}

static gboolean
receive_file (CwInbox *inbox, const char *path, size_t size, GError **error)
{
    CwInboxMeta meta = { .mode = 0644, .mtime_ns = 1000000000 };
    g_autofree guint8 *content = make_content (path, size);
    guint64 at = find_kept (inbox, path, content, size);
    CwInboxFile *file = cw_inbox_begin_file (inbox, path, at, (gint64)size, FALSE, error);

    if (file == NULL)
        return FALSE;
    for (; at < size; at += MIN (PIECE, size - at))
        if (!cw_inbox_file_write (file, at, content + at, MIN (PIECE, size - at), error)) {
            cw_inbox_file_abort (file, TRUE);
            return FALSE;
        }
    return cw_inbox_file_finish (file, size, &meta, error);
}

static gboolean
receive (const char *folder, int ack_fd, GError **error)
{
    CwInboxMeta meta = { .mode = 0755, .mtime_ns = 2000000000 };
    g_autoptr (CwInbox) inbox = cw_inbox_open (folder, TAG, error);
    g_autoptr (GPtrArray) paths = NULL;

    if (inbox == NULL)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS (offer); i++)
        if (offer[i].size > 0 ? !receive_file (inbox, offer[i].path, offer[i].size, error)
                              : !cw_inbox_make_folder (inbox, offer[i].path, error))
            return FALSE;
    for (gsize i = G_N_ELEMENTS (offer); i-- > 0;)
        if (offer[i].size == 0 && !cw_inbox_finish_folder (inbox, offer[i].path, &meta, error))
            return FALSE;
    if (!cw_inbox_deliver (inbox, &paths, error))
        return FALSE;
    return write (ack_fd, "!", 1) == 1;
}

typedef enum {
    KILLED,
    ACKNOWLEDGED, /* but killed before the hidden folder was removed */
    COMPLETE,
} Outcome;

/* One attempt in a process of its own, killed before its call number @at (0: not by itself), and
 * after @timer_us by us (0: not). */
static Outcome
attempt (const char *folder, unsigned at, gulong timer_us)
{
    int ack[2], status;
    gboolean acknowledged;
    char byte;
    pid_t pid;

    g_assert_cmpint (pipe (ack), ==, 0);
    pid = fork ();
    g_assert_cmpint (pid, >=, 0);
    if (pid == 0) {
        g_autoptr (GError) error = NULL;
        close (ack[0]);
        calls_left = at;
        if (receive (folder, ack[1], &error))
            _exit (0);
        calls_left = 0;
        fprintf (stderr, "# %s\n", error->message);
        _exit (1);
    }
    close (ack[1]);
    if (timer_us > 0) {
        g_usleep (timer_us);
        kill (pid, SIGKILL);
    }
    acknowledged = read (ack[0], &byte, 1) == 1;
    close (ack[0]);
    g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
    if (WIFEXITED (status)) {
        g_assert_cmpint (WEXITSTATUS (status), ==, 0);
        g_assert_true (acknowledged);
        return COMPLETE;
    }
    g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
    return acknowledged ? ACKNOWLEDGED : KILLED;
}

/* --- What must hold --- */

static void
assert_whole (const char *folder, const char *final, const char *item)
{
    size_t len = strlen (item);
    guint n_files = 0;

    for (gsize i = 0; i < G_N_ELEMENTS (offer); i++) {
        const char *path = offer[i].path;
        g_autofree char *full = NULL;
        g_autofree char *content = NULL;
        g_autofree guint8 *expected = make_content (path, offer[i].size);
        gsize got;
        if (strncmp (path, item, len) != 0 || (path[len] != '\0' && path[len] != '/'))
            continue;
        full = g_strconcat (folder, "/", final, path + len, NULL);
        n_files++;
        if (offer[i].size == 0) {
            g_assert_true (g_file_test (full, G_FILE_TEST_IS_DIR));
            continue;
        }
        g_assert_true (g_file_get_contents (full, &content, &got, NULL));
        g_assert_cmpmem (content, got, expected, offer[i].size);
    }
    g_assert_cmpuint (n_files, >, 0);
}

static void
assert_target (const char *folder, gboolean complete, gboolean clean)
{
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
    guint found[G_N_ELEMENTS (top_level)] = { 0 };
    guint n_hidden = 0, n_mine = 0;
    const char *name;

    while ((name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *item = g_strndup (name, strcspn (name, " "));
        gsize i = 0;
        if (name[0] == '.') {
            n_hidden++;
            continue;
        }
        if (strcmp (name, "a") == 0) {
            g_autofree char *full = g_build_filename (folder, name, NULL);
            g_autofree char *content = NULL;
            g_assert_true (g_file_get_contents (full, &content, NULL, NULL));
            g_assert_cmpstr (content, ==, "mine");
            n_mine++;
            continue;
        }
        while (strcmp (top_level[i], item) != 0)
            g_assert_cmpuint (++i, <, G_N_ELEMENTS (top_level));
        assert_whole (folder, name, item);
        found[i]++;
    }
    g_assert_cmpuint (n_mine, ==, 1);
    g_assert_cmpuint (n_hidden, <=, clean ? 0 : 1);
    for (gsize i = 0; i < G_N_ELEMENTS (top_level); i++) {
        g_assert_cmpuint (found[i], <=, 1);
        if (complete)
            g_assert_cmpuint (found[i], ==, 1);
    }
}

static void
remove_tree (const char *path)
{
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *child = g_build_filename (path, name, NULL);
        remove_tree (child);
    }
    g_remove (path);
}

static char *
make_target (void)
{
    char *folder = g_dir_make_tmp ("cw-crash-XXXXXX", NULL);
    g_autofree char *mine = g_build_filename (folder, "a", NULL);

    g_assert_true (g_file_set_contents (mine, "mine", -1, NULL));
    return folder;
}

/* --- Tests --- */

/* Killed before each call in turn, then received again undisturbed. */
static void
test_every_call (void)
{
    Outcome outcome;
    unsigned at = 0;

    do {
        g_autofree char *folder = make_target ();
        outcome = attempt (folder, ++at, 0);
        assert_target (folder, outcome != KILLED, outcome == COMPLETE);
        if (outcome == KILLED) {
            g_assert_cmpint (attempt (folder, 0, 0), ==, COMPLETE);
            assert_target (folder, TRUE, TRUE);
        }
        remove_tree (folder);
    } while (outcome != COMPLETE);
    g_test_message ("killed before each of %u calls", at - 1);
    g_assert_cmpuint (at, >, 30);
}

static void
test_every_call_without_noreplace (void)
{
    lacks_noreplace = TRUE;
    test_every_call ();
    lacks_links = TRUE;
    test_every_call ();
    lacks_noreplace = lacks_links = FALSE;
}

/* One item cannot be delivered: the others are, and another attempt brings just that one. */
static void
test_failed_item (void)
{
    g_autofree char *folder = make_target ();
    g_autofree char *missing = g_build_filename (folder, "d", NULL);
    g_autofree char *there = g_build_filename (folder, "empty", NULL);
    g_autoptr (GError) error = NULL;

    fails_for = "d";
    g_assert_false (receive (folder, -1, &error));
    g_assert_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE);
    g_assert_false (g_file_test (missing, G_FILE_TEST_EXISTS));
    g_assert_true (g_file_test (there, G_FILE_TEST_EXISTS));
    assert_target (folder, FALSE, FALSE);
    fails_for = NULL;
    g_assert_cmpint (attempt (folder, 0, 0), ==, COMPLETE);
    assert_target (folder, TRUE, TRUE);
    remove_tree (folder);
}

/* Killed again and again, wherever it was. */
static void
test_random_calls (void)
{
    guint killed = 0;

    while (killed < 60) {
        g_autofree char *folder = make_target ();
        Outcome outcome;
        do {
            outcome = attempt (folder, (unsigned)g_test_rand_int_range (1, 60), 0);
            killed += outcome != COMPLETE;
            assert_target (folder, outcome != KILLED, outcome == COMPLETE);
        } while (outcome == KILLED);
        remove_tree (folder);
    }
}

static void
test_random_times (void)
{
    gint64 usual = 50000;
    guint killed = 0;

    for (int i = 0; i < 3; i++) {
        g_autofree char *folder = make_target ();
        gint64 began = g_get_monotonic_time ();
        g_assert_cmpint (attempt (folder, 0, 0), ==, COMPLETE);
        usual = MIN (usual, g_get_monotonic_time () - began);
        remove_tree (folder);
    }
    for (int round = 0; round < 60; round++) {
        g_autofree char *folder = make_target ();
        Outcome outcome = KILLED;
        /* A slow machine could be killed for ever: at last it is let through. */
        for (int i = 0; outcome == KILLED; i++) {
            gulong us = (gulong)g_test_rand_int_range (1, 2 * usual);
            outcome = attempt (folder, 0, i < 5 ? us : 0);
            killed += outcome != COMPLETE;
            assert_target (folder, outcome != KILLED, outcome == COMPLETE);
        }
        remove_tree (folder);
    }
    g_test_message ("killed %u times", killed);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/inbox-crash/every-call", test_every_call);
    g_test_add_func ("/inbox-crash/every-call-without-noreplace",
                     test_every_call_without_noreplace);
    g_test_add_func ("/inbox-crash/random-calls", test_random_calls);
    g_test_add_func ("/inbox-crash/random-times", test_random_times);
    /* Last: it starts a thread here, and after that not every sanitizer lets us fork. */
    g_test_add_func ("/inbox-crash/failed-item", test_failed_item);
    return g_test_run ();
}
