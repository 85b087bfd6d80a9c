/* The line cards' life: endpoints, the loop, passes.  See linecard.h. */
#define _GNU_SOURCE
#include "linecard.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "linecard_in.h"

#define RING_FRAMES 8192
#define CONTROL_TAG 0xffffffffu
#define WIRE_TAG 0xfffffffeu
/* A frame that OVS has not given back for so long is not waited for any more. */
#define GIVE_UP_NS 200000000
/* What is due within so many batches is slept for; a doorbell may ring before what is later. */
#define NEAR_QUANTA 4
#define LONGEST_REST_MS 1000

int64_t lc_virtual_ns(const lc *l, int64_t mono_ns) {
    return (int64_t)floor((double)(mono_ns - l->epoch_ns) / l->o.dilation);
}

int64_t lc_present_ns(const lc *l, int64_t mono_ns) {
    int64_t t = lc_virtual_ns(l, mono_ns);
    return t < l->end_ns ? t : l->end_ns;
}

static int64_t to_real(const lc *l, int64_t virtual_ns) {
    return l->epoch_ns + (int64_t)ceil((double)virtual_ns * l->o.dilation);
}

/* ---- endpoints ---- */

static void announce(lc *l, unet_ni *ni) {
    if (!ni->segment) return;
    unet_header *h = (unet_header *)ni->segment;
    h->dilation = l->o.dilation;
    h->pass_number = l->pass_number;
    __atomic_store_n(&h->epoch_ns, l->announced ? (uint64_t)l->epoch_ns : 0, __ATOMIC_RELEASE);
}

int lc_attach(lc *l, uint32_t endpoint, int memfd, int doorbell, int wake) {
    unet_ni *ni = &l->endpoint[endpoint];
    if (ni->segment || unet_attach(ni, memfd, doorbell, wake) < 0) return -1;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = endpoint};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, doorbell, &e) < 0) {
        unet_detach(ni);
        return -1;
    }
    announce(l, ni);
    unet_set_idle(ni, 1);
    return 0;
}

/* Wake the processes whose wish came true; endpoints whose wish only time fulfils stay on the list.
 * Returns the earliest such moment (monotonic). */
static int64_t wake_endpoints(lc *l, int64_t real_ns) {
    int64_t earliest = INT64_MAX;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->touches; i++) {
        uint32_t e = l->touched[i];
        unet_ni *ni = &l->endpoint[e];
        unet_wake_if_due(ni, real_ns);
        int64_t deadline = unet_wake_deadline(ni);
        if (deadline < INT64_MAX) {
            l->touched[kept++] = e;
            if (deadline < earliest) earliest = deadline;
        } else {
            ni->touched = 0;
        }
    }
    l->touches = kept;
    return earliest;
}

/* ---- the loop ---- */

/* A transmission ends: the adapter that it made room in looks at its send queue. */
static void transmitted(lc *l, uint32_t port) {
    uint32_t queue = l->f->port[port].sending, vc = FAB_NONE;
    if (queue != FAB_CONTROL && l->f->queue[queue].hop == 0) vc = l->f->queue[queue].vc;
    int was_full = vc != FAB_NONE && lc_window_full(l, vc);
    fab_done(l->f, port, l->at_ns);
    lc_settle(l);
    if (!was_full || lc_window_full(l, vc)) return;
    l->vc[vc].room_ns = l->at_ns;
    lc_feed_source(l, vc);
}

static void handle(lc *l, const ev *e) {
    switch (e->kind) {
    case LC_EV_DONE:
        transmitted(l, e->index);
        break;
    case LC_EV_ARRIVE:
        lc_arrive(l, (uint32_t)e->value);
        break;
    case LC_EV_DELIVER:
        lc_reach_host(l, (uint32_t)e->value, e->index);
        break;
    case LC_EV_SENT:
        lc_worked_off(l, e->index);
        break;
    case LC_EV_RECEIVED:
        lc_take_in(l, (uint32_t)e->value);
        break;
    case LC_EV_FEED:
        lc_feed_source(l, e->index);
        break;
    case LC_EV_HOLD:
        fab_hold_over(l->f, e->index, l->at_ns);
        lc_settle(l);
        break;
    default:
        abort();
    }
}

static void handle_events(lc *l, int64_t until_ns) {
    while (l->events.n && l->events.at[0].t <= until_ns) {
        ev e = evq_pop(&l->events);
        if (e.t > l->at_ns) l->at_ns = e.t;
        handle(l, &e);
    }
    if (l->at_ns < until_ns) l->at_ns = until_ns;
}

/* Frames that switches have put out, at the time the kernel took them. */
static void receive_all(lc *l, int64_t mono_ns, int64_t realtime_ns) {
    const uint8_t *data;
    uint32_t bytes;
    int ifindex;
    int64_t stamp;
    while ((data = wire_next(l->wire, &bytes, &ifindex, &stamp))) {
        l->stamp_ns = mono_ns - (realtime_ns - stamp); /* the ring's clock is the calendar's */
        int64_t t = lc_virtual_ns(l, l->stamp_ns);
        if (t > l->now_ns) t = l->now_ns;
        handle_events(l, t);
        lc_receive(l, data, bytes, ifindex);
        wire_release(l->wire);
        l->heard_ns = mono_ns;
    }
}

static int ring_doorbells(lc *l, int timeout_ms, int *control) {
    struct epoll_event ready[64];
    int n = epoll_wait(l->epoll, ready, 64, timeout_ms);
    if (n < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        uint32_t tag = ready[i].data.u32;
        if (tag == CONTROL_TAG) {
            *control = 1;
        } else if (tag != WIRE_TAG) {
            uint64_t count;
            if (read(l->endpoint[tag].doorbell, &count, sizeof count) < 0 && errno != EAGAIN)
                return -errno;
            lc_feed_endpoint(l, tag);
            lc_touch(l, tag);
        }
    }
    return n;
}

static int64_t in_switches(const lc *l) {
    return l->stats.into_switches - l->stats.out_of_switches;
}

static void sleep_until(int64_t mono_ns) {
    struct timespec t = {mono_ns / 1000000000, mono_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
}

/* When to wake next: at the next quantum while frames are inside switches, at the quantum after the
 * next thing due otherwise; 0: nothing is due, wait for the world. */
static int64_t next_batch(const lc *l, int64_t now, int64_t wake_deadline) {
    int64_t q = l->o.quantum_ns, due = wake_deadline;
    if (in_switches(l) > 0 && now - l->heard_ns < GIVE_UP_NS) due = now;
    int64_t next_ns = l->events.n ? l->events.at[0].t : INT64_MAX;
    if (l->sample_ns > 0 && l->next_sample_ns < next_ns) next_ns = l->next_sample_ns;
    if (next_ns < INT64_MAX && next_ns <= l->end_ns) {
        int64_t t = to_real(l, next_ns);
        if (t < due) due = t;
    }
    if (due == INT64_MAX) return 0;
    if (due < now) due = now;
    return due - due % q + q;
}

static int batch(lc *l, int64_t *sleep_to, int *control) {
    int64_t mono = lc_clock_ns(CLOCK_MONOTONIC), realtime = lc_clock_ns(CLOCK_REALTIME);
    l->now_ns = lc_present_ns(l, mono);
    l->stats.batches++;
    receive_all(l, mono, realtime);
    handle_events(l, l->now_ns);
    int rc = ring_doorbells(l, 0, control);
    if (rc < 0) return rc;
    handle_events(l, l->now_ns); /* what the doorbells set off and is due already */
    lc_flush(l);
    if (l->starved && l->f->frames_used < l->f->max_frames / 2) lc_feed_all(l);
    int64_t deadline = wake_endpoints(l, mono);
    lc_observe_sample(l);
    *sleep_to = next_batch(l, mono, deadline);
    return 0;
}

/* Sleep until then, or, when that is far, until something happens before it. */
static int rest(lc *l, int64_t mono_ns) {
    int64_t left_ms = (mono_ns - lc_clock_ns(CLOCK_MONOTONIC)) / 1000000;
    if (left_ms * 1000000 <= NEAR_QUANTA * l->o.quantum_ns) {
        sleep_until(mono_ns);
        return 0;
    }
    struct epoll_event ready; /* only to wait: the next batch looks at what is ready */
    int ms = left_ms < LONGEST_REST_MS ? (int)left_ms : LONGEST_REST_MS;
    return epoll_wait(l->epoll, &ready, 1, ms) < 0 && errno != EINTR ? -errno : 0;
}

int lc_run(lc *l, int control_fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = CONTROL_TAG};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, control_fd, &e) < 0 && errno != EEXIST) return -errno;
    int control = 0;
    for (;;) {
        int64_t sleep_to;
        int rc = batch(l, &sleep_to, &control);
        if (rc < 0) return rc;
        if (control) return 0;
        if (sleep_to) {
            rc = rest(l, sleep_to);
            if (rc < 0) return rc;
            continue;
        }
        struct epoll_event ready; /* only to wait: the next batch looks at what is ready */
        l->stats.idle_waits++;
        if (epoll_wait(l->epoll, &ready, 1, -1) < 0 && errno != EINTR) return -errno;
        l->heard_ns = lc_clock_ns(CLOCK_MONOTONIC);
    }
}

int lc_open(lc *l) {
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) return -errno;
    l->wire = wire_open(RING_FRAMES, l->slot_bytes, ETH_P_MPLS_UC);
    if (!l->wire) return -errno;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = WIRE_TAG};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, wire_fd(l->wire), &e) < 0 ? -errno : 0;
}

/* ---- changes from outside the loop ---- */

/* Between two turns of the loop time has passed: nothing new may begin in the past. */
static void catch_up(lc *l) {
    l->now_ns = lc_present_ns(l, lc_clock_ns(CLOCK_MONOTONIC));
    handle_events(l, l->now_ns);
}

int lc_open_channel(lc *l, uint32_t endpoint, uint32_t id, uint32_t out, uint32_t in) {
    if (unet_open_channel(&l->endpoint[endpoint], id, out) < 0) return -1;
    l->vc[out].endpoint = endpoint;
    l->vc[out].channel = id;
    l->vc[in].to_endpoint = endpoint;
    l->vc[in].to_channel = id;
    catch_up(l);
    lc_feed_endpoint(l, endpoint); /* what waits in its send queue already */
    return 0;
}

void lc_close_channel(lc *l, uint32_t endpoint, uint32_t id) {
    unet_close_channel(&l->endpoint[endpoint], id);
    for (uint32_t v = 0; v < l->f->vcs; v++) {
        lc_vc *x = &l->vc[v];
        if (x->endpoint == endpoint && x->channel == id) x->endpoint = FAB_NONE;
        if (x->to_endpoint == endpoint && x->to_channel == id) x->to_endpoint = FAB_NONE;
    }
    unet_set_idle(&l->endpoint[endpoint], 1);
}

void lc_detach(lc *l, uint32_t endpoint) {
    unet_ni *ni = &l->endpoint[endpoint];
    catch_up(l); /* what is due at it by now is still its */
    if (ni->segment && ni->doorbell >= 0) epoll_ctl(l->epoll, EPOLL_CTL_DEL, ni->doorbell, 0);
    unet_detach(ni);
}

void lc_cut(lc *l, uint32_t port, int cut) {
    catch_up(l);
    fab_set_cut(l->f, port, cut, l->at_ns);
    lc_settle(l);
}

/* ---- passes ---- */

void lc_hold(lc *l) {
    l->announced = 0;
    for (uint32_t e = 0; e < l->endpoints; e++) announce(l, &l->endpoint[e]);
}

static void forget_totals(lc *l) {
    l->stats = (lc_stats){0};
    memset(l->node_in, 0, l->o.max_nodes * sizeof *l->node_in);
    memset(l->node_out, 0, l->o.max_nodes * sizeof *l->node_out);
    memset(l->sampled, 0, l->o.max_ports * sizeof *l->sampled);
    for (int i = 0; i < LC_SERIES; i++) l->series[i].rows = l->series[i].lost = 0;
    l->late = (lateness_row){0};
    l->late_sum_us = l->cross_sum_us = l->excess_sum_ns = 0;
}

void lc_pass(lc *l, const fab_params *params, const lc_inputs *inputs, int64_t epoch_ns,
             int64_t end_ns, int64_t sample_ns) {
    lc_flush(l);
    l->events.n = 0;
    l->f->params = *params;
    fab_clear(l->f, params->flow_control);
    lc_set_inputs(l, inputs);
    forget_totals(l);
    for (uint32_t v = 0; v < l->f->vcs; v++) l->vc[v] = lc_idle_vc(&l->vc[v]);
    l->held = 0;
    l->drawn = 0;
    l->epoch_ns = epoch_ns;
    l->end_ns = end_ns;
    l->now_ns = l->at_ns = lc_present_ns(l, lc_clock_ns(CLOCK_MONOTONIC));
    for (uint32_t n = 0; n < l->o.max_nodes; n++) l->processor_free_ns[n] = l->at_ns;
    l->sample_ns = sample_ns;
    l->next_sample_ns = 0;
    l->pass_number++;
    l->announced = 1;
    for (uint32_t e = 0; e < l->endpoints; e++) announce(l, &l->endpoint[e]);
    lc_feed_all(l); /* nothing is held back by what has been forgotten */
}
