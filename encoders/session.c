/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The run state of one caller, and the work on batches.
 *
 * A session has one or more workers, each with scratch of its own.  The first
 * runs on the caller's thread; the others are threads that live for one call.
 * Workers take the next unit (some texts, or one picture) from a counter, so
 * which worker does what is left to chance, and makes no difference: a unit's
 * arithmetic depends on nothing but the unit.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "model.h"

#define MAX_THREADS 64

/* How often the caller looks up while it waits for other workers. */
#define WAIT_NS 20000000

typedef struct worker
{
	struct job *job;
	void *scratch; /* the architecture's */
	float *pixels; /* pictures of a unit: image_size^2 x 3 each */
	int32_t *ids;  /* batch_tokens */
	int *starts;   /* MM_BATCH_TEXTS + 1 */
	int32_t *text; /* context_length: ids of one text */
	bool caller;
	pthread_t thread;
} worker;

struct mm_session
{
	const mm_model *model;
	mm_session_options options;
	mm_limits limits;
	mm_poll poll;
	char *block;
	int workers;
	worker worker[MAX_THREADS];
};

/* One call: what is to be done, and how far it is. */
typedef struct job
{
	mm_session *session;
	void (*run)(worker *w, struct job *job);
	int n;

	/* what goes in: one of these */
	const mm_slice *inputs;
	const float *pixels;          /* as forward_images takes them */
	const mm_token_batch *tokens; /* what tokenizing would give */

	float *out;    /* n x dims */
	mm_team *team; /* of the single input's workers; NULL where each has inputs of its own */
	pthread_mutex_t mutex;

	pthread_cond_t idle;

	/* under the mutex */
	int working; /* threads of others that are not done yet */
	int next;
	int failed; /* the first input that failed, or n */
	mm_error err;
} job;

static int
image_unit(const mm_model *model)
{
	return model->architecture->image_unit ? model->architecture->image_unit(model) : 1;
}

/* members: of the team whose loops go through this worker's scratch */
static void
take_scratch(const mm_model *model, int members, mm_arena *arena, worker *w)
{
	size_t side = model->info.image_size;

	w->scratch = model->architecture->take_scratch(model, members, arena);
	w->pixels = mm_arena_floats(arena, side * side * 3 * image_unit(model));
	w->ids = mm_arena_alloc(arena, sizeof(int32_t) * mm_batch_tokens(model));
	w->starts = mm_arena_alloc(arena, sizeof(int) * (MM_BATCH_TEXTS + 1));
	w->text = mm_arena_alloc(arena, sizeof(int32_t) * (model->info.context_length + 1));
}

mm_session *
mm_session_create(const mm_model *model, const mm_session_options *opts, mm_error *err)
{
	mm_session *session = calloc(1, sizeof(mm_session));
	mm_arena arena = {0};

	if (session == NULL)
	{
		mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	session->model = model;
	session->options = opts ? *opts : (mm_session_options){0};
	session->limits = mm_limits_resolve(&session->options.limits);
	session->poll.interrupt = session->options.interrupt;
	session->poll.interrupt_arg = session->options.interrupt_arg;
	session->workers = session->options.threads;
	if (session->workers < 1)
		session->workers = 1;
	if (session->workers > MAX_THREADS)
		session->workers = MAX_THREADS;

	/* twice the same walk: to measure, then to take */
	for (int i = 0; i < session->workers; i++)
		take_scratch(model, i == 0 ? session->workers : 1, &arena, &session->worker[i]);
	session->block = mm_arena_block(arena.used);
	if (session->block == NULL)
	{
		free(session);
		mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	arena = (mm_arena){.base = session->block};
	for (int i = 0; i < session->workers; i++)
	{
		take_scratch(model, i == 0 ? session->workers : 1, &arena, &session->worker[i]);
		session->worker[i].caller = i == 0;
	}
	return session;
}

void
mm_session_free(mm_session *session)
{
	if (session == NULL)
		return;
	free(session->block);
	free(session);
}

/* Keeps the failure of the first input, whichever worker met it first. */
static void
job_failed(job *job, int input, const mm_error *err)
{
	pthread_mutex_lock(&job->mutex);
	if (input < job->failed)
	{
		job->failed = input;
		job->err = *err;
	}
	pthread_mutex_unlock(&job->mutex);
}

/*
 * So many inputs at a time, at most "most", that every worker gets as many as
 * the others, in pieces of one size: else the last piece keeps one worker busy
 * while the others have nothing left.
 */
static int
fair_share(const job *job, int most)
{
	int share = (job->n + job->session->workers - 1) / job->session->workers;
	int pieces = (share + most - 1) / most;

	return pieces > 1 ? (share + pieces - 1) / pieces : share;
}

/*
 * The next inputs, at most "most"; 0 when there is nothing left to do.  After a
 * failure the inputs before it still get done, in case one of them fails too.
 */
static int
take_inputs(job *job, int most, int *first)
{
	int n;

	pthread_mutex_lock(&job->mutex);
	*first = job->next;
	n = job->failed - job->next;
	n = n < 0 ? 0 : n > most ? most : n;
	job->next += n;
	pthread_mutex_unlock(&job->mutex);
	return n;
}

static mm_run
run_of(const worker *w, const job *job)
{
	return (mm_run){.ops = job->session->model->ops,
					.poll = &job->session->poll,
					.caller = w->caller,
					.team = job->team};
}

static void *
thread_main(void *arg)
{
	worker *w = arg;
	struct job *job = w->job;

	if (job->team)
	{
		mm_team_serve(job->team, (int) (w - job->session->worker));
		return NULL;
	}
	job->run(w, job);
	pthread_mutex_lock(&job->mutex);
	if (--job->working == 0)
		pthread_cond_signal(&job->idle);
	pthread_mutex_unlock(&job->mutex);
	return NULL;
}

/*
 * Threads are born with every signal blocked: those of the process belong to
 * the caller's.  Where one cannot be started the others do its work.
 */
static int
start_threads(mm_session *session, job *job, int wanted)
{
	sigset_t all, saved;
	int started = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	for (int i = 1; i < wanted; i++)
	{
		worker *w = &session->worker[i];

		w->job = job;
		if (pthread_create(&w->thread, NULL, thread_main, w) != 0)
			break;
		started++;
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return started;
}

/* One input has nothing to deal out, so the workers share its loops. */
static void
run_with_team(mm_session *session, job *job)
{
	mm_team team;
	int started;

	mm_team_init(&team, session->workers);
	job->team = &team;
	started = start_threads(session, job, session->workers);
	team.members = started + 1;
	job->run(&session->worker[0], job);
	mm_team_dismiss(&team);
	for (int i = 1; i <= started; i++)
		pthread_join(session->worker[i].thread, NULL);
	mm_team_destroy(&team);
}

/* Until the others are done, with an eye on interrupts: one input may take seconds. */
static void
wait_for_workers(mm_session *session, job *job)
{
	mm_run run = {.poll = &session->poll, .caller = true};

	pthread_mutex_lock(&job->mutex);
	while (job->working > 0)
	{
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WAIT_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&job->idle, &job->mutex, &until);
		mm_canceled(&run);
	}
	pthread_mutex_unlock(&job->mutex);
}

static void
run_with_workers(mm_session *session, job *job)
{
	int wanted = job->n < session->workers ? job->n : session->workers;
	int started;

	job->working = wanted - 1;
	started = start_threads(session, job, wanted);
	pthread_mutex_lock(&job->mutex);
	job->working -= wanted - 1 - started;
	pthread_mutex_unlock(&job->mutex);
	job->run(&session->worker[0], job);
	wait_for_workers(session, job);
	for (int i = 1; i <= started; i++)
		pthread_join(session->worker[i].thread, NULL);
}

static mm_status
run_job(mm_session *session, job *job, int *failed, mm_error *err)
{
	job->session = session;
	job->failed = job->n;
	pthread_mutex_init(&job->mutex, NULL);
	pthread_cond_init(&job->idle, NULL);
	atomic_store(&session->poll.canceled, false);
	if (job->n == 1 && session->workers > 1 && session->model->architecture->shares_loops)
		run_with_team(session, job);
	else
		run_with_workers(session, job);
	pthread_cond_destroy(&job->idle);
	pthread_mutex_destroy(&job->mutex);

	if (failed)
		*failed = job->failed < job->n ? job->failed : -1;
	if (atomic_load(&session->poll.canceled))
		return mm_fail(err, MM_ERR_CANCELED, "canceled");
	if (job->failed < job->n)
	{
		if (err)
			*err = job->err;
		return job->err.status;
	}
	return MM_OK;
}

static mm_status
tokenize_text(const mm_session *session, mm_slice text, int32_t *ids, int *n, mm_error *err)
{
	if (text.len > session->limits.max_text_bytes)
	{
		mm_fail_limit(err, MM_LIMIT_TEXT_BYTES, "text is too long");
		mm_fail_detail(err, "%zu bytes, where %zu are allowed", text.len,
					   session->limits.max_text_bytes);
		return MM_ERR_LIMIT;
	}
	return session->model->architecture->tokenize(session->model, text, ids, n, err);
}

/* The tokens of text i that the tower needs, into w->text. */
static mm_status
load_tokens(worker *w, const job *job, int i, int *n, mm_error *err)
{
	const mm_model *model = job->session->model;
	mm_status status = MM_OK;

	if (job->tokens)
	{
		*n = job->tokens->starts[i + 1] - job->tokens->starts[i];
		memcpy(w->text, job->tokens->ids + job->tokens->starts[i], sizeof(int32_t) * *n);
	}
	else
		status = tokenize_text(job->session, job->inputs[i], w->text, n, err);
	if (status == MM_OK && model->architecture->used_tokens)
		*n = model->architecture->used_tokens(model, w->text, *n);
	return status;
}

/* Texts first to first + n - 1, whose tokens fit into one batch. */
static void
forward_batch(worker *w, job *job, int first, int n)
{
	const mm_model *model = job->session->model;
	mm_run run = run_of(w, job);
	mm_token_batch batch = {.n = n, .ids = w->ids, .starts = w->starts};

	if (n > 0)
		model->architecture->forward_texts(model, w->scratch, &run, &batch,
										   job->out + (size_t) first * model->info.dims);
}

/* Tokenize until a batch is full, compute it, go on. */
static void
run_texts(worker *w, job *job)
{
	mm_run run = run_of(w, job);
	int most = fair_share(job, MM_BATCH_TEXTS);
	int first, taken;

	while ((taken = take_inputs(job, most, &first)) > 0)
	{
		int begin = first; /* of the batch being filled */
		int tokens = 0;

		for (int i = first; i < first + taken; i++)
		{
			mm_error err;
			int n;

			if (mm_canceled(&run))
				return;
			if (load_tokens(w, job, i, &n, &err) != MM_OK)
			{
				job_failed(job, i, &err);
				return;
			}
			if (tokens + n > MM_BATCH_TOKENS && tokens > 0)
			{
				forward_batch(w, job, begin, i - begin);
				begin = i;
				tokens = 0;
			}
			memcpy(w->ids + tokens, w->text, sizeof(int32_t) * n);
			w->starts[i - begin] = tokens;
			tokens += n;
			w->starts[i - begin + 1] = tokens;
		}
		forward_batch(w, job, begin, first + taken - begin);
	}
}

static bool
stop_asked(void *arg)
{
	return mm_canceled((const mm_run *) arg);
}

static mm_status
load_pixels(const mm_session *session, mm_run *run, mm_slice bytes, mm_layout layout, float *pixels,
			mm_error *err)
{
	mm_stop stop = {stop_asked, run};
	mm_image img;
	mm_status status = mm_image_decode_until(bytes, &session->limits, &stop, &img, err);

	if (status != MM_OK)
		return status;
	status = mm_transform_apply(&session->model->transform, &img, layout, pixels, err);
	mm_image_free(&img);
	return status;
}

/* The pixels of a unit; NULL where the worker has to stop. */
static const float *
load_unit(worker *w, job *job, int first, int n)
{
	size_t side = job->session->model->info.image_size;
	size_t size = side * side * 3;
	mm_run run = run_of(w, job);

	if (job->pixels)
		return job->pixels + size * first;
	for (int i = 0; i < n; i++)
	{
		mm_error err;

		if (mm_canceled(&run))
			return NULL;
		if (load_pixels(job->session, &run, job->inputs[first + i], MM_LAYOUT_HWC,
						w->pixels + size * i, &err) != MM_OK)
		{
			job_failed(job, first + i, &err);
			return NULL;
		}
	}
	return w->pixels;
}

/* Decode pictures until a unit is full, compute it, go on. */
static void
run_images(worker *w, job *job)
{
	const mm_model *model = job->session->model;
	mm_run run = run_of(w, job);
	int most = fair_share(job, image_unit(model));
	int first, n;

	while ((n = take_inputs(job, most, &first)) > 0)
	{
		const float *pixels = load_unit(w, job, first, n);

		if (pixels == NULL || model->architecture->forward_images(
								  model, w->scratch, &run, pixels, n,
								  job->out + (size_t) first * model->info.dims) != MM_OK)
			return;
	}
}

static mm_status
require_tower(int present, const char *which, mm_error *err)
{
	return present ? MM_OK : mm_fail(err, MM_ERR_UNSUPPORTED, "model has no %s tower", which);
}

static mm_status
run_texts_job(mm_session *session, job *job, int *failed, mm_error *err)
{
	mm_status status = require_tower(session->model->info.context_length, "text", err);

	job->run = run_texts;
	return status != MM_OK ? status : run_job(session, job, failed, err);
}

static mm_status
run_images_job(mm_session *session, job *job, int *failed, mm_error *err)
{
	mm_status status = require_tower(session->model->info.image_size, "image", err);

	job->run = run_images;
	return status != MM_OK ? status : run_job(session, job, failed, err);
}

mm_status
mm_encode_texts(mm_session *session, const mm_slice *texts, int n, float *out, int *failed,
				mm_error *err)
{
	return run_texts_job(session, &(job){.inputs = texts, .n = n, .out = out}, failed, err);
}

mm_status
mm_encode_images(mm_session *session, const mm_slice *images, int n, float *out, int *failed,
				 mm_error *err)
{
	return run_images_job(session, &(job){.inputs = images, .n = n, .out = out}, failed, err);
}

mm_status
mm_forward_texts(mm_session *session, const mm_token_batch *batch, float *out, mm_error *err)
{
	return run_texts_job(session, &(job){.tokens = batch, .n = batch->n, .out = out}, NULL, err);
}

mm_status
mm_forward_images(mm_session *session, const float *pixels, int n, float *out, mm_error *err)
{
	return run_images_job(session, &(job){.pixels = pixels, .n = n, .out = out}, NULL, err);
}

mm_status
mm_tokenize(mm_session *session, mm_slice text, int32_t *ids, int *n, mm_error *err)
{
	mm_status status = require_tower(session->model->info.context_length, "text", err);

	return status != MM_OK ? status : tokenize_text(session, text, ids, n, err);
}

mm_status
mm_preprocess(mm_session *session, mm_slice image, float *out, mm_error *err)
{
	mm_status status = require_tower(session->model->info.image_size, "image", err);
	mm_run run = {.ops = session->model->ops, .poll = &session->poll, .caller = true};

	atomic_store(&session->poll.canceled, false);
	return status != MM_OK ? status : load_pixels(session, &run, image, MM_LAYOUT_CHW, out, err);
}

mm_status
mm_image_features(mm_session *session, mm_slice image, float *pooled, float *logits, mm_error *err)
{
	const mm_model *model = session->model;
	float *embedding;
	const float *p, *l;
	mm_status status;

	if (model->pooled_dims == 0)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "model has no image classifier");
	embedding = malloc(sizeof(float) * model->info.dims);
	if (embedding == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	status = mm_encode_images(session, &image, 1, embedding, NULL, err);
	free(embedding);
	if (status != MM_OK)
		return status;
	model->architecture->features(model, session->worker[0].scratch, &p, &l);
	if (pooled)
		memcpy(pooled, p, sizeof(float) * model->pooled_dims);
	if (logits)
		memcpy(logits, l, sizeof(float) * model->logit_dims);
	return MM_OK;
}
