#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

enum { PATH_BYTES = 512 };

static char folder[PATH_BYTES];

static void make_folder(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/files-XXXXXX", place && strlen(place) < 400 ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(folder));
}

static void remove_folder(void)
{
	CU_ASSERT_EQUAL(folder_remove(folder), NN_OK);
	CU_ASSERT_NOT_EQUAL(access(folder, F_OK), 0);
}

/* A path in the folder; valid until the fourth call from now. */
static const char *in_folder(const char *name)
{
	static char paths[4][PATH_BYTES + 64];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static bool holds(const char *name, const char *text)
{
	char *bytes;
	size_t size;
	bool same = file_read(&bytes, &size, in_folder(name), 100) == NN_OK && strcmp(bytes, text) == 0 && size == strlen(text);

	nn_free(bytes);
	return same;
}

static void a_file_appears_when_it_is_closed_and_not_before(void)
{
	struct file_writer writer;

	make_folder();
	CU_ASSERT_EQUAL(file_write(in_folder("f"), "old", 3), NN_OK);
	CU_ASSERT_EQUAL(file_writer_open(&writer, in_folder("f")), NN_OK);
	CU_ASSERT_EQUAL(file_writer_write(&writer, "new", 3), NN_OK);
	CU_ASSERT(holds("f", "old"));
	file_writer_abandon(&writer);
	CU_ASSERT(holds("f", "old"));
	CU_ASSERT_NOT_EQUAL(access(in_folder("f.tmp"), F_OK), 0);
	CU_ASSERT_EQUAL(file_writer_open(&writer, in_folder("f")), NN_OK);
	CU_ASSERT_EQUAL(file_writer_write(&writer, "ne", 2), NN_OK);
	CU_ASSERT_EQUAL(file_writer_write(&writer, "w", 1), NN_OK);
	CU_ASSERT_EQUAL(file_writer_close(&writer), NN_OK);
	file_writer_abandon(&writer);
	CU_ASSERT(holds("f", "new"));
	CU_ASSERT_NOT_EQUAL(access(in_folder("f.tmp"), F_OK), 0);
	remove_folder();
}

/* The limit lets the first part of a write through, as a disk that fills up does. */
static void a_write_that_ends_short_is_an_error_and_keeps_the_old_file(void)
{
	static const char text[1000];
	struct rlimit old, small;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	make_folder();
	CU_ASSERT_EQUAL(file_write(in_folder("f"), "old", 3), NN_OK);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 600;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	CU_ASSERT_EQUAL(file_write(in_folder("f"), text, sizeof(text)), NN_ERR_IO);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, handler);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), in_folder("f")));
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), strerror(EFBIG)));
	CU_ASSERT(holds("f", "old"));
	CU_ASSERT_NOT_EQUAL(access(in_folder("f.tmp"), F_OK), 0);
	remove_folder();
}

static void a_full_disk_is_told_with_what_to_do(void)
{
	errno = ENOSPC;
	CU_ASSERT_EQUAL(file_failed("write", "a/b"), NN_ERR_IO);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(),
				      "cannot write a/b: No space left on device; free some space, then start the "
				      "same command again"));
	errno = EACCES;
	CU_ASSERT_EQUAL(file_failed("open", "c"), NN_ERR_IO);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "permissions"));
}

static void links_are_replaced_and_removed_without_what_they_point_to(void)
{
	char target[64] = {0};

	make_folder();
	CU_ASSERT_EQUAL(folder_create(in_folder("kept")), NN_OK);
	CU_ASSERT_EQUAL(file_write(in_folder("kept/f"), "x", 1), NN_OK);
	CU_ASSERT_EQUAL(symlink_replace(in_folder("link"), "nowhere"), NN_OK);
	CU_ASSERT_EQUAL(symlink("stale", in_folder("link.tmp")), 0);
	CU_ASSERT_EQUAL(symlink_replace(in_folder("link"), "kept"), NN_OK);
	CU_ASSERT_EQUAL(readlink(in_folder("link"), target, sizeof(target) - 1), 4);
	CU_ASSERT_STRING_EQUAL(target, "kept");
	CU_ASSERT_EQUAL(folder_create(in_folder("tree")), NN_OK);
	CU_ASSERT_EQUAL(folder_create(in_folder("tree/deep")), NN_OK);
	CU_ASSERT_EQUAL(symlink_replace(in_folder("tree/deep/out"), "../../kept"), NN_OK);
	CU_ASSERT_EQUAL(folder_remove(in_folder("tree")), NN_OK);
	CU_ASSERT_EQUAL(folder_remove(in_folder("link")), NN_OK);
	CU_ASSERT_EQUAL(folder_remove(in_folder("link")), NN_OK);
	CU_ASSERT_NOT_EQUAL(access(in_folder("tree"), F_OK), 0);
	CU_ASSERT(holds("kept/f", "x"));
	CU_ASSERT_EQUAL(symlink_replace(in_folder("kept"), "f"), NN_ERR_IO);
	remove_folder();
}

static void folders_are_made_once_and_not_over_files(void)
{
	make_folder();
	CU_ASSERT_EQUAL(folder_create(in_folder("a/")), NN_OK);
	CU_ASSERT_EQUAL(folder_create(in_folder("a")), NN_OK);
	CU_ASSERT_EQUAL(file_write(in_folder("f"), "", 0), NN_OK);
	CU_ASSERT_EQUAL(folder_create(in_folder("f")), NN_ERR_IO);
	CU_ASSERT_EQUAL(folder_create(in_folder("none/a")), NN_ERR_IO);
	CU_ASSERT(folder_exists(in_folder("a")) && !folder_exists(in_folder("f")));
	CU_ASSERT_EQUAL(folder_sync(in_folder("none")), NN_ERR_IO);
	remove_folder();
}

static void reading_keeps_to_its_limit_and_to_regular_files(void)
{
	char *bytes;
	size_t size;

	make_folder();
	CU_ASSERT_EQUAL(file_write(in_folder("f"), "12345", 5), NN_OK);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_folder("f"), 4), NN_ERR_IO);
	CU_ASSERT_PTR_NULL(bytes);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, folder, 100), NN_ERR_IO);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_folder("none"), 100), NN_ERR_IO);
	CU_ASSERT(holds("f", "12345"));
	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_folder("f"), 5), NN_ERR_MEMORY);
	CU_ASSERT_PTR_NULL(bytes);
	remove_folder();
}

static void paths_that_do_not_fit_are_refused(void)
{
	char path[8];

	CU_ASSERT_EQUAL(path_format(path, sizeof(path), "%s/%d", "abc", 123), NN_OK);
	CU_ASSERT_STRING_EQUAL(path, "abc/123");
	CU_ASSERT_EQUAL(path_format(path, sizeof(path), "%s/%d", "abc", 1234), NN_ERR_USAGE);
}

void suite_files(void)
{
	static const struct test_row rows[] = {
	    TEST(a_file_appears_when_it_is_closed_and_not_before),
	    TEST(a_write_that_ends_short_is_an_error_and_keeps_the_old_file),
	    TEST(a_full_disk_is_told_with_what_to_do),
	    TEST(links_are_replaced_and_removed_without_what_they_point_to),
	    TEST(folders_are_made_once_and_not_over_files),
	    TEST(reading_keeps_to_its_limit_and_to_regular_files),
	    TEST(paths_that_do_not_fit_are_refused),
	};

	ADD_SUITE("files", rows);
}
