/*
 * dies.h -- DIES(expression): does it end in die_at?
 *
 * die_hook jumps back here instead of leaving the program; the message still goes to stderr.
 */
#pragma once
#include <setjmp.h>

#include "core/base.h"

static jmp_buf dies_back;

static void dies_jump(int code)
{
    (void)code;
    longjmp(dies_back, 1);
}

#define DIES(expression) (die_hook = dies_jump, setjmp(dies_back) ? true : ((void)(expression), false))
