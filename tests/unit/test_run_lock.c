#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"
#include "trainer/state/run_lock.h"
#include "trainer/state/run_lock_holder.h"

static char run[64], path[128];

static void make_run(void)
{
	snprintf(run, sizeof(run), "/tmp/resnet-lock.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(run));
	snprintf(path, sizeof(path), "%s/lock", run);
}

static void remove_run(void)
{
	folder_remove(run);
}

static void write_lock(const struct holder *holder)
{
	char text[HOLDER_BYTES + 1];

	holder_format(text, holder);
	CU_ASSERT_EQUAL(file_write(path, text, HOLDER_BYTES), NN_OK);
}

static struct holder read_lock(void)
{
	struct holder holder = {.pid = -1};
	char *text;
	size_t size;

	if (file_read(&text, &size, path, HOLDER_BYTES) == NN_OK) {
		holder_parse(&holder, text, (int)size);
		nn_free(text);
	}
	return holder;
}

/* The number of a process that has ended. */
static long long ended_process(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	return (long long)child;
}

static void a_second_job_is_told_who_has_the_folder(void)
{
	struct run_lock *lock, *second;
	char pid[32];

	make_run();
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	CU_ASSERT_EQUAL(run_lock_acquire(&lock, run), NN_OK);
	CU_ASSERT_EQUAL(run_lock_check(lock), NN_OK);
	CU_ASSERT_EQUAL(run_lock_acquire(&second, run), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), pid));
	run_lock_release(lock);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(run_lock_acquire(&second, run), NN_OK);
	run_lock_release(second);
	remove_run();
}

static void the_lock_of_a_process_that_ended_is_taken_over_at_once(void)
{
	struct run_lock *lock;
	struct holder holder;

	make_run();
	holder_self(&holder);
	holder.pid = ended_process();
	write_lock(&holder);
	CU_ASSERT_EQUAL(run_lock_acquire(&lock, run), NN_OK);
	CU_ASSERT_EQUAL(read_lock().pid, (long long)getpid());
	run_lock_release(lock);
	remove_run();
}

static void a_process_number_that_was_used_again_holds_nothing(void)
{
	struct holder holder, self;

	holder_self(&self);
	holder = self;
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_ALIVE);
	snprintf(holder.started, sizeof(holder.started), "1");
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_GONE);
}

static void a_process_of_another_machine_or_container_cannot_be_judged(void)
{
	struct holder holder, self;

	holder_self(&self);
	holder = self;
	snprintf(holder.boot, sizeof(holder.boot), "another");
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_UNKNOWN);
	holder = self;
	snprintf(holder.namespace, sizeof(holder.namespace), "pid:[1]");
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_UNKNOWN);
	holder = self;
	holder.id[0] = '\0';
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_UNKNOWN);
}

static void an_earlier_start_of_the_same_slurm_job_is_gone(void)
{
	struct holder holder, self;

	holder_self(&self);
	snprintf(self.job, sizeof(self.job), "7");
	self.restart = 2;
	holder = self;
	snprintf(holder.boot, sizeof(holder.boot), "another");
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_UNKNOWN); /* two steps of one job */
	holder.restart = 1;
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_GONE);
	snprintf(holder.job, sizeof(holder.job), "8");
	CU_ASSERT_EQUAL(holder_judge(&holder, &self), HOLDER_UNKNOWN);
}

static void a_lock_from_elsewhere_holds_as_long_as_it_beats(void)
{
	struct run_lock *lock;
	struct holder holder;
	pid_t child;

	make_run();
	holder_self(&holder);
	snprintf(holder.boot, sizeof(holder.boot), "another");
	snprintf(holder.host, sizeof(holder.host), "far-away");
	write_lock(&holder);
	child = fork();
	if (child == 0) {
		usleep(600000);
		holder.beat++;
		write_lock(&holder);
		_exit(0);
	}
	CU_ASSERT_EQUAL(run_lock_acquire(&lock, run), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "far-away"));
	waitpid(child, NULL, 0);
	remove_run();
}

static void a_holder_that_was_taken_over_finds_out_and_leaves_the_lock(void)
{
	struct run_lock *lock;
	struct holder other;

	make_run();
	CU_ASSERT_EQUAL(run_lock_acquire(&lock, run), NN_OK);
	holder_self(&other);
	snprintf(other.host, sizeof(other.host), "usurper");
	write_lock(&other);
	CU_ASSERT_EQUAL(run_lock_check(lock), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "usurper"));
	run_lock_release(lock);
	CU_ASSERT_STRING_EQUAL(read_lock().host, "usurper");
	remove_run();
}

static void a_lock_that_was_removed_is_made_again(void)
{
	struct run_lock *lock, *second;

	make_run();
	CU_ASSERT_EQUAL(run_lock_acquire(&lock, run), NN_OK);
	unlink(path);
	CU_ASSERT_EQUAL(run_lock_check(lock), NN_OK);
	CU_ASSERT_EQUAL(run_lock_acquire(&second, run), NN_ERR_CHECKPOINT);
	unlink(path);
	rmdir(run);
	CU_ASSERT_EQUAL(run_lock_check(lock), NN_ERR_IO);
	run_lock_release(lock);
}

static void a_folder_that_cannot_be_written_is_an_io_error(void)
{
	struct run_lock *lock;

	CU_ASSERT_EQUAL(run_lock_acquire(&lock, "/proc/self"), NN_ERR_IO);
	CU_ASSERT_PTR_NULL(lock);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "/proc/self/lock"));
}

void suite_run_lock(void)
{
	static const struct test_row rows[] = {
	    TEST(a_second_job_is_told_who_has_the_folder),
	    TEST(the_lock_of_a_process_that_ended_is_taken_over_at_once),
	    TEST(a_process_number_that_was_used_again_holds_nothing),
	    TEST(a_process_of_another_machine_or_container_cannot_be_judged),
	    TEST(an_earlier_start_of_the_same_slurm_job_is_gone),
	    TEST(a_lock_from_elsewhere_holds_as_long_as_it_beats),
	    TEST(a_holder_that_was_taken_over_finds_out_and_leaves_the_lock),
	    TEST(a_lock_that_was_removed_is_made_again),
	    TEST(a_folder_that_cannot_be_written_is_an_io_error),
	};

	ADD_SUITE("run_lock", rows);
}
