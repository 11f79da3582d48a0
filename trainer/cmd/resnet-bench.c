/* resnet-bench: how fast this machine computes training steps, layers and forward passes, and reads images; what communication
 * costs; and what the machine can do at most. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/bench/bench_arguments.h"
#include "trainer/bench/bench_print.h"

enum { WATCHDOG_SECONDS = 300 };

static enum nn_status run_step(const struct bench_arguments *arguments)
{
	struct bench_result result;
	enum nn_status status = bench_run(&result, &arguments->options);

	if (status == NN_OK)
		bench_print_step(arguments, &result);
	return status;
}

/* Reading images on one thread. */
static enum nn_status run_data(struct bench_arguments *arguments)
{
	struct bench_data_result result;
	enum nn_status status;

	arguments->data.image_size = arguments->options.image_size > 0 ? arguments->options.image_size : 224;
	arguments->data.iterations = arguments->options.iterations;
	status = bench_data_run(&result, &arguments->data);
	if (status == NN_OK)
		bench_print_data(arguments, &result);
	return status;
}

static enum nn_status run_layers(const struct bench_arguments *arguments)
{
	struct layers layers;
	enum nn_status status = layers_measure(&layers, &arguments->options);

	if (status == NN_OK)
		bench_print_layers(arguments, &layers);
	layers_release(&layers);
	return status;
}

static enum nn_status measure_peaks(const struct bench_arguments *arguments, const struct kernels *kernels, int threads)
{
	enum nn_status status = NN_OK;

	for (int kind = 0; kind < PEAK_KINDS && status == NN_OK; kind++) {
		struct peak peak;

		status = peak_measure(&peak, (enum peak_kind)kind, kernels, threads, arguments->options.iterations);
		if (status == NN_OK)
			bench_print_peak(kernels->name, (enum peak_kind)kind, threads, &peak, arguments->json);
	}
	return status;
}

/* One thread, and then all of them. */
static enum nn_status run_peaks(const struct bench_arguments *arguments)
{
	const struct kernels *kernels;
	enum nn_status status = kernels_select(&kernels, arguments->options.isa, true);

	if (status == NN_OK)
		status = measure_peaks(arguments, kernels, 1);
	if (status == NN_OK && arguments->options.threads > 1)
		status = measure_peaks(arguments, kernels, arguments->options.threads);
	return status;
}

/* On every rank, `parsed` being how its arguments were; rank 0 prints. Leaves the program here, when MPI has ended. */
static _Noreturn void run_comm(const struct bench_arguments *arguments, enum nn_status parsed, int argc, char **argv)
{
	struct bench_comm_result result;
	struct comm *comm;
	enum nn_status status = comm_create(&comm, &argc, &argv);
	bool speaks = status != NN_OK || comm_rank(comm) == 0;

	if (status == NN_OK) {
		comm_watch(comm, WATCHDOG_SECONDS, NULL);
		status = comm_agree(comm, parsed);
		if (status == NN_OK && speaks && !bench_comm_overlaps(comm))
			fprintf(stderr,
				"resnet-bench: warning: this MPI library grants no MPI_THREAD_MULTIPLE: nothing overlaps\n");
		if (status == NN_OK)
			status = bench_comm_run(&result, comm, &arguments->options);
	}
	if (status == NN_OK && speaks)
		bench_print_comm(arguments, comm, &result);
	if (status != NN_OK && speaks)
		fprintf(stderr, "resnet-bench: error: %s\n", nn_error_message());
	comm_destroy(comm);
	exit(nn_exit_code(status));
}

static enum nn_status print_help(bool version)
{
	char *text = bench_arguments_help(version);

	if (!text)
		return nn_error(NN_ERR_MEMORY, "out of memory");
	fputs(text, stdout);
	free(text);
	return NN_OK;
}

static enum nn_status run(struct bench_arguments *arguments)
{
	if (arguments->help || arguments->version)
		return print_help(!arguments->help);
	switch (arguments->command) {
	case BENCH_DATA:
		return run_data(arguments);
	case BENCH_LAYERS:
		return run_layers(arguments);
	case BENCH_PEAKS:
		return run_peaks(arguments);
	default:
		return run_step(arguments);
	}
}

int main(int argc, char **argv)
{
	struct bench_arguments arguments;
	enum nn_status status = bench_arguments_parse(&arguments, argc, argv);

	arguments.options.isa = getenv("RESNET_ISA");
	if (arguments.command == BENCH_COMM && !arguments.help && !arguments.version)
		run_comm(&arguments, status, argc, argv);
	if (status == NN_OK)
		status = run(&arguments);
	if (status == NN_OK && fflush(stdout) != 0)
		status = nn_error(NN_ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (status != NN_OK)
		fprintf(stderr, "resnet-bench: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}
