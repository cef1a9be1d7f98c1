/* verify.c -- `asvr verify PATH`: is this shard or this checkpoint whole? */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "dist/comm.h"
#include "io/set/catalogue.h"
#include "io/ckpt/ckpt.h"
#include "io/base/log.h"
#include "launch/verbs.h"

int verify_main(const char *path)
{
    Err e = { 0 };
    struct stat st;
    if (comm_rank(MPI_COMM_WORLD) == 0) {
        uint64_t fingerprint = 0;
        CkptMeta m = { 0 };
        bool ok;
        if (stat(path, &st) != 0)
            ok = err_set(&e, EXIT_DATA, path, "name a shard's file or a checkpoint's folder", "there is no such file or folder");
        else if (S_ISDIR(st.st_mode)) {
            ok = ckpt_verify(path, &m, &e);
            fingerprint = m.fingerprint;
        } else
            ok = shards_verify(path, &fingerprint, &e);
        if (ok)
            printf("ok %016" PRIx64 " %s\n", fingerprint, path);
        else
            log_error(&e);
    }
    comm_bcast(MPI_COMM_WORLD, &e.code, sizeof e.code, 0);
    return e.code;
}
