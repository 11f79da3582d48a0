#define _GNU_SOURCE /* the processors that this process may use */
#include "comm/board.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "comm/watch.h"

/* How long a rank sleeps before it looks whether those that it waits for are alive. */
enum { LOOK_MS = 200, SPIN_NS = 500000, SPIN_LOOKS = 32 };

/* Whether the ranks of this node have at least a processor each. */
static bool have_processors(const struct comm *comm)
{
	cpu_set_t mine, all;

	CPU_ZERO(&mine);
	if (sched_getaffinity(0, sizeof(mine), &mine) != 0)
		CPU_ZERO(&mine);
	comm_check(comm, MPI_Allreduce(&mine, &all, (int)sizeof(mine), MPI_BYTE, MPI_BOR, comm->node), "MPI_Allreduce");
	return CPU_COUNT(&all) >= comm->node_ranks;
}

enum nn_status board_create(struct comm *comm)
{
	size_t bytes = sizeof(struct board) + sizeof(struct board_member) * (size_t)comm->node_ranks;
	enum nn_status status = shared_create(&comm->board_memory, comm, comm->node_rank == 0 ? bytes : 0, NN_OK);

	if (status != NN_OK)
		return status;
	comm->board = comm->board_memory.parts[0];
	comm->board->members[comm->node_rank].pid = (int)getpid();
	comm->spins = have_processors(comm);
	comm->thread = pthread_self();
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

static void pause_shortly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A thread that sums gradients while another one computes has no processor to itself. */
long board_spin_ns(const struct comm *comm)
{
	return comm->spins && pthread_equal(pthread_self(), comm->thread) ? SPIN_NS : 0;
}

/* Returns what *word is when it has become `wanted`, or shortly after. */
static uint32_t look_at(const struct comm *comm, const _Atomic uint32_t *word, uint32_t wanted)
{
	uint32_t seen = atomic_load(word);
	long most = board_spin_ns(comm);
	int64_t end;

	if (seen == wanted || most == 0)
		return seen;
	end = nanoseconds() + most;
	do {
		for (int i = 0; i < SPIN_LOOKS && seen != wanted; i++) {
			pause_shortly();
			seen = atomic_load(word);
		}
	} while (seen != wanted && nanoseconds() < end);
	return seen;
}

/* Returns when *word has become `wanted`. */
static void await(struct comm *comm, enum channel channel, _Atomic uint32_t *word, uint32_t wanted, const char *what)
{
	struct watch_wait wait;
	uint32_t seen = look_at(comm, word, wanted);

	if (seen == wanted)
		return;
	watch_begin(&wait, comm, channel, what);
	for (; seen != wanted; seen = atomic_load(word)) {
		sleep_on(word, seen);
		watch_node(&wait);
	}
	watch_end(&wait);
}

bool board_arrive(struct comm *comm, enum channel channel, bool leads)
{
	struct board_gate *gate = &comm->board->gates[channel];
	uint32_t round = ++comm->rounds[channel];

	if (comm->node_ranks == 1)
		return true;
	atomic_store(&comm->board->members[comm->node_rank].rounds[channel], round);
	if (atomic_fetch_add(&gate->arrived, 1) + 1 != round * (uint32_t)comm->node_ranks)
		return false;
	if (!leads || comm->node_rank == 0)
		return true;
	wake(&gate->arrived);
	return false;
}

bool board_wait(struct comm *comm, enum channel channel, bool leads, const char *what)
{
	struct board_gate *gate = &comm->board->gates[channel];
	uint32_t round = comm->rounds[channel];

	if (leads && comm->node_rank == 0) {
		await(comm, channel, &gate->arrived, round * (uint32_t)comm->node_ranks, what);
		return true;
	}
	await(comm, channel, &gate->opened, round, what);
	return false;
}

bool board_enter(struct comm *comm, enum channel channel, bool leads, const char *what)
{
	return board_arrive(comm, channel, leads) || board_wait(comm, channel, leads, what);
}

void board_open(struct comm *comm, enum channel channel)
{
	struct board_gate *gate = &comm->board->gates[channel];

	if (comm->node_ranks == 1)
		return;
	atomic_store(&gate->opened, comm->rounds[channel]);
	wake(&gate->opened);
}
