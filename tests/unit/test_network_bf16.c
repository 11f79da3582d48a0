/* Networks with bf16 activations: as close to fp32 as 8 bits of mantissa allow, and the same bits however they are computed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* Moves every batch norm's output far from 0, a third of the channels below: otherwise rounding switches ReLUs of a deep net, each
 * of them a percent of the gradient of a batch so small. */
static void separate(const struct fixture *fixture)
{
	for (int i = 0; i < fixture->graph.param_count; i++) {
		const struct param *param = &fixture->graph.params[i];

		for (size_t k = 0; k < param->count && param->kind == PARAM_BETA; k++)
			network_parameters(fixture->network)[param->offset + k] += k % 3 ? 3 : -3;
	}
}

/* One step: the gradient, summed over partials, and the loss. Ownership: the gradient is the caller's, by free. */
static float *step(double *loss, const char *arch, int size, const struct kernels *set, size_t samples, int shards, int threads,
		   bool bf16)
{
	struct network_setup setup = fixture_setup(set, samples, shards);
	struct fixture fixture;
	struct batch_result result;
	float *const *partials, *gradient;
	size_t count;
	int number;

	setup.bf16 = bf16;
	setup.threads = threads;
	fixture_init(&fixture, fixture_graph(arch, size, 10, SHORTCUT_DEFAULT), &setup, samples);
	separate(&fixture);
	count = fixture.graph.parameters;
	CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0.1), NN_OK);
	*loss = result.loss / (double)samples;
	partials = network_gradients(fixture.network, &number);
	gradient = reference_alloc(count * sizeof(*gradient));
	memcpy(gradient, partials[0], count * sizeof(*gradient));
	fixture_release(&fixture);
	return gradient;
}

static size_t parameters(const char *arch, int size)
{
	struct graph graph = fixture_graph(arch, size, 10, SHORTCUT_DEFAULT);
	size_t count = graph.parameters;

	graph_release(&graph);
	return count;
}

/* |x - y| / |y| and the cosine of the angle between them. */
static void compare(double *error, double *cosine, const float *x, const float *y, size_t count)
{
	double xx = 0, xy = 0, yy = 0, difference = 0;

	for (size_t i = 0; i < count; i++) {
		double a = (double)x[i], b = (double)y[i];

		xx += a * a;
		xy += a * b;
		yy += b * b;
		difference += (a - b) * (a - b);
	}
	*error = sqrt(difference / yy);
	*cosine = xy / sqrt(xx * yy);
}

/* Only the first few nets are for an emulated processor, which did not come to the end of all of them within the limit. Their
 * layers have suites of their own, which it runs, and so do the whole nets in fp32. */
static int count_here(int all, int emulated)
{
	return getenv("RESNET_EMULATED") ? emulated : all;
}

/* 2^-9 at each of 20 to 50 roundings in a row, in both directions, and ReLUs that they switch. The images are small, and no
 * smaller: a batch norm over 4 values would make the differences large. */
static void gradients_of_every_family_point_where_those_of_fp32_do(void)
{
	static const struct {
		const char *arch;
		int size;
		size_t samples;
		int sets; /* at most */
	} nets[] = {{"resnet20", 12, 4, 9}, {"preresnet110", 8, 4, 2}, {"resnet20", 16, 8, 2}, {"plain20", 16, 8, 2},
		    {"resnet18", 48, 4, 2}, {"resnet50", 48, 4, 2},    {"vgg19", 32, 2, 1}};

	for (int i = 0; i < count_here(7, 4); i++)
		for (int s = 0; reference_bf16_set(s) && s < nets[i].sets; s++) {
			size_t count = parameters(nets[i].arch, nets[i].size);
			double loss[2], error, cosine;
			float *narrow =
			    step(&loss[0], nets[i].arch, nets[i].size, reference_bf16_set(s), nets[i].samples, 1, 1, true);
			float *wide =
			    step(&loss[1], nets[i].arch, nets[i].size, reference_bf16_set(s), nets[i].samples, 1, 1, false);

			compare(&error, &cosine, narrow, wide, count);
			CU_ASSERT_DOUBLE_EQUAL(loss[0], loss[1], 0.01 * loss[1]);
			CU_ASSERT(cosine > 0.99);
			free(narrow);
			free(wide);
		}
}

static void bits_do_not_depend_on_threads(void)
{
	static const struct {
		const char *arch;
		int size;
	} nets[] = {{"resnet20", 32}, {"resnet18", 32}, {"preresnet110", 16}};

	for (int i = 0; i < count_here(3, 1); i++) {
		size_t count = parameters(nets[i].arch, nets[i].size);
		double loss[2];
		float *one = step(&loss[0], nets[i].arch, nets[i].size, reference_set(0), 7, 3, 1, true);
		float *more = step(&loss[1], nets[i].arch, nets[i].size, reference_set(0), 7, 3, 3, true);

		CU_ASSERT(same_bits(one, more, count * sizeof(float)));
		CU_ASSERT(same_bits(&loss[0], &loss[1], sizeof(double)));
		free(one);
		free(more);
	}
}

/* All but AMX, which adds in another order. */
static void bits_of_vdpbf16ps_are_those_of_every_set_without_it(void)
{
	size_t count = parameters("resnet20", 16);
	float *first = NULL;

	for (int s = 0; reference_bf16_set(s); s++) {
		const struct kernels *set = reference_bf16_set(s);
		double loss;
		float *gradient;

		if (!set->bf16_products || set->vector != 16 || strcmp(set->name, "amx") == 0)
			continue;
		gradient = step(&loss, "resnet20", 16, set, 4, 2, 1, true);
		if (first) {
			CU_ASSERT(same_bits(first, gradient, count * sizeof(float)));
			free(gradient);
		} else {
			first = gradient;
		}
	}
	free(first);
}

static void activations_take_half_the_memory(void)
{
	struct graph graph = fixture_graph("resnet50", 224, 1000, SHORTCUT_DEFAULT);
	struct network_setup setup = fixture_setup(reference_set(0), 16, 1);
	struct network_memory wide, narrow;

	CU_ASSERT_EQUAL(network_plan_memory(&wide, &graph, &setup), NN_OK);
	setup.bf16 = true;
	CU_ASSERT_EQUAL(network_plan_memory(&narrow, &graph, &setup), NN_OK);
	CU_ASSERT(narrow.activations < 0.51 * (double)wide.activations);
	graph_release(&graph);
}

void suite_network_bf16(void)
{
	static const struct test_row rows[] = {
	    TEST(gradients_of_every_family_point_where_those_of_fp32_do),
	    TEST(bits_do_not_depend_on_threads),
	    TEST(bits_of_vdpbf16ps_are_those_of_every_set_without_it),
	    TEST(activations_take_half_the_memory),
	};

	ADD_SUITE("network_bf16", rows);
}
