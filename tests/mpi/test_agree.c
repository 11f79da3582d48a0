#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "nn/core/status.h"
#include "tests/mpi/suites.h"

static void all_well_is_agreed_and_keeps_the_message(void)
{
	nn_error(NN_ERR_IO, "an older message of rank %d", comm_rank(test_comm));
	CU_ASSERT_EQUAL(comm_agree(test_comm, NN_OK), NN_OK);
	CU_ASSERT(strstr(nn_error_message(), "an older message") != NULL);
}

/* Ranks `first`, first + 2, first + 4 ... fail, each with a status and a message of its own. */
static void fail_from(int first)
{
	int rank = comm_rank(test_comm);
	enum nn_status mine = NN_OK, status;
	char expected[64];

	if (rank >= first && (rank - first) % 2 == 0)
		mine = nn_error((enum nn_status)(1 + rank % 7), "100%% of file %d is damaged", rank);
	status = comm_agree(test_comm, mine);
	snprintf(expected, sizeof(expected), "100%% of file %d is damaged", first);
	CU_ASSERT_EQUAL(status, (enum nn_status)(1 + first % 7));
	CU_ASSERT_EQUAL(comm_failed_rank(test_comm), first);
	CU_ASSERT_STRING_EQUAL(nn_error_message(), expected);
}

static void the_lowest_failing_rank_speaks_for_all(void)
{
	for (int first = 0; first < comm_size(test_comm); first++)
		fail_from(first);
}

static void the_longest_message_arrives_whole(void)
{
	char text[1024];
	int last = comm_size(test_comm) - 1;
	enum nn_status mine = NN_OK;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (comm_rank(test_comm) == last)
		mine = nn_error(NN_ERR_PEER, "%s", text);
	CU_ASSERT_EQUAL(comm_agree(test_comm, mine), NN_ERR_PEER);
	CU_ASSERT_STRING_EQUAL(nn_error_message(), text);
}

static void equal_bytes_are_the_same(void)
{
	char bytes[10000];

	memset(bytes, 7, sizeof(bytes));
	CU_ASSERT_EQUAL(comm_same(test_comm, bytes, sizeof(bytes), "data set"), NN_OK);
	CU_ASSERT_EQUAL(comm_same(test_comm, bytes, 0, "data set"), NN_OK);
}

/* One byte at `at` differs on ranks >= odd. */
static void differ_from(int odd, size_t at)
{
	char bytes[10000], expected[64];
	enum nn_status status;

	memset(bytes, 7, sizeof(bytes));
	if (comm_rank(test_comm) >= odd)
		bytes[at] = 8;
	status = comm_same(test_comm, bytes, sizeof(bytes), "data set");
	snprintf(expected, sizeof(expected), "rank %d on host ", odd);
	CU_ASSERT_EQUAL(status, NN_ERR_DATA);
	CU_ASSERT_EQUAL(strncmp(nn_error_message(), expected, strlen(expected)), 0);
	CU_ASSERT(strstr(nn_error_message(), " sees another data set than rank 0 on host ") != NULL);
}

static void the_lowest_rank_with_other_bytes_is_named(void)
{
	for (int odd = 1; odd < comm_size(test_comm); odd++) {
		differ_from(odd, 0);
		differ_from(odd, 9999);
	}
}

static void a_broadcast_arrives_whole_in_messages_of_any_size(void)
{
	enum { BYTES = 1000 };
	static const size_t limits[] = {1, 7, 999, 1000, 1001};
	unsigned char data[BYTES + 1];

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		for (int root = 0; root < comm_size(test_comm); root++) {
			int wrong = 0;

			for (int b = 0; b < BYTES; b++)
				data[b] = comm_rank(test_comm) == root ? (unsigned char)(b * 31 + root) : 0;
			data[BYTES] = 77;
			comm_broadcast_limited(test_comm, data, BYTES, root, limits[i]);
			for (int b = 0; b < BYTES; b++)
				wrong += data[b] != (unsigned char)(b * 31 + root);
			CU_ASSERT_EQUAL(wrong, 0);
			CU_ASSERT_EQUAL(data[BYTES], 77);
		}
	comm_broadcast(test_comm, data, 0, 0);
}

static void rank_0_receives_the_bytes_of_any_rank(void)
{
	enum { BYTES = 1000 };
	int rank = comm_rank(test_comm);

	for (int from = 0; from < comm_size(test_comm); from++) {
		unsigned char mine[BYTES], out[BYTES];
		int wrong = 0;

		memset(out, 99, BYTES);
		memset(mine, 10 + rank, BYTES);
		comm_give(test_comm, out, mine, BYTES, from);
		for (int b = 0; b < BYTES; b++)
			wrong += out[b] != (rank == 0 && from != 0 ? 10 + from : 99);
		CU_ASSERT_EQUAL(wrong, 0);
		comm_give(test_comm, NULL, NULL, 0, from);
	}
}

static void small_values_are_summed_and_compared(void)
{
	int size = comm_size(test_comm), rank = comm_rank(test_comm);
	int64_t integers[2] = {rank, INT64_C(1) << 40};
	float floats[16] = {0};

	comm_sum_int64(test_comm, integers, 2);
	CU_ASSERT_EQUAL(integers[0], (int64_t)size * (size - 1) / 2);
	CU_ASSERT_EQUAL(integers[1], size * (INT64_C(1) << 40));
	for (int i = rank; i < 16; i += size)
		floats[i] = 0.1f * (float)i;
	comm_sum_float(test_comm, floats, 16);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(floats[i], 0.1f * (float)i);
	CU_ASSERT_EQUAL(comm_max_double(test_comm, -1.5 - rank), -1.5);
}

void suite_agree(void)
{
	static const struct test_row rows[] = {
	    TEST(all_well_is_agreed_and_keeps_the_message),  TEST(the_lowest_failing_rank_speaks_for_all),
	    TEST(the_longest_message_arrives_whole),	     TEST(equal_bytes_are_the_same),
	    TEST(the_lowest_rank_with_other_bytes_is_named), TEST(a_broadcast_arrives_whole_in_messages_of_any_size),
	    TEST(rank_0_receives_the_bytes_of_any_rank),     TEST(small_values_are_summed_and_compared),
	};

	ADD_SUITE("agree", rows);
}
