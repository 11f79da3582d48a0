#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* A convolution, a batch norm and a linear layer: one parameter of each kind. */
static struct graph small_graph(void)
{
	struct graph graph;
	int x;

	CU_ASSERT_EQUAL(graph_init(&graph, "small", 4, 4, 3), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, 0, 5, 3, 1, 1, "conv1"), NN_OK);
	CU_ASSERT_EQUAL(graph_batchnorm(&graph, &x, x, -1, true, false, "bn1"), NN_OK);
	CU_ASSERT_EQUAL(graph_avgpool(&graph, &x, x, 1), NN_OK);
	CU_ASSERT_EQUAL(graph_linear(&graph, &x, x, 7, "fc"), NN_OK);
	return graph;
}

/* Parameters, velocity and gradient of small_graph, and what they were before the step. */
struct state {
	struct graph graph;
	float *w, *v, *g;
	double *old_w, *old_v;
};

static void state_init(struct state *state)
{
	state->graph = small_graph();
	state->w = reference_values(state->graph.parameters, 1);
	state->v = reference_values(state->graph.parameters, 2);
	state->g = reference_values(state->graph.parameters, 3);
	state->old_w = reference_doubles(state->w, state->graph.parameters);
	state->old_v = reference_doubles(state->v, state->graph.parameters);
}

static void state_release(struct state *state)
{
	graph_release(&state->graph);
	free(state->w);
	free(state->v);
	free(state->g);
	free(state->old_w);
	free(state->old_v);
}

static double norm(const double *x, const float *y, const struct param *param)
{
	double sum = 0;

	for (size_t i = param->offset; i < param->offset + param->count; i++)
		sum += x ? x[i] * x[i] : (double)y[i] * (double)y[i];
	return sqrt(sum);
}

/* The new value of parameter i by the formulas of optimizer.h. */
static double wanted(const struct state *state, const struct optimizer *o, const struct param *param, size_t i, double rate)
{
	bool weight = param->kind == PARAM_CONV || param->kind == PARAM_LINEAR;
	double decay = weight || o->decay_bn ? o->weight_decay : 0;
	double d = (double)state->g[i] + decay * state->old_w[i], trust = 1, v;

	if (o->kind == OPTIMIZER_SGD) {
		v = o->momentum * state->old_v[i] + d;
		return state->old_w[i] - rate * (o->nesterov ? d + o->momentum * v : v);
	}
	if (weight)
		trust = o->trust * norm(state->old_w, NULL, param) /
			(norm(NULL, state->g, param) + decay * norm(state->old_w, NULL, param));
	v = o->momentum * state->old_v[i] + rate * trust * d;
	return state->old_w[i] - v;
}

static void check_step(struct optimizer optimizer)
{
	const double rate = 0.3;

	for (int s = 0; reference_set(s); s++) {
		struct state state;

		state_init(&state);
		optimizer_step(state.w, state.v, state.g, &optimizer, &state.graph, reference_set(s), rate, 1);
		for (int p = 0; p < state.graph.param_count; p++) {
			const struct param *param = &state.graph.params[p];

			for (size_t i = param->offset; i < param->offset + param->count; i++)
				CU_ASSERT_DOUBLE_EQUAL(state.w[i], wanted(&state, &optimizer, param, i, rate), 5e-7);
		}
		state_release(&state);
	}
}

static void sgd_follows_its_formula_on_every_kind_of_parameter(void)
{
	check_step((struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 0.1, .decay_bn = true});
	check_step((struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 0.1, .decay_bn = false});
	check_step(
	    (struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.5, .nesterov = true, .weight_decay = 0.2, .decay_bn = true});
	check_step((struct optimizer){.kind = OPTIMIZER_SGD});
}

static void lars_scales_weights_and_leaves_batchnorm_and_biases(void)
{
	check_step((struct optimizer){.kind = OPTIMIZER_LARS, .momentum = 0.9, .weight_decay = 0.1, .trust = 0.01});
	check_step(
	    (struct optimizer){.kind = OPTIMIZER_LARS, .momentum = 0.9, .weight_decay = 0.1, .decay_bn = true, .trust = 0.5});
}

/* One step of a single weight w 1, v 2, g 3 at rate 0.25. */
static void check_one(struct optimizer optimizer, double wanted_w, double wanted_v)
{
	struct graph graph;
	float w = 1, v = 2, g = 3;
	int x;

	CU_ASSERT_EQUAL(graph_init(&graph, "one", 1, 1, 1), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, 0, 1, 1, 1, 0, "conv"), NN_OK);
	optimizer_step(&w, &v, &g, &optimizer, &graph, reference_set(0), 0.25, 1);
	CU_ASSERT_DOUBLE_EQUAL(w, wanted_w, 2e-7);
	CU_ASSERT_DOUBLE_EQUAL(v, wanted_v, 2e-7);
	graph_release(&graph);
}

/* Momentum 0.5, decay 1; for LARS |w| / (|g| + |w|) is 1/4, so the rate is 0.25 * 0.1 * 0.25. */
static void one_weight_by_hand(void)
{
	const double v = 1 + 0.00625 * 4;

	check_one((struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.5, .weight_decay = 1}, 1 - 0.25 * 5, 5);
	check_one((struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.5, .nesterov = true, .weight_decay = 1}, 1 - 0.25 * 6.5,
		  5);
	check_one((struct optimizer){.kind = OPTIMIZER_LARS, .momentum = 0.5, .weight_decay = 1, .trust = 0.1}, 1 - v, v);
}

static void lars_with_a_zero_gradient_or_weight_stays_finite(void)
{
	struct optimizer optimizer = {.kind = OPTIMIZER_LARS, .momentum = 0.9, .trust = 0.001};
	struct state state;

	state_init(&state);
	memset(state.g, 0, state.graph.parameters * sizeof(float));
	memset(state.w, 0, state.graph.params[0].count * sizeof(float));
	optimizer_step(state.w, state.v, state.g, &optimizer, &state.graph, reference_set(0), 1, 1);
	for (size_t i = 0; i < state.graph.parameters; i++)
		CU_ASSERT(isfinite(state.w[i]));
	state_release(&state);
}

static void check_threads(struct optimizer optimizer)
{
	struct state one, many;

	state_init(&one);
	state_init(&many);
	optimizer_step(one.w, one.v, one.g, &optimizer, &one.graph, reference_set(0), 0.1, 1);
	optimizer_step(many.w, many.v, many.g, &optimizer, &many.graph, reference_set(0), 0.1, 3);
	CU_ASSERT(same_bits(one.w, many.w, one.graph.parameters * sizeof(float)));
	CU_ASSERT(same_bits(one.v, many.v, one.graph.parameters * sizeof(float)));
	state_release(&one);
	state_release(&many);
}

static void the_step_has_the_same_bits_for_every_number_of_threads(void)
{
	check_threads(
	    (struct optimizer){.kind = OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-4, .decay_bn = true});
	check_threads((struct optimizer){.kind = OPTIMIZER_LARS, .momentum = 0.9, .weight_decay = 1e-4, .trust = 0.001});
}

static struct schedule schedule_of(enum schedule_kind kind)
{
	return (struct schedule){.kind = kind,
				 .lr = 0.5,
				 .warmup_lr = 0.1,
				 .warmup_steps = 4,
				 .total_steps = 14,
				 .milestones = {6, 10},
				 .milestone_count = 2,
				 .gamma = 0.1,
				 .power = 2};
}

static void warmup_rises_linearly_and_ends_at_the_full_rate(void)
{
	for (enum schedule_kind kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_POLY; kind++) {
		struct schedule schedule = schedule_of(kind);

		for (int step = 0; step < 4; step++)
			CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&schedule, step), 0.2 + 0.1 * step, 1e-15);
		CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&schedule, 4), 0.5, 1e-15);
	}
}

static void schedules_follow_their_formulas_to_the_last_step(void)
{
	struct schedule constant = schedule_of(SCHEDULE_CONSTANT), step = schedule_of(SCHEDULE_STEP);
	struct schedule cosine = schedule_of(SCHEDULE_COSINE), poly = schedule_of(SCHEDULE_POLY);

	CU_ASSERT_EQUAL(schedule_rate(&constant, 13), 0.5);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&step, 5), 0.5, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&step, 6), 0.05, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&step, 9), 0.05, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&step, 10), 0.005, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&step, 1000), 0.005, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&cosine, 9), 0.25, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&cosine, 13), 0.25 * (1 + cos(0.9 * acos(-1))), 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&cosine, 14), 0, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&poly, 9), 0.5 * 0.25, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&poly, 13), 0.5 * 0.01, 1e-15);
	CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&poly, 20), 0, 1e-15);
}

static void a_schedule_without_warmup_starts_at_the_full_rate(void)
{
	for (enum schedule_kind kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_POLY; kind++) {
		struct schedule schedule = schedule_of(kind);

		schedule.warmup_steps = 0;
		CU_ASSERT_EQUAL(schedule_rate(&schedule, 0), 0.5);
		schedule.total_steps = 0;
		CU_ASSERT(isfinite(schedule_rate(&schedule, 0)));
	}
}

void suite_optimizer(void)
{
	static const struct test_row rows[] = {
	    TEST(one_weight_by_hand),
	    TEST(sgd_follows_its_formula_on_every_kind_of_parameter),
	    TEST(lars_scales_weights_and_leaves_batchnorm_and_biases),
	    TEST(lars_with_a_zero_gradient_or_weight_stays_finite),
	    TEST(the_step_has_the_same_bits_for_every_number_of_threads),
	    TEST(warmup_rises_linearly_and_ends_at_the_full_rate),
	    TEST(schedules_follow_their_formulas_to_the_last_step),
	    TEST(a_schedule_without_warmup_starts_at_the_full_rate),
	};

	ADD_SUITE("optimizer", rows);
}
