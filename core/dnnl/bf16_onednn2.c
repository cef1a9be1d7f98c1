/* bf16_onednn2.c -- oneDNN 2: descriptors are structs of the caller's, and a primitive has two */
#include "core/dnnl/bf16_onednn.h"

void onednn_add(dnnl_post_ops_t after) { DNNL(dnnl_post_ops_append_sum(after, 1.f)); }

static dnnl_memory_desc_t memory_of(const Matrix *x)
{
    dnnl_memory_desc_t d;
    DNNL(dnnl_memory_desc_init_by_strides(&d, 2, x->dims, x->type, x->step));
    return d;
}

dnnl_primitive_desc_t onednn_matmul(dnnl_engine_t engine, const Matrix *a, const Matrix *b, const Matrix *c, dnnl_primitive_attr_t attr)
{
    const dnnl_memory_desc_t ma = memory_of(a), mb = memory_of(b), mc = memory_of(c);
    dnnl_matmul_desc_t d;
    dnnl_primitive_desc_t made;
    DNNL(dnnl_matmul_desc_init(&d, &ma, &mb, NULL, &mc));
    DNNL(dnnl_primitive_desc_create(&made, &d, attr, engine, NULL));
    return made;
}
