/* See series.h. */
#include "series.h"

#include <string.h>
#include <sys/mman.h>

/* Mapped, not allocated: pages cost memory only when a row is written to them. */
int series_init(series *s, int32_t row_bytes, int64_t capacity) {
    void *at = mmap(0, (size_t)(row_bytes * capacity), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return -1;
    *s = (series){.at = at, .capacity = capacity, .row_bytes = row_bytes};
    return 0;
}

void series_free(series *s) {
    if (s->at) munmap(s->at, (size_t)(s->row_bytes * s->capacity));
    memset(s, 0, sizeof *s);
}

void *series_add(series *s) {
    if (s->rows == s->capacity) {
        s->lost++;
        return 0;
    }
    return s->at + s->rows++ * s->row_bytes;
}
