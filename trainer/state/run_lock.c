#include "trainer/state/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "trainer/state/files.h"
#include "trainer/state/run_lock_holder.h"

struct run_lock {
	char path[PATH_MAX];
	struct holder self;
	int fd; /* of our own file, so that a beat never goes into another holder's */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool has_thread, ending;
	time_t seen; /* when run_lock_check saw it as ours, by seconds() */
};

/* Goes on while this process, or the machine, is suspended. */
static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

static void pause_ms(long ms)
{
	struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* Opened anew each time: a network file system then asks its server. false: there is no lock. */
static bool read_holder(struct holder *holder, const char *path)
{
	char text[HOLDER_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	memset(holder, 0, sizeof(*holder));
	if (fd < 0)
		return errno != ENOENT;
	got = read(fd, text, sizeof(text));
	close(fd);
	holder_parse(holder, text, got < 0 ? 0 : (int)got);
	return true;
}

static enum nn_status write_holder(struct run_lock *lock)
{
	char text[HOLDER_BYTES + 1];

	holder_format(text, &lock->self);
	if (pwrite(lock->fd, text, HOLDER_BYTES, 0) != HOLDER_BYTES || fsync(lock->fd) != 0)
		return file_failed("write", lock->path);
	return NN_OK;
}

/* Makes the file `path`, which must not exist, with this holder in it; *exists when it does. */
static enum nn_status create(bool *exists, struct run_lock *lock, const char *path)
{
	enum nn_status status;

	lock->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	*exists = lock->fd < 0 && errno == EEXIST;
	if (*exists)
		return NN_OK;
	if (lock->fd < 0)
		return file_failed("write", path);
	status = write_holder(lock);
	if (status != NN_OK) {
		close(lock->fd);
		lock->fd = -1;
		unlink(path);
	}
	return status;
}

/* Replaces the lock of a holder that is gone. Of several that do this at one time the last rename wins, which each sees when it
 * looks again. */
static enum nn_status take_over(bool *got, struct run_lock *lock, const struct holder *gone)
{
	char temporary[PATH_MAX];
	struct holder now;
	bool exists;
	enum nn_status status = path_format(temporary, sizeof(temporary), "%s.%s", lock->path, lock->self.id);

	*got = false;
	if (status == NN_OK)
		status = create(&exists, lock, temporary);
	if (status != NN_OK)
		return status;
	if (read_holder(&now, lock->path) && strcmp(now.id, gone->id) == 0 && now.beat == gone->beat &&
	    rename(temporary, lock->path) == 0) {
		pause_ms(100);
		*got = read_holder(&now, lock->path) && strcmp(now.id, lock->self.id) == 0;
	}
	if (!*got) {
		close(lock->fd);
		lock->fd = -1;
		unlink(temporary);
	}
	return NN_OK;
}

/* Watches the counter of a holder that cannot be judged. */
static enum holder_verdict watch(struct holder *holder, const char *path)
{
	enum { LOOK_MS = 250 };

	for (int waited = 0; waited < 1000 * RUN_LOCK_STALE_SECONDS; waited += LOOK_MS) {
		struct holder now;

		pause_ms(LOOK_MS);
		if (!read_holder(&now, path))
			return HOLDER_GONE;
		if (strcmp(now.id, holder->id) != 0 || now.beat != holder->beat) {
			bool was_made = !*holder->id;

			*holder = now;
			if (!was_made)
				return HOLDER_ALIVE;
			waited = 0; /* a lock that has just got its content: from now on it has to beat */
		}
	}
	return HOLDER_GONE;
}

static enum nn_status held(const struct run_lock *lock, const struct holder *holder)
{
	char who[512];

	holder_describe(who, holder);
	return nn_error(NN_ERR_CHECKPOINT, "the run folder %.*s is in use by %s; wait for it, end it, or name another --out",
			(int)(strlen(lock->path) - strlen("/lock")), lock->path, who);
}

static enum nn_status obtain(struct run_lock *lock)
{
	for (;;) {
		struct holder holder;
		enum holder_verdict verdict;
		bool exists, got = false;
		enum nn_status status = create(&exists, lock, lock->path);

		if (status != NN_OK || !exists)
			return status;
		if (!read_holder(&holder, lock->path))
			continue;
		verdict = holder_judge(&holder, &lock->self);
		if (verdict == HOLDER_UNKNOWN)
			verdict = watch(&holder, lock->path);
		if (verdict == HOLDER_ALIVE)
			return held(lock, &holder);
		status = take_over(&got, lock, &holder);
		if (status != NN_OK || got)
			return status;
	}
}

/* Beats until the lock is released. A beat that cannot be written is left out. */
static void *beat(void *argument)
{
	struct run_lock *lock = argument;

	pthread_mutex_lock(&lock->mutex);
	while (!lock->ending) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += RUN_LOCK_BEAT_SECONDS;
		if (pthread_cond_timedwait(&lock->wake, &lock->mutex, &until) == ETIMEDOUT) {
			lock->self.beat++;
			write_holder(lock);
		}
	}
	pthread_mutex_unlock(&lock->mutex);
	return NULL;
}

enum nn_status run_lock_acquire(struct run_lock **out, const char *run)
{
	struct run_lock *lock;
	enum nn_status status = nn_alloc(out, sizeof(**out));

	if (status != NN_OK)
		return status;
	lock = *out;
	lock->fd = -1;
	pthread_mutex_init(&lock->mutex, NULL);
	pthread_cond_init(&lock->wake, NULL);
	holder_self(&lock->self);
	status = path_format(lock->path, sizeof(lock->path), "%s/lock", run);
	if (status == NN_OK)
		status = obtain(lock);
	lock->seen = seconds();
	if (status == NN_OK) {
		lock->has_thread = pthread_create(&lock->thread, NULL, beat, lock) == 0;
		if (!lock->has_thread)
			status = nn_error(NN_ERR_MEMORY, "cannot start a thread for %s", lock->path);
	}
	if (status != NN_OK) {
		run_lock_release(lock);
		*out = NULL;
	}
	return status;
}

enum nn_status run_lock_check(struct run_lock *lock)
{
	struct holder now;
	bool exists = true;
	enum nn_status status = NN_OK;

	pthread_mutex_lock(&lock->mutex);
	if (!read_holder(&now, lock->path)) {
		close(lock->fd);
		status = create(&exists, lock, lock->path);
		if (status == NN_OK && exists)
			read_holder(&now, lock->path);
	}
	if (status == NN_OK && (!exists || strcmp(now.id, lock->self.id) == 0))
		lock->seen = seconds();
	pthread_mutex_unlock(&lock->mutex);
	if (status != NN_OK || !exists || strcmp(now.id, lock->self.id) == 0)
		return status;
	if (!*now.id)
		return nn_error(NN_ERR_IO, "cannot read %s; check the path and its permissions", lock->path);
	return held(lock, &now);
}

enum nn_status run_lock_confirm(struct run_lock *lock)
{
	time_t seen;

	pthread_mutex_lock(&lock->mutex);
	seen = lock->seen;
	pthread_mutex_unlock(&lock->mutex);
	return seconds() - seen < RUN_LOCK_STALE_SECONDS / 2 ? NN_OK : run_lock_check(lock);
}

const char *run_lock_id(const struct run_lock *lock)
{
	return lock->self.id;
}

void run_lock_release(struct run_lock *lock)
{
	struct holder now;

	if (!lock)
		return;
	if (lock->has_thread) {
		pthread_mutex_lock(&lock->mutex);
		lock->ending = true;
		pthread_cond_signal(&lock->wake);
		pthread_mutex_unlock(&lock->mutex);
		pthread_join(lock->thread, NULL);
	}
	if (lock->fd >= 0) {
		if (read_holder(&now, lock->path) && strcmp(now.id, lock->self.id) == 0)
			unlink(lock->path);
		close(lock->fd);
	}
	pthread_cond_destroy(&lock->wake);
	pthread_mutex_destroy(&lock->mutex);
	nn_free(lock);
}
