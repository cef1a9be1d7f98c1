/*
 * bf16_onednn.h -- what differs between the C APIs of oneDNN 2 and 3, for bf16_onednn.c
 *
 * bf16_onednn2.c and bf16_onednn3.c have these functions; the Makefile takes the one whose headers it finds.
 * Local.  Source: oneDNN 3, "Transition from v2.x to v3.x".  Tests: tests/core/test_bf16.c
 */
#pragma once
#include "core/base.h"

#include <oneapi/dnnl/dnnl.h>

#define DNNL(call)                                                                     \
    do {                                                                               \
        const dnnl_status_t status_ = (call);                                          \
        CHECK(status_ == dnnl_success, "oneDNN: %s: status %d", #call, (int)status_);  \
    } while (0)

typedef struct {
    dnnl_data_type_t type;
    dnnl_dims_t      dims, step;        /* rows, columns; elements from one to the next */
} Matrix;

/* c += a b, no longer c = a b. */
void onednn_add(dnnl_post_ops_t after);
/* What a primitive of c (m,n) = a (m,k) b (k,n) is made of, the caller's to destroy. */
dnnl_primitive_desc_t onednn_matmul(dnnl_engine_t engine, const Matrix *a, const Matrix *b, const Matrix *c, dnnl_primitive_attr_t attr);
