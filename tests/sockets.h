/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Plain client sockets for tests of servers that run in the same thread: whatever waits here lets
 * the default main context run, and gives up with an error after a long while. */

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline gboolean
sockets_on_late (gpointer unused)
{
    g_error ("nothing happened for too long");
    return G_SOURCE_REMOVE;
}

static inline gboolean
sockets_on_ready (int fd, GIOCondition condition, gpointer user_data)
{
    *(gboolean *)user_data = TRUE;
    return G_SOURCE_REMOVE;
}

/* Runs the main context until @fd is ready. */
static inline void
sockets_wait (int fd, GIOCondition condition)
{
    const char *slow = g_getenv ("CW_TEST_SLOW");
    guint late = g_timeout_add_seconds (20 * (slow != NULL ? (guint)atoi (slow) : 1),
                                        sockets_on_late, NULL);
    gboolean ready = FALSE;

    g_unix_fd_add (fd, condition, sockets_on_ready, &ready);
    while (!ready)
        g_main_context_iteration (NULL, TRUE);
    g_source_remove (late);
}

/* Lets everything happen that can happen by itself. */
static inline void
sockets_settle (void)
{
    for (int quiet = 0; quiet < 20; quiet++) {
        while (g_main_context_iteration (NULL, FALSE))
            quiet = 0;
    }
}

/* @address: as the servers say it, with or without "tcp:" and so on. */
static inline int
sockets_connect (const char *address)
{
    const char *start = strstr (address, "127.0.0.1:");
    g_autofree char *port = g_strndup (start + 10, strspn (start + 10, "0123456789"));
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int fd;

    g_assert_cmpint (getaddrinfo ("127.0.0.1", port, &hints, &found), ==, 0);
    fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint (connect (fd, found->ai_addr, found->ai_addrlen), ==, 0);
    freeaddrinfo (found);
    g_assert_cmpint (fcntl (fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static inline void
sockets_send (int fd, const void *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send (fd, data, len, MSG_NOSIGNAL);
        if (n < 0) {
            g_assert_cmpint (errno, ==, EAGAIN);
            sockets_wait (fd, G_IO_OUT);
            continue;
        }
        data = (const char *)data + n;
        len -= (size_t)n;
    }
}

static inline void
sockets_say (int fd, const char *text)
{
    sockets_send (fd, text, strlen (text));
}

/* Up to @len bytes; fewer at the end of file, which a reset counts as. */
static inline size_t
sockets_read (int fd, void *data, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = recv (fd, (char *)data + got, len - got, 0);
        if (n < 0 && errno == EAGAIN) {
            sockets_wait (fd, G_IO_IN);
            continue;
        }
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static inline void
sockets_expect (int fd, const char *text)
{
    size_t len = strlen (text);
    g_autofree char *got = g_malloc0 (len + 1);

    sockets_read (fd, got, len);
    g_assert_cmpstr (got, ==, text);
}

/* Nothing more but the end; closes @fd. */
static inline void
sockets_expect_end (int fd)
{
    char byte;

    g_assert_cmpuint (sockets_read (fd, &byte, 1), ==, 0);
    close (fd);
}

/* Files this process has open. */
static inline guint
sockets_count_files (void)
{
    g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
    guint count = 0;

    while (g_dir_read_name (dir) != NULL)
        count++;
    return count;
}
