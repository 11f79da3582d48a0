#include "comm/board.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "comm/watch.h"

/* How long a rank sleeps before it looks whether those that it waits for are alive. */
enum { LOOK_MS = 200 };

enum nn_status board_create(struct comm *comm)
{
	size_t bytes = sizeof(struct board) + sizeof(struct board_member) * (size_t)comm->node_ranks;
	enum nn_status status = shared_create(&comm->board_memory, comm, comm->node_rank == 0 ? bytes : 0, NN_OK);

	if (status != NN_OK)
		return status;
	comm->board = comm->board_memory.parts[0];
	comm->board->members[comm->node_rank].pid = (int)getpid();
	/* Nobody looks at a rank that has not written its number yet. */
	comm_check(comm, MPI_Barrier(comm->node), "MPI_Barrier");
	return NN_OK;
}

void board_release(struct comm *comm)
{
	shared_release(&comm->board_memory);
	comm->board = NULL;
}

/* Sleeps while *word is `seen`, for LOOK_MS at most. */
static void sleep_on(_Atomic uint32_t *word, uint32_t seen)
{
	struct timespec most = {.tv_nsec = LOOK_MS * 1000000L};

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &most, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Returns when *word has become `wanted`. */
static void await(struct comm *comm, enum channel channel, _Atomic uint32_t *word, uint32_t wanted, const char *what)
{
	struct watch_wait wait;
	uint32_t seen = atomic_load(word);

	if (seen == wanted)
		return;
	watch_begin(&wait, comm, channel, what);
	for (; seen != wanted; seen = atomic_load(word)) {
		sleep_on(word, seen);
		watch_node(&wait);
	}
	watch_end(&wait);
}

bool board_enter(struct comm *comm, enum channel channel, bool leads, const char *what)
{
	struct board_gate *gate = &comm->board->gates[channel];
	uint32_t round = ++comm->rounds[channel], all = round * (uint32_t)comm->node_ranks;
	bool last, completes;

	if (comm->node_ranks == 1)
		return true;
	atomic_store(&comm->board->members[comm->node_rank].rounds[channel], round);
	last = atomic_fetch_add(&gate->arrived, 1) + 1 == all;
	completes = leads ? comm->node_rank == 0 : last;
	if (completes) {
		await(comm, channel, &gate->arrived, all, what);
		return true;
	}
	if (last)
		wake(&gate->arrived);
	await(comm, channel, &gate->opened, round, what);
	return false;
}

void board_open(struct comm *comm, enum channel channel)
{
	struct board_gate *gate = &comm->board->gates[channel];

	if (comm->node_ranks == 1)
		return;
	atomic_store(&gate->opened, comm->rounds[channel]);
	wake(&gate->opened);
}
