#include "io/set/store.h"
#include <string.h>
const char *const store_names[] = { "raw", "delta" };
int store_find(const char *name) { for (int i = 0; i < 2; i++) if (!strcmp(name, store_names[i])) return i; return -1; }
void store_encode(uint8_t *out, const uint8_t *px, int64_t n, int side)
{
    const size_t row = (size_t)side * 3;
    for (int64_t i = 0; i < n; i++)
        for (int y = 0; y < side; y++)
            for (size_t x = 0; x < row; x++) {
                size_t at = ((size_t)i * (size_t)side + (size_t)y) * row + x;
                out[at] = (uint8_t)(px[at] - (y ? px[at - row] : 0));
            }
}
void store_decode(uint8_t *px, int64_t n, int side)
{
    const size_t row = (size_t)side * 3;
    for (int64_t i = 0; i < n; i++)
        for (int y = 1; y < side; y++) {
            uint8_t *p = px + ((size_t)i * (size_t)side + (size_t)y) * row;
            for (size_t x = 0; x < row; x++)
                p[x] = (uint8_t)(p[x] + p[x - row]);
        }
}
