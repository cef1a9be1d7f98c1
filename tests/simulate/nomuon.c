/* nomuon.c -- dist/matrices.h where there is no ScaLAPACK: Muon is not simulated, and describe has refused it */
#include "dist/matrices.h"

Matrices *matrices_open(const Zero *z, const bool *muon, const Grid *g, bool canonical)
{
    (void)z, (void)muon, (void)g, (void)canonical;
    return NULL;
}
void matrices_close(Matrices *x) { (void)x; }
void matrices_step(Matrices *x, float *weights, float *grads, float *m, const int64_t *m_at, const MatricesConf *c)
{
    (void)x, (void)weights, (void)grads, (void)m, (void)m_at, (void)c;
}
size_t matrices_memory(const Zero *z, const bool *muon, bool canonical) { return (void)z, (void)muon, (void)canonical, 0; }
MatricesBytes matrices_bytes(const Zero *z, const bool *muon, bool canonical)
{
    return (void)z, (void)muon, (void)canonical, (MatricesBytes){ 0 };
}
int64_t matrices_landed(const Zero *z, const bool *muon, bool canonical) { return (void)z, (void)muon, (void)canonical, 0; }
