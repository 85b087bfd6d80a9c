/* A queue of future events: a binary heap on (time, key).
 *
 * The key orders simultaneous events.  With seed 0 it is the order of insertion; with another seed
 * it is a fixed pseudo-random function of seed and insertion number, so that ties fall differently
 * from seed to seed and identically from run to run.
 */
#ifndef LAB_EVENTS_H
#define LAB_EVENTS_H

#include <stdint.h>
#include <stdlib.h>

typedef struct {
    int64_t t;
    uint64_t key;
    uint32_t kind, index;
    int64_t value;
} ev;

typedef struct {
    ev *at;
    uint32_t n, capacity;
    uint64_t inserted, seed;
} evq;

static inline uint64_t ev_mix(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline int ev_before(const ev *a, const ev *b) {
    return a->t != b->t ? a->t < b->t : a->key < b->key;
}

static inline void evq_push(evq *q, int64_t t, uint32_t kind, uint32_t index, int64_t value) {
    if (q->n == q->capacity) {
        q->capacity = q->capacity ? q->capacity * 2 : 1024;
        q->at = realloc(q->at, q->capacity * sizeof *q->at);
        if (!q->at) abort();
    }
    uint64_t number = q->inserted++;
    ev e = {t, q->seed ? ev_mix(q->seed ^ ev_mix(number)) : number, kind, index, value};
    uint32_t i = q->n++;
    while (i > 0) {
        uint32_t up = (i - 1) / 2;
        if (!ev_before(&e, &q->at[up])) break;
        q->at[i] = q->at[up];
        i = up;
    }
    q->at[i] = e;
}

static inline ev evq_pop(evq *q) {
    ev top = q->at[0], last = q->at[--q->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t down = 2 * i + 1;
        if (down >= q->n) break;
        if (down + 1 < q->n && ev_before(&q->at[down + 1], &q->at[down])) down++;
        if (!ev_before(&q->at[down], &last)) break;
        q->at[i] = q->at[down];
        i = down;
    }
    if (q->n) q->at[i] = last;
    return top;
}

#endif
