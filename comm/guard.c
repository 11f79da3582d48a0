#include "comm/guard.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "comm/watch.h"
#include "nn/core/alloc.h"

enum { LOOK_MS = 100 };

struct guard {
	struct comm *comm;
	enum channel channel;
	const char *what;
	_Atomic uint64_t calls; /* begun and ended, so that it is odd during a call */
	atomic_bool leaving;
	pthread_t thread;
};

/* Looks at one call after the other. */
static void *run(void *argument)
{
	struct guard *guard = argument;
	struct watch_wait wait = {.comm = guard->comm, .channel = guard->channel};
	uint64_t before = 0;

	while (!atomic_load(&guard->leaving)) {
		uint64_t seen = atomic_load(&guard->calls);

		if (before % 2 == 1 && before != seen)
			watch_end(&wait);
		if (seen % 2 == 1 && before != seen)
			watch_begin(&wait, guard->comm, guard->channel, guard->what);
		else if (seen % 2 == 1 && watch_nodes(&wait))
			watch_missing(&wait, NULL);
		before = seen;
		nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
	}
	return NULL;
}

enum nn_status guard_create(struct guard **out, struct comm *comm, enum channel channel, const char *what)
{
	struct guard *guard;
	enum nn_status status = nn_alloc(&guard, sizeof(*guard));
	sigset_t all, before;
	int error;

	*out = NULL;
	if (status != NN_OK)
		return status;
	guard->comm = comm;
	guard->channel = channel;
	guard->what = what;
	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&guard->thread, NULL, run, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0) {
		*out = guard;
		return NN_OK;
	}
	nn_free(guard);
	return nn_error(NN_ERR_MEMORY, "cannot start the thread that watches MPI: %s", strerror(error));
}

void guard_destroy(struct guard *guard)
{
	if (!guard)
		return;
	atomic_store(&guard->leaving, true);
	pthread_join(guard->thread, NULL);
	nn_free(guard);
}

void guard_begin(struct guard *guard)
{
	atomic_fetch_add(&guard->calls, 1);
}

void guard_end(struct guard *guard)
{
	atomic_fetch_add(&guard->calls, 1);
}
