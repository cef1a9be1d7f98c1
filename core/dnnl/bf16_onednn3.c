/* bf16_onednn3.c -- oneDNN 3: descriptors are the library's, made and destroyed */
#include "core/dnnl/bf16_onednn.h"

void onednn_add(dnnl_post_ops_t after) { DNNL(dnnl_post_ops_append_sum(after, 1.f, 0, dnnl_data_type_undef)); }

static dnnl_memory_desc_t memory_of(const Matrix *x)
{
    dnnl_memory_desc_t d;
    DNNL(dnnl_memory_desc_create_with_strides(&d, 2, x->dims, x->type, x->step));
    return d;
}

dnnl_primitive_desc_t onednn_matmul(dnnl_engine_t engine, const Matrix *a, const Matrix *b, const Matrix *c, dnnl_primitive_attr_t attr)
{
    const dnnl_memory_desc_t memory[] = { memory_of(a), memory_of(b), memory_of(c) };
    dnnl_primitive_desc_t made;
    DNNL(dnnl_matmul_primitive_desc_create(&made, engine, memory[0], memory[1], NULL, memory[2], attr));
    for (int i = 0; i < 3; i++)
        DNNL(dnnl_memory_desc_destroy(memory[i]));
    return made;
}
