/* How much, how often and how long, inside a fabric; what its users must know is in fabric.h. Times
 * are in ms. Layer: fabric. */
#pragma once

enum {
    HF_FABRIC_NOBODY = 0xffff,
    HF_FABRIC_GRANTER_BITS = 8,         /* of an epoch: who granted it */
    HF_FABRIC_BUCKETS = 1024,           /* of a digest */
    HF_FABRIC_PULLS_LEFT = 256,         /* of a list; then more is asked for */
    HF_FABRIC_SCAN = 5000,              /* records looked at in a tick, to adopt or hand over */
    HF_FABRIC_SURVEY_WORK = 200 * 1000, /* of a tick: records times nodes and BASE; 1 to 2 ms */
    HF_FABRIC_SURVEY_BASE = 40,         /* what a record costs beside its rank, in nodes */
    HF_FABRIC_SYNC_BUSY_MS = 200,       /* who compares says so that often */
    HF_FABRIC_ADOPTED = 1024,           /* orphans adopted in a tick, */
    HF_FABRIC_ADOPTED_MIN = 16,         /* so many even while a peer's queue is crowded: */
    HF_FABRIC_CROWDED = 256 * 1024,     /* by bytes that wait for it, */
    HF_FABRIC_COPIES = 1024,            /* or by copies that it did not acknowledge yet */
    HF_FABRIC_NODE_QUIET_MS = 2,        /* times nodes: without a change before all is compared, */
    HF_FABRIC_QUIET_MS_MAX = 1000,      /* or changes go on for that long */
    HF_FABRIC_SYNC_RETRY_MS = 500,      /* a resync without progress begins anew */
    HF_FABRIC_SYNC_AGAIN_MS = 1000,     /* and a finished one is repeated after that, */
    HF_FABRIC_SYNC_WHOLE_NODES = 4,     /* so many nodes compare all a second after a change */
    HF_FABRIC_SYNC_AGAINS = 2,     /* so often: the two may have seen a change at different times */
    HF_FABRIC_SYNC_RELISTED = 500, /* records listed again; of more the sums are compared */
    HF_FABRIC_RELEASED_MS = 5000,  /* a released copy leaves a pointer for this long */
    HF_FABRIC_RETRY_MS = 5,        /* until a request that was sent away is repeated */
    HF_FABRIC_DIRTY = 1024,        /* chains of operations that wait for acknowledgements */
    HF_FABRIC_ACTIVE = 1024,       /* chains of activities */
    HF_FABRIC_BRAKES = 1024,       /* records whose moves are remembered */
    HF_FABRIC_ENDED = 16384,       /* places for records that ended */
    HF_FABRIC_ENDED_MS = 5 * 60 * 1000, /* longer than it takes to find a copy left behind */
    HF_FABRIC_EVICTED_MS = 10 * 1000, /* without an eviction, until all are asked what they hold */
    HF_FABRIC_LEAP = 256,      /* more epochs than a cut-off home grants to one record in a lease */
    HF_FABRIC_BRAKE_MOVES = 3, /* more moves than this in */
    HF_FABRIC_BRAKE_WINDOW_MS = 2000,
    HF_FABRIC_BRAKE_PIN_MS = 5000, /* pin a record for this long */
    HF_FABRIC_REQUESTS_MAX = 64,   /* waiting at a home for one record */
    HF_FABRIC_OFFERED = 64,        /* records offered in a tick */
    HF_FABRIC_OFFER_AGAIN_MS = 50, /* until those that nobody took are offered again */
    HF_FABRIC_OFFER_IDLE_MS = 500, /* until it is looked again whether something is owned */
    HF_FABRIC_TAKING_MAX = 256,    /* records being taken over at once; more are offered again */
    HF_FABRIC_RELAYED_MAX = 4096,  /* relayed to one owner, and remembered in case it ends */
};
