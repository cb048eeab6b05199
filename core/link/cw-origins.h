/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Counts a server's connections by where they come from, so that one stranger does not take all the
 * places: by IPv4 address or IPv6 /64, which is what one household has. Loopback is not counted:
 * that is this machine itself, or a proxy that speaks for many. */
typedef struct _CwOrigins CwOrigins;

CwOrigins *cw_origins_new (guint max);
void cw_origins_free (CwOrigins *self);

/* FALSE when @address has its share already. *@ret_origin is for cw_origins_leave(), once. */
gboolean cw_origins_enter (CwOrigins *self, GInetAddress *address, char **ret_origin);
void cw_origins_leave (CwOrigins *self, char *origin);

G_END_DECLS
