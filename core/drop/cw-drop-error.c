/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-drop-error.h"

#include <errno.h>

/* clang-format off */
G_DEFINE_QUARK (cw-drop-error-quark, cw_drop_error)
/* clang-format on */

CwDropError
cw_drop_error_from_target_errno (int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return CW_DROP_ERROR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return CW_DROP_ERROR_NO_PERMISSION;
    case ENOENT:
    case ENOTDIR:
    case ESTALE:
        return CW_DROP_ERROR_TARGET_GONE;
    case ENAMETOOLONG:
    case EILSEQ:
    case EINVAL:
        return CW_DROP_ERROR_BAD_NAME;
    case EFBIG:
        return CW_DROP_ERROR_TOO_LARGE;
    default:
        return CW_DROP_ERROR_STORE;
    }
}
