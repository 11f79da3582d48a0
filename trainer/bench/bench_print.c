#include "trainer/bench/bench_print.h"

#include <stdio.h>

/* No text needs escaping: the network's name is one that exists. */
static void step_json(const struct bench_options *options, const struct bench_result *result)
{
	printf("{\"program\": \"resnet-bench\", \"mode\": \"%s\", \"arch\": \"%s\", \"batch\": %zu, \"image_size\": %d, "
	       "\"threads\": %d, "
	       "\"isa\": \"%s\", \"iterations\": %d, \"median_ms\": %.3f, \"min_ms\": %.3f, \"images_per_second\": %.3f, "
	       "\"gflops\": %.3f, \"gigabytes_at_least\": %.4f, \"peak_mib\": %.1f}\n",
	       options->train ? "step" : "eval", options->arch, options->batch, result->image_size, options->threads, result->isa,
	       options->iterations, 1e3 * result->median_seconds, 1e3 * result->least_seconds, result->images_per_second,
	       result->gflops, result->gigabytes, (double)result->peak_bytes / 1048576);
}

static void step_row(const struct bench_options *options, const struct bench_result *result)
{
	printf("%-14s %s  batch %zu  %d px  %d thread%s  %s  %10.2f ms (min %.2f)  %9.2f images/s  %7.1f GFLOP/s  %.2f GB at least "
	       " %6.0f MiB\n",
	       options->arch, options->train ? "step" : "eval", options->batch, result->image_size, options->threads,
	       options->threads == 1 ? "" : "s", result->isa, 1e3 * result->median_seconds, 1e3 * result->least_seconds,
	       result->images_per_second, result->gflops, result->gigabytes, (double)result->peak_bytes / 1048576);
}

void bench_print_step(const struct bench_arguments *arguments, const struct bench_result *result)
{
	if (arguments->json)
		step_json(&arguments->options, result);
	else
		step_row(&arguments->options, result);
}

void bench_print_data(const struct bench_arguments *arguments, const struct bench_data_result *result)
{
	int size = arguments->data.image_size;

	if (arguments->json)
		printf("{\"program\": \"resnet-bench\", \"mode\": \"data\", \"images\": %zu, \"image_size\": %d, "
		       "\"median_ms\": %.3f, \"decode_ms\": %.3f, \"images_per_second\": %.2f}\n",
		       result->images, size, 1e3 * result->median_seconds / (double)result->images,
		       1e3 * result->decode_seconds / (double)result->images, result->images_per_second);
	else
		printf("data  %zu images to %d px  %.3f ms an image, %.3f of them reading and decoding  %.1f images/s per core\n",
		       result->images, size, 1e3 * result->median_seconds / (double)result->images,
		       1e3 * result->decode_seconds / (double)result->images, result->images_per_second);
}

static void comm_json(const struct bench_options *options, const struct comm *comm, const struct bench_comm_result *result, int on)
{
	const struct bench_comm_row *row = &result->overlap[on];
	double speed = (double)options->batch / row->step;

	printf("{\"program\": \"resnet-bench\", \"mode\": \"comm\", \"arch\": \"%s\", \"batch\": %zu, \"ranks\": %d, "
	       "\"nodes\": %d, \"threads\": %d, \"isa\": \"%s\", \"overlap\": %s, \"sync_bn\": \"%s\", \"gradient_dtype\": \"%s\", "
	       "\"median_ms\": %.3f, "
	       "\"local_ms\": %.3f, \"exposed\": %.4f, \"exposed_gradients\": %.4f, \"exposed_statistics\": %.4f, "
	       "\"gradients_ms\": %.3f, \"statistics_ms\": %.3f, "
	       "\"images_per_second\": %.3f, \"gflops\": %.3f, "
	       "\"peak_mib\": %.1f}\n",
	       options->arch, options->batch, comm_size(comm), comm_nodes(comm), options->threads, result->isa,
	       on ? "true" : "false", options->sync_bn ? "global" : "off", options->bf16_gradients ? "bf16" : "fp32",
	       1e3 * row->step, 1e3 * result->local, row->exposed, result->exposed_gradients, result->exposed_statistics,
	       1e3 * row->gradients, 1e3 * row->statistics, speed, 1e-9 * result->flops * speed,
	       (double)result->peak_bytes / 1048576);
}

static void comm_row(const struct bench_options *options, const struct comm *comm, const struct bench_comm_result *result, int on)
{
	const struct bench_comm_row *row = &result->overlap[on];

	printf("%-14s comm  batch %zu  %d ranks on %d nodes  %s gradients  overlap %-3s  step %10.2f ms  %9.2f images/s  "
	       "exposed %5.1f %%  gradients %9.2f ms (%4.1f %%)  statistics %9.2f ms (%4.1f %%)  %.0f MiB a rank",
	       options->arch, options->batch, comm_size(comm), comm_nodes(comm), options->bf16_gradients ? "bf16" : "fp32",
	       on ? "on" : "off", 1e3 * row->step, (double)options->batch / row->step, 100 * row->exposed, 1e3 * row->gradients,
	       100 * row->gradients / row->step, 1e3 * row->statistics, 100 * row->statistics / row->step,
	       (double)result->peak_bytes / 1048576);
	if (on)
		printf("  exposed alone: gradients %.1f %%, statistics %.1f %%", 100 * result->exposed_gradients,
		       100 * result->exposed_statistics);
	printf("\n");
}

void bench_print_comm(const struct bench_arguments *arguments, const struct comm *comm, const struct bench_comm_result *result)
{
	for (int on = 0; on < 2; on++)
		if (arguments->json)
			comm_json(&arguments->options, comm, result, on);
		else
			comm_row(&arguments->options, comm, result, on);
}

void bench_print_peak(const char *isa, enum peak_kind kind, int threads, const struct peak *peak, bool json)
{
	if (json)
		printf("{\"program\": \"resnet-bench\", \"mode\": \"peaks\", \"isa\": \"%s\", \"name\": \"%s\", \"threads\": %d, "
		       "\"unit\": \"%s\", \"median\": %.3f, \"highest\": %.3f}\n",
		       isa, peak_name(kind), threads, peak_unit(kind), peak->median, peak->highest);
	else
		printf("%-20s %s  %d thread%s  %9.1f %-8s (highest %.1f)\n", peak_name(kind), isa, threads,
		       threads == 1 ? " " : "s", peak->median, peak_unit(kind), peak->highest);
}

/* One object for each row, the last one is the step. */
static void layers_json(const struct bench_arguments *arguments, const struct layers *layers)
{
	const struct bench_options *options = &arguments->options;
	double peak = layers->ceiling.highest;

	for (int i = 0; i < layers->count; i++) {
		const struct layer_row *row = &layers->rows[i];
		const struct conv *conv = &row->conv;

		printf("{\"program\": \"resnet-bench\", \"mode\": \"layers\", \"arch\": \"%s\", \"batch\": %zu, \"threads\": %d, "
		       "\"pass\": \"%s\", \"kernel\": %d, \"stride\": %d, \"in\": [%d, %d, %d], \"out\": [%d, %d, %d], \"layers\": "
		       "%d, "
		       "\"algorithm\": \"%s\", \"median_ms\": %.4f, \"gflops\": %.3f, \"share_of_peak\": %.4f, "
		       "\"megabytes_at_least\": %.3f}\n",
		       options->arch, options->batch, options->threads, layer_pass_name(row->pass), conv->kernel, conv->stride,
		       conv->in_h, conv->in_w, conv->in_c, conv->out_h, conv->out_w, conv->out_c, row->layers,
		       row->winograd ? "winograd" : "direct", 1e3 * row->seconds, row->gflops, row->gflops / peak,
		       1e-6 * row->bytes);
	}
	printf("{\"program\": \"resnet-bench\", \"mode\": \"layers\", \"arch\": \"%s\", \"batch\": %zu, \"threads\": %d, "
	       "\"pass\": \"step\", \"median_ms\": %.3f, \"convolutions_ms\": %.3f, \"optimizer_ms\": %.3f, \"rest_ms\": %.3f, "
	       "\"gflops\": %.3f, \"share_of_peak\": %.4f, \"peak_gflops\": %.3f}\n",
	       options->arch, options->batch, options->threads, 1e3 * layers->step.median_seconds, 1e3 * layers->convolutions,
	       1e3 * layers->optimizer, 1e3 * layers_rest(layers), layers->step.gflops, layers->step.gflops / peak, peak);
}

static void layer_line(const struct layer_row *row, double peak)
{
	const struct conv *conv = &row->conv;

	printf("%2d x  %d x %d /%d  %3d x %3d x %4d -> %3d x %3d x %4d  %-15s %-8s %9.3f ms  %7.1f GFLOP/s  %5.1f %%  %8.2f MB\n",
	       row->layers, conv->kernel, conv->kernel, conv->stride, conv->in_h, conv->in_w, conv->in_c, conv->out_h, conv->out_w,
	       conv->out_c, layer_pass_name(row->pass), row->winograd ? "winograd" : "direct", 1e3 * row->seconds, row->gflops,
	       100 * row->gflops / peak, 1e-6 * row->bytes);
}

static void layers_table(const struct bench_arguments *arguments, const struct layers *layers)
{
	const struct bench_options *options = &arguments->options;
	double peak = layers->ceiling.highest, step = layers->step.median_seconds;

	printf("%s, batch %zu, %d thread%s, %s: each shape of convolution alone; share of %.1f GFLOP/s; bytes at least\n",
	       options->arch, options->batch, options->threads, options->threads == 1 ? "" : "s", layers->step.isa, peak);
	for (int i = 0; i < layers->count; i++)
		layer_line(&layers->rows[i], peak);
	printf("convolutions  %9.2f ms  %5.1f %% of the step\n", 1e3 * layers->convolutions, 100 * layers->convolutions / step);
	printf("optimiser     %9.2f ms  %5.1f %%\n", 1e3 * layers->optimizer, 100 * layers->optimizer / step);
	printf("the rest      %9.2f ms  %5.1f %%\n", 1e3 * layers_rest(layers), 100 * layers_rest(layers) / step);
	printf("whole step    %9.2f ms  %7.1f GFLOP/s  %5.1f %%  %.2f GB\n", 1e3 * step, layers->step.gflops,
	       100 * layers->step.gflops / peak, layers->step.gigabytes);
}

void bench_print_layers(const struct bench_arguments *arguments, const struct layers *layers)
{
	if (arguments->json)
		layers_json(arguments, layers);
	else
		layers_table(arguments, layers);
}
