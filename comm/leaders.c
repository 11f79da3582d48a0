#include "comm/leaders.h"

#include <sched.h>
#include <time.h>

#include "comm/board.h"
#include "comm/watch.h"

/* The first tests follow each other, for some time where the thread has a processor to itself; then it sleeps in between.
 * Statistics are waited for in short naps at first, for a message that is just coming. Sums of gradients are many waits alike,
 * while another thread computes on the same core, from which every test takes 10 microseconds and more, with what it leaves of the
 * caches: a nap becomes so long that a few make up a wait. */
enum { EAGER_TESTS = 16, SHORT_NAPS = 64, SHORT_NS = 20000, LONG_NS = 100000, LONGEST_NS = 250000, FEW_NAPS = 3 };

long leaders_nap_ns(const struct comm *comm, enum channel channel, int naps)
{
	if (channel == CHANNEL_GRADIENT) {
		long ns = comm->given_nap_ns > 0 ? comm->given_nap_ns : comm->nap_ns;

		return ns > SHORT_NS ? ns : SHORT_NS;
	}
	return naps < SHORT_NAPS ? SHORT_NS : LONG_NS;
}

static int eager_tests(const struct comm *comm, enum channel channel)
{
	return leaders_nap_ns(comm, channel, 0) > SHORT_NS ? 0 : EAGER_TESTS;
}

void leaders_choose_nap(struct comm *comm, enum channel channel, int naps)
{
	long ns = leaders_nap_ns(comm, channel, naps);

	if (channel != CHANNEL_GRADIENT || comm->given_nap_ns > 0)
		return;
	if (naps == 1) /* perhaps too long */
		comm->nap_ns = ns * 15 / 16;
	else if (naps > FEW_NAPS)
		comm->nap_ns = ns * 3 / 2 < LONGEST_NS ? ns * 3 / 2 : LONGEST_NS;
}

/* Finds out who is missing, and ends the job. */
static _Noreturn void give_up(struct watch_wait *wait, int count, const MPI_Request *requests, const int *nodes)
{
	struct comm *comm = wait->comm;
	int done;

	if (!nodes)
		watch_missing(wait, NULL);
	for (int k = 0; k < comm->nodes; k++)
		comm->missing[k] = false;
	for (int i = 0; i < count; i++)
		if (MPI_Request_get_status(requests[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
			comm->missing[nodes[i]] = true;
	watch_missing(wait, comm->missing);
}

static bool test(struct comm *comm, int count, MPI_Request *requests)
{
	int done;

	comm_check(comm, MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE), "MPI_Testall");
	return done;
}

/* True: all is done. Others that want the processor, as more nodes than there are on one machine, get it in between. */
static bool test_for(struct comm *comm, long ns, int count, MPI_Request *requests)
{
	double end = MPI_Wtime() + (double)ns * 1e-9;

	while (MPI_Wtime() < end) {
		if (test(comm, count, requests))
			return true;
		sched_yield();
	}
	return false;
}

void leaders_wait(struct comm *comm, enum channel channel, int count, MPI_Request *requests, const int *nodes, const char *what)
{
	struct watch_wait wait;
	int naps = 0;

	for (int i = eager_tests(comm, channel); i > 0; i--)
		if (test(comm, count, requests))
			return;
	if (channel == CHANNEL_MAIN && test_for(comm, board_spin_ns(comm), count, requests))
		return;
	watch_begin(&wait, comm, channel, what);
	for (; !test(comm, count, requests); naps += naps < SHORT_NAPS) {
		nanosleep(&(struct timespec){.tv_nsec = leaders_nap_ns(comm, channel, naps)}, NULL);
		if (watch_nodes(&wait))
			give_up(&wait, count, requests, nodes);
	}
	watch_end(&wait);
	if (naps > 0) /* a message that had come before says nothing */
		leaders_choose_nap(comm, channel, naps);
}

void leaders_gather(struct comm *comm, enum channel channel, void *all, const size_t *begins, const char *what)
{
	MPI_Request *requests = comm->requests[channel];
	int *nodes = comm->request_nodes[channel];
	int mine = comm->node_index, made = 0;
	char *blocks = all;

	for (int step = 1; step < comm->nodes; step++) {
		int from = (mine + comm->nodes - step) % comm->nodes, to = (mine + step) % comm->nodes;

		nodes[made] = from;
		comm_check(comm,
			   MPI_Irecv(blocks + begins[from], (int)(begins[from + 1] - begins[from]), MPI_BYTE, from, 0,
				     comm->leaders[channel], &requests[made++]),
			   "MPI_Irecv");
		nodes[made] = to;
		comm_check(comm,
			   MPI_Isend(blocks + begins[mine], (int)(begins[mine + 1] - begins[mine]), MPI_BYTE, to, 0,
				     comm->leaders[channel], &requests[made++]),
			   "MPI_Isend");
	}
	leaders_wait(comm, channel, made, requests, nodes, what);
}

void comm_finish(struct comm *comm, MPI_Request *request, const char *what)
{
	leaders_wait(comm, CHANNEL_MAIN, 1, request, NULL, what);
}
