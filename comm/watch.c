#include "comm/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "comm/board.h"
#include "nn/core/status.h"

enum {
	STEP_MS = 1000,	 /* most that one look adds to a wait: a job that was stopped and goes on has not waited meanwhile */
	FRESH_MS = 5000, /* so old may a sign of life be */
	GRACE_MS = 1000, /* so much later than its ranks does a leader speak: a tenth of the limit, at least this */
	GRACE_MOST_MS = 3000,
	ROUND_MS = 3000, /* and for each round of a collective so much later: a job that is being ended takes over two seconds */
	NAMED_MAX = 8,	 /* ranks in one message */
	ANYBODY = 3,	 /* after so many limits even ranks that wait themselves are named */
};

struct text {
	char bytes[900];
	size_t length;
	int named;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	text->length += length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

static void add_rank(struct text *text, const struct comm *comm, int place)
{
	int rank = comm->rank_at[place];

	if (text->named < NAMED_MAX)
		add(text, "%srank %d on host %s", text->named > 0 ? ", " : "", rank, comm->hosts[rank]);
	else if (text->named == NAMED_MAX)
		add(text, " and others");
	text->named++;
}

int64_t watch_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

/* Of this node only one rank speaks; it takes the others down. */
static _Noreturn void end_job(struct comm *comm, const char *text)
{
	if (atomic_exchange(&comm->board->speaking, 1) == 0)
		comm_abort(comm, comm->program, NN_ERR_PEER, text);
	sleep(WATCH_SPEAKER_SECONDS);
	_Exit(nn_exit_code(NN_ERR_PEER));
}

static void show_life(struct watch_wait *wait)
{
	int64_t now = watch_now(), passed = now - wait->looked;

	wait->waited += passed < STEP_MS ? passed : STEP_MS;
	wait->looked = now;
	atomic_store(&wait->comm->board->members[wait->comm->node_rank].waiting[wait->channel], now);
}

void watch_begin(struct watch_wait *wait, struct comm *comm, enum channel channel, const char *what)
{
	*wait = (struct watch_wait){.comm = comm, .channel = channel, .what = what, .looked = watch_now(), .dead = -1};
	show_life(wait);
}

void watch_end(struct watch_wait *wait)
{
	atomic_store(&wait->comm->board->members[wait->comm->node_rank].waiting[wait->channel], 0);
}

static bool is_absent(const struct watch_wait *wait, int member)
{
	const struct comm *comm = wait->comm;

	return atomic_load(&comm->board->members[member].rounds[wait->channel]) != comm->rounds[wait->channel];
}

/* Whether a member has shown of late that it waits, in whatever channel: then it is not the one to blame. */
static bool waits(const struct watch_wait *wait, int member, int64_t limit)
{
	int64_t oldest = wait->looked - (limit / 2 < FRESH_MS ? limit / 2 : FRESH_MS);
	bool fresh = false;

	for (int c = 0; c < CHANNEL_COUNT; c++)
		fresh = fresh || atomic_load(&wait->comm->board->members[member].waiting[c]) > oldest;
	return fresh;
}

/* Names the members that a round waits for: those that have not come, or all when all have come and none opens; of these the ones
 * that do not wait themselves. */
static void name_silent(struct text *text, const struct watch_wait *wait, int64_t limit)
{
	const struct comm *comm = wait->comm;
	bool absent = false;

	for (int i = 0; i < comm->node_ranks; i++)
		absent = absent || is_absent(wait, i);
	for (int i = 0; i < comm->node_ranks; i++) {
		if (i == comm->node_rank || (absent && !is_absent(wait, i)))
			continue;
		if (!waits(wait, i, limit) || (absent && wait->waited > ANYBODY * limit))
			add_rank(text, comm, comm_place_of(comm, i));
	}
}

/* A dead process has to be found twice: when the job is being ended, this rank does not live to see it again. */
static void look_for_dead(struct watch_wait *wait)
{
	struct comm *comm = wait->comm;
	struct text text = {.length = 0};
	int dead = -1;

	for (int i = 0; i < comm->node_ranks && dead < 0; i++)
		if (i != comm->node_rank && kill(comm->board->members[i].pid, 0) != 0 && errno == ESRCH)
			dead = i;
	if (dead >= 0 && dead == wait->dead) {
		add_rank(&text, comm, comm_place_of(comm, dead));
		add(&text, " has died; %s of step %lld waits for it. The same command goes on from the last checkpoint", wait->what,
		    (long long)atomic_load(&comm->step));
		end_job(comm, text.bytes);
	}
	wait->dead = dead;
}

static void finish_text(struct text *text, const struct watch_wait *wait)
{
	add(text,
	    "; %s of step %lld has waited for %.0f s (--watchdog sets the limit). The same command goes on from the last "
	    "checkpoint",
	    wait->what, (long long)atomic_load(&wait->comm->step), (double)wait->waited * 1e-3);
}

void watch_node(struct watch_wait *wait)
{
	int64_t limit = atomic_load(&wait->comm->watch_limit);
	struct text text = {.length = 0};

	show_life(wait);
	look_for_dead(wait);
	if (limit == 0 || wait->waited <= limit)
		return;
	name_silent(&text, wait, limit);
	if (text.named == 0)
		return;
	add(&text, text.named > 1 ? " are silent" : " is silent");
	finish_text(&text, wait);
	end_job(wait->comm, text.bytes);
}

bool watch_leaders_due(struct watch_wait *wait)
{
	int64_t limit = atomic_load(&wait->comm->watch_limit);
	int64_t tenth = limit / 10 < GRACE_MOST_MS ? limit / 10 : GRACE_MOST_MS, grace = tenth > GRACE_MS ? tenth : GRACE_MS;

	show_life(wait);
	return limit > 0 && wait->waited > limit + grace + ROUND_MS * (int64_t)wait->round;
}

_Noreturn void watch_leaders(struct watch_wait *wait, const bool *missing)
{
	const struct comm *comm = wait->comm;
	struct text text = {.length = 0};

	add(&text, "nothing comes from ");
	for (int k = 0; missing && k < comm->nodes; k++)
		for (int place = comm->node_firsts[k]; missing[k] && place < comm->node_firsts[k + 1]; place++)
			add_rank(&text, comm, place);
	if (text.named == 0)
		add(&text, "other ranks");
	finish_text(&text, wait);
	end_job(wait->comm, text.bytes);
}
