/*
 * markup.h -- text inside SVG and HTML
 *
 * Whatever a name, a host or a value holds, the page stays well-formed, and none of it is markup.
 * Local.  Tests: tests/launch/{report,scaling,plannodes}.sh
 */
#pragma once
#include <stddef.h>
#include <stdio.h>

/* For an element's text or an attribute in double quotes.  What is no UTF-8, or a control character, becomes U+FFFD; tab and line break stay. */
void markup_text(FILE *f, const char *s);
/* The bytes of a "data:...;base64," address. */
void markup_base64(FILE *f, const void *bytes, size_t n);
