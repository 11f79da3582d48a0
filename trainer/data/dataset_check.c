#include "trainer/data/dataset_check.h"

#include <pthread.h>

#include "nn/core/alloc.h"

struct check {
	const struct dataset *dataset;
	void (*report)(const char *message);
	pthread_mutex_t lock;
	size_t next, bad;
	enum nn_status status; /* the first that is not about an image */
};

/* Takes note of how image next - 1 came. Under the lock. */
static void judge(struct check *check, enum nn_status status)
{
	if (status == NN_ERR_DATA) {
		check->bad++;
		check->report(nn_error_message());
	} else if (status != NN_OK && check->status == NN_OK) {
		check->status = status;
	}
}

static void *read_images(void *context)
{
	struct check *check = context;
	struct image image = {0};

	pthread_mutex_lock(&check->lock);
	while (check->status == NN_OK && check->next < dataset_count(check->dataset)) {
		size_t index = check->next++;
		enum nn_status status;

		pthread_mutex_unlock(&check->lock);
		status = dataset_read(check->dataset, index, &image);
		pthread_mutex_lock(&check->lock);
		judge(check, status);
	}
	pthread_mutex_unlock(&check->lock);
	image_release(&image);
	return NULL;
}

enum nn_status dataset_check(size_t *bad, const struct dataset *dataset, int threads, void (*report)(const char *message))
{
	struct check check = {.dataset = dataset, .report = report, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t *started;
	enum nn_status status = nn_alloc(&started, (size_t)threads * sizeof(*started));
	int count = 0;

	*bad = 0;
	if (status != NN_OK)
		return status;
	while (count < threads && pthread_create(&started[count], NULL, read_images, &check) == 0)
		count++;
	for (int i = 0; i < count; i++)
		pthread_join(started[i], NULL);
	nn_free(started);
	*bad = check.bad;
	if (count == 0)
		return nn_error(NN_ERR_MEMORY, "cannot start a thread");
	return check.status == NN_OK ? NN_OK : nn_error(check.status, "out of memory while reading images");
}
