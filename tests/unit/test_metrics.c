#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "trainer/report/log.h"
#include "trainer/report/metrics.h"

static char folder[256], path[300];

static void make_folder(void)
{
	const char *root = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/metrics-XXXXXX", root ? root : "/tmp");
	if (!mkdtemp(folder))
		CU_FAIL("no temporary folder");
	snprintf(path, sizeof(path), "%s/metrics.jsonl", folder);
}

static void remove_folder(void)
{
	unlink(path);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void write_file(const char *text)
{
	FILE *stream = fopen(path, "w");

	if (!stream) {
		CU_FAIL("cannot write the file");
		return;
	}
	fputs(text, stream);
	fclose(stream);
}

/* text = the whole file. */
static void read_file(char *text, size_t size)
{
	FILE *stream = fopen(path, "r");
	size_t bytes = stream ? fread(text, 1, size - 1, stream) : 0;

	CU_ASSERT_PTR_NOT_NULL(stream);
	text[bytes] = '\0';
	if (stream)
		fclose(stream);
}

static const struct metrics_start start = {"0.1.0", "resnet20", 269722, 8, 2, "avx512", "fp32",
					   50000,   10000,	10,	0, 8, "ring",	"off"};
static const struct metrics_step step = {50, 1, 1.0 / 3, 0.1, 1234.5678912, 0.01, NAN, 1078888, 2.5e9};

/* The event in `line` has just these fields, given in order. */
static json_t *event_with(const char *line, const char *const *fields)
{
	json_t *event = json_loads(line, 0, NULL), *value;
	const char *name;
	size_t at = 0;

	CU_ASSERT_PTR_NOT_NULL(event);
	json_object_foreach(event, name, value)
	{
		CU_ASSERT_STRING_EQUAL(name, fields[at] ? fields[at] : "too many");
		at += fields[at] != NULL;
	}
	CU_ASSERT_PTR_NULL(fields[at]);
	return event;
}

static const char *const *const fields[] = {
    (const char *const[]){"event", "version", "arch", "parameters", "ranks", "threads", "isa", "precision", "train_images",
			  "val_images", "classes", "resumed_step", "shards", "allreduce", "tuned", NULL},
    (const char *const[]){"event", "step", "epoch", "loss", "lr", "images_per_second", "comm_exposed", "data_wait",
			  "gradient_bytes", "bus_bandwidth", NULL},
    (const char *const[]){"event", "epoch", "step", "train_loss", "train_error", "val_loss", "val_error", "val_error_top5",
			  "val_images", "seconds", NULL},
    (const char *const[]){"event", "epoch", "step", "train_loss", "train_error", "val_loss", "val_error", "val_error_top5",
			  "val_images", "seconds", NULL},
    (const char *const[]){"event", "status", "step", "weights", NULL},
};

static void check_values(json_t *const events[5])
{
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(events[0], "arch")), "resnet20");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(events[0], "parameters")), 269722);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(events[0], "val_images")), 10000);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(events[0], "shards")), 8);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(events[0], "allreduce")), "ring");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(events[0], "tuned")), "off");
	CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(events[1], "loss")), 0.333333333, 0);
	CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(events[1], "images_per_second")), 1234.56789, 0);
	CU_ASSERT(json_is_null(json_object_get(events[1], "data_wait")));
	CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(events[2], "val_error_top5")), 0.5, 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(events[2], "val_images")), 10000);
	CU_ASSERT(json_is_null(json_object_get(events[3], "train_loss")));
	CU_ASSERT(json_is_null(json_object_get(events[3], "val_loss")));
	CU_ASSERT(json_is_null(json_object_get(events[3], "val_images")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(events[4], "weights")), "0123abcd");
}

static void every_event_is_a_line_with_exactly_its_fields(void)
{
	static const struct metrics_epoch with = {1, 391, 1.5, 50.25, 1.25, 45, 0.5, 10000, 12.5};
	static const struct metrics_epoch without = {2, 782, INFINITY, 50.25, 1.25, 45, 0.5, 0, 12.5};
	static const struct metrics_end end = {"complete", 782, "0123abcd"};
	char text[4096], *rest = NULL;
	struct metrics metrics;
	json_t *events[5];
	int count = 0;

	make_folder();
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, -1), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_start(&metrics, &start), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_step(&metrics, &step), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_epoch(&metrics, &with), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_epoch(&metrics, &without), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_end(&metrics, &end), NN_OK);
	CU_ASSERT_EQUAL(metrics_sync(&metrics), NN_OK);
	read_file(text, sizeof(text));
	CU_ASSERT_EQUAL(metrics_offset(&metrics), (int64_t)strlen(text));
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	for (char *line = strtok_r(text, "\n", &rest); line && count < 5; line = strtok_r(NULL, "\n", &rest), count++)
		events[count] = event_with(line, fields[count]);
	CU_ASSERT_EQUAL(count, 5);
	if (count == 5)
		check_values(events);
	for (int i = 0; i < count; i++)
		json_decref(events[i]);
	remove_folder();
}

static void resuming_cuts_back_to_the_offset_and_goes_on(void)
{
	struct metrics metrics;
	char before[4096], after[4096];
	int64_t offset;

	make_folder();
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, -1), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_start(&metrics, &start), NN_OK);
	offset = metrics_offset(&metrics);
	read_file(before, sizeof(before));
	CU_ASSERT_EQUAL(metrics_write_step(&metrics, &step), NN_OK);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, offset), NN_OK);
	CU_ASSERT_EQUAL(metrics_offset(&metrics), offset);
	read_file(after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(metrics_write_step(&metrics, &step), NN_OK);
	read_file(after, sizeof(after));
	CU_ASSERT_EQUAL(strncmp(before, after, (size_t)offset), 0);
	CU_ASSERT_EQUAL(strncmp(after + offset, "{\"event\":\"step\",\"step\":50,", 26), 0);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, -1), NN_OK);
	CU_ASSERT_EQUAL(metrics_offset(&metrics), 0);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	remove_folder();
}

static void a_torn_line_never_stays(void)
{
	static const struct {
		const char *text;
		int64_t offset;
		const char *kept;
	} cases[] = {
	    {"{\"a\":1}\n{\"b\":2}\n{\"c\"", 1000, "{\"a\":1}\n{\"b\":2}\n"},
	    {"{\"a\":1}\n{\"b\":2}\n", 11, "{\"a\":1}\n"},
	    {"{\"a\":1}\n{\"b\":2}\n", 12, "{\"a\":1}\n"},
	    {"{\"a\":1}\n", 8, "{\"a\":1}\n"},
	    {"{\"a\":1", 6, ""},
	    {"{\"a\":1}\n", 0, ""},
	};
	char text[9000];
	struct metrics metrics;

	make_folder();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(cases[i].text);
		CU_ASSERT_EQUAL(metrics_open(&metrics, path, cases[i].offset), NN_OK);
		CU_ASSERT_EQUAL(metrics_offset(&metrics), (int64_t)strlen(cases[i].kept));
		CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
		read_file(text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, cases[i].kept);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text[2] = '\n';
	write_file(text);
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, 8999), NN_OK);
	CU_ASSERT_EQUAL(metrics_offset(&metrics), 3);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	remove_folder();
}

/* The limit on a file's size lets a write be cut short and the next one fail, as a full disk does. */
static void events_wait_for_a_full_disk_and_come_in_order_later(void)
{
	struct metrics metrics;
	struct rlimit before, tight;
	char text[4096];
	const char *end;
	int64_t offset;
	void (*old)(int);

	make_folder();
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, -1), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_start(&metrics, &start), NN_OK);
	offset = metrics_offset(&metrics);
	getrlimit(RLIMIT_FSIZE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)offset + 20;
	old = signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &tight);
	CU_ASSERT_EQUAL(metrics_write_step(&metrics, &step), NN_ERR_IO);
	CU_ASSERT(strstr(nn_error_message(), path) != NULL);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, old);
	CU_ASSERT(metrics_offset(&metrics) > offset);
	read_file(text, sizeof(text));
	CU_ASSERT_EQUAL((int64_t)strlen(text), offset);
	CU_ASSERT_EQUAL(metrics_write_end(&metrics, &(struct metrics_end){"complete", 7, "0"}), NN_OK);
	CU_ASSERT_EQUAL(metrics_flush(&metrics), NN_OK);
	read_file(text, sizeof(text));
	CU_ASSERT_EQUAL((int64_t)strlen(text), metrics_offset(&metrics));
	CU_ASSERT_EQUAL(strncmp(text + offset, "{\"event\":\"step\"", 15), 0);
	end = strchr(text + offset, '\n');
	CU_ASSERT(end && strncmp(end + 1, "{\"event\":\"end\"", 14) == 0);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	remove_folder();
}

static void a_final_evaluation_names_its_protocol(void)
{
	static const struct metrics_final final = {"10-crop", 0, 9, 1.25, 45, 0.5, 60, 2.5};
	struct metrics metrics;
	char text[1000];

	make_folder();
	CU_ASSERT_EQUAL(metrics_open(&metrics, path, -1), NN_OK);
	CU_ASSERT_EQUAL(metrics_write_final(&metrics, &final), NN_OK);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
	read_file(text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "{\"event\":\"final\",\"protocol\":\"10-crop\",\"flip\":false,\"step\":9,\"val_loss\":1.25,"
				     "\"val_error\":45.0,\"val_error_top5\":0.5,\"val_images\":60,\"seconds\":2.5}\n");
	remove_folder();
}

static void a_file_that_cannot_be_opened_is_an_io_error_with_its_path(void)
{
	struct metrics metrics;

	CU_ASSERT_EQUAL(metrics_open(&metrics, "/dev/null/metrics.jsonl", -1), NN_ERR_IO);
	CU_ASSERT(strstr(nn_error_message(), "/dev/null/metrics.jsonl") != NULL);
	CU_ASSERT_EQUAL(metrics_close(&metrics), NN_OK);
}

static void the_log_appends_stamped_lines(void)
{
	struct run_log run_log;
	char text[4096];
	int year, length = 0;

	make_folder();
	for (int i = 1; i <= 2; i++) {
		CU_ASSERT_EQUAL(log_open(&run_log, path), NN_OK);
		CU_ASSERT_EQUAL(log_line(&run_log, "round %d\nof 2", i), NN_OK);
		CU_ASSERT_EQUAL(log_close(&run_log), NN_OK);
	}
	read_file(text, sizeof(text));
	CU_ASSERT_EQUAL(sscanf(text, "%d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ round 1 of 2\n%n", &year, &length), 1);
	CU_ASSERT(year > 2000 && length == 25 + 13);
	CU_ASSERT(strstr(text + length, "Z round 2 of 2\n") != NULL);
	CU_ASSERT_EQUAL(log_open(&run_log, path), NN_OK);
	CU_ASSERT_EQUAL(log_line(&run_log, "%5000s", "x"), NN_OK);
	CU_ASSERT_EQUAL(log_close(&run_log), NN_OK);
	read_file(text, sizeof(text));
	CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
	remove_folder();
}

static void a_log_on_a_full_disk_reports_and_stays_usable(void)
{
	struct run_log run_log;

	CU_ASSERT_EQUAL(log_open(&run_log, "/dev/full"), NN_OK);
	CU_ASSERT_EQUAL(log_line(&run_log, "lost"), NN_ERR_IO);
	CU_ASSERT_EQUAL(log_line(&run_log, "lost too"), NN_ERR_IO);
	CU_ASSERT_EQUAL(log_close(&run_log), NN_ERR_IO);
	CU_ASSERT_EQUAL(log_open(&run_log, "/dev/null/log.txt"), NN_ERR_IO);
	CU_ASSERT_EQUAL(log_line(&run_log, "nowhere"), NN_OK);
	CU_ASSERT_EQUAL(log_close(&run_log), NN_OK);
}

void suite_metrics(void)
{
	static const struct test_row rows[] = {
	    TEST(every_event_is_a_line_with_exactly_its_fields),
	    TEST(resuming_cuts_back_to_the_offset_and_goes_on),
	    TEST(a_torn_line_never_stays),
	    TEST(events_wait_for_a_full_disk_and_come_in_order_later),
	    TEST(a_final_evaluation_names_its_protocol),
	    TEST(a_file_that_cannot_be_opened_is_an_io_error_with_its_path),
	    TEST(the_log_appends_stamped_lines),
	    TEST(a_log_on_a_full_disk_reports_and_stays_usable),
	};

	ADD_SUITE("metrics", rows);
}
