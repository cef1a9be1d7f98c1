/*
 * files.h -- paths, and the few things to do with files that must survive a crash: sync, commit, replace, folders
 *
 * A file is replaced by writing a temporary one beside it (".tmp-NAME"), fsync, rename, fsync of the folder, so a
 * reader finds the old content or the new, never half.  On failure no temporary file is left.  Whatever else is made
 * aside and then gets its name, file or folder, gets it by file_commit: nobody else calls rename.
 * Local.  Failures of the system are EXIT_IO: path, rank and host in `where`, errno's text in `what`.
 * Tests: tests/io/base/test_files.c, tests/io/ckpt/test_manifest.c, tests/io/ckpt/test_ckpt.c
 */
#pragma once
#include "io/base/err.h"

enum { PATH_ROOM = 4096 };              /* bytes of every buffer for a path */

/* A path as printf would write it; one that does not fit is EXIT_IO, and out is "". */
bool path_set(char out[PATH_ROOM], Err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The folder that path lies in: "." where it names none. */
bool path_folder(char out[PATH_ROOM], const char *path, Err *e);

/* Sets e from errno: "cannot DOING: No space left on device".  Returns false. */
bool file_error(Err *e, const char *path, const char *doing);

/* The whole file, NUL-terminated, to be freed by the caller; a file of more than cap bytes is EXIT_DATA. */
bool file_read(const char *path, size_t cap, char **bytes, size_t *n, Err *e);
/* open, fsync and close that go on after EINTR; with O_CLOEXEC and mode 0666.  -1, false: with errno. */
int  file_open(const char *path, int flags);
bool file_fsync(int fd);
bool file_close(int fd);
/* n bytes at an offset or fewer at the end of the file; -1 with errno.  Goes on after EINTR and short reads. */
int64_t file_pread(int fd, void *buf, int64_t n, int64_t offset);
/* All n bytes, or false with errno.  Go on after EINTR and short writes. */
bool file_pwrite(int fd, const void *buf, int64_t n, int64_t offset);
bool file_write(int fd, const void *buf, size_t n);
/* The file becomes `bytes` long at least, and its space is taken at once: better to learn here that the disk is full.  Where the
   file system cannot do that, it has a hole. */
bool file_reserve(int fd, const char *path, int64_t bytes, Err *e);
/* Atomically gives path this content, durable on return. */
bool file_replace(const char *path, const void *bytes, size_t n, Err *e);
/* What lies synced at `from`, a file or a folder, becomes `to` in the same folder; durable on return.  A file takes the place of
   an older one; a folder only that of an empty one. */
bool file_commit(const char *from, const char *to, Err *e);
/* fsync of a file or a folder. */
bool file_sync(const char *path, Err *e);

/* mkdir -p; what is new is durable on return. */
bool dir_make(const char *path, Err *e);
/* rm -rf; does not follow links; what is not there is removed already. */
bool dir_remove(const char *path, Err *e);
