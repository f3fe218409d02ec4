/*
 * oracle.c
 *		The history of every row, by the numbers of its writer's transactions.
 */
#include "stress.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct history
{
	version *versions;
	int n, room;
} history;

static history *rows;
static int nwriters, nslots;
static pthread_mutex_t mutex[MAX_WRITERS];

void
oracle_init(int writers, int slots)
{
	nwriters = writers;
	nslots = slots;
	rows = calloc((size_t) ntables * (size_t) writers * (size_t) slots, sizeof(history));
	if (rows == NULL)
		abort();
	for (int i = 0; i < writers; i++)
		pthread_mutex_init(&mutex[i], NULL);
}

static history *
history_of(int writer, int table, int slot)
{
	return &rows[((size_t) table * (size_t) nwriters + (size_t) writer) * (size_t) nslots +
				 (size_t) slot];
}

void
oracle_add(int writer, int table, int slot, version v)
{
	history *h = history_of(writer, table, slot);

	pthread_mutex_lock(&mutex[writer]);
	/* the last one of a transaction counts */
	if (h->n > 0 && h->versions[h->n - 1].txn == v.txn)
		h->n--;
	if (h->n == h->room)
	{
		h->room = h->room ? 2 * h->room : 4;
		h->versions = realloc(h->versions, (size_t) h->room * sizeof(version));
		if (h->versions == NULL)
			abort();
	}
	h->versions[h->n++] = v;
	pthread_mutex_unlock(&mutex[writer]);
}

void
oracle_undo(int writer, int table, int slot)
{
	pthread_mutex_lock(&mutex[writer]);
	history_of(writer, table, slot)->n--;
	pthread_mutex_unlock(&mutex[writer]);
}

version
oracle_at(int writer, int table, int slot, uint32_t txn)
{
	const history *h = history_of(writer, table, slot);
	version found = {0};

	pthread_mutex_lock(&mutex[writer]);
	for (int i = h->n - 1; i >= 0; i--)
	{
		if (h->versions[i].txn <= txn)
		{
			found = h->versions[i];
			break;
		}
	}
	pthread_mutex_unlock(&mutex[writer]);
	return found;
}
