/* What resnet-bench prints on standard output: a table, or a JSON object for each row. */
#ifndef TRAINER_BENCH_BENCH_PRINT_H
#define TRAINER_BENCH_BENCH_PRINT_H

#include <stdbool.h>

#include "trainer/bench/bench_arguments.h"
#include "trainer/bench/bench_comm.h"
#include "trainer/bench/layers.h"
#include "trainer/bench/peaks.h"

void bench_print_step(const struct bench_arguments *arguments, const struct bench_result *result);
void bench_print_data(const struct bench_arguments *arguments, const struct bench_data_result *result);
void bench_print_comm(const struct bench_arguments *arguments, const struct comm *comm, const struct bench_comm_result *result);
void bench_print_layers(const struct bench_arguments *arguments, const struct layers *layers);

void bench_print_peak(const char *isa, enum peak_kind kind, int threads, const struct peak *peak, bool json);

#endif
