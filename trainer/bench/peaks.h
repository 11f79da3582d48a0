/* Measures what the machine can do at most: the ceilings that speeds of layers and steps are compared with. */
#ifndef TRAINER_BENCH_PEAKS_H
#define TRAINER_BENCH_PEAKS_H

#include "nn/core/status.h"
#include "nn/kernels/kernels.h"

enum peak_kind {
	PEAK_MULTIPLY_ADD, /* fp32, in registers */
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

/* peaks[PEAK_KINDS] on so many threads, each over `repetitions` times, at least 1, of some hundredths of a second.
 * Errors: NN_ERR_MEMORY. */
enum nn_status peaks_measure(struct peak *peaks, const struct kernels *kernels, int threads, int repetitions);

#endif
