/* Time series that the line cards keep while they run: rows in memory set aside beforehand, so
 * that measuring costs no system call.  What does not fit is counted, never silently lost. */
#ifndef LAB_SERIES_H
#define LAB_SERIES_H

#include <stdint.h>

typedef struct {
    uint8_t *at;
    int64_t rows, capacity, lost;
    int32_t row_bytes;
} series;

typedef struct {
    int64_t t_ns;
    int32_t port, vc, cells, frames; /* vc -1: all of the port */
} queue_row;

typedef struct {
    int64_t t_ns;
    int32_t port, vc, kind, hop; /* kind 0 quench, 1 unquench, 2 stop, 3 go */
} event_row;

typedef struct {
    int64_t t_ns, busy_ns, wait_ns;
    int32_t port, frames, cells, control;
} link_row;

/* How many values were at most 500, 1000, 2000, 5000, 10000, 15000, 20000, 30000, 50000, 70000, 100000
 * real microseconds, and more. */
#define LATENESS_BUCKETS 12
typedef struct {
    int32_t bucket[LATENESS_BUCKETS];
} histogram;

typedef struct {
    int64_t t_ns;
    int32_t handed; /* frames handed on in the interval, and how late they were */
    float late_mean_us, late_max_us;
    histogram late;
    int32_t crossed; /* frames that a switch put out, and how long it had them */
    float cross_mean_us, cross_max_us;
    histogram cross;
    int64_t excess_max_ns; /* virtual time that they came after the modelled switch let them go */
    int32_t excess_0, excess_le_100, excess_le_1000, excess_le_10000, excess_gt_10000;
    float excess_mean_ns;
} lateness_row;

int series_init(series *s, int32_t row_bytes, int64_t capacity);
void series_free(series *s);
/* Room for one more row, or 0 when full (counted). */
void *series_add(series *s);

#endif
