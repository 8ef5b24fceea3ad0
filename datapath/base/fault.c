/* See fault.h. */
#include "datapath/base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int rg_fault(struct rg_fault *ret, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ret->field = field;
    vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
    return -EINVAL;
}
