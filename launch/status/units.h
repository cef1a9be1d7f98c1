/*
 * units.h -- seconds, moments and bytes as people read them
 *
 * Each writes into out and returns it.  Local.  Tests: tests/launch/{status,report}.sh
 */
#pragma once

enum { UNIT_WORD = 64 };

/* "3:21", "1:02:03", "12 days 3:04:05" */
const char *unit_clock(double seconds, char out[UNIT_WORD]);
/* "12.3 s", "3:21": for a table. */
const char *unit_span(double seconds, char out[UNIT_WORD]);
/* "8 s", "3 min", "5 h", "2 days" */
const char *unit_age(double seconds, char out[UNIT_WORD]);
/* "11-28 22:44:54", local time; "?" where t is no moment. */
const char *unit_date(double t, char out[UNIT_WORD]);
/* "12.3 MiB" */
const char *unit_bytes(double x, char out[UNIT_WORD]);
