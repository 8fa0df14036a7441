/* The inside of a fabric, shared by its files. Threads: the fabric's. Layer: fabric. */
#pragma once
#include "base/assert.h"
#include "base/bytes.h"
#include "fabric/fabric.h"
#include "fabric/limits.h"
#include "fabric/wire.h"

enum { HF_FABRIC_MAGIC = 0x4fab21c5 };

enum hf_peer_status { HF_PEER_DEAD, HF_PEER_SYNCING, HF_PEER_READY, HF_PEER_LEAVING };

enum hf_peer_flag { /* HEARTBEAT */
                    HF_PEER_COUNTS_YOU = 1,
                    HF_PEER_TWO_BACKUPS = 2, /* its settings, which all are to have alike */
                    HF_PEER_CONSISTENT = 4,
                    HF_PEER_DRAINS = 8,
                    HF_PEER_SETTINGS = HF_PEER_TWO_BACKUPS | HF_PEER_CONSISTENT,
};
enum hf_answer_flag {
    HF_ANSWER_YIELDED = 1,
    HF_ANSWER_PULLED = 2,
    HF_ANSWER_VALUE = 4,
    HF_ANSWER_SERVED = 8, /* until now; or it had yielded before, to a home now cut off */
};
enum hf_nack_flag { HF_NACK_STALE = 1, HF_NACK_BULK = 2, HF_NACK_FULL = 4 };
/* Flags beside those of enum hf_fabric_flag: of a REQUEST whose owner, as the home told, serves it
 * no longer; of operations of our own making. */
enum { HF_OP_REFUSED = 32, HF_OP_RELEASE = 64, HF_OP_REMOTE = 128 };
/* LAST: of the lists in VERSIONS; CHANGES: what a change concerns, after what was told under the
 * view NUMBER; TELL: in DIGEST, tell me yours too. */
enum hf_sync_flag { HF_SYNC_LAST = 1, HF_SYNC_TELL = 2, HF_SYNC_CHANGES = 4 };

struct hf_queue_bulk { /* a message longer than a chunk, or behind one of the same record */
    struct hf_list node;
    uint64_t hash;
    size_t size, sent;
    char bytes[];
};

struct hf_queue {          /* bytes for one peer */
    struct hf_bytes brief; /* short messages, whole */
    struct hf_list bulk;   /* of struct hf_queue_bulk: long ones */
    size_t bulk_size;
    bool chunk_next; /* chunks and other messages take turns */
};

enum hf_sync_step { HF_SYNC_IDLE, HF_SYNC_SUMMING, HF_SYNC_ASKED, HF_SYNC_LISTING, HF_SYNC_LISTED };

struct hf_sync { /* both directions of one pair */
    /* Telling: what we hold, to the peer. */
    bool wanted;
    bool whole; /* all of it, not only what has changed */
    bool asks;  /* the peer is to tell us in turn */
    unsigned agains;
    uint64_t again_ms;
    enum hf_sync_step step;
    bool tells_whole;
    bool owes, settles; /* what found no room is to be told; the telling under way does so */
    uint64_t number;    /* of the telling: drawn, or the view that changes build on */
    uint64_t view, progress_ms;
    uint64_t whole_ms;               /* when all is to be told again; 0: not */
    uint64_t base;                   /* under this view the last telling ended; 0: none stands */
    uint64_t changed[HF_RANK_WORDS]; /* nodes that came, went or began anew since */
    uint32_t listed;                 /* entries of this telling */
    uint8_t different[HF_FABRIC_BUCKETS / 8];
    /* Being told. */
    bool comparing, last_list, hears_whole;
    bool asked_more;       /* for the next list */
    uint64_t their_number; /* of the telling */
    uint32_t round;        /* counts tellings: what was fetched for an earlier one counts no more */
    uint64_t their_view, busy_ms;
    uint64_t *theirs; /* owned [BUCKETS]; allocated on first use, as the sums */
    /* What the walk that is under way does for the peer. */
    bool summed, adds, lists;
    uint64_t *sums;              /* owned [BUCKETS]: what we hold that concerns the pair, */
    uint64_t sums_view, sums_ms; /* under that view, 0 = unknown, and when the walk ended */
    char *list;                  /* owned: entries of the next VERSIONS */
    size_t list_size;
    unsigned pulls;
    uint32_t heard_round, told_round; /* ours, when their telling began; of the last whole one */
    uint64_t done_view;               /* the peer has told all it held under this view */
};

struct hf_peer {
    enum hf_peer_status status;  /* as we count it */
    bool linked, decided;        /* decided: known alive or dead since our start */
    bool counts_us;              /* as it told last */
    bool ready_asked, ready_yes; /* whether it agrees to our becoming ready */
    uint64_t asks_ready;         /* the incarnation of it that waits for our agreeing; 0: none */
    bool gone;                   /* dead for certain: it serves nobody */
    bool drains;                 /* is to be given nothing, as it told last */
    uint8_t claims;              /* the status it told last */
    uint8_t settings;            /* likewise: of HF_PEER_SETTINGS */
    uint64_t incarnation, ready_incarnation;
    uint8_t stood; /* its status when all were last told of a change, */
    uint64_t stood_incarnation;
    uint64_t view;                 /* as it told last */
    uint64_t heard_ms, counted_ms; /* last heartbeat; last one that counted us */
    uint64_t lease_ms, echo_ms, beat_ms;
    uint16_t weight;
    uint64_t sent[HF_WIRE_LANES], taken[HF_WIRE_LANES], told[HF_WIRE_LANES]; /* REPLICATE numbers */
    uint64_t acked[HF_WIRE_LANES];
    struct hf_list needs[HF_WIRE_LANES];
    struct hf_list relayed;               /* what it was to do for others, youngest last */
    unsigned relayed_count, relayed_long; /* long: that may be under way themselves */
    struct hf_queue queue;
    char *partial; /* owned: a message that arrives in chunks */
    size_t partial_size, partial_whole;
    uint8_t lane_in; /* the lane of the message being handled */
    struct hf_sync sync;
};

struct hf_request { /* at a home: somebody wants the record */
    struct hf_list node;
    uint8_t origin, flags, state;
    uint64_t number, deadline_ms;
    uint64_t asked_ms;         /* by our clock, at the earliest; 0 = no telling */
    struct hf_version version; /* of the copy the requester holds */
    size_t size;
    char bytes[]; /* the operation */
};

enum hf_home_step { HF_HOME_IDLE, HF_HOME_QUERYING, HF_HOME_TRANSFERRING };

struct hf_activity {        /* a record about which something is under way */
    struct hf_list node;    /* hash chain */
    uint64_t hash, visited; /* visited: the round that saw it last */
    struct hf_list parked;  /* our operations that wait for an owner, in order */
    bool asked;             /* the first of them was sent to `asked_peer` */
    bool refused;           /* by the owner that the home named */
    bool outdated;          /* and what that peer grants is not to be taken any more */
    bool advancing, deciding;
    uint8_t asked_peer;
    uint64_t asked_number, asked_ms, retry_ms; /* asked_ms: or heard of it since */
    uint64_t asked_travel_ms;                  /* how long the question may be under way */
    /* Home side. */
    struct hf_list requests;
    unsigned request_count;
    enum hf_home_step step;
    uint64_t number;       /* of the question under way */
    uint64_t travels_ms;   /* until when it may be under way */
    uint64_t under_way_ms; /* when those who wait were told last that its answer is coming */
    uint64_t waiting[HF_RANK_NODES_MAX / 64];
    uint64_t holders[HF_RANK_NODES_MAX / 64]; /* who answered that they have a copy */
    bool known;                               /* every live node was asked */
    bool yielded; /* the owner has stopped serving and told its version */
    bool denied;  /* the owner says it holds nothing */
    bool lost;    /* what was learned by asking the store has dropped again */
    bool hearsay; /* asked with no record here: whatever pointers others have, its end was seen */
    uint32_t epoch_seen;
    uint16_t id_size;
    char id[];
};

struct hf_brake {
    uint64_t hash, window_ms, pinned_until_ms;
    unsigned moves;
};

struct hf_leap { /* a record whose epoch stands above what a missing node may have granted */
    uint64_t hash;
    uint32_t outage;
};

struct hf_ended {
    uint64_t hash, until_ms;
    struct hf_version version; /* it and what was before it is no more */
};

struct hf_evicted { /* buckets of which the store dropped records for room */
    uint8_t recent[HF_FABRIC_BUCKETS / 8];
    uint8_t asked[HF_FABRIC_BUCKETS / 8]; /* before all were asked to tell what they hold */
    bool some, asks;                      /* recent, asked have a bit */
    uint64_t last_ms;                     /* of what was dropped or asked */
    uint32_t round;                       /* of asking */
};

struct hf_survey {      /* a walk over the store for all peers that wait for it */
    bool walking, full; /* full: somebody's list is, and is to be sent */
    bool whole;         /* some peer wants all that concerns it, or the sums of that; else */
    uint64_t changed[HF_RANK_WORDS]; /* only records that one of these nodes has to do with */
    uint64_t cursor, view;
    uint64_t began_ms, rest_ms; /* the walk began then; none begins before */
    int left;                   /* work that it may still do before the next tick */
};

struct hf_fabric {
    uint32_t magic;
    struct hf_fabric_settings settings;
    const struct hf_rank *rank; /* borrowed */
    struct hf_fabric_store store;
    struct hf_fabric_host host;
    struct hf_fabric_counts counts;
    uint64_t now_ms, started_ms;
    unsigned self;
    enum hf_peer_status status; /* ours */
    uint64_t incarnation, view;
    uint64_t leased_ms; /* until then hf_membership_leased is true of every hash; 0: ask it */
    uint16_t generation;
    bool changed;    /* who lives has changed; what follows from it is still to be done */
    uint64_t number; /* the last drawn for a question */
    /* Of what was forgotten, by bucket: what is granted next starts above it. */
    uint32_t epoch_high[HF_FABRIC_BUCKETS];
    uint32_t epoch_top; /* the highest that was met, of whatever record */
    struct hf_peer peers[HF_RANK_NODES_MAX];
    struct hf_list dirty[HF_FABRIC_DIRTY];
    struct hf_list writes; /* executed ops without word of a copy, by when to look again */
    struct hf_list guards; /* of those that were answered UNSURE, likewise */
    struct hf_list waiting, patient; /* parked ones, oldest first: reads, writes */
    struct hf_list
        adrift; /* writes whose link to the home ended, until nobody does them any more */
    struct hf_list active[HF_FABRIC_ACTIVE];
    size_t active_count;
    uint64_t round; /* counts hf_activity_each */
    unsigned depth; /* of calls: a finished operation may start the next inside */
    struct hf_brake brakes[HF_FABRIC_BRAKES];
    struct hf_leap leaps[HF_FABRIC_BRAKES];
    struct hf_ended ended[HF_FABRIC_ENDED];
    struct hf_evicted evicted;
    uint32_t outage; /* counts nodes that fell silent */
    uint64_t sweep_cursor, adopt_cursor, leave_cursor;
    uint64_t ready[HF_RANK_WORDS], joining[HF_RANK_WORDS];  /* nodes of that status, ours too */
    uint64_t serving[HF_RANK_WORDS], coming[HF_RANK_WORDS]; /* likewise, as they say themselves */
    uint64_t changed_ms, restless_ms; /* the last change of who lives or is linked; the first of
                                         those that followed each other closely */
    uint64_t lease_ms, dead_ms;       /* of so many nodes; the silence that makes one dead */
    uint64_t beats_ms;                /* when all were told of a change */
    bool beats;                       /* they are to be */
    uint64_t sweep_ms, swept;         /* when the next begins; records of the last */
    uint16_t sweep_generation, swept_generation; /* of ours, when it began; of the last whole one */
    bool adopting, adopt_again, handed_over, left_behind;
    bool drains;  /* we own as little as we can */
    bool offered; /* in the present round something was */
    uint64_t offer_cursor, offer_ms;
    unsigned taking; /* operations that take what was offered */
    struct hf_survey survey;
};

/* membership.c */
/* Ours, of HF_PEER_SETTINGS. */
uint8_t hf_membership_settings(const struct hf_fabric *f);
bool hf_membership_alive(const struct hf_fabric *f, unsigned node);
bool hf_membership_ready(const struct hf_fabric *f, unsigned node);
bool hf_membership_quorum(const struct hf_fabric *f);
/* Whether what the living know may be taken for all there is. Without it a home of a `consistent`
 * fabric decides nothing that a cut-off owner could contradict. */
bool hf_membership_sure(const struct hf_fabric *f);
/* A node is silent, and may still run and hold what it held. */
bool hf_membership_missing(const struct hf_fabric *f);
bool hf_membership_leased(const struct hf_fabric *f, uint64_t hash);
/* A lease ended early, or a node became ready: what was found of all leases holds no more. */
void hf_membership_leases_changed(struct hf_fabric *f);
int hf_membership_home(const struct hf_fabric *f, uint64_t hash);
unsigned hf_membership_targets(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                               uint8_t ret_targets[HF_FABRIC_TARGETS_MAX]);
/* As above, of all who may count so: who was agreed to as ready, but does not say so itself yet, is
 * not ready to others, and those behind it are still in its place. */
unsigned hf_membership_told(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                            uint8_t ret_targets[HF_FABRIC_TARGETS_MAX]);
/* Whether one of these nodes, that have come, gone or begun anew, is or was the owner, the home or
 * a backup, or may have been: of no other record any of those is another now. Costs a few scores,
 * not a rank. */
bool hf_membership_concerned(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                             const uint64_t changed[HF_RANK_WORDS]);
bool hf_membership_holds(const struct hf_fabric *f, uint64_t hash, unsigned owner, unsigned node);
void hf_membership_changed(struct hf_fabric *f);
/* Does what a change asks for, once the event that brought it has been handled. */
void hf_membership_settle(struct hf_fabric *f);
void hf_membership_dead(struct hf_fabric *f, unsigned peer, bool gone);
void hf_membership_heartbeat(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_membership_ready_ask(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_membership_ready_yes(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_membership_tick(struct hf_fabric *f);
void hf_membership_beat(struct hf_fabric *f, unsigned peer);
/* The process was stopped for a while: nobody is dead because we did not listen. */
void hf_membership_away(struct hf_fabric *f);
void hf_membership_rejoin(struct hf_fabric *f, enum hf_peer_status status);

/* fabric.c */
/* No record found before is in use any more. */
void hf_fabric_end_event(struct hf_fabric *f);

/* queue.c */
void hf_queue_init(struct hf_queue *queue);
void hf_queue_fini(struct hf_queue *queue);
size_t hf_queue_size(const struct hf_queue *queue);
/* So much waits for some peer that what nobody waits for had better come later. */
bool hf_queue_crowded(const struct hf_fabric *f);
/* False: not sent (no link, or too much waits). */
bool hf_queue_send(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m);
size_t hf_queue_pull(struct hf_queue *queue, char *out, size_t size);
/* Sends a REPLICATE with the next number of its lane; false when not sent. */
bool hf_queue_replicate(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m,
                        uint8_t *ret_lane);

/* record.c */
struct hf_fabric_record *hf_record_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
/* It was granted as a new one, and the grant ended before anything was made of it: there is none,
 * whatever its version says. */
bool hf_record_hollow(const struct hf_fabric *f, const struct hf_fabric_record *record);
struct hf_fabric_record *hf_record_ensure(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
void hf_record_remove(struct hf_fabric *f, struct hf_fabric_record *record);
uint8_t hf_record_state(const struct hf_fabric_record *record);
struct hf_version hf_record_version(const struct hf_fabric_record *record);
/* OWNER of the present generation, whatever its lease. */
bool hf_record_owned(const struct hf_fabric *f, const struct hf_fabric_record *record);
bool hf_record_has_value(const struct hf_fabric_record *record);
/* Copies know of a deadline as well as the wire let them: what is about to end here need not be
 * about to end at its owner, who is to be asked for it. */
bool hf_record_passing(const struct hf_fabric *f, const struct hf_fabric_record *record);
/* It is, and one that is to live for `remaining_ms`, 0 = for ever, lives longer. */
bool hf_record_outlived(const struct hf_fabric *f, const struct hf_fabric_record *record,
                        uint64_t remaining_ms);
uint64_t hf_record_remaining(const struct hf_fabric *f, const struct hf_fabric_record *record);
uint64_t hf_record_deadline(const struct hf_fabric *f, uint64_t remaining_ms);
/* Fills state, node, version, remaining and, when wanted, the image as bytes. */
void hf_record_describe(struct hf_fabric *f, struct hf_fabric_record *record, bool with_image,
                        struct hf_wire_message *m);
/* What a peer knows, if it is newer than what we do; false when it is not, or cannot be held. */
bool hf_record_take(struct hf_fabric *f, struct hf_slice id, uint64_t hash,
                    const struct hf_wire_message *m, bool with_value);

/* No epoch up to this one is granted again for records with this hash. To be told whenever a record
 * ends or gets another version: one that wins by a later birth may have the lower epoch. */
void hf_record_forget_epoch(struct hf_fabric *f, uint64_t hash, uint32_t epoch);
void hf_record_saw_epoch(struct hf_fabric *f, uint32_t epoch);
/* The epoch of a grant that comes after `epoch`. */
uint32_t hf_home_epoch(struct hf_fabric *f, uint64_t hash, uint32_t epoch);
/* Another's version wins over what we own, if we do: those who hold copies of ours compare with us
 * soon, because the new owner may not know of them. To be called before the record is changed. */
void hf_record_given_up(struct hf_fabric *f, const struct hf_fabric_record *record, uint64_t hash);
/* What is known here is older than what the message tells. */
bool hf_record_loses(const struct hf_fabric_record *mine, const struct hf_wire_message *m);
uint32_t hf_record_next_epoch(uint32_t epoch, unsigned granter);

/* owner.c */
/* The life of a record of ours is over, by its deadline or because nothing is in it: the backups
 * forget it. While a node is missing they remember that it ended, or what that node still holds of
 * it would be taken for the last there is; such a tombstone keeps nobody from making it anew. */
#define HF_FABRIC_EXPIRED UINT32_MAX /* the sequence of its version */
void hf_owner_tell_end(struct hf_fabric *f, struct hf_slice id, struct hf_version version);
/* The record. One that we serve and whose time is over is ended first, and there is none: were it
 * written on, its home, which is told of its end, would not know of the rest until a copy comes,
 * and answer that there is no such record. */
struct hf_fabric_record *hf_owner_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
void hf_owner_execute(struct hf_fabric *f, struct hf_fabric_record *record,
                      struct hf_fabric_op *op);
/* Executes for another node; its RESULT follows when the backups have it. */
void hf_owner_execute_for(struct hf_fabric *f, struct hf_fabric_record *record, unsigned origin,
                          const struct hf_wire_message *m);
/* Copies of what it made are still on their way: who asked for it waits on. */
void hf_owner_under_way(struct hf_fabric *f, struct hf_fabric_op *op);
/* An operation of our own making has come to its end. */
void hf_owner_finish(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status);
/* Ends one that the host held. */
void hf_owner_resume(struct hf_fabric *f, struct hf_fabric_op *op);
void hf_owner_install(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                      uint64_t hash, const struct hf_wire_message *grant);
void hf_owner_expire(struct hf_fabric *f, struct hf_fabric_record *record);
/* A write that nobody confirmed is about to be answered UNSURE: until somebody has it, nobody reads
 * what it made. */
void hf_owner_guard(struct hf_fabric *f, struct hf_fabric_op *op);
/* Once all who are to hold our record have said that they do, the peer's copy goes. */
void hf_owner_relieve(struct hf_fabric *f, struct hf_fabric_record *record, unsigned peer);
void hf_owner_transfer(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_owner_query(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_owner_relay(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);

/* copies.c */
void hf_copies_init(struct hf_fabric_op *op);
/* Ends an executed operation, and the reads that waited behind it. */
void hf_copies_finish(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status);
void hf_copies_need(struct hf_fabric *f, struct hf_fabric_op *op, unsigned peer, uint8_t lane,
                    uint64_t number);
/* It was sent to the peer, over a link that still stands. */
bool hf_copies_told(const struct hf_fabric_op *op, unsigned peer);
/* Sends the record as it is now; m->number and m->status become its place and lane. */
bool hf_copies_send(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                    unsigned peer, struct hf_wire_message *m);
bool hf_copies_replicate(struct hf_fabric *f, struct hf_fabric_record *record, unsigned peer,
                         enum hf_wire_kind kind, struct hf_version base, struct hf_slice bytes);
/* The owner hands the record over, with what the operations that still wait have made of it. */
void hf_copies_yielded(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
/* Sends to every peer that is to hold the record; the operation then needs their word. */
void hf_copies_out(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_fabric_op *op,
                   struct hf_wire_message *m);
/* Whether there is one of that record. */
bool hf_copies_pending(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
struct hf_fabric_op *hf_copies_unconfirmed(struct hf_fabric *f, const struct hf_fabric_op *op);
void hf_copies_wait(struct hf_fabric *f, struct hf_fabric_op *op);
/* The operation, which is no client's, takes the place of one that nobody confirmed. */
void hf_copies_guard(struct hf_fabric *f, struct hf_fabric_op *guard, struct hf_fabric_op *op);
void hf_copies_acked(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_copies_nack(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_copies_unlinked(struct hf_fabric *f, unsigned peer);
/* Writes whose backup went away are sent to the next. */
void hf_copies_resend(struct hf_fabric *f);
/* Our leases are over: whoever was to take over may have begun without what waits here. */
void hf_copies_lapsed(struct hf_fabric *f);
void hf_copies_tick(struct hf_fabric *f);

/* standin.c: copies on nodes that are no backups */
/* Sends it to the next live node of the rank that has not got it; false when there is none. */
bool hf_standin_ask(struct hf_fabric *f, struct hf_fabric_op *op);
/* A live node has not been told, because there is no link or no room. */
bool hf_standin_left(const struct hf_fabric *f, const struct hf_fabric_op *op);
/* Looks whether we hold a copy that is to be given back. */
void hf_standin_sweep(struct hf_fabric *f, const struct hf_fabric_record *record);

/* operation.c: our own clients' operations */
void hf_operation_start(struct hf_fabric *f, struct hf_fabric_op *op);
void hf_operation_finish(struct hf_fabric *f, struct hf_fabric_op *op,
                         enum hf_fabric_status status);
/* An operation that was executed waits from here on. */
void hf_operation_keep(struct hf_fabric *f, struct hf_fabric_op *op);
void hf_operation_result(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_operation_grant(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
/* Goes on with the parked operations of a record: here if it is ours, else by asking its home. */
void hf_operation_advance(struct hf_fabric *f, struct hf_activity *activity);
/* A home asks about a record; the activity of it, or NULL. */
void hf_operation_outdated(struct hf_fabric *f, struct hf_activity *activity, unsigned home);
void hf_operation_unlinked(struct hf_fabric *f, unsigned peer);
void hf_operation_tick(struct hf_fabric *f);

/* What the first of the parked ones was sent for is coming: they wait on. */
void hf_operation_progress(struct hf_fabric *f, struct hf_activity *activity);

/* patience.c: what is long takes its time */
/* How long a message of so many bytes may be under way between two nodes; 0 for a short one. */
uint64_t hf_patience_travel_ms(size_t size);
/* How long until the last of the long messages for the peer has arrived. */
uint64_t hf_patience_bulk_ms(const struct hf_fabric *f, unsigned peer);
/* As hf_queue_send; tells how long the message may be under way: it is long, or stands behind a
 * long one about the same record. */
bool hf_patience_send(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m,
                      uint64_t *ret_travel_ms);
/* The same over all hops of a write. */
uint64_t hf_patience_hops_ms(size_t size);
/* What the peer's clock showed at that moment of ours, at least; 0: it has not told it on this
 * link. Ours, of ourselves. */
uint64_t hf_patience_clock(const struct hf_fabric *f, unsigned peer, uint64_t at_ms);
/* Who asked for a write of so many bytes then, by our clock, may have been told by now that nobody
 * knows what became of it. */
bool hf_patience_over(const struct hf_fabric *f, uint64_t asked_ms, size_t size);
/* A piece of a long message has come from the peer. */
void hf_patience_progress(struct hf_fabric *f, unsigned peer);

/* activity.c */
struct hf_activity *hf_activity_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
struct hf_activity *hf_activity_ensure(struct hf_fabric *f, struct hf_slice id, uint64_t hash);
/* Frees it when nothing is under way any more. */
void hf_activity_settle(struct hf_fabric *f, struct hf_activity *activity);
struct hf_slice hf_activity_id(struct hf_activity *activity);
/* Calls for each; the callee may settle its own. */
typedef void (*hf_activity_fn)(struct hf_fabric *f, struct hf_activity *activity,
                               unsigned argument);
void hf_activity_each(struct hf_fabric *f, hf_activity_fn visit, unsigned argument);
void hf_activity_free_all(struct hf_fabric *f);

/* home.c */
void hf_home_request(struct hf_fabric *f, unsigned origin, const struct hf_wire_message *m);
void hf_home_answer(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_home_advance(struct hf_fabric *f, struct hf_activity *activity);
void hf_home_reconsider(struct hf_fabric *f);
/* The link to that peer ended: what it asked for is not done any more. */
void hf_home_unlinked(struct hf_fabric *f, unsigned peer);
void hf_home_tick(struct hf_fabric *f);
/* The answer that is waited for is coming, or the question is still under way. */
void hf_home_progress(struct hf_fabric *f, struct hf_activity *activity);
void hf_home_reply(struct hf_fabric *f, struct hf_slice id, unsigned origin, uint64_t number,
                   enum hf_fabric_status status);

/* decide.c */
enum hf_decision { HF_DECISION_WAIT, HF_DECISION_MADE, HF_DECISION_AGAIN };
/* One look at the first request. */
enum hf_decision hf_home_decide(struct hf_fabric *f, struct hf_activity *activity,
                                struct hf_request *request);
void hf_home_forget_step(struct hf_activity *activity);
bool hf_home_answered(const struct hf_activity *activity);
/* Makes this node the owner of a record nobody serves. */
void hf_home_adopt(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                   uint64_t hash);

/* ended.c: records that are no more, though a copy may be left somewhere */
void hf_ended_note(struct hf_fabric *f, uint64_t hash, struct hf_version version);
/* Its owner says that it lives: of two parts of a network one may have seen an end. */
void hf_ended_forget(struct hf_fabric *f, uint64_t hash);
/* What the message tells of is a copy of one that has ended. */
bool hf_ended_covers(struct hf_fabric *f, uint64_t hash, const struct hf_wire_message *m);

/* evicted.c: records that the store dropped to have room */
void hf_evicted_note(struct hf_fabric *f, unsigned bucket);
/* Somebody may hold one of the bucket of which nothing is known here. */
bool hf_evicted_covers(const struct hf_fabric *f, unsigned bucket);
void hf_evicted_tick(struct hf_fabric *f);

/* backup.c */
void hf_backup_replicate(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);

/* relay.c: operations that a home sent on to the owner of their record */
/* False: not sent, nothing is under way. */
bool hf_relay_send(struct hf_fabric *f, struct hf_slice id, unsigned owner,
                   const struct hf_request *request);
/* The owner's link ended, or it is dead: reads are asked again. When it is `gone`, and its process
 * is known to have ended, writes too are told that nobody knows what became of them; else their
 * answer may still come. */
void hf_relay_unlinked(struct hf_fabric *f, unsigned owner, bool gone);
void hf_relay_tick(struct hf_fabric *f);
void hf_relay_forget(struct hf_peer *p);

/* offer.c: a node that is to be drained gives away what it owns */
/* We acquire nothing: another node is there that can. */
bool hf_offer_declines(const struct hf_fabric *f);
void hf_offer_tick(struct hf_fabric *f);
void hf_offer_take(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
/* An operation that takes a record has come to its end. */
void hf_offer_taken(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status);

/* brake.c */
bool hf_brake_pinned(const struct hf_fabric *f, uint64_t hash);
void hf_brake_moved(struct hf_fabric *f, uint64_t hash);

/* sync.c */
void hf_sync_fini(struct hf_sync *sync);
void hf_sync_digest(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_sync_different(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
bool hf_sync_versions(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_sync_pull(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
void hf_sync_pulled(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);
/* Who lives has changed: whoever does is told what follows from it. */
void hf_sync_changed(struct hf_fabric *f);
/* The node has become ready; or it is gone or began anew, and knows nothing of what it was told. */
void hf_sync_changed_node(struct hf_fabric *f, unsigned node, bool forgets);
/* With all who live, all is compared. */
void hf_sync_wanted(struct hf_fabric *f);
/* Something that the peer was to be told found no room. */
void hf_sync_owe(struct hf_fabric *f, unsigned peer);
/* Such is still to be told. */
bool hf_sync_owes(const struct hf_fabric *f, unsigned peer);
/* The peer has told all that it held under the present view, and we hold what was wanted of it. */
bool hf_sync_done(const struct hf_fabric *f, unsigned peer);
/* What the peer told, or is telling, may lack what it decided while it took us for dead. */
void hf_sync_doubt(struct hf_fabric *f, unsigned peer);
/* What we hold is told to the peer within a second or so, all of it. */
void hf_sync_again(struct hf_fabric *f, unsigned peer);
/* Likewise, and the peer tells what it holds. */
void hf_sync_ask(struct hf_fabric *f, unsigned peer);
void hf_sync_unlinked(struct hf_fabric *f, unsigned peer);
void hf_sync_tick(struct hf_fabric *f);

/* The walk has the sums of what we hold: for our digest, or to be compared with the peer's. */
void hf_sync_summed(struct hf_fabric *f, unsigned peer);
/* What the walk has listed for the peer is sent. */
void hf_sync_list(struct hf_fabric *f, unsigned peer, bool last);
void hf_sync_compared(struct hf_fabric *f, unsigned peer);

/* survey.c */
void hf_survey_tick(struct hf_fabric *f);
/* Goes on with what is left for this tick. */
void hf_survey_walk(struct hf_fabric *f);
/* The sums of what we hold are those of a walk under the present view, and not old. */
bool hf_survey_has_sums(const struct hf_fabric *f, unsigned peer);
void hf_survey_leave(struct hf_sync *sync);

/* upkeep.c */
void hf_upkeep_sweep(struct hf_fabric *f);
/* Something nobody owns may be found: all is looked through anew. */
void hf_upkeep_seek(struct hf_fabric *f);
void hf_upkeep_adopt(struct hf_fabric *f);
void hf_upkeep_hand_over(struct hf_fabric *f);
