/* Measures what the machine can do at most: the ceilings that speeds of layers and steps are compared with. */
#ifndef TRAINER_BENCH_PEAKS_H
#define TRAINER_BENCH_PEAKS_H

#include "nn/core/status.h"
#include "nn/kernels/kernels.h"

enum peak_kind {
	PEAK_MULTIPLY_ADD, /* fp32, in registers */
	PEAK_BF16,	   /* products of bf16 by the kernel set's way, on operands in the first cache */
	PEAK_CACHE,	   /* triad a = b + s c on 384 KiB a thread */
	PEAK_TRIAD,	   /* the same on 768 MiB in all */
	PEAK_READ,
	PEAK_WRITE,
	PEAK_KINDS
};

/* 1e9 operations (a multiply-add is two) or bytes per second, of all threads together. Bytes are those that the program reads and
 * writes; what the processor reads because of a write does not count. */
struct peak {
	double median, highest;
};

/* As printed: "fp32 multiply-add" and "GFLOP/s". */
const char *peak_name(enum peak_kind kind);
const char *peak_unit(enum peak_kind kind);

/* Measures one ceiling on so many threads, over `repetitions`, at least 1, of about a hundredth to a tenth of a second; one more
 * goes before. Errors: NN_ERR_MEMORY. */
enum nn_status peak_measure(struct peak *peak, enum peak_kind kind, const struct kernels *kernels, int threads, int repetitions);

#endif
