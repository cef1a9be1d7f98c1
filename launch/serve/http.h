/*
 * http.h -- the server's doors: HTTP in, jobs out; answers as JSON, or as a stream of events
 *
 *     POST /v1/chat/completions      GET /v1/models   /v1/models/NAME      GET /health      GET /   (a page to try it)
 *
 * http_mhd.c is libmicrohttpd's; where the build has none http_none.c refuses.  One thread of libmicrohttpd serves all connections (jobs.h
 * has the DESIGN).  Bodies are judged by their headers before they are read: path, method, key, length.  A request of a page of another
 * site is refused (its Origin is not our Host), and so is a Host that is a name, unless there is a key: else any page that
 * a browser shows could ask what listens on loopback.
 *
 * Tests   tests/launch/serve.sh, tests/peers/check_openai.py
 */
#pragma once
#include "launch/serve/jobs.h"

typedef struct Http Http;

typedef struct {
    const char *address;           /* numbers: "127.0.0.1", "::1", "0.0.0.0" */
    int         port;              /* 0: any */
    const char *key;               /* "": none is asked for */
    double      timeout;           /* seconds without a byte, and for a whole body */
    size_t      max_body;
    int         slots, connections;
    const char *fingerprint;       /* of the weights */
    ChatLimits limits;
} HttpConf;

/* Listens: who comes waits until http_start.  c and q stay until http_close, and what c says from http_start on.  EXIT_CONFIG: it
   cannot listen there, or there is no library; NULL. */
Http *http_open(const HttpConf *c, Jobs *q, Err *e);
bool  http_start(Http *h, Err *e);
int   http_port(const Http *h);
/* Takes no more connections; those that are there go on. */
void  http_quiesce(Http *h);
/* Ends all connections; no job may be left that one sleeps for. */
void  http_close(Http *h);

/* Of jobs.c, under its lock: the connection sleeps, wakes. */
void  http_sleep(void *connection);
void  http_wake(void *connection);

/* ---- between the files of the room ---- */
extern const char SERVE_PAGE[];
/* Bodies, to be freed.  A whole answer; the next event of a stream ("data: ...\n\n"), under the lock: NULL where there is no news. */
char *reply_whole(const Job *j, const HttpConf *c);
char *reply_event(Job *j, const HttpConf *c);
char *reply_models(const HttpConf *c, bool one);
char *reply_health(const HttpConf *c, Jobs *q);
