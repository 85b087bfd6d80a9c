/* What the parts of the simulator share; see virtual.h. */
#ifndef LAB_VIRTUAL_IN_H
#define LAB_VIRTUAL_IN_H

#include "virtual.h"

enum {
    EV_DONE,     /* port: the transmission under way ends */
    EV_ARRIVE,   /* port, frame: reaches the node behind it */
    EV_CHANGE,   /* vc: the next change of its stream */
    EV_DUE,      /* vc, generation: a paced message */
    EV_PUSH,     /* vc, bytes: a message that a process was to spend time on first */
    EV_CUT,      /* vc: the adapter's processor has prepared a frame */
    EV_TAKEN_IN, /* node, frame: it has taken in a frame */
    EV_HOLD,     /* vc: a held source */
    EV_PATIENCE  /* vc: an echo */
};

enum { TAG_DELIVERY = 1, TAG_QUENCH, TAG_UNQUENCH, TAG_STOP, TAG_GO, TAG_HOLD_OVER };

/* virtual.c: carry out what the model asked for. */
void vd_settle(vd *d);
void vd_note(vd *d, uint32_t tag, uint32_t what, uint32_t hop);

/* frames.c: messages to frames and back. */
void vd_feed(vd *d, uint32_t vc);                    /* adapter: take what it may */
int vd_push(vd *d, uint32_t vc, int64_t bytes);      /* process: one message; 0: queue full */
void vd_cut_done(vd *d, uint32_t vc);
void vd_frame_left(vd *d, uint32_t vc, int last);    /* a frame has left its first adapter */
void vd_arrive_host(vd *d, uint32_t frame, uint32_t node);
void vd_taken_in(vd *d, uint32_t frame);
void vd_lose(vd *d, uint32_t frame);

/* flows.c: what processes do. */
void vd_change_due(vd *d, uint32_t vc);
void vd_message_due(vd *d, uint32_t vc, uint32_t generation);
void vd_push_due(vd *d, uint32_t vc, uint32_t bytes);
void vd_patience_over(vd *d, uint32_t vc);
void vd_took(vd *d, uint32_t vc, int64_t bytes, int64_t accepted_ns); /* a slot is free again */
void vd_delivered(vd *d, uint32_t vc, const vd_message *m);

#endif
