#include "io/base/home.h"

#include <stdlib.h>
#include <unistd.h>

bool home_self(char out[PATH_ROOM], Err *e)
{
    const ssize_t n = readlink("/proc/self/exe", out, PATH_ROOM - 1);
    out[n > 0 ? n : 0] = 0;
    return n > 0 || file_error(e, "/proc/self/exe", "tell where this program is");
}

bool home_file(char out[PATH_ROOM], const char *name)
{
    static const char *const data[] = { "../share/asvr", "..", "../.." };
    char self[PATH_ROOM], folder[PATH_ROOM], mark[PATH_ROOM];
    Err no = { 0 };
    if (home_self(self, &no) && path_folder(folder, self, &no))
        for (size_t i = 0; i < sizeof data / sizeof *data; i++)
            if (path_set(mark, &no, "%s/%s/slurm/job.sh", folder, data[i]) && access(mark, R_OK) == 0)
                if (path_set(out, &no, "%s/%s/%s", folder, data[i], name) && access(out, R_OK) == 0)
                    return true;
    out[0] = 0;
    return false;
}

bool home_instead(char out[PATH_ROOM], const char *path)
{
    char found[PATH_ROOM];
    Err no = { 0 };
    if (!path[0] || path[0] == '/' || access(path, F_OK) == 0 || !home_file(found, path))
        return false;
    char *real = realpath(found, NULL);
    const bool ok = real && path_set(out, &no, "%s", real);
    free(real);
    return ok;
}
