#include "comm/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "comm/agree.h"
#include "comm/board.h"
#include "comm/covers.h"
#include "comm/internal.h"
#include "nn/core/alloc.h"

/* MPI_Abort needs help from outside, which a rank that is cut off does not get. */
enum {
	ABORT_SECONDS = 5,
	ENDING_SECONDS = 3,  /* for a job that is being ended to be gone */
	START_SECONDS = 600, /* MPI on a large machine has to load the program on every node */
	LONGEST_SECONDS = 1 << 30,
	FIRST_SECONDS = 3, /* so much later speak all but rank 0 */
	SLEEP_PRECISION_NS = 1000,
};

static volatile sig_atomic_t abort_code;

static void leave_alone(int number)
{
	(void)number;
	_exit(abort_code);
}

static _Noreturn void end_job(const char *program, enum nn_status status, const char *message)
{
	fprintf(stderr, "%s: error: %s\n", program, message);
	abort_code = nn_exit_code(status);
	signal(SIGALRM, leave_alone);
	alarm(ABORT_SECONDS);
	MPI_Abort(MPI_COMM_WORLD, nn_exit_code(status));
	_Exit(nn_exit_code(status));
}

void comm_check(const struct comm *comm, int code, const char *call)
{
	char text[MPI_MAX_ERROR_STRING] = "unknown error";
	char message[MPI_MAX_ERROR_STRING + 128];
	int length;

	if (code == MPI_SUCCESS)
		return;
	/* Calls also fail because others have been ended, by a rank that has said why; this one does not live to speak then. */
	for (unsigned left = ENDING_SECONDS; left > 0;)
		left = sleep(left); /* less after a signal */
	MPI_Error_string(code, text, &length);
	snprintf(message, sizeof(message), "%s failed on rank %d: %s", call, comm->rank, text);
	end_job(comm->program, NN_ERR_PEER, message);
}

void comm_abort(const struct comm *comm, const char *program, enum nn_status status, const char *message)
{
	char text[1152];

	if (comm->board)
		atomic_store(&comm->board->speaking, 1);
	snprintf(text, sizeof(text), "%s (rank %d)", message, comm->rank);
	end_job(program, status, text);
}

static void name_program(struct comm *comm, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	snprintf(comm->program, sizeof(comm->program), "%s", slash ? slash + 1 : path ? path : "resnet");
}

static char last_words[160];
static volatile sig_atomic_t seconds_left;

/* Second by second: those in which this process was stopped itself do not count. */
static void count_second(int number)
{
	(void)number;
	if (--seconds_left > 0) {
		alarm(1);
		return;
	}
	(void)!write(STDERR_FILENO, last_words, strlen(last_words));
	_exit(abort_code);
}

/* MPI's start and end block, for ever when a rank has been stopped: none waits for them longer than so. `what`: started, ended. */
static void watch_mpi(const char *program, int rank, const char *what, int64_t seconds)
{
	snprintf(last_words, sizeof(last_words),
		 "%s: error: MPI has not %s within %lld s: another rank is silent; start the same command again (rank %d)\n",
		 program, what, (long long)seconds, rank);
	seconds_left = (int)(seconds < LONGEST_SECONDS ? seconds : LONGEST_SECONDS) + (rank > 0 ? FIRST_SECONDS : 0);
	abort_code = nn_exit_code(NN_ERR_PEER);
	signal(SIGALRM, count_second);
	alarm(1);
}

/* By whoever starts ranks; MPI tells only when it has started. */
static int rank_to_be(void)
{
	const char *text = getenv("PMIX_RANK");

	return text ? (int)strtol(text, NULL, 10) : 0;
}

enum nn_status comm_create_on_nodes(struct comm **out, int *argc, char ***argv, int nodes)
{
	int granted = MPI_THREAD_SINGLE;
	struct comm *comm;
	/* Before MPI_Init: a process that leaves here with an error still takes the job down with it. */
	enum nn_status status = nn_alloc(&comm, sizeof(*comm));

	*out = NULL;
	if (status != NN_OK)
		return status;
	name_program(comm, (*argv)[0]);
	watch_mpi(comm->program, rank_to_be(), "started", START_SECONDS);
	MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &granted);
	if (granted < MPI_THREAD_FUNNELED) {
		MPI_Finalize();
		nn_free(comm);
		return nn_error(NN_ERR_USAGE, "this MPI library grants no MPI_THREAD_FUNNELED; use one built with thread support");
	}
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	comm->failed_rank = -1;
	MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
	comm_check(comm, MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "MPI_Comm_dup");
	comm_check(comm, MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
	comm->threads = granted >= MPI_THREAD_MULTIPLE;
	/* A rank that waits for messages sleeps some 20 microseconds at a time; the kernel would make 70 of them. */
	prctl(PR_SET_TIMERSLACK, (unsigned long)SLEEP_PRECISION_NS, 0UL, 0UL, 0UL);
	comm_find_places(comm, nodes);
	status = board_create(comm);
	if (status != NN_OK)
		comm_abort(comm, comm->program, status, nn_error_message());
	alarm(0);
#ifdef COMM_COMPARE_CALLS
	comm_compare_calls(comm, true);
#endif
	*out = comm;
	return NN_OK;
}

enum nn_status comm_create(struct comm **out, int *argc, char ***argv)
{
	return comm_create_on_nodes(out, argc, argv, 0);
}

void comm_destroy(struct comm *comm)
{
	int64_t limit = comm ? atomic_load(&comm->watch_limit) : 0;

	if (!comm)
		return;
	if (limit > 0) {
		comm_barrier(comm); /* names who does not come */
		watch_mpi(comm->program, comm->rank, "ended", limit / 1000 + 1);
	}
	board_release(comm);
	comm_release_places(comm);
	comm_check(comm, MPI_Comm_free(&comm->world), "MPI_Comm_free");
	MPI_Finalize();
	alarm(0);
	nn_free(comm);
}

int comm_rank(const struct comm *comm)
{
	return comm->rank;
}

int comm_size(const struct comm *comm)
{
	return comm->size;
}

int comm_order(const struct comm *comm)
{
	return comm->place;
}

int comm_nodes(const struct comm *comm)
{
	return comm->nodes;
}

int comm_node_ranks(const struct comm *comm)
{
	return comm->node_ranks;
}

int comm_node_rank(const struct comm *comm)
{
	return comm->node_rank;
}

const char *comm_host(const struct comm *comm)
{
	return comm->host;
}

const char *comm_host_of(const struct comm *comm, int rank)
{
	return comm->hosts[rank];
}

void comm_library(char *text, size_t size)
{
	char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	int length;

	MPI_Get_library_version(version, &length);
	snprintf(text, size, "%.*s", (int)strcspn(version, "\n"), version);
}

bool comm_threads(const struct comm *comm)
{
	return comm->threads;
}

void comm_watch(struct comm *comm, double seconds, const char *advice)
{
	atomic_store(&comm->advice, advice);
	atomic_store(&comm->watch_limit, (int64_t)(seconds * 1000));
}

void comm_at_step(struct comm *comm, int64_t step)
{
	atomic_store(&comm->step, step);
}

struct shards comm_shards(const struct comm *comm, int count)
{
	return covers_shards(comm->place, comm->size, count);
}
