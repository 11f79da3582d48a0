/* _GNU_SOURCE for memfd_create, the only memory to share that needs no name and no mounted file system. */
#define _GNU_SOURCE
#include "comm/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/internal.h"
#include "comm/leaders.h"
#include "nn/core/alloc.h"

/* What a rank tells the others of its node about its part. */
struct offer {
	int pid;
	int file;
	size_t bytes;
	dev_t device; /* of the file, with its inode: two ranks may have the same pid in namespaces of their own */
	ino_t inode;
};

/* Gives the memory its size, and makes sure of it. Linux counts it as a file, so that a soft limit of file sizes, meant for the
 * disk, would forbid it. Returns errno's value. */
static int set_size(int file, size_t bytes)
{
	struct rlimit before, lifted;
	int error;

	getrlimit(RLIMIT_FSIZE, &before);
	lifted = (struct rlimit){before.rlim_max, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &lifted);
	error = ftruncate(file, (off_t)bytes) != 0 ? errno : EINTR;
	while (error == EINTR) /* a signal cuts it short */
		error = posix_fallocate(file, 0, (off_t)bytes);
	setrlimit(RLIMIT_FSIZE, &before);
	return error;
}

static enum nn_status make_part(struct shared *shared, int *file, size_t bytes, const char *host)
{
	int error;
	void *memory;

	*file = memfd_create("resnet", MFD_CLOEXEC);
	error = *file < 0 ? errno : set_size(*file, bytes);
	if (error != 0)
		return nn_error(NN_ERR_MEMORY, "cannot get %zu bytes to share between the ranks of host %s: %s", bytes, host,
				strerror(error));
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
	if (memory == MAP_FAILED)
		return nn_error(NN_ERR_MEMORY, "cannot map %zu bytes of shared memory on host %s: %s", bytes, host,
				strerror(errno));
	shared->parts[shared->own] = memory;
	shared->bytes[shared->own] = bytes;
	return NN_OK;
}

static void identify(struct offer *offer)
{
	struct stat found = {0};

	fstat(offer->file, &found);
	offer->device = found.st_dev;
	offer->inode = found.st_ino;
}

static bool is_offered(int file, const struct offer *offer)
{
	struct stat found;

	if (fstat(file, &found) == 0 && found.st_dev == offer->device && found.st_ino == offer->inode)
		return true;
	errno = ESRCH;
	return false;
}

static enum nn_status open_part(struct shared *shared, int member, const struct offer *offer, const char *host)
{
	char path[64];
	int file;
	void *memory = MAP_FAILED;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", offer->pid, offer->file);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file >= 0 && is_offered(file, offer))
		memory = mmap(NULL, offer->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED) {
		enum nn_status status =
		    nn_error(NN_ERR_MEMORY, "the ranks of host %s cannot share memory: %s: %s", host, path, strerror(errno));

		if (file >= 0)
			close(file);
		return status;
	}
	close(file);
	shared->parts[member] = memory;
	return NN_OK;
}

/* Before there is a board nobody is watched. After comm_finish MPI_Wait has nothing left to wait for. */
static void finish(struct comm *comm, MPI_Request *request)
{
	if (comm->board)
		comm_finish(comm, request, "the sharing of memory");
	comm_check(comm, MPI_Wait(request, MPI_STATUS_IGNORE), "MPI_Wait");
}

/* The status and message of the lowest rank of the node that failed. Needs no heap, which may be what has failed. */
static enum nn_status agree(struct comm *comm, enum nn_status mine)
{
	struct {
		int status;
		char message[1024];
	} failure = {.status = (int)mine};
	int wish = mine == NN_OK ? INT_MAX : comm->node_rank, lowest = INT_MAX;
	MPI_Request request;

	comm_check(comm, MPI_Iallreduce(&wish, &lowest, 1, MPI_INT, MPI_MIN, comm->node, &request), "MPI_Iallreduce");
	finish(comm, &request);
	if (lowest == INT_MAX)
		return NN_OK;
	snprintf(failure.message, sizeof(failure.message), "%s", nn_error_message());
	comm_check(comm, MPI_Ibcast(&failure, sizeof(failure), MPI_BYTE, lowest, comm->node, &request), "MPI_Ibcast");
	finish(comm, &request);
	return nn_error((enum nn_status)failure.status, "%s", failure.message);
}

static enum nn_status open_parts(struct shared *shared, struct comm *comm, const struct offer *mine, struct offer *offers)
{
	enum nn_status status = NN_OK;
	MPI_Request request;

	comm_check(comm, MPI_Iallgather(mine, sizeof(*mine), MPI_BYTE, offers, sizeof(*mine), MPI_BYTE, comm->node, &request),
		   "MPI_Iallgather");
	finish(comm, &request);
	for (int i = 0; status == NN_OK && i < shared->members; i++) {
		shared->bytes[i] = offers[i].bytes;
		if (i != shared->own)
			status = open_part(shared, i, &offers[i], comm->host);
	}
	return status;
}

enum nn_status shared_create(struct shared *shared, struct comm *comm, size_t bytes, enum nn_status mine)
{
	size_t members = (size_t)comm->node_ranks;
	struct offer own = {.pid = (int)getpid(), .file = -1, .bytes = bytes > 0 ? bytes : NN_ALIGN};
	struct offer *offers = NULL;
	enum nn_status status = mine;

	*shared = (struct shared){.members = comm->node_ranks, .own = comm->node_rank};
	if (status == NN_OK)
		status = nn_alloc(&shared->parts, sizeof(void *) * members);
	if (status == NN_OK)
		status = nn_alloc(&shared->bytes, sizeof(size_t) * members);
	if (status == NN_OK)
		status = nn_alloc(&offers, sizeof(*offers) * members);
	if (status == NN_OK && members == 1)
		status = nn_alloc(&shared->parts[0], own.bytes);
	if (members > 1) {
		if (status == NN_OK)
			status = make_part(shared, &own.file, own.bytes, comm->host);
		identify(&own);
		status = agree(comm, status);
		if (status == NN_OK && offers)
			status = agree(comm, open_parts(shared, comm, &own, offers));
		if (own.file >= 0)
			close(own.file);
	}
	nn_free(offers);
	return status;
}

void shared_release(struct shared *shared)
{
	for (int i = 0; shared->parts && i < shared->members; i++)
		if (shared->members == 1)
			nn_free(shared->parts[i]);
		else if (shared->parts[i])
			munmap(shared->parts[i], shared->bytes[i]);
	nn_free(shared->parts);
	nn_free(shared->bytes);
	*shared = (struct shared){0};
}
