#include "trainer/run/saver.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/run/run.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/network_entries.h"

struct saver {
	const char *run;
	const struct graph *graph;
	struct run_lock *lock;
	const struct metrics *metrics;
	float *parameters, *statistics, *velocity; /* the copy */
	struct network_entries model, momentum;
	pthread_t thread;
	bool under_way; /* the thread exists */
	struct saver_order order;
	double start;
	double seconds; /* from then until the checkpoint was on disk */
	pthread_mutex_t mutex;
	bool ended; /* by the mutex: the result is there */
	struct saver_result result;
};

size_t saver_bytes(const struct graph *graph)
{
	return (2 * graph->parameters + graph->statistics) * sizeof(float);
}

enum nn_status saver_create(struct saver **out, const char *run, const struct graph *graph, struct run_lock *lock,
			    const struct metrics *metrics)
{
	struct saver *saver;
	enum nn_status status = nn_alloc(out, sizeof(**out));

	if (status != NN_OK)
		return status;
	saver = *out;
	*saver = (struct saver){.run = run, .graph = graph, .lock = lock, .metrics = metrics};
	pthread_mutex_init(&saver->mutex, NULL);
	status = nn_alloc(&saver->parameters, graph->parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&saver->statistics, graph->statistics * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&saver->velocity, graph->parameters * sizeof(float));
	if (status == NN_OK)
		status = network_entries_init(&saver->model, graph, saver->parameters, saver->statistics);
	if (status == NN_OK)
		status = network_entries_init(&saver->momentum, graph, saver->velocity, NULL);
	if (status != NN_OK) {
		saver_destroy(saver);
		*out = NULL;
	}
	return status;
}

void saver_destroy(struct saver *saver)
{
	struct saver_result unused;

	if (!saver)
		return;
	saver_collect(&unused, saver, true);
	network_entries_release(&saver->model);
	network_entries_release(&saver->momentum);
	nn_free(saver->parameters);
	nn_free(saver->statistics);
	nn_free(saver->velocity);
	pthread_mutex_destroy(&saver->mutex);
	nn_free(saver);
}

static enum nn_status permit(void *context)
{
	struct saver *saver = context;

	return run_lock_check(saver->lock);
}

static void saved(void *context)
{
	struct saver *saver = context;

	saver->seconds = run_seconds() - saver->start;
}

static enum nn_status save(struct saver *saver)
{
	struct checkpoint checkpoint = {.step = saver->order.step,
					.model = saver->model.entries,
					.model_count = saver->model.count,
					.optimizer = saver->momentum.entries,
					.optimizer_count = saver->momentum.count,
					.state = saver->order.state,
					.keep = saver->order.keep,
					.best = saver->order.best,
					.owner = run_lock_id(saver->lock),
					.permit = permit,
					.saved = saved,
					.context = saver};
	enum nn_status status = metrics_sync(saver->metrics);

	return status == NN_OK ? checkpoint_save(saver->run, &checkpoint) : status;
}

static void *run_save(void *argument)
{
	struct saver *saver = argument;
	struct saver_result result = {.step = saver->order.step, .start = saver->start};

	result.status = save(saver);
	if (result.status != NN_OK)
		snprintf(result.message, sizeof(result.message), "%s", nn_error_message());
	result.seconds = result.status == NN_OK ? saver->seconds : run_seconds() - saver->start;
	pthread_mutex_lock(&saver->mutex);
	saver->result = result;
	saver->ended = true;
	pthread_mutex_unlock(&saver->mutex);
	return NULL;
}

/* The thread inherits a mask that leaves all signals to the main thread, where an interrupted MPI call is nobody's loss. */
static bool start_thread(struct saver *saver)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&saver->thread, NULL, run_save, saver) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

void saver_start(struct saver *saver, const struct saver_order *order, const float *parameters, const float *statistics,
		 const float *velocity)
{
	saver->order = *order;
	saver->ended = false;
	saver->model.batches = order->step;
	memcpy(saver->parameters, parameters, saver->graph->parameters * sizeof(float));
	memcpy(saver->statistics, statistics, saver->graph->statistics * sizeof(float));
	memcpy(saver->velocity, velocity, saver->graph->parameters * sizeof(float));
	saver->start = run_seconds();
	saver->under_way = start_thread(saver);
	if (!saver->under_way) /* no thread to be had: training waits */
		run_save(saver);
}

bool saver_collect(struct saver_result *result, struct saver *saver, bool wait)
{
	bool ended;

	if (saver->under_way && wait) {
		pthread_join(saver->thread, NULL);
		saver->under_way = false;
	}
	pthread_mutex_lock(&saver->mutex);
	ended = saver->ended;
	pthread_mutex_unlock(&saver->mutex);
	if (!ended)
		return false;
	if (saver->under_way)
		pthread_join(saver->thread, NULL);
	saver->under_way = false;
	saver->ended = false;
	json_decref(saver->order.state);
	saver->order.state = NULL;
	*result = saver->result;
	return true;
}
