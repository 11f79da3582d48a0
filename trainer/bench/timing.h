/* The clock of the benchmarks, and medians of what it says. */
#ifndef TRAINER_BENCH_TIMING_H
#define TRAINER_BENCH_TIMING_H

#include <stddef.h>

/* Seconds since some moment in the past. */
double timing_now(void);

/* The median; sorts the values, the least first. count > 0. */
double timing_median(double *values, size_t count);

/* The most memory that this process has had so far, in bytes. */
size_t timing_peak_bytes(void);

#endif
