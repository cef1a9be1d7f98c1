/* servepage.c -- the page to try it (http.h) */
#include "launch/serve/http.h"

const char SERVE_PAGE[] = "<!DOCTYPE html><title>asvr</title>";
