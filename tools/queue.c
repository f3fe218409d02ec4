/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  Batches on their way from the reader to the workers.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "loader.h"

void
queue_init(queue *q, int room)
{
	*q = (queue){.room = room};
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
}

void
batch_free(batch *b)
{
	for (int i = 0; i < b->n; i++)
		item_free(b->items[i]);
	free(b);
}

void
queue_put(queue *q, batch *b)
{
	pthread_mutex_lock(&q->lock);
	while (q->n == q->room && !q->closed)
		pthread_cond_wait(&q->changed, &q->lock);
	if (q->closed)
		batch_free(b);
	else
	{
		b->next = NULL;
		if (q->last != NULL)
			q->last->next = b;
		else
			q->first = b;
		q->last = b;
		q->n++;
		pthread_cond_broadcast(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
}

batch *
queue_take(queue *q)
{
	batch *b;

	pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed)
		pthread_cond_wait(&q->changed, &q->lock);
	b = q->first;
	if (b != NULL)
	{
		q->first = b->next;
		if (q->first == NULL)
			q->last = NULL;
		q->n--;
		pthread_cond_broadcast(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
	return b;
}

void
queue_close(queue *q, bool drop)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	while (drop && q->first != NULL)
	{
		batch *b = q->first;

		q->first = b->next;
		batch_free(b);
		q->n--;
	}
	if (q->first == NULL)
		q->last = NULL;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}
