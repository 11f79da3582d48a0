/* The watchdog: no rank waits for ever, and none waits without saying for whom.
 *
 * Waiting ranks show on their node's board that they live. One that has waited too long names those of its node that neither came
 * nor wait themselves; a leader that has waited too long for other nodes calls the roll (comm/roll.h), and names the nodes that do
 * not answer. A process of the node that has died is noticed at once. The job then ends with NN_ERR_PEER's exit code. */
#ifndef COMM_WATCH_H
#define COMM_WATCH_H

#include <stdint.h>

#include "comm/internal.h"

/* One rank tells why the job ends and ends it by MPI_Abort, which takes a second or two; the others leave by themselves after so
 * long, for it cannot reach those behind a broken link. */
enum { WATCH_SPEAKER_SECONDS = 5 };

/* One wait of one thread. */
struct watch_wait {
	struct comm *comm;
	enum channel channel;
	const char *what; /* "the sum of gradients" */
	int64_t looked;	  /* when, in milliseconds */
	int64_t waited;	  /* milliseconds, without the time in which this process was stopped itself */
	int64_t look;	  /* the next look at others is due when it has waited so long */
	int64_t asked;	  /* how long it had waited when it called the roll; 0: it does not wait for answers */
	int question;
	int all_answered; /* roll calls */
	int dead;	  /* the member that was found dead at the last look; -1: none */
};

/* Milliseconds of the host's monotonic clock, never 0. */
int64_t watch_now(void);

void watch_begin(struct watch_wait *wait, struct comm *comm, enum channel channel, const char *what);
void watch_end(struct watch_wait *wait);

/* Shows a sign of life; ends the job when a rank of this node is dead or has been silent for too long. To be called now and then
 * during a wait for the node. */
void watch_node(struct watch_wait *wait);

/* The same for a wait outside of gates, of leaders for each other or in an operation of MPI between all ranks; shows a sign of life
 * at each call, and looks ten times a second. True: it has waited far too long although nobody is silent. */
bool watch_nodes(struct watch_wait *wait);

/* Ends the job in that case. missing[k]: nothing has come from node k; NULL: from whom is not known. */
_Noreturn void watch_missing(struct watch_wait *wait, const bool *missing);

#endif
