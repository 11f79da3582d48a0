#include "comm/roll.h"

/* Their numbers go round: MPI allows every tag up to 32767. */
enum { QUESTIONS = 16000 };

/* The rank at the other end may be stopped, and the message may stay where it is until the job ends. */
static void send(struct comm *comm, int node, int tag)
{
	MPI_Request request;

	if (MPI_Isend(NULL, 0, MPI_BYTE, node, tag, comm->roll, &request) == MPI_SUCCESS)
		MPI_Request_free(&request);
} /* NOLINT(clang-analyzer-optin.mpi.MPI-Checker): nobody waits for it */

static int tag_of(int question, bool answers)
{
	return 2 * question + answers;
}

bool roll_asks(const struct comm *comm)
{
	return comm->roll != MPI_COMM_NULL && comm->nodes > 1 && (comm->threads || pthread_equal(pthread_self(), comm->thread));
}

int roll_call(struct comm *comm)
{
	int question = (int)(atomic_fetch_add(&comm->questions, 1) % QUESTIONS) + 1;

	for (int k = 0; k < comm->nodes; k++)
		if (k != comm->node_index)
			send(comm, k, tag_of(question, false));
	return question;
}

static bool next_message(struct comm *comm, int *node, int *tag)
{
	MPI_Status status;
	int found = 0;

	if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->roll, &found, &status) != MPI_SUCCESS || !found)
		return false;
	*node = status.MPI_SOURCE;
	*tag = status.MPI_TAG;
	return MPI_Recv(NULL, 0, MPI_BYTE, *node, *tag, comm->roll, MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

void roll_answer(struct comm *comm)
{
	int node, tag;

	if (!roll_asks(comm) || atomic_flag_test_and_set(&comm->answering))
		return; /* another thread of this rank answers for both */
	while (next_message(comm, &node, &tag))
		if (tag % 2 == 0)
			send(comm, node, tag + 1);
		else if (!roll_answered(comm, node, tag / 2))
			atomic_store(&comm->answers[node], tag / 2);
	atomic_flag_clear(&comm->answering);
}

bool roll_answered(const struct comm *comm, int k, int question)
{
	int answered = atomic_load(&comm->answers[k]), since = (answered - question + QUESTIONS) % QUESTIONS;

	return answered != 0 && since < QUESTIONS / 2;
}
