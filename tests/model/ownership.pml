/* Who may serve one session record: home, owner, backup, leases and epochs of src/fabric, for three
 * nodes. docs/peer-protocol.md tells the rules in words. tests/model/test_model.py checks this, and
 * that leaving out a rule is found: RULE_x defined as 0.
 *
 * Time is not here: a node that is not scheduled for a while is one that pauses, and `lapse` ends
 * the leases it holds at any moment. What binds time is one fact, guaranteed by the clocks (a lease
 * is counted from before the promise, and death is declared after it is over): nobody takes a node
 * for dead while that node holds a lease from it (`bury`). Joining is one step here; joining.pml has
 * its steps. */

#ifndef MOVES
#define MOVES 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef DELETES
#define DELETES 0
#endif
#ifndef LAPSES
#define LAPSES 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef BACKUPS
#define BACKUPS 1
#endif
#ifndef STANDINS /* how often an owner without word of a copy asks one more node */
#define STANDINS 0
#endif
#ifndef DRAINS /* whether the node that owns the record at the start may be told to drain, */
#define DRAINS 0
#endif
#ifndef OFFERS /* how often a record is offered, */
#define OFFERS 0
#endif
#ifndef UNTRUE /* and how often by a node that does not own it */
#define UNTRUE 0
#endif
#ifndef RULE_SERVE_LEASED /* the owner looks at its lease before every answer */
#define RULE_SERVE_LEASED 1
#endif
#ifndef RULE_ACK_LEASED /* and before it tells of a copy that was confirmed */
#define RULE_ACK_LEASED 1
#endif
#ifndef RULE_QUERY /* a new home asks everybody before it decides */
#define RULE_QUERY 1
#endif

#ifndef RULE_OFFER_ASKS /* who is offered a record asks its home for it */
#define RULE_OFFER_ASKS 1
#endif
#ifndef RULE_STAYS /* a home makes no owner of who drains */
#define RULE_STAYS 1
#endif

#define N 3
#define NOBODY 3
#define EPOCHS 48
#define GRANTERS 4 /* an epoch modulo this tells who granted it */

mtype = { REQUEST, RETRY, TRANSFER, QUERY, ANSWER, GRANT, COPY, ACK, STALE };
mtype = { STAYING, REFUSED, RELAY, REFUSAL, OFFER }; /* of and about nodes that drain */
mtype = { NONE, POINTER, BACKUP, OWNER, TOMB };
mtype = { IDLE, QUERYING, TRANSFERRING };

/* kind, state, epoch, value, owner, number; one queue for each direction of each link */
chan link[9] = [4] of { mtype, mtype, byte, byte, byte, byte };

/* What each node holds. A value is the number of the write that made it. */
mtype state[N];
byte epoch[N], value[N], owner[N];
bool up[N];
bool lease[9]; /* [n * N + m]: n holds a lease from m */
bool dead[9];  /* [n * N + m]: n takes m for dead */
bool lapsed[N];
byte waiting_write[N]; /* executed here, not confirmed; 0 = none */
byte waiting_delete[N]; /* a bit for each backup that has not confirmed it */

/* As requester. */
bool draining[N], refused[N];
bool asked[N], outdated[N];
byte asked_home[N], asked_number[N];

/* As home. */
byte requester[N], request_epoch[N], request_value[N], request_number[N], question[N], awaited[N];
mtype request_state[N], request_kind[N], step[N];
bool known[N], yielded[N], denied[N], sure[N];

/* What the world saw. */
byte written, acked, numbers;
byte moves_left, writes_left, deletes_left, lapses_left, crashes_left, standins_left;
byte offers_left, untrue_left;
bool drains_left;
bool deleted, gone; /* a delete was executed; it was acknowledged */
byte owner_of[EPOCHS]; /* node + 1 */

#define LINK(a, b) link[(a) * N + (b)]
#define ALIVE(n, m) ((m) == (n) || !dead[(n) * N + (m)])
#define HOME(n) (ALIVE(n, 0) -> 0 : (ALIVE(n, 1) -> 1 : 2))
#define OTHER(n)                                                                                   \
    ((n) != 0 && ALIVE(n, 0) -> 0                                                                  \
                             : ((n) != 1 && ALIVE(n, 1) -> 1 : ((n) != 2 && ALIVE(n, 2) -> 2 : 3)))
#define SECOND(n)                                                                                  \
    (OTHER(n) == 0 && (n) != 1 && ALIVE(n, 1)                                                      \
         -> 1                                                                                      \
         : (OTHER(n) < 2 && (n) != 2 && ALIVE(n, 2) -> 2 : NOBODY))
/* To whom what n owns is offered; NOBODY: then it goes on as if it did not drain. */
#define TAKES(n, m) ((n) != (m) && ALIVE(n, m) && !draining[m])
#define TAKER(n) (TAKES(n, 0) -> 0 : (TAKES(n, 1) -> 1 : (TAKES(n, 2) -> 2 : NOBODY)))
#define DECLINES(n) (draining[n] && TAKER(n) != NOBODY)
#define LEASED(n) (OTHER(n) == NOBODY || lease[(n) * N + OTHER(n)])
#define HAS_VALUE(n) (state[n] == OWNER || state[n] == BACKUP)
/* Is (s, e, v) newer than what n knows? A tombstone is newer than all. */
#define NEWER(n, s, e, v)                                                                          \
    ((s) != NONE && state[n] != TOMB &&                                                            \
     (state[n] == NONE || (s) == TOMB || (e) > epoch[n] || ((e) == epoch[n] && (v) > value[n])))
#define NEXT_EPOCH(n) ((epoch[n] / GRANTERS + 1) * GRANTERS + (n))

inline send(to, kind_, number_)
{
    assert(nfull(LINK(self, to)));
    LINK(self, to) ! kind_, state[self], epoch[self], value[self], owner[self], number_;
}

inline forget_step()
{
    step[self] = IDLE;
    awaited[self] = 0;
    known[self] = 0;
    yielded[self] = 0;
    denied[self] = 0;
}

inline end_request_of(who)
{
    step[who] = IDLE;
    awaited[who] = 0;
    known[who] = 0;
    yielded[who] = 0;
    denied[who] = 0;
    requester[who] = NOBODY;
    request_state[who] = NONE;
    request_epoch[who] = 0;
    request_value[who] = 0;
    request_number[who] = 0;
    request_kind[who] = REQUEST;
    question[who] = 0;
}

inline end_request()
{
    end_request_of(self)
}

inline end_asking()
{
    asked[self] = 0;
    asks_to_stay = 0;
    outdated[self] = 0;
    asked_home[self] = 0;
    asked_number[self] = 0;
}

/* Copies go to the backups: the first of the rank that are not the owner. */
inline copy_out()
{
    if
    :: OTHER(self) != NOBODY -> send(OTHER(self), COPY, 0)
    :: else -> skip
    fi;
    if
    :: BACKUPS == 2 && SECOND(self) != NOBODY -> send(SECOND(self), COPY, 0)
    :: else -> skip
    fi
}

inline take(who, st, ep, va, ow)
{
    if
    :: (st) == OWNER -> state[who] = BACKUP
    :: else -> state[who] = st
    fi;
    epoch[who] = ep;
    value[who] = va;
    owner[who] = ow
}

inline install(ep)
{
    assert(owner_of[ep] == 0 || owner_of[ep] == self + 1); /* one owner an epoch */
    owner_of[ep] = self + 1;
    state[self] = OWNER;
    epoch[self] = ep;
    owner[self] = self;
    copy_out();
}

#define SERVES(n) (up[n] && state[n] == OWNER && ((LEASED(n) && !lapsed[n]) || !RULE_SERVE_LEASED))

inline client_reads()
{
    assert(value[self] >= acked); /* nothing acknowledged is lost, no read goes back */
    assert(!gone)              /* nothing deleted is read */
}

/* ---- the home ---- */

inline ask(whom, query)
{
    if
    :: whom != self && ALIVE(self, whom) ->
        awaited[self] = awaited[self] | (1 << (whom));
        send(whom, query, question[self])
    :: else -> skip
    fi
}

inline reply(whom, answer)
{
    if
    :: whom != self -> send(whom, answer, request_number[self])
    :: else -> end_asking()
    fi
}

inline grant()
{
    if
    :: requester[self] == self ->
        install(NEXT_EPOCH(self));
        end_asking()
    :: else ->
        state[self] = BACKUP;
        epoch[self] = NEXT_EPOCH(self);
        owner[self] = requester[self];
        send(requester[self], GRANT, request_number[self])
    fi;
    end_request()
}

inline answer_miss()
{
    /* No false miss: whatever was acknowledged lives somewhere, for one node at most was lost. */
    assert(acked == 0 || deleted);
    reply(requester[self], RETRY);
    end_request()
}

#define SAME_AS_REQUESTED(n)                                                                       \
    (request_state[n] != POINTER && request_epoch[n] == epoch[n] && request_value[n] == value[n])

/* Who drains asks for an answer, not for the record. */
#define STAYS(n) (RULE_STAYS && request_kind[n] != REQUEST)

inline relay()
{
    LINK(self, owner[self]) ! RELAY, NONE, 0, 0, requester[self], request_number[self];
    end_request()
}

inline decide_elsewhere()
{
    if
    :: owner[self] == requester[self] && SAME_AS_REQUESTED(self) -> yielded[self] = 1
    :: owner[self] == requester[self] && !SAME_AS_REQUESTED(self) -> denied[self] = 1
    :: owner[self] != requester[self] && request_kind[self] == STAYING && RULE_STAYS -> relay()
    :: owner[self] != requester[self] && (request_kind[self] != STAYING || !RULE_STAYS) ->
        numbers++;
        question[self] = numbers;
        step[self] = TRANSFERRING;
        ask(owner[self], TRANSFER)
    fi
}

inline start_query()
{
    numbers++;
    question[self] = numbers;
    step[self] = QUERYING;
    ask(0, QUERY);
    ask(1, QUERY);
    ask(2, QUERY);
    if
    :: awaited[self] == 0 -> step[self] = IDLE; known[self] = 1
    :: else -> skip
    fi
}

#define REQUESTER_KNOWS_MORE(n) NEWER(n, request_state[n], request_epoch[n], request_value[n])
#define UNSURE(n)                                                                                  \
    (RULE_QUERY && !yielded[n] && !known[n] && (!sure[n] || denied[n] || REQUESTER_KNOWS_MORE(n)))

inline decide()
{
    if
    :: state[self] == OWNER && requester[self] == self -> reply(self, RETRY); end_request()
    :: state[self] == OWNER && requester[self] != self && STAYS(self) ->
        client_reads();
        reply(requester[self], RETRY);
        end_request()
    :: state[self] == OWNER && requester[self] != self && !STAYS(self) ->
        state[self] = BACKUP;
        yielded[self] = 1
    :: state[self] != OWNER && UNSURE(self) -> start_query()
    :: state[self] != OWNER && !UNSURE(self) ->
        if
        :: state[self] == NONE || state[self] == TOMB -> answer_miss()
        :: state[self] != NONE && state[self] != TOMB ->
            if
            :: owner[self] != self && ALIVE(self, owner[self]) && !yielded[self] && !denied[self] ->
                decide_elsewhere()
            :: else ->
                if
                :: state[self] == POINTER -> answer_miss()
                :: state[self] != POINTER && STAYS(self) && requester[self] != self ->
                    install(NEXT_EPOCH(self));
                    forget_step()
                :: else -> grant()
                fi
            fi
        fi
    fi
}

/* ---- messages ---- */

inline ask_home()
{
    numbers++;
    asked[self] = 1;
    outdated[self] = 0;
    asked_home[self] = HOME(self);
    asked_number[self] = numbers;
    asks_to_stay = how != REQUEST;
    refused[self] = 0;
    if
    :: HOME(self) == self ->
        if
        :: requester[self] == NOBODY ->
            requester[self] = self;
            request_state[self] = state[self];
            request_epoch[self] = epoch[self];
            request_value[self] = value[self];
            request_number[self] = numbers;
            request_kind[self] = how
        :: else -> end_asking()
        fi
    :: else -> send(HOME(self), how, numbers)
    fi;
    how = REQUEST
}

inline on_request(from)
{
    if
    :: HOME(self) == self && requester[self] == NOBODY && !lapsed[self] ->
        requester[self] = from;
        request_state[self] = s;
        request_epoch[self] = e;
        request_value[self] = v;
        request_number[self] = number;
        request_kind[self] = kind
    :: else -> send(from, RETRY, number)
    fi
}

inline on_relay()
{
    if
    :: SERVES(self) -> client_reads(); send(o, RETRY, number)
    :: else -> send(o, REFUSAL, number)
    fi
}

/* As if a client had asked for it here. An offer that gets lost is one that is not heeded. */
inline on_offer()
{
    if
    :: skip
    :: !draining[self] && !lapsed[self] && !asked[self] && state[self] != OWNER &&
       RULE_OFFER_ASKS -> ask_home()
    :: !RULE_OFFER_ASKS && (NEWER(self, s, e, v) || epoch[self] == e) ->
        take(self, s, e, v, o);
        install(NEXT_EPOCH(self))
    fi
}

inline another_home_asks(from)
{
    if
    :: asked[self] && asked_home[self] != from -> outdated[self] = 1
    :: else -> skip
    fi
}

inline on_answer(from)
{
    newer = NEWER(self, s, e, v);
    whole = s == OWNER || s == BACKUP || s == TOMB;
    if
    :: newer && (whole || state[self] == NONE) -> take(self, s, e, v, o)
    :: else -> skip
    fi;
    if
    :: step[self] != IDLE && question[self] == number && (awaited[self] & (1 << from)) ->
        awaited[self] = awaited[self] & ~(1 << from);
        if
        :: step[self] == QUERYING && awaited[self] == 0 -> step[self] = IDLE; known[self] = 1
        :: step[self] == QUERYING && awaited[self] != 0 -> skip
        :: step[self] == TRANSFERRING ->
            step[self] = IDLE;
            known[self] = 0;
            yielded[self] = (s == BACKUP && o == from);
            denied[self] = !(s == BACKUP && o == from) && !newer
        fi
    :: else -> skip
    fi;
    newer = 0;
    whole = 0
}

inline on_grant(from)
{
    assert(!DECLINES(self) || !asks_to_stay); /* who drains becomes no owner */
    if
    :: asked[self] && asked_home[self] == from && asked_number[self] == number && !outdated[self] &&
       lease[self * N + from] && epoch[self] < e ->
        if
        :: !HAS_VALUE(self) || v > value[self] -> value[self] = v
        :: else -> skip
        fi;
        end_asking();
        install(e)
    :: else ->
        if
        :: asked[self] && asked_number[self] == number -> end_asking()
        :: else -> skip
        fi
    fi
}

inline on_copy(from)
{
    if
    :: NEWER(self, s, e, v) -> take(self, s, e, v, o); send(from, ACK, 0)
    :: state[self] == TOMB && s == TOMB -> send(from, ACK, 0)
    :: !NEWER(self, s, e, v) && state[self] != TOMB && epoch[self] == e && value[self] == v &&
       s != TOMB ->
        send(from, ACK, 0)
    :: else -> send(from, STALE, 0)
    fi
}

/* A copy was confirmed: with the lease the client is told so. */
inline on_ack(from)
{
    if
    :: (LEASED(self) && !lapsed[self]) || !RULE_ACK_LEASED ->
        if
        :: waiting_delete[self] != 0 && s == TOMB ->
            waiting_delete[self] = waiting_delete[self] & ~(1 << from);
            gone = gone || waiting_delete[self] == 0
        :: waiting_write[self] != 0 && s != TOMB && v >= waiting_write[self] ->
            acked = (waiting_write[self] > acked -> waiting_write[self] : acked);
            waiting_write[self] = 0
        :: else -> skip
        fi
    :: else -> waiting_write[self] = 0; waiting_delete[self] = 0
    fi
}

inline on_stale()
{
    waiting_write[self] = 0;
    waiting_delete[self] = 0;
    if
    :: state[self] == OWNER && (s == TOMB || e > epoch[self]) -> state[self] = BACKUP
    :: else -> skip
    fi
}

inline on_message()
{
    if
    :: kind == REQUEST || kind == STAYING || kind == REFUSED -> on_request(sender)
    :: kind == RELAY -> on_relay()
    :: kind == OFFER -> on_offer()
    :: kind == REFUSAL ->
        if
        :: asked[self] && asked_number[self] == number -> end_asking(); refused[self] = 1
        :: else -> skip
        fi
    :: kind == RETRY ->
        if
        :: asked[self] && asked_number[self] == number -> end_asking()
        :: else -> skip
        fi
    :: kind == TRANSFER ->
        another_home_asks(sender);
        if
        :: state[self] == OWNER -> state[self] = BACKUP
        :: else -> skip
        fi;
        send(sender, ANSWER, number)
    :: kind == QUERY -> another_home_asks(sender); send(sender, ANSWER, number)
    :: kind == ANSWER -> on_answer(sender)
    :: kind == GRANT -> on_grant(sender)
    :: kind == COPY -> on_copy(sender)
    :: kind == ACK -> on_ack(sender)
    :: kind == STALE -> on_stale()
    fi
}

inline receive(from)
{
    LINK(from, self) ? kind, s, e, v, o, number;
    on_message();
    kind = 0;
    s = 0;
    e = 0;
    v = 0;
    o = 0;
    number = 0
}

/* ---- clients ---- */

inline client_asks()
{
    moves_left--;
    if
    :: DECLINES(self) -> how = (refused[self] -> REFUSED : STAYING)
    :: else -> skip
    fi;
    ask_home()
}

inline client_writes()
{
    writes_left--;
    written++;
    value[self] = written;
    waiting_write[self] = written;
    copy_out()
}

/* Without word of its backup the owner asks the node that is none; that one's word counts. */
inline ask_standin()
{
    standins_left--;
    send(SECOND(self), COPY, 0)
}

inline client_deletes()
{
    deletes_left--;
    deleted = 1;
    state[self] = TOMB;
    waiting_write[self] = 0;
    waiting_delete[self] =
        (OTHER(self) == NOBODY -> 0 : 1 << OTHER(self)) |
        (BACKUPS == 2 && SECOND(self) != NOBODY -> 1 << SECOND(self) : 0);
    copy_out()
}

/* ---- what goes wrong ---- */

inline reconsider(from) /* self has taken from for dead */
{
    dead[self * N + from] = 1;
    forget_step();
    sure[self] = 0;
    if
    :: asked[self] && asked_home[self] == from -> end_asking()
    :: else -> skip
    fi;
    if
    :: requester[self] == from -> end_request()
    :: else -> skip
    fi
}

inline drain(c)
{
    do
    :: nempty(c) -> c ? _, _, _, _, _, _
    :: empty(c) -> break
    od
}

inline crash()
{
    crashes_left--;
    up[self] = 0;
    state[self] = NONE;
    epoch[self] = 0;
    value[self] = 0;
    waiting_write[self] = 0;
    waiting_delete[self] = 0;
    end_asking();
    end_request();
    lease[self * N] = 0;
    lease[self * N + 1] = 0;
    lease[self * N + 2] = 0;
    drain(LINK(self, 0));
    drain(LINK(self, 1));
    drain(LINK(self, 2));
    drain(LINK(0, self));
    drain(LINK(1, self));
    drain(LINK(2, self))
}

inline lapse()
{
    lapses_left--;
    lapsed[self] = 1;
    lease[self * N] = 0;
    lease[self * N + 1] = 0;
    lease[self * N + 2] = 0
}

inline learn(to, from)
{
    if
    :: to != from && up[from] && NEWER(to, state[from], epoch[from], value[from]) ->
        take(to, state[from], epoch[from], value[from], owner[from])
    :: else -> skip
    fi
}

/* It wakes, finds its leases over, and joins anew: what it owned it owns no longer. */
inline rejoin()
{
    if
    :: state[self] == OWNER -> state[self] = BACKUP
    :: else -> skip
    fi;
    waiting_write[self] = 0;
    waiting_delete[self] = 0;
    end_asking();
    end_request();
    sure[self] = 0;
    learn(self, 0);
    learn(self, 1);
    learn(self, 2);
    m = 0;
    do
    :: m < N ->
        if
        :: m != self && up[m] ->
            dead[m * N + self] = 0;
            lease[self * N + m] = 1;
            learn(m, self);
            end_request_of(m) /* who is the home may have changed */
        :: else -> skip
        fi;
        m++
    :: else -> break
    od;
    m = 0;
    lapsed[self] = 0
}

proctype node(byte self)
{
    mtype kind, s;
    byte e, v, o, number, m, sender;
    mtype how = REQUEST;
    bool newer, whole, asks_to_stay;
end: /* nothing is left to do */
    do
    :: atomic { up[self] && (nempty(LINK(0, self)) || nempty(LINK(1, self)) ||
                             nempty(LINK(2, self))) ->
                if
                :: nempty(LINK(0, self)) -> sender = 0
                :: nempty(LINK(1, self)) -> sender = 1
                :: nempty(LINK(2, self)) -> sender = 2
                fi;
                receive(sender);
                sender = 0 }
    :: atomic { up[self] && requester[self] != NOBODY && step[self] == IDLE && HOME(self) == self &&
                LEASED(self) && !lapsed[self] -> decide() }
    :: atomic { up[self] && !lapsed[self] && moves_left > 0 && !asked[self] && state[self] != OWNER ->
                client_asks() }
    :: atomic { SERVES(self) -> client_reads() }
    :: atomic { SERVES(self) && writes_left > 0 && waiting_write[self] == 0 -> client_writes() }
    :: atomic { SERVES(self) && deletes_left > 0 && waiting_write[self] == 0 ->
                client_deletes() }
    :: atomic { up[self] && state[self] == OWNER && standins_left > 0 && BACKUPS == 1 &&
                waiting_write[self] != 0 && SECOND(self) != NOBODY -> ask_standin() }
    :: atomic { drains_left && up[self] && state[self] == OWNER ->
                drains_left = 0; draining[self] = 1 }
    :: atomic { offers_left > 0 && up[self] && DECLINES(self) && state[self] == OWNER ->
                offers_left--; send(TAKER(self), OFFER, 0) }
    :: atomic { untrue_left > 0 && up[self] && OTHER(self) != NOBODY && state[self] != NONE ->
                untrue_left--; send(OTHER(self), OFFER, 0) }
    :: atomic { up[self] && lapsed[self] -> rejoin() }
    :: atomic { crashes_left > 0 && up[self] -> crash() }
    :: atomic { lapses_left > 0 && up[self] && crashes_left == CRASHES -> lapse() }
    :: atomic { up[self] && self != 0 && !dead[self * N] && !lease[self] &&
                !lapsed[self] -> reconsider(0) }
    :: atomic { up[self] && self != 1 && !dead[self * N + 1] && !lease[N + self] &&
                !lapsed[self] -> reconsider(1) }
    :: atomic { up[self] && self != 2 && !dead[self * N + 2] && !lease[2 * N + self] &&
                !lapsed[self] -> reconsider(2) }
    od
}

init
{
    byte i;
    atomic {
        do
        :: i < N ->
            state[i] = NONE;
            up[i] = 1;
            requester[i] = NOBODY;
            request_state[i] = NONE;
            request_kind[i] = REQUEST;
            step[i] = IDLE;
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < 9 -> lease[i] = 1; i++
        :: else -> break
        od;
        i = 0;
        moves_left = MOVES;
        writes_left = WRITES;
        deletes_left = DELETES;
        lapses_left = LAPSES;
        crashes_left = CRASHES;
        standins_left = STANDINS;
        drains_left = DRAINS;
        offers_left = OFFERS;
        untrue_left = UNTRUE;
        sure[0] = 1; /* the first of the rank has been the home from the start */
        state[2] = OWNER; epoch[2] = GRANTERS; value[2] = 1; owner[2] = 2;
        state[0] = BACKUP; epoch[0] = GRANTERS; value[0] = 1; owner[0] = 2;
        owner_of[GRANTERS] = 3;
        written = 1;
        acked = 1;
        run node(0);
        run node(1);
        run node(2)
    }
}
