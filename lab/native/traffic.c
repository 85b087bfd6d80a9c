/* What happens to frames: from send queues into the fabric, from switch to switch, into receive
 * queues; and quench cells on their way back.  See linecard.h. */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "linecard_in.h"

static const uint8_t ETHERNET[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x47};
#define DATA_CLASS 0
#define CONTROL_CLASS 7

static void put_label(uint8_t *at, uint32_t label, uint32_t class) {
    uint32_t entry = htonl(label << 12 | class << 9 | 1u << 8 | 64);
    memcpy(at, &entry, 4);
}

static uint32_t get_label(const uint8_t *at) {
    uint32_t entry;
    memcpy(&entry, at, 4);
    return ntohl(entry) >> 12;
}

/* Cells that a message of that length takes in the adaptation layer. */
static int32_t cells_of(const lc *l, uint32_t length) {
    uint32_t all = length + l->o.trailer_bytes;
    return (int32_t)((all + l->o.cell_payload_bytes - 1) / l->o.cell_payload_bytes);
}

static void write_frame(lc *l, uint32_t frame, uint32_t label, uint32_t class, pdu p,
                        const uint8_t *payload) {
    uint8_t *b = lc_bytes(l, frame);
    memcpy(b, ETHERNET, sizeof ETHERNET);
    put_label(b + 14, label, class);
    p.magic = PDU_MAGIC;
    p.pass = l->pass_number;
    memcpy(b + PDU_AT, &p, sizeof p);
    if (p.length) memcpy(b + PAYLOAD_AT, payload, p.length);
    l->size[frame] = PAYLOAD_AT + p.length;
}

/* ---- endpoints to fabric ---- */

void lc_touch(lc *l, uint32_t endpoint) {
    if (l->endpoint[endpoint].touched) return;
    l->endpoint[endpoint].touched = 1;
    l->touched[l->touches++] = endpoint;
}

static uint32_t channel_index(const unet_ni *ni, uint32_t id) {
    for (uint32_t c = 0; c < ni->channels; c++)
        if (ni->channel[c].id == id) return c;
    return FAB_NONE;
}

static void enter(lc *l, uint32_t vc, unet_ni *ni, uint32_t c, const unet_message *m) {
    uint32_t frame = fab_take_frame(l->f);
    if (frame == FAB_NONE) {
        l->stats.no_frame++; /* the message stays in its send queue */
        return;
    }
    pdu p = {.kind = FAB_DATA,
             .length = (uint16_t)m->length,
             .seq = m->seq,
             .sent_ns = l->at_ns};
    write_frame(l, frame, l->label[l->f->vc[vc].first_queue], DATA_CLASS, p, m->data);
    unet_injected(ni, c, m, l->at_ns);
    fab_frame *fr = &l->f->frame[frame];
    fr->vc = vc;
    fr->hop = 0;
    fr->cells = fr->message_cells = cells_of(l, m->length);
    fr->last = 1;
    l->stats.sent++;
    fab_arrive(l->f, frame, l->at_ns); /* an adapter is bounded by its window, not by memory */
    lc_settle(l);
}

void lc_feed(lc *l, uint32_t vc) {
    fab_vc *v = &l->f->vc[vc];
    lc_vc *x = &l->vc[vc];
    if (x->endpoint == FAB_NONE || !v->open) return;
    unet_ni *ni = &l->endpoint[x->endpoint];
    if (!ni->segment) return;
    uint32_t c = channel_index(ni, x->channel);
    if (c == FAB_NONE) return;
    fab_queue *q = &l->f->queue[v->first_queue];
    for (;;) {
        unet_message m;
        if (q->messages >= l->o.window) break;
        if (!unet_next(ni, c, &m)) break;
        int64_t sent = l->stats.sent;
        enter(l, vc, ni, c, &m);
        if (l->stats.sent == sent) break;
    }
    lc_touch(l, x->endpoint);
}

void lc_feed_endpoint(lc *l, uint32_t endpoint) {
    unet_ni *ni = &l->endpoint[endpoint];
    for (int again = 0; again < 2; again++) {
        for (uint32_t c = 0; c < ni->channels; c++) lc_feed(l, ni->channel[c].vc);
        /* With one channel whose adapter queue is full, the next departure looks at the send queue
         * anyway, so the process need not ring. */
        int busy = ni->channels == 1 &&
                   l->f->queue[l->f->vc[ni->channel[0].vc].first_queue].messages >= l->o.window;
        if (!unet_set_idle(ni, !busy)) return;
    }
}

/* ---- switch to line card ---- */

static uint32_t queue_of(const lc *l, uint32_t port, uint32_t label) {
    const lc_port *p = &l->port[port];
    return label < p->labels ? p->vc_of_label[label] : 0;
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
    if (p.magic != PDU_MAGIC || p.kind > FAB_CELL_UNQUENCH || p.length != bytes - PAYLOAD_AT) {
        l->stats.malformed++;
        return;
    }
    lc_observe_crossing(l, l->stamp_ns - p.handed_ns);
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
    fr->cells = fr->message_cells = p.kind == FAB_DATA ? cells_of(l, p.length) : 1;
    fr->last = 1;
    if (p.kind != FAB_DATA) {
        fab_control(l->f, frame, l->at_ns);
    } else if (fab_arrive(l->f, frame, l->at_ns) < 0) {
        l->stats.overflow++;
        fab_drop_frame(l->f, frame);
    }
    lc_settle(l);
}

/* ---- line card to switch or endpoint ---- */

void lc_flush(lc *l) {
    l->stats.tx_refused += wire_flush(l->wire);
    for (uint32_t i = 0; i < l->outgoings; i++) fab_drop_frame(l->f, l->outgoing[i]);
    l->outgoings = 0;
}

static void send_into(lc *l, uint32_t node, int ifindex, uint32_t frame) {
    int64_t handed_ns = lc_clock_ns(CLOCK_MONOTONIC);
    memcpy(lc_bytes(l, frame) + PDU_AT + offsetof(pdu, handed_ns), &handed_ns, sizeof handed_ns);
    l->node_in[node]++;
    l->stats.into_switches++;
    l->outgoing[l->outgoings++] = frame;
    if (wire_send(l->wire, ifindex, lc_bytes(l, frame), l->size[frame])) lc_flush(l);
}

static void to_endpoint(lc *l, uint32_t frame) {
    fab_frame *fr = &l->f->frame[frame];
    pdu p;
    memcpy(&p, lc_bytes(l, frame) + PDU_AT, sizeof p);
    lc_vc *x = &l->vc[fr->vc];
    unet_ni *ni = x->to_endpoint == FAB_NONE ? 0 : &l->endpoint[x->to_endpoint];
    const uint8_t *payload = lc_bytes(l, frame) + PAYLOAD_AT;
    if (ni && unet_deliver(ni, x->to_channel, payload, p.length, p.seq, p.sent_ns, l->at_ns) == 0) {
        l->stats.delivered++;
        l->totals[fr->vc].messages++;
        l->totals[fr->vc].bytes += p.length;
    } else {
        l->stats.dropped_endpoint++;
    }
    if (ni) lc_touch(l, x->to_endpoint);
}

/* A quench cell has come to the adapter of the source that it is meant for. */
static void to_source(lc *l, uint32_t frame) {
    pdu p;
    memcpy(&p, lc_bytes(l, frame) + PDU_AT, sizeof p);
    uint32_t vc = l->f->vc[l->f->frame[frame].vc].reverse;
    l->stats.control_arrived++;
    if (p.about_vc != vc || p.about_hop >= l->f->vc[vc].hops) {
        l->stats.malformed++; /* not about the VC whose reverse brought it: forged */
        return;
    }
    fab_source(l->f, vc, p.about_hop, p.kind == FAB_CELL_QUENCH, l->at_ns);
    lc_settle(l);
    lc_feed(l, vc);
}

void lc_deliver(lc *l, uint32_t frame, uint32_t port) {
    fab_port *p = &l->f->port[port];
    l->stats.packet_hops++;
    if (l->f->node[p->peer].kind == FAB_SWITCH) {
        send_into(l, p->peer, l->port[port].far_ifindex, frame);
        return;
    }
    if (l->f->frame[frame].kind == FAB_DATA)
        to_endpoint(l, frame);
    else
        to_source(l, frame);
    fab_drop_frame(l->f, frame);
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
    pdu p = {.kind = kind, .about_hop = (uint8_t)hop, .about_vc = vc, .sent_ns = l->at_ns};
    f->frame[frame].kind = kind;
    f->frame[frame].cells = 1;
    f->frame[frame].last = 0;
    write_frame(l, frame, l->label[back->first_queue + back->hops - hop - 1], CONTROL_CLASS, p, 0);
    l->stats.control_sent++;
    send_into(l, f->port[port].node, l->port[port].own_ifindex, frame);
}

static void carry_out(lc *l, const fab_action *a) {
    switch (a->what) {
    case FAB_BUSY:
        evq_push(&l->events, a->t1, LC_EV_DONE, a->port, 0);
        break;
    case FAB_DELIVER:
        evq_push(&l->events, a->t1, LC_EV_DELIVER, a->frame, a->port);
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
