#include "nn/kernels/gemm.h"

#include <cblas.h>

void gemm_init(void)
{
	openblas_set_num_threads(1);
}

const char *gemm_core(void)
{
	return openblas_get_config();
}

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

/* Up to four blocks of the longer side, a multiple of 16 wide and at least 64: narrower ones cost OpenBLAS half its speed. */
static int block_width(int side)
{
	return side > 256 ? (side + 63) / 64 * 16 : 64;
}

void gemm_transposed(float *c, const float *a, const float *b, int m, int n, int k, int ldc, int lda, int ldb)
{
	int wide = m > n ? m : n;
	int width = block_width(wide);

#pragma omp for schedule(static)
	for (int at = 0; at < wide; at += width) {
		int size = min_int(width, wide - at);

		if (m > n)
			cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, size, n, k, 1.0f, a + at, lda, b, ldb, 1.0f,
				    c + (ptrdiff_t)at * ldc, ldc);
		else
			cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, size, k, 1.0f, a, lda, b + at, ldb, 1.0f, c + at,
				    ldc);
	}
}
