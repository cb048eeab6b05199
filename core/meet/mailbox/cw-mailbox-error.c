/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-mailbox-error.h"

/* clang-format off */
G_DEFINE_QUARK (cw-mailbox-error-quark, cw_mailbox_error)
/* clang-format on */
