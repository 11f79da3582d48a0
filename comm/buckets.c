#include "comm/buckets.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "nn/core/alloc.h"

enum { FIRST_SHARE = 16 /* the first bucket is so much smaller than the largest */ };

struct range {
	size_t offset, count;
};

struct buckets {
	struct reducer *reducer;
	size_t floats, first, most;
	size_t end;	      /* where the gradient begins that has been sent */
	size_t limit;	      /* of the next bucket */
	struct range *ranges; /* of the step, in their order */
	int room;
	int taken;
	bool threaded;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int sent, summed; /* by the mutex */
	bool leaving;	  /* by the mutex */
	bucket_watch_fn watch;
	void *watch_context;
};

static void sum(const struct buckets *buckets, const struct range *range)
{
	if (buckets->watch)
		buckets->watch(buckets->watch_context, true, range->count);
	reducer_sum(buckets->reducer, range->offset, range->count);
	if (buckets->watch)
		buckets->watch(buckets->watch_context, false, range->count);
}

/* Sums bucket after bucket, until there are none and nobody wants more. */
static void *run(void *argument)
{
	struct buckets *buckets = argument;

	pthread_mutex_lock(&buckets->mutex);
	for (;;) {
		struct range range;

		while (buckets->summed == buckets->sent && !buckets->leaving)
			pthread_cond_wait(&buckets->changed, &buckets->mutex);
		if (buckets->summed == buckets->sent)
			break;
		range = buckets->ranges[buckets->summed];
		pthread_mutex_unlock(&buckets->mutex);
		sum(buckets, &range);
		pthread_mutex_lock(&buckets->mutex);
		buckets->summed++;
		pthread_cond_broadcast(&buckets->changed);
	}
	pthread_mutex_unlock(&buckets->mutex);
	return NULL;
}

/* Signals are for the main thread. */
static enum nn_status start(struct buckets *buckets)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&buckets->thread, NULL, run, buckets);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	buckets->threaded = error == 0;
	return error ? nn_error(NN_ERR_MEMORY, "cannot start the communication thread: %s; use --overlap off", strerror(error))
		     : NN_OK;
}

enum nn_status buckets_create(struct buckets **out, struct reducer *reducer, size_t floats, size_t most, bool overlap)
{
	struct buckets *buckets;
	enum nn_status status = nn_alloc(&buckets, sizeof(*buckets));

	*out = NULL;
	if (status != NN_OK)
		return status;
	*buckets = (struct buckets){.reducer = reducer, .floats = floats, .most = most > 0 ? most : 1};
	buckets->first = (buckets->most + FIRST_SHARE - 1) / FIRST_SHARE;
	buckets->room = (int)(floats / buckets->first) + 2;
	pthread_mutex_init(&buckets->mutex, NULL);
	pthread_cond_init(&buckets->changed, NULL);
	status = nn_alloc(&buckets->ranges, sizeof(*buckets->ranges) * (size_t)buckets->room);
	if (status == NN_OK && overlap)
		status = start(buckets);
	if (status == NN_OK)
		*out = buckets;
	else
		buckets_destroy(buckets);
	return status;
}

void buckets_destroy(struct buckets *buckets)
{
	if (!buckets)
		return;
	if (buckets->threaded) {
		pthread_mutex_lock(&buckets->mutex);
		buckets->leaving = true;
		pthread_cond_broadcast(&buckets->changed);
		pthread_mutex_unlock(&buckets->mutex);
		pthread_join(buckets->thread, NULL);
	}
	pthread_mutex_destroy(&buckets->mutex);
	pthread_cond_destroy(&buckets->changed);
	nn_free(buckets->ranges);
	nn_free(buckets);
}

/* The thread reads them after the next buckets_ready, which the mutex orders. */
void buckets_watch(struct buckets *buckets, bucket_watch_fn watch, void *context)
{
	buckets->watch = watch;
	buckets->watch_context = context;
}

void buckets_begin(struct buckets *buckets)
{
	pthread_mutex_lock(&buckets->mutex);
	assert(buckets->taken == buckets->summed && buckets->summed == buckets->sent);
	buckets->sent = buckets->summed = 0;
	pthread_mutex_unlock(&buckets->mutex);
	buckets->taken = 0;
	buckets->end = buckets->floats;
	buckets->limit = buckets->first;
}

static void send(struct buckets *buckets, size_t offset)
{
	struct range range = {offset, buckets->end - offset};

	assert(buckets->sent < buckets->room);
	if (!buckets->threaded)
		sum(buckets, &range);
	pthread_mutex_lock(&buckets->mutex);
	buckets->ranges[buckets->sent++] = range;
	if (!buckets->threaded)
		buckets->summed++;
	pthread_cond_broadcast(&buckets->changed);
	pthread_mutex_unlock(&buckets->mutex);
}

void buckets_ready(struct buckets *buckets, size_t offset)
{
	if (buckets->end - offset < buckets->limit && (offset > 0 || buckets->end == 0))
		return;
	send(buckets, offset);
	buckets->end = offset;
	buckets->limit = buckets->limit * 2 < buckets->most ? buckets->limit * 2 : buckets->most;
}

bool buckets_next(size_t *offset, size_t *count, struct buckets *buckets)
{
	bool left;

	pthread_mutex_lock(&buckets->mutex);
	left = buckets->taken < buckets->sent;
	while (left && buckets->summed <= buckets->taken)
		pthread_cond_wait(&buckets->changed, &buckets->mutex);
	if (left) {
		*offset = buckets->ranges[buckets->taken].offset;
		*count = buckets->ranges[buckets->taken].count;
		buckets->taken++;
	}
	pthread_mutex_unlock(&buckets->mutex);
	return left;
}
