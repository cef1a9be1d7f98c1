#include <string.h>

#include "io/h5/h5inside.h"

/* ---- attributes ---- */

static bool attr_write(H5 *h, const char *name, hid_t stored, hid_t type, const void *value, Err *e)
{
    if (h->broken)
        return err_set(e, EXIT_IO, h->path, "", "an earlier write to this file failed");
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(h->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = (attr >= 0 && H5Awrite(attr, type, value) >= 0) ||
              h5_fail(h, e, EXIT_IO, name, "(an attribute) cannot be written");
    if (attr >= 0)
        H5Aclose(attr);
    H5Sclose(space);
    return h5_wrote(h, ok, e);
}

/* Fixed length, so that nothing lies in HDF5's global heap, which has no checksum. */
static hid_t string_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    CHECK(type >= 0 && H5Tset_size(type, size) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0,
          "HDF5: no string type of %zu bytes", size);
    return type;
}

bool h5_attr_write_str(H5 *h, const char *name, const char *value, Err *e)
{
    hid_t type = string_type(strlen(value) + 1);
    bool ok = attr_write(h, name, type, type, value, e);
    H5Tclose(type);
    return ok;
}

bool h5_attr_write_i64(H5 *h, const char *name, int64_t value, Err *e)
{
    return attr_write(h, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, e);
}

static hid_t scalar_attr(H5 *h, const char *name, H5T_class_t class, hid_t *type, Err *e)
{
    hid_t attr = H5Aopen(h->file, name, H5P_DEFAULT);
    if (attr < 0) {
        h5_fail(h, e, EXIT_DATA, name, "(an attribute) is not in the file");
        return -1;
    }
    hid_t space = H5Aget_space(attr);
    *type = H5Aget_type(attr);
    bool ok = H5Sget_simple_extent_npoints(space) == 1 && H5Tget_class(*type) == class;
    H5Sclose(space);
    if (ok)
        return attr;
    err_set(e, EXIT_DATA, h->path, "", "attribute \"%s\" has the wrong type", name);
    H5Tclose(*type);
    H5Aclose(attr);
    return -1;
}

bool h5_attr_read_str(H5 *h, const char *name, char *value, size_t size, Err *e)
{
    hid_t of, attr = scalar_attr(h, name, H5T_STRING, &of, e);
    if (attr < 0)
        return false;
    bool ok = H5Tis_variable_str(of) == 0 && H5Tget_size(of) <= size;
    if (ok) {
        hid_t type = string_type(size);
        H5Tset_cset(type, H5Tget_cset(of));         /* HDF5 does not convert between character sets */
        ok = H5Aread(attr, type, value) >= 0;
        value[size - 1] = 0;
        H5Tclose(type);
    }
    H5Tclose(of);
    H5Aclose(attr);
    return ok || err_set(e, EXIT_DATA, h->path, "", "attribute \"%s\" is no text of fewer than %zu bytes", name, size);
}

bool h5_attr_read_i64(H5 *h, const char *name, int64_t *value, Err *e)
{
    hid_t of, attr = scalar_attr(h, name, H5T_INTEGER, &of, e);
    if (attr < 0)
        return false;
    bool ok = H5Aread(attr, H5T_NATIVE_INT64, value) >= 0;
    H5Tclose(of);
    H5Aclose(attr);
    return ok || h5_fail(h, e, EXIT_DATA, name, "(an attribute) cannot be read");
}

bool h5_attr_exists(H5 *h, const char *name)
{
    return H5Aexists(h->file, name) > 0;
}
