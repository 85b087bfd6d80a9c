/* What happens to frames: out of switches into the fabric, from the fabric into switches and hosts,
 * and quench cells on their way back.  See linecard.h. */
#include <arpa/inet.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "linecard_in.h"

static const uint8_t ETHERNET[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x47};
#define DATA_CLASS 0
#define CONTROL_CLASS 7
/* A frame is put into a switch when its transmission begins, so little before it is due there. */
#define FARTHEST_DUE_NS 1000000000

static void put_label(uint8_t *at, uint32_t label, uint32_t class) {
    uint32_t entry = htonl(label << 12 | class << 9 | 1u << 8 | 64);
    memcpy(at, &entry, 4);
}

static uint32_t get_label(const uint8_t *at) {
    uint32_t entry;
    memcpy(&entry, at, 4);
    return ntohl(entry) >> 12;
}

void lc_write_pdu(lc *l, uint32_t frame, uint32_t label, uint32_t class, pdu p) {
    uint8_t *b = lc_bytes(l, frame);
    memcpy(b, ETHERNET, sizeof ETHERNET);
    put_label(b + 14, label, class == FAB_DATA ? DATA_CLASS : CONTROL_CLASS);
    p.magic = PDU_MAGIC;
    p.pass = l->pass_number;
    memcpy(b + PDU_AT, &p, sizeof p);
}

void lc_touch(lc *l, uint32_t endpoint) {
    if (l->endpoint[endpoint].touched) return;
    l->endpoint[endpoint].touched = 1;
    l->touched[l->touches++] = endpoint;
}

/* ---- switch to line card ---- */

static uint32_t queue_of(const lc *l, uint32_t port, uint32_t label) {
    const lc_port *p = &l->port[port];
    return label < p->labels ? p->vc_of_label[label] : 0;
}

/* A frame enters the queue behind the switch. */
void lc_arrive(lc *l, uint32_t frame) {
    if (l->f->frame[frame].kind != FAB_DATA) {
        fab_control(l->f, frame, l->at_ns);
    } else if (fab_arrive(l->f, frame, l->at_ns) < 0) {
        l->stats.overflow++;
        fab_drop_frame(l->f, frame);
    }
    lc_settle(l);
}

/* Whether a frame is one of ours, as we put it in. */
static int well_formed(const lc *l, const pdu *p, uint32_t bytes) {
    uint32_t payload = bytes - PAYLOAD_AT;
    if (p->magic != PDU_MAGIC || p->due_ns > l->now_ns + FARTHEST_DUE_NS) return 0;
    if (p->kind != FAB_DATA) return p->kind <= FAB_CELL_UNQUENCH && payload == 0;
    return p->cells > 0 && p->cells <= l->in.frame_cells &&
           payload == p->cells * l->in.cell_payload_bytes;
}

/* Into the queue now, or when the modelled switch would have let it through; never, when the pass
 * is over: then it stays here. */
static void let_through(lc *l, uint32_t frame, const pdu *p) {
    int64_t there_ns = p->due_ns + l->in.switch_latency_ns;
    int64_t put_out_ns = lc_virtual_ns(l, l->stamp_ns);
    if (put_out_ns < l->at_ns) put_out_ns = l->at_ns;
    lc_observe_crossing(l, l->stamp_ns - p->handed_ns, put_out_ns - there_ns);
    if (lc_over(l) && there_ns <= l->end_ns) there_ns = l->end_ns + 1;
    if (there_ns > l->at_ns)
        evq_push(&l->events, there_ns, LC_EV_ARRIVE, l->f->frame[frame].vc, frame);
    else
        lc_arrive(l, frame);
}

void lc_receive(lc *l, const uint8_t *data, uint32_t bytes, int ifindex) {
    uint32_t port = (uint32_t)ifindex < l->ifindices ? l->port_of_ifindex[ifindex] : FAB_NONE;
    if (port == FAB_NONE) {
        l->stats.unknown++;
        return;
    }
    pdu p;
    if (bytes < PAYLOAD_AT || bytes > l->slot_bytes) {
        l->stats.malformed++;
        return;
    }
    memcpy(&p, data + PDU_AT, sizeof p);
    if (p.magic == PDU_MAGIC && p.pass != l->pass_number) {
        l->stats.stale++;
        return;
    }
    l->node_out[l->f->port[port].node]++;
    l->stats.out_of_switches++;
    uint32_t queue = queue_of(l, port, get_label(data + 14));
    if (!queue) {
        l->stats.unknown++;
        return;
    }
    if (!well_formed(l, &p, bytes)) {
        l->stats.malformed++;
        return;
    }
    uint32_t frame = fab_take_frame(l->f);
    if (frame == FAB_NONE) {
        l->stats.no_frame++;
        return;
    }
    fab_queue *q = &l->f->queue[queue - 1];
    fab_frame *fr = &l->f->frame[frame];
    memcpy(lc_bytes(l, frame), data, bytes);
    l->size[frame] = bytes;
    fr->vc = q->vc;
    fr->hop = (uint16_t)q->hop;
    fr->kind = p.kind;
    fr->cells = p.kind == FAB_DATA ? p.cells : 1;
    fr->message_cells = p.kind == FAB_DATA && p.index == 0 ? (int32_t)p.message_cells : 0;
    fr->last = p.kind == FAB_DATA && p.last;
    let_through(l, frame, &p);
}

/* ---- line card to switch or host ---- */

void lc_flush(lc *l) {
    l->stats.tx_refused += wire_flush(l->wire);
    for (uint32_t i = 0; i < l->outgoings; i++) fab_drop_frame(l->f, l->outgoing[i]);
    l->outgoings = 0;
}

static void send_into(lc *l, uint32_t node, int ifindex, uint32_t frame, int64_t due_ns) {
    int64_t times[2] = {due_ns, lc_clock_ns(CLOCK_MONOTONIC)};
    _Static_assert(offsetof(pdu, handed_ns) == offsetof(pdu, due_ns) + 8, "side by side");
    memcpy(lc_bytes(l, frame) + PDU_AT + offsetof(pdu, due_ns), times, sizeof times);
    l->node_in[node]++;
    l->stats.into_switches++;
    l->outgoing[l->outgoings++] = frame;
    if (wire_send(l->wire, ifindex, lc_bytes(l, frame), l->size[frame])) lc_flush(l);
}

/* Planned loss: a decision with that chance, the same in every run with the seed and order. */
static int happens(lc *l, double chance) {
    if (chance <= 0) return 0;
    return (double)(ev_mix(l->in.loss.seed ^ ++l->drawn) >> 11) * 0x1p-53 < chance;
}

/* That it happens to at least one of the cells of a frame. */
static int befalls(lc *l, double chance, int32_t cells) {
    return chance > 0 && happens(l, -expm1(cells * log1p(-chance)));
}

static void change_a_bit(lc *l, uint32_t frame) {
    uint64_t where = ev_mix(l->in.loss.seed ^ ~l->drawn);
    uint8_t *payload = lc_bytes(l, frame) + PAYLOAD_AT;
    payload[where % (l->size[frame] - PAYLOAD_AT)] ^= (uint8_t)(1u << (where >> 61));
}

/* A frame begins to leave a port. */
static void leave(lc *l, const fab_action *a) {
    const fab_port *p = &l->f->port[a->port];
    const fab_frame *fr = &l->f->frame[a->frame];
    if (fr->kind == FAB_DATA && befalls(l, l->in.loss.cell_loss, fr->cells)) {
        l->stats.cells_lost_on_purpose += fr->cells;
        fab_drop_frame(l->f, a->frame);
        return;
    }
    if (fr->kind == FAB_DATA && befalls(l, l->in.loss.cell_corruption, fr->cells)) {
        l->stats.cells_corrupted_on_purpose++;
        change_a_bit(l, a->frame);
    }
    if (l->f->node[p->peer].kind != FAB_SWITCH) {
        evq_push(&l->events, a->t1, LC_EV_DELIVER, a->port, a->frame);
        return;
    }
    l->stats.packet_hops++;
    lc_observe_late(l, l->now_ns - a->t1);
    send_into(l, p->peer, l->port[a->port].far_ifindex, a->frame, a->t1);
}

/* A quench cell has come to the adapter of the source that it is meant for. */
static void to_source(lc *l, uint32_t frame) {
    pdu p;
    memcpy(&p, lc_bytes(l, frame) + PDU_AT, sizeof p);
    uint32_t vc = l->f->vc[l->f->frame[frame].vc].reverse;
    fab_drop_frame(l->f, frame);
    l->stats.control_arrived++;
    if (p.about_vc != vc || p.about_hop >= l->f->vc[vc].hops) {
        l->stats.malformed++; /* not about the VC whose reverse brought it: forged */
        return;
    }
    if (happens(l, l->in.loss.control_loss)) {
        l->stats.control_lost_on_purpose++;
        return;
    }
    fab_source(l->f, vc, p.about_hop, p.kind == FAB_CELL_QUENCH, l->at_ns);
    lc_settle(l);
}

void lc_reach_host(lc *l, uint32_t frame, uint32_t port) {
    fab_frame *fr = &l->f->frame[frame];
    l->stats.packet_hops++;
    lc_observe_late(l, l->now_ns - l->at_ns);
    if (fr->kind != FAB_DATA) {
        to_source(l, frame);
        return;
    }
    if (!l->processors) {
        lc_take_in(l, frame);
        return;
    }
    pdu p;
    memcpy(&p, lc_bytes(l, frame) + PDU_AT, sizeof p);
    int64_t bytes = p.last && p.index == 0 ? lc_message_bytes(l, frame, p.cells) : INT64_MAX;
    int64_t work = ni_receive_work(&l->in.costs, bytes, fr->cells, fr->last);
    int64_t *free_ns = &l->processor_free_ns[l->f->port[port].peer];
    evq_push(&l->events, ni_done_ns(free_ns, l->at_ns, work), LC_EV_RECEIVED, fr->vc, frame);
}

/* ---- what the model asks for ---- */

/* The cell goes into the congested switch by the port that its data would leave it: from there the
 * switch itself sends it back along the reverse VC. */
static void signal_source(lc *l, uint32_t vc, uint32_t hop, uint8_t kind) {
    fab *f = l->f;
    fab_vc *v = &f->vc[vc];
    uint32_t frame = fab_take_frame(f);
    if (frame == FAB_NONE) {
        l->stats.no_frame++;
        return;
    }
    fab_vc *back = &f->vc[v->reverse];
    uint32_t port = f->queue[v->first_queue + hop].port;
    pdu p = {.kind = kind, .about_hop = hop, .about_vc = vc, .sent_ns = l->at_ns};
    f->frame[frame].kind = kind;
    f->frame[frame].cells = 1;
    f->frame[frame].last = 0;
    lc_write_pdu(l, frame, l->label[back->first_queue + back->hops - hop - 1], kind, p);
    l->size[frame] = PAYLOAD_AT;
    l->stats.control_sent++;
    send_into(l, f->port[port].node, l->port[port].own_ifindex, frame, l->at_ns);
}

static void carry_out(lc *l, const fab_action *a) {
    switch (a->what) {
    case FAB_BUSY:
        evq_push(&l->events, a->t1, LC_EV_DONE, a->port, 0);
        break;
    case FAB_DELIVER:
        leave(l, a);
        break;
    case FAB_QUENCH:
        l->stats.quenches++;
        l->totals[a->vc].quenches++;
        lc_observe_event(l, 0, a->port, a->vc, a->hop);
        signal_source(l, a->vc, a->hop, FAB_CELL_QUENCH);
        break;
    case FAB_UNQUENCH:
        l->stats.unquenches++;
        lc_observe_event(l, 1, a->port, a->vc, a->hop);
        signal_source(l, a->vc, a->hop, FAB_CELL_UNQUENCH);
        break;
    case FAB_STOP:
        l->stats.stops++;
        lc_observe_event(l, 2, a->port, FAB_NONE, 0);
        break;
    case FAB_GO:
        l->stats.goes++;
        lc_observe_event(l, 3, a->port, FAB_NONE, 0);
        break;
    case FAB_HOLD:
        evq_push(&l->events, a->t1, LC_EV_HOLD, a->vc, 0);
        break;
    default:
        abort();
    }
}

void lc_settle(lc *l) {
    for (int32_t i = 0; i < l->f->actions; i++) carry_out(l, &l->f->action[i]);
    l->f->actions = 0;
}
