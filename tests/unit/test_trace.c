#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/report/trace_file.h"

enum { MOST = 4 };

static void recording_allocates_nothing_and_keeps_order(void)
{
	const struct trace_event *events;
	struct trace *trace;
	long allocations;

	CU_ASSERT_EQUAL_FATAL(trace_create(&trace, MOST), NN_OK);
	allocations = nn_alloc_count();
	trace_add(trace, TRACE_COMPUTE, TRACE_FORWARD, 1.5, 2, 0);
	trace_add(trace, TRACE_COMPUTE, TRACE_STEP, 1, 3, 7);
	trace_add(trace, TRACE_GRADIENTS, TRACE_BUCKET, 2, 2.5, 4096);
	CU_ASSERT_EQUAL(nn_alloc_count(), allocations);
	CU_ASSERT_EQUAL(trace_events(&events, trace, TRACE_COMPUTE), 2);
	CU_ASSERT_EQUAL(events[0].kind, TRACE_FORWARD);
	CU_ASSERT_EQUAL(events[1].kind, TRACE_STEP);
	CU_ASSERT_EQUAL(events[1].value, 7);
	CU_ASSERT_EQUAL(events[1].begin, 1);
	CU_ASSERT_EQUAL(events[1].end, 3);
	CU_ASSERT_EQUAL(trace_events(&events, trace, TRACE_GRADIENTS), 1);
	CU_ASSERT_EQUAL(trace_events(&events, trace, TRACE_SAVER), 0);
	CU_ASSERT_FALSE(trace_is_full(trace));
	trace_destroy(trace);
}

static void a_full_track_keeps_the_beginning_and_ends_all_tracks(void)
{
	const struct trace_event *events;
	struct trace *trace;

	CU_ASSERT_EQUAL_FATAL(trace_create(&trace, MOST), NN_OK);
	for (int i = 0; i < MOST; i++)
		trace_add(trace, TRACE_COMPUTE, TRACE_STEP, i, i + 1, i);
	CU_ASSERT_FALSE(trace_is_full(trace));
	trace_add(trace, TRACE_GRADIENTS, TRACE_BUCKET, 1, 2, 3);
	trace_add(trace, TRACE_COMPUTE, TRACE_STEP, MOST, MOST + 1, MOST);
	CU_ASSERT_TRUE(trace_is_full(trace));
	trace_add(trace, TRACE_GRADIENTS, TRACE_BUCKET, 2, 3, 4);
	CU_ASSERT_EQUAL(trace_events(&events, trace, TRACE_COMPUTE), MOST);
	CU_ASSERT_EQUAL(events[0].value, 0);
	CU_ASSERT_EQUAL(events[MOST - 1].value, MOST - 1);
	CU_ASSERT_EQUAL(trace_events(&events, trace, TRACE_GRADIENTS), 1);
	trace_destroy(trace);
}

static void without_a_trace_nothing_is_recorded(void)
{
	trace_add(NULL, TRACE_COMPUTE, TRACE_STEP, 1, 2, 3);
	trace_destroy(NULL);
}

static void memory_that_is_missing_is_an_error(void)
{
	for (int nth = 1; nth <= 1 + TRACE_TRACKS; nth++) {
		struct trace *trace;

		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(trace_create(&trace, MOST), NN_ERR_MEMORY);
		CU_ASSERT_PTR_NULL(trace);
	}
	nn_alloc_fail_at(0);
}

/* The first event with these in the file. */
static const json_t *find(const json_t *events, const char *phase, const char *name, int pid)
{
	const json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		if (strcmp(json_string_value(json_object_get(event, "ph")), phase) == 0 &&
		    strcmp(json_string_value(json_object_get(event, "name")), name) == 0 &&
		    json_integer_value(json_object_get(event, "pid")) == pid)
			return event;
	}
	return NULL;
}

static double number(const json_t *event, const char *key)
{
	return json_number_value(json_object_get(event, key));
}

static const char *process(const json_t *events, int pid)
{
	const char *name =
	    json_string_value(json_object_get(json_object_get(find(events, "M", "process_name", pid), "args"), "name"));

	return name ? name : "none";
}

/* Writes two ranks, and more events than the buffer holds. */
static enum nn_status write_two_ranks(struct trace_file *file, const char *path)
{
	static const struct trace_event bucket = {.begin = 10.001, .end = 10.0015, .value = 1 << 20, .kind = TRACE_BUCKET};
	static struct trace_event waits[2000];
	enum nn_status status = trace_file_open(file, path);

	for (int i = 0; i < 2000; i++)
		waits[i] = (struct trace_event){.begin = 20 + i, .end = 20.25 + i, .kind = TRACE_DATA_WAIT};
	if (status == NN_OK)
		status = trace_file_rank(file, 0, "a\"b\\");
	if (status == NN_OK)
		status = trace_file_events(file, 0, TRACE_GRADIENTS, &bucket, 1, 10);
	if (status == NN_OK)
		status = trace_file_rank(file, 1, "\xff");
	if (status == NN_OK)
		status = trace_file_events(file, 1, TRACE_COMPUTE, waits, 2000, 20);
	return trace_file_close(file, status);
}

static void the_file_is_json_with_microseconds_and_names(void)
{
	static struct trace_file file;
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16];
	json_t *root;
	const json_t *events, *bucket, *wait;

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/t.json", folder);
	CU_ASSERT_EQUAL(write_two_ranks(&file, path), NN_OK);
	root = json_load_file(path, 0, NULL);
	events = json_object_get(root, "traceEvents");
	CU_ASSERT_EQUAL(json_array_size(events), 2 * (2 + TRACE_TRACKS) + 1 + 2000);
	CU_ASSERT_STRING_EQUAL(process(events, 0), "rank 0 on a\"b\\");
	CU_ASSERT_STRING_EQUAL(process(events, 1), "rank 1");
	bucket = find(events, "X", "bucket", 0);
	CU_ASSERT_DOUBLE_EQUAL(number(bucket, "ts"), 1000, 0.01);
	CU_ASSERT_DOUBLE_EQUAL(number(bucket, "dur"), 500, 0.01);
	CU_ASSERT_EQUAL(number(bucket, "tid"), TRACE_GRADIENTS);
	CU_ASSERT_EQUAL(number(json_object_get(bucket, "args"), "bytes"), 1 << 20);
	wait = json_array_get(events, json_array_size(events) - 1);
	CU_ASSERT_DOUBLE_EQUAL(number(wait, "ts"), 1999e6, 0.01);
	CU_ASSERT_PTR_NULL(json_object_get(wait, "args"));
	json_decref(root);
	scratch_remove(folder);
}

static void a_file_that_fails_does_not_appear(void)
{
	static struct trace_file file;
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16], temporary[SCRATCH_PATH + 24];

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/t.json", folder);
	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	CU_ASSERT_EQUAL(trace_file_open(&file, path), NN_OK);
	CU_ASSERT_EQUAL(access(temporary, F_OK), 0);
	CU_ASSERT_EQUAL(trace_file_close(&file, NN_ERR_IO), NN_ERR_IO);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_NOT_EQUAL(access(temporary, F_OK), 0);
	CU_ASSERT_EQUAL(trace_file_check(path), NN_OK);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_NOT_EQUAL(access(temporary, F_OK), 0);
	CU_ASSERT_EQUAL(trace_file_check(folder), NN_ERR_IO);
	CU_ASSERT_EQUAL(trace_file_check("/dev/null"), NN_ERR_IO);
	CU_ASSERT_EQUAL(trace_file_check("/no/such/folder/t.json"), NN_ERR_IO);
	scratch_remove(folder);
}

void suite_trace(void)
{
	static const struct test_row rows[] = {
	    TEST(recording_allocates_nothing_and_keeps_order),	TEST(a_full_track_keeps_the_beginning_and_ends_all_tracks),
	    TEST(without_a_trace_nothing_is_recorded),		TEST(memory_that_is_missing_is_an_error),
	    TEST(the_file_is_json_with_microseconds_and_names), TEST(a_file_that_fails_does_not_appear),
	};

	ADD_SUITE("trace", rows);
}
