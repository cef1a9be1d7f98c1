/* http_none.c -- this build has no libmicrohttpd (http.h) */
#include "launch/serve/http.h"

Http *http_open(const HttpConf *c, Jobs *q, Err *e)
{
    (void)c, (void)q;
    err_set(e, EXIT_CONFIG, "", "install libmicrohttpd (Debian: libmicrohttpd-dev), and `make` again", "this asvr was built without libmicrohttpd, which `asvr serve` needs");
    return NULL;
}

bool http_start(Http *h, Err *e) { return (void)h, (void)e, false; }
int  http_port(const Http *h) { return (void)h, 0; }
void http_quiesce(Http *h) { (void)h; }
void http_close(Http *h) { (void)h; }
void http_sleep(void *connection) { (void)connection; }
void http_wake(void *connection) { (void)connection; }
