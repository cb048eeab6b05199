/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-identity.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-base32.h"
#include "cw-hash.h"

#define KEY_FILE "identity.key"
#define KEY_LINE_SIZE (64 + 1)

/* clang-format off */
G_DEFINE_QUARK (cw-identity-error-quark, cw_identity_error)
/* clang-format on */

struct _CwIdentity {
    CwSecret *secret;
    CwDeviceKey key;
};

gboolean
cw_device_key_equal (const CwDeviceKey *a, const CwDeviceKey *b)
{
    return sodium_memcmp (a->bytes, b->bytes, sizeof a->bytes) == 0;
}

char *
cw_device_key_dup_fingerprint (const CwDeviceKey *key)
{
    guint8 digest[CW_SHA256_SIZE];
    g_autofree char *text = NULL;

    cw_sha256 (key->bytes, sizeof key->bytes, digest);
    text = cw_base32_encode (digest, 10);
    return g_strdup_printf ("%.4s-%.4s-%.4s-%.4s", text, text + 4, text + 8, text + 12);
}

static gboolean
store_error (GError **error, const char *what, const char *path)
{
    g_set_error (error, CW_IDENTITY_ERROR, CW_IDENTITY_ERROR_STORE, "%s '%s': %s", what, path,
                 g_strerror (errno));
    return FALSE;
}

/* 1: read, 0: no such file, -1: error. */
static int
read_key_file (const char *path, CwSecret *ret, GError **error)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char line[KEY_LINE_SIZE + 1];
    struct stat st;
    size_t bin_len;
    ssize_t n;
    gboolean ok;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return store_error (error, "cannot open key file", path) - 1;
    n = fstat (fd, &st) < 0 ? -1 : read (fd, line, sizeof line);
    if (n < 0) {
        store_error (error, "cannot read key file", path);
        close (fd);
        return -1;
    }
    close (fd);
    ok = n == KEY_LINE_SIZE && line[64] == '\n'
         && sodium_hex2bin (ret->bytes, sizeof ret->bytes, line, 64, NULL, &bin_len, NULL) == 0
         && bin_len == sizeof ret->bytes;
    sodium_memzero (line, sizeof line);
    if (!ok) {
        g_set_error (error, CW_IDENTITY_ERROR, CW_IDENTITY_ERROR_DAMAGED,
                     "key file '%s' is damaged", path);
        return -1;
    }
    if ((st.st_mode & 077) != 0 || (st.st_uid != geteuid () && st.st_uid != 0)) {
        cw_secret_clear (ret);
        g_set_error (error, CW_IDENTITY_ERROR, CW_IDENTITY_ERROR_EXPOSED,
                     "key file '%s' is open to other users of this computer", path);
        return -1;
    }
    return 1;
}

/* Publishes a fresh key with link(2), which fails if another process was first: whoever comes
 * second then reads the first one's. */
static gboolean
create_key_file (const char *dir, const char *path, GError **error)
{
    g_autofree char *temp = g_build_filename (dir, ".identity.XXXXXX", NULL);
    int fd = g_mkstemp_full (temp, O_RDWR | O_CLOEXEC, 0600);
    g_auto (CwSecret) secret = CW_SECRET_INIT;
    char line[KEY_LINE_SIZE + 1];
    gboolean ok;
    int dir_fd;

    if (fd < 0)
        return store_error (error, "cannot create", temp);
    randombytes_buf (secret.bytes, sizeof secret.bytes);
    sodium_bin2hex (line, sizeof line, secret.bytes, sizeof secret.bytes);
    line[64] = '\n';
    ok = write (fd, line, KEY_LINE_SIZE) == KEY_LINE_SIZE && fsync (fd) == 0;
    sodium_memzero (line, sizeof line);
    ok = close (fd) == 0 && ok;
    ok = ok && (link (temp, path) == 0 || errno == EEXIST);
    if (!ok)
        store_error (error, "cannot write key file", path);
    unlink (temp);
    dir_fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd >= 0) {
        fsync (dir_fd);
        close (dir_fd);
    }
    return ok;
}

CwIdentity *
cw_identity_load_or_create (const char *data_dir, GError **error)
{
    g_autofree char *path = g_build_filename (data_dir, KEY_FILE, NULL);
    g_autoptr (CwSecret) secret = cw_secret_new ();
    CwIdentity *identity;
    int got = read_key_file (path, secret, error);

    if (got == 0) {
        if (!create_key_file (data_dir, path, error))
            return NULL;
        got = read_key_file (path, secret, error);
        if (got == 0)
            store_error (error, "cannot read key file", path);
    }
    if (got != 1)
        return NULL;
    identity = g_new0 (CwIdentity, 1);
    crypto_scalarmult_base (identity->key.bytes, secret->bytes);
    identity->secret = g_steal_pointer (&secret);
    return identity;
}

void
cw_identity_free (CwIdentity *identity)
{
    cw_secret_free (identity->secret);
    g_free (identity);
}

const CwDeviceKey *
cw_identity_get_key (const CwIdentity *identity)
{
    return &identity->key;
}

gboolean
cw_identity_shared_secret (const CwIdentity *identity, const CwDeviceKey *peer, CwSecret *ret)
{
    return crypto_scalarmult (ret->bytes, identity->secret->bytes, peer->bytes) == 0;
}
