/* The command line of resnet-bench. */
#ifndef TRAINER_BENCH_BENCH_ARGUMENTS_H
#define TRAINER_BENCH_BENCH_ARGUMENTS_H

#include <stdbool.h>

#include "nn/core/status.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/bench_data.h"

enum bench_command { BENCH_STEP, BENCH_EVAL, BENCH_COMM, BENCH_DATA, BENCH_LAYERS, BENCH_PEAKS, BENCH_NONE };

struct bench_arguments {
	enum bench_command command;
	struct bench_options options;
	struct bench_data_options data;
	bool sync_given, gradient_given;
	bool json;
	bool help;
	bool version;
	enum nn_status status;
};

/* Reads the command line. Texts are argv's. Errors: NN_ERR_USAGE. */
enum nn_status bench_arguments_parse(struct bench_arguments *arguments, int argc, char **argv);

/* What --help, or --version, prints. Ownership: freed by free(). NULL when there is no memory. */
char *bench_arguments_help(bool version);

#endif
