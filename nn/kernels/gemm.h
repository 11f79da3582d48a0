/* Matrix products by OpenBLAS; the only user of it. */
#ifndef NN_KERNELS_GEMM_H
#define NN_KERNELS_GEMM_H

#include <stddef.h>

/* Tells OpenBLAS to use one thread per call: threads are ours, outside it. Call once at start. */
void gemm_init(void);

/* c (m, n) += transpose(a) b, with a (k, m) and b (k, n), row major with row strides lda, ldb, ldc in floats.
 * Called by one thread, or by all threads of a team, which share the work. The result depends on the shapes and values only: the
 * work is cut in the same blocks for every number of threads. */
void gemm_transposed(float *c, const float *a, const float *b, int m, int n, int k, int ldc, int lda, int ldb);

/* Name of the core type that OpenBLAS chose, and its version, for the numeric environment. */
const char *gemm_core(void);

#endif
