#include "comm/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "comm/board.h"
#include "comm/roll.h"
#include "nn/core/status.h"

enum {
	STEP_MS = 1000,	  /* most that one look adds to a wait: a job that was stopped and goes on has not waited meanwhile */
	FRESH_MS = 5000,  /* so old may a sign of life be, at most the limit: while a job is being ended, some ranks live longer */
	LOOK_MS = 100,	  /* between two looks at other ranks */
	ANSWER_MS = 3000, /* for answers to a roll call; a node whose ranks know better has ended the job by then */
	FIRST_MS = 3000,  /* so much later speak all but the first who heard who is silent: to end a job takes over two seconds */
	ALL_ANSWER = 3,	  /* so many roll calls that all answer are enough */
	NAMED_MAX = 8,	  /* ranks in one message */
	ANYBODY = 3,	  /* after so many limits even ranks that wait themselves are named */
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

static void add_moment(struct text *text, const struct comm *comm)
{
	int64_t step = atomic_load(&comm->step);

	if (step > 0)
		add(text, " of step %lld", (long long)step);
	else
		add(text, " before the first step");
}

static void add_advice(struct text *text, const struct comm *comm)
{
	const char *advice = atomic_load(&comm->advice);

	if (advice)
		add(text, "; %s", advice);
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
	*wait =
	    (struct watch_wait){.comm = comm, .channel = channel, .what = what, .looked = watch_now(), .look = LOOK_MS, .dead = -1};
	show_life(wait);
}

void watch_end(struct watch_wait *wait)
{
	show_life(wait); /* the next wait may begin soon, and others may have waited through several of them */
}

static bool is_absent(const struct watch_wait *wait, int member)
{
	const struct comm *comm = wait->comm;

	return atomic_load(&comm->board->members[member].rounds[wait->channel]) != comm->rounds[wait->channel];
}

/* Whether a member has shown of late that it waits, in whatever channel: then it is not the one to blame. */
static bool waits(const struct watch_wait *wait, int member, int64_t limit)
{
	int64_t oldest = wait->looked - (limit < FRESH_MS ? limit : FRESH_MS);
	bool fresh = false;

	for (int c = 0; c < CHANNEL_COUNT; c++)
		fresh = fresh || atomic_load(&wait->comm->board->members[member].waiting[c]) > oldest;
	return fresh;
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
		add(&text, " has died; %s", wait->what);
		add_moment(&text, comm);
		add(&text, " waits for it");
		add_advice(&text, comm);
		end_job(comm, text.bytes);
	}
	wait->dead = dead;
}

static void finish_text(struct text *text, const struct watch_wait *wait)
{
	add(text, "; %s", wait->what);
	add_moment(text, wait->comm);
	add(text, " has waited for %.0f s", (double)wait->waited * 1e-3);
	add_advice(text, wait->comm);
}

static _Noreturn void end_without(const struct watch_wait *wait, struct text *text)
{
	finish_text(text, wait);
	end_job(wait->comm, text->bytes);
}

/* Ends the job when a rank of this node is silent: one that does not wait itself. At a gate only those count that have not come,
 * unless all have and it does not open; in an operation between all ranks the node's meet at no gate. */
static void end_for_silent(const struct watch_wait *wait, int64_t limit, bool at_gate)
{
	const struct comm *comm = wait->comm;
	struct text text = {.length = 0};
	bool absent = false;

	for (int i = 0; i < comm->node_ranks; i++)
		absent = absent || (at_gate && is_absent(wait, i));
	for (int i = 0; i < comm->node_ranks; i++) {
		if (i == comm->node_rank || (absent && !is_absent(wait, i)))
			continue;
		if (!waits(wait, i, limit) || (absent && wait->waited > ANYBODY * limit))
			add_rank(&text, comm, comm_place_of(comm, i));
	}
	if (text.named == 0)
		return;
	add(&text, text.named > 1 ? " are silent" : " is silent");
	end_without(wait, &text);
}

void watch_node(struct watch_wait *wait)
{
	int64_t limit = atomic_load(&wait->comm->watch_limit);

	show_life(wait);
	look_for_dead(wait);
	roll_answer(wait->comm);
	if (limit > 0 && wait->waited > limit)
		end_for_silent(wait, limit, true);
}

static void add_node(struct text *text, const struct comm *comm, int k)
{
	for (int place = comm->node_firsts[k]; place < comm->node_firsts[k + 1]; place++)
		add_rank(text, comm, place);
}

/* Asks the other nodes, or looks who has answered; when some have not, the first node of those that have ends the job. */
static void call_roll(struct watch_wait *wait)
{
	struct comm *comm = wait->comm;
	struct text text = {.length = 0};
	int64_t passed = wait->waited - wait->asked;
	bool first = true;

	if (wait->asked == 0) {
		wait->asked = wait->waited;
		wait->question = roll_call(comm);
		return;
	}
	if (passed < ANSWER_MS)
		return;
	add(&text, "nothing comes from ");
	for (int k = 0; k < comm->nodes; k++)
		if (k != comm->node_index && !roll_answered(comm, k, wait->question))
			add_node(&text, comm, k);
		else
			first = first && k >= comm->node_index;
	if (text.named == 0) {
		wait->all_answered++;
		wait->asked = 0;
	} else if (first || passed >= ANSWER_MS + FIRST_MS) {
		end_without(wait, &text);
	}
}

bool watch_nodes(struct watch_wait *wait)
{
	struct comm *comm = wait->comm;
	int64_t limit = atomic_load(&comm->watch_limit);
	bool asks = roll_asks(comm);

	show_life(wait);
	if (wait->waited < wait->look)
		return false;
	wait->look = wait->waited + LOOK_MS;
	look_for_dead(wait);
	roll_answer(comm);
	if (limit == 0 || wait->waited <= limit)
		return false;
	end_for_silent(wait, limit, false);
	if (asks) {
		call_roll(wait);
		return wait->waited > ANYBODY * limit && wait->all_answered >= ALL_ANSWER;
	}
	/* The node's first rank asks, and knows more. */
	return wait->waited > ANYBODY * limit + (comm->nodes > 1 ? ALL_ANSWER * (ANSWER_MS + FIRST_MS) : 0);
}

_Noreturn void watch_missing(struct watch_wait *wait, const bool *missing)
{
	const struct comm *comm = wait->comm;
	struct text text = {.length = 0};

	add(&text, "nothing comes from ");
	for (int k = 0; missing && k < comm->nodes; k++)
		if (missing[k])
			add_node(&text, comm, k);
	if (text.named == 0)
		add(&text, "other ranks");
	end_without(wait, &text);
}
