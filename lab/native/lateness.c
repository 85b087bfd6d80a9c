/* The line cards' instruments: those of the model (observe.h), and how late they themselves and the
 * switches are.  Rows into series, no system calls. */
#include "linecard_in.h"

static observer instruments(lc *l) {
    return (observer){&l->series[LC_QUEUES], &l->series[LC_EVENTS], &l->series[LC_LINKS],
                      l->sampled};
}

void lc_observe_event(lc *l, int32_t kind, uint32_t port, uint32_t vc, uint32_t hop) {
    observer o = instruments(l);
    observe_event(&o, l->at_ns, kind, port, vc, hop);
}

static const int32_t BOUNDS_US[LATENESS_BUCKETS - 1] = {500,   1000,  2000,  5000,  10000, 15000,
                                                        20000, 30000, 50000, 70000, 100000};

static void count(histogram *h, double us) {
    int i = 0;
    while (i < LATENESS_BUCKETS - 1 && us > BOUNDS_US[i]) i++;
    h->bucket[i]++;
}

static void count_excess(lateness_row *r, int64_t ns) {
    if (ns <= 0)
        r->excess_0++;
    else if (ns <= 100)
        r->excess_le_100++;
    else if (ns <= 1000)
        r->excess_le_1000++;
    else if (ns <= 10000)
        r->excess_le_10000++;
    else
        r->excess_gt_10000++;
}

/* A frame is handed to what comes behind its link so long, virtual, after it was due there. */
void lc_observe_late(lc *l, int64_t late_ns) {
    double us = late_ns > 0 ? (double)late_ns * l->o.dilation / 1e3 : 0;
    l->late.handed++;
    l->late_sum_us += us;
    if (us > l->late.late_max_us) l->late.late_max_us = (float)us;
    count(&l->late.late, us);
}

/* A switch had a frame so long, and put it out so much, virtual, after the modelled one would. */
void lc_observe_crossing(lc *l, int64_t real_ns, int64_t excess_ns) {
    double us = (double)real_ns / 1e3;
    l->late.crossed++;
    l->cross_sum_us += us;
    if (us > l->late.cross_max_us) l->late.cross_max_us = (float)us;
    count(&l->late.cross, us);
    count_excess(&l->late, excess_ns);
    if (excess_ns <= 0) return;
    l->excess_sum_ns += (double)excess_ns;
    if (excess_ns > l->late.excess_max_ns) l->late.excess_max_ns = excess_ns;
}

static void sample_lateness(lc *l, int64_t t) {
    lateness_row *now = &l->late;
    now->t_ns = t;
    if (now->handed) now->late_mean_us = (float)(l->late_sum_us / now->handed);
    if (now->crossed) {
        now->cross_mean_us = (float)(l->cross_sum_us / now->crossed);
        now->excess_mean_ns = (float)(l->excess_sum_ns / now->crossed);
    }
    lateness_row *r = series_add(&l->series[LC_LATENESS]);
    if (r) *r = *now;
    *now = (lateness_row){0};
    l->late_sum_us = l->cross_sum_us = l->excess_sum_ns = 0;
}

void lc_observe_sample(lc *l) {
    if (l->sample_ns <= 0 || l->now_ns < l->next_sample_ns) return;
    observer o = instruments(l);
    observe_queues(&o, l->f, l->now_ns);
    observe_links(&o, l->f, l->now_ns);
    sample_lateness(l, l->now_ns);
    l->next_sample_ns = l->now_ns - l->now_ns % l->sample_ns + l->sample_ns;
}
