/*
 * hosts.h -- lists of nodes, as Slurm writes them: n[1-3,7],login
 *
 * A name is a text and, behind it, a number of so many digits; names with the same text and digits fold into ranges.
 *
 *     n1 n2 n3 n7 login  <->  login,n[1-3,7]              x08 x09 x10  <->  x[08-10]
 *
 * Reading also takes brackets in the middle, and several (r[1-2]n[01-16]).
 *
 * Local.  Tests: tests/io/base/test_hosts.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { HOST_NAME = 64 };
typedef char Host[HOST_NAME];

/* This node: as Slurm names it, or the system, without its domain. */
void host_self(Host out);
/* The names, sorted and without doubles (in place), as a list; what does not fit becomes "...". */
void hosts_fold(Host *name, int n, char *out, size_t cap);
/* The names of a list, to be freed; NULL, and *n 0, where it is none. */
Host *hosts_unfold(const char *list, int *n);
