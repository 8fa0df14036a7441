/* What a joining node must have been told before it may be a home: digests, lists and values of
 * src/fabric/sync.c, leases and doubts of src/fabric/membership.c. docs/peer-protocol.md tells the
 * rules in words, and which of them the code has not. tests/model/test_joining.py checks this, and
 * that leaving out a rule is found: RULE_x defined as 0.
 *
 * R joins, or serves, and is the first of the rank of record A. T owns A and B, and is the home
 * while R is none. X is the home of B while it lives, then R is. No copy makes up for what R was not
 * told: what T has made R must know before it answers that a record is nowhere. As in ownership.pml
 * there is no time, but one fact: T takes R for dead only while R holds no lease of it (`t_bury`),
 * and a heartbeat from before that renews none. */

#ifndef STARTS_READY /* R serves from the start, and has been told */
#define STARTS_READY 0
#endif
#ifndef BURIES /* how often T takes R for dead, which lives */
#define BURIES 0
#endif
#ifndef LAPSES /* how often a lease of R's ends */
#define LAPSES BURIES
#endif
#ifndef LINKS /* how often the link is another one */
#define LINKS 0
#endif
#ifndef RESTARTS /* how often R begins with nothing */
#define RESTARTS 0
#endif
#ifndef LIVES /* whether X lives at the start, */
#define LIVES 1
#endif
#ifndef ENDS /* ends, */
#define ENDS 0
#endif
#ifndef RETURNS /* and comes again */
#define RETURNS 0
#endif
#ifndef CROWDS /* how often a copy finds no room */
#define CROWDS 0
#endif
#ifndef OTHERS /* whether R may get A from another node, too */
#define OTHERS 0
#endif

#ifndef RULE_TOLD_AGAIN /* whose promise ended, what it has told counts for nothing; */
#define RULE_TOLD_AGAIN 1
#endif
#ifndef RULE_TELL /* it is asked to tell it again, */
#define RULE_TELL 1
#endif
#ifndef RULE_AGREE_ANEW /* and to agree to the getting ready; */
#define RULE_AGREE_ANEW 1
#endif
#ifndef RULE_BREAK_OFF /* what it was telling at the time is not heard to its end */
#define RULE_BREAK_OFF 1
#endif
#ifndef RULE_NUMBER /* what belongs to one telling is not taken for a part of another */
#define RULE_NUMBER 1
#endif
#ifndef RULE_PULLS_NUMBER /* nor a value that one asked for, for that of another */
#define RULE_PULLS_NUMBER 1
#endif
#ifndef RULE_BASE /* changes count for who was told what they build on */
#define RULE_BASE 1
#endif
#ifndef RULE_CHANGES /* and are all that a lost node had to do with */
#define RULE_CHANGES 1
#endif
#ifndef RULE_LOST_STAYS /* who was lost since a telling began concerns the next */
#define RULE_LOST_STAYS 1
#endif
#ifndef RULE_SERVES /* a node is told of less when another serves, not when it is ready here */
#define RULE_SERVES 1
#endif
#ifndef RULE_OWES /* nobody agrees who still owes a telling */
#define RULE_OWES 1
#endif
#ifndef RULE_CROWD_WHOLE /* what found no room is told with all */
#define RULE_CROWD_WHOLE 1
#endif
#ifndef RULE_PULLS_UNDO /* while a value is awaited, not all was told */
#define RULE_PULLS_UNDO 1
#endif

#define ROOM 8
#define A 1
#define B 2

mtype = { BEAT, COPY, DIGEST, DIFFERENT, VERSIONS, PULL, READY_ASK, READY_YES, TELL };
mtype = { IDLE, ASKED };

/* A heartbeat: counts, burials. A digest: view, records, -, number. A list: view, records, base
 * (0: of all), number. */
chan to_r = [ROOM] of { mtype, byte, byte, byte, byte };
chan values = [ROOM] of { byte, byte }; /* long ones, which shorter ones overtake */
chan to_t = [ROOM] of { mtype, byte, byte, byte };

#define VIEW(r, x) ((r) * 4 + (x) + 1)
#define R_VIEW VIEW(r_incarnation, r_x)
#define T_VIEW VIEW(t_r, t_x)

/* T: what it believes of R and X (0: dead, else the incarnation), its telling, what it has made. */
byte t_r, t_x, t_asked_by;
bool t_r_ready, t_x_ready;
bool t_wanted, t_whole, t_tells_whole, t_lost_x;
mtype t_step;
byte t_view, t_base, t_number;
byte has;

/* R: its own incarnation, what it believes of X, its leases, being told, what it knows. */
byte r_incarnation, r_x;
bool r_ready, r_x_ready;
bool r_leased, r_had_lease, r_counts, r_asked, r_yes, r_asks;
bool r_comparing, r_last, r_hears_whole;
byte r_theirs, r_their_view, r_number, r_pulls, r_done;
byte knows;

/* The world. */
byte x_incarnation, x_home; /* 0: dead; the incarnation that was the home last */
byte burials; /* a heartbeat from before the last one renews no lease */
byte buries_left, lapses_left, links_left, restarts_left, crowds_left, others_left;
bool ends_left, returns_left;

/* ---- T ---- */

/* Who is ready here, but serves not yet, may not be ready there. */
#define X_SERVES (t_x_ready && (!RULE_SERVES || x_home == t_x))
#define CONCERNS_R (t_r == 0 -> 0 : (X_SERVES -> A : A | B))
/* X is so far behind in the rank of A that it has nothing to do with it. */
#define LOST_CONCERNS (t_lost_x -> B : 0)
#define CHANGES (RULE_CHANGES -> LOST_CONCERNS : 0)
#define T_HOME(k) (!t_r_ready && ((k) == A || !t_x_ready))

inline t_changed() { t_wanted = 1 }

inline t_tell_list(base)
{
    to_r ! VERSIONS, t_view, list, base, t_number;
    list = 0;
    t_step = IDLE;
    t_base = t_view;
    t_lost_x = t_lost_x && RULE_LOST_STAYS && t_view != T_VIEW
}

inline t_begin()
{
    t_tells_whole = t_whole || (t_step != IDLE && t_tells_whole) || t_base == 0;
    t_wanted = 0;
    t_whole = 0;
    t_view = T_VIEW;
    t_number++;
    if
    :: t_tells_whole -> to_r ! DIGEST, t_view, has & CONCERNS_R, 0, t_number; t_step = ASKED
    :: !t_tells_whole && t_lost_x ->
        list = has & CONCERNS_R & CHANGES;
        t_tell_list(t_base)
    :: !t_tells_whole && !t_lost_x && t_base != t_view -> t_tell_list(t_base)
    :: else -> t_step = IDLE
    fi
}

inline t_make(k)
{
    has = has | k;
    if
    :: k & CONCERNS_R ->
        if
        :: to_r ! COPY, k, 0, 0, 0
        :: crowds_left > 0 -> crowds_left--; t_wanted = 1; t_whole = t_whole || RULE_CROWD_WHOLE
        fi
    :: else -> skip
    fi
}

inline t_forget_telling()
{
    t_step = IDLE;
    t_base = 0;
    t_wanted = 1
}

inline t_bury()
{
    t_r = 0;
    t_r_ready = 0;
    t_asked_by = 0;
    burials++;
    t_forget_telling();
    t_changed()
}

inline t_hear_beat(incarnation)
{
    if
    :: t_r != incarnation ->
        if
        :: t_r != 0 -> t_base = 0
        :: else -> to_r ! BEAT, 1, burials, 0, 0
        fi;
        t_r = incarnation;
        t_r_ready = 0;
        t_changed()
    :: else -> skip
    fi
}

inline t_receive()
{
    to_t ? kind, a, b, c;
    if
    :: kind == BEAT -> t_hear_beat(a)
    :: kind == TELL ->
        t_wanted = 1;
        t_whole = 1;
        t_step = (RULE_BREAK_OFF -> IDLE : t_step)
    :: kind == READY_ASK ->
        if
        :: t_r == a -> t_asked_by = a
        :: else -> skip
        fi
    :: kind == PULL -> values ! a & has, c
    :: kind == DIFFERENT ->
        if
        :: a != t_view || (RULE_NUMBER && c != t_number) -> skip
        :: else ->
            if
            :: !t_tells_whole -> t_wanted = 1; t_whole = 1
            :: t_tells_whole && t_step == ASKED ->
                list = has & CONCERNS_R & b;
                t_tell_list(0)
            :: else -> skip
            fi
        fi
    fi;
    kind = 0;
    a = 0;
    b = 0;
    c = 0
}

inline t_agree()
{
    t_r_ready = 1;
    to_r ! READY_YES, t_asked_by, 0, 0, 0;
    t_asked_by = 0
}

inline t_sees_x()
{
    if
    :: t_x != 0 -> t_lost_x = 1
    :: else -> skip
    fi;
    t_x = x_incarnation;
    t_x_ready = 0;
    t_changed()
}

/* ---- R ---- */

inline r_unlinked()
{
    r_done = 0;
    r_their_view = 0;
    r_number = 0;
    r_pulls = 0;
    r_comparing = 0;
    r_asked = 0;
    r_yes = 0
}

inline r_doubt()
{
    r_done = (RULE_TOLD_AGAIN -> 0 : r_done);
    r_asked = (RULE_AGREE_ANEW -> 0 : r_asked);
    r_yes = (RULE_AGREE_ANEW -> 0 : r_yes);
    r_asks = RULE_TELL;
    if
    :: RULE_BREAK_OFF -> r_their_view = 0; r_number = 0; r_pulls = 0; r_comparing = 0; r_last = 0
    :: else -> skip
    fi
}

inline r_lapse()
{
    r_had_lease = 0;
    r_incarnation++;
    r_ready = 0;
    r_asked = 0;
    r_yes = 0;
    r_done = 0
}

inline r_hear_beat(counts, burial)
{
    broken = (r_had_lease && !r_leased) || (r_counts && !counts);
    if
    :: counts && burial == burials -> r_leased = 1; r_had_lease = 1
    :: else -> skip
    fi;
    r_counts = counts;
    if
    :: broken && r_ready -> r_lapse()
    :: broken && !r_ready -> r_doubt()
    :: else -> skip
    fi;
    broken = 0
}

inline r_go_on()
{
    if
    :: r_pulls == 0 && r_last -> r_done = r_their_view
    :: else -> skip
    fi
}

inline r_hear_list(view, records, base, number)
{
    if
    :: (base) != 0 && RULE_BASE && (r_done == 0 || (r_done != (base) && r_done != (view))) ->
        to_t ! DIFFERENT, view, A | B, number
    :: (base) == 0 && ((view) != r_their_view || (RULE_NUMBER && (number) != r_number)) -> skip
    :: else ->
        if
        :: (base) != 0 ->
            if
            :: r_hears_whole || r_their_view != (view) -> r_pulls = 0
            :: else -> skip
            fi;
            r_hears_whole = 0;
            r_comparing = 0;
            r_their_view = view;
            r_number = number
        :: else -> skip
        fi;
        if
        :: ~knows & A & (records) -> to_t ! PULL, A, 0, number; r_pulls++
        :: else -> skip
        fi;
        if
        :: ~knows & B & (records) -> to_t ! PULL, B, 0, number; r_pulls++
        :: else -> skip
        fi;
        r_last = 1;
        if
        :: RULE_PULLS_UNDO && r_pulls > 0 -> r_done = 0
        :: else -> skip
        fi;
        r_go_on()
    fi
}

inline r_receive()
{
    to_r ? kind, a, b, c, d;
    if
    :: kind == BEAT -> r_hear_beat(a, b)
    :: kind == COPY -> knows = knows | a
    :: kind == READY_YES -> r_yes = r_yes || a == r_incarnation
    :: kind == DIGEST ->
        r_comparing = 1;
        r_theirs = b;
        r_their_view = a;
        r_number = d;
        r_hears_whole = 1;
        r_pulls = 0
    :: kind == VERSIONS -> r_hear_list(a, b, c, d)
    fi;
    kind = 0;
    a = 0;
    b = 0;
    c = 0;
    d = 0
}

inline r_value(k)
{
    values ?? k, b;
    knows = knows | k;
    if
    :: r_pulls > 0 && (!RULE_PULLS_NUMBER || b == r_number) -> r_pulls--; r_go_on()
    :: else -> skip
    fi;
    b = 0
}

#define R_COMPLETE (r_done == R_VIEW)
#define R_ACTS (r_ready && r_leased && R_COMPLETE)

/* R answers that a record is nowhere: no false miss. */
inline r_misses()
{
    assert((has & ~knows & A) == 0);
    assert(r_x_ready || (has & ~knows & B) == 0)
}

/* ---- what goes wrong ---- */

inline drain()
{
    do
    :: nempty(to_r) -> to_r ? _, _, _, _, _
    :: nempty(values) -> values ? _, _
    :: nempty(to_t) -> to_t ? _, _, _, _
    :: empty(to_r) && empty(values) && empty(to_t) -> break
    od
}

inline relink()
{
    drain();
    t_forget_telling();
    t_whole = 1;
    r_unlinked();
    r_asks = 0
}

inline restart()
{
    relink();
    t_bury();
    r_incarnation++;
    r_ready = 0;
    r_leased = 0;
    r_had_lease = 0;
    r_counts = 0;
    r_last = 0;
    knows = 0
}

#define ROOM_IN(c) (len(c) <= ROOM - 3)

proctype t()
{
    mtype kind;
    byte a, b, c, list;
end:
    do
    :: atomic { nempty(to_t) && ROOM_IN(to_r) && ROOM_IN(values) -> t_receive() }
    :: atomic { t_wanted && t_r != 0 && (t_step == IDLE || t_view != T_VIEW) && ROOM_IN(to_r) ->
                t_begin() }
    :: atomic { t_step == ASKED && empty(to_r) && empty(to_t) && !r_comparing -> t_begin() }
    :: atomic { t_asked_by != 0 && ROOM_IN(to_r) &&
                (!RULE_OWES || (!t_wanted && t_step == IDLE)) -> t_agree() }
    :: atomic { (has & A) == 0 && T_HOME(A) && ROOM_IN(to_r) -> t_make(A) }
    :: atomic { (has & B) == 0 && (T_HOME(B) || (t_x_ready && x_home == t_x)) && ROOM_IN(to_r) ->
                t_make(B) }
    :: atomic { buries_left > 0 && t_r != 0 && !r_leased && ROOM_IN(to_r) ->
                buries_left--; t_bury(); to_r ! BEAT, 0, burials, 0, 0 }
    :: atomic { t_r == r_incarnation && (!r_leased || !r_counts) && ROOM_IN(to_r) &&
                !(to_r ?? [BEAT, 1, eval(burials), 0, 0]) ->
                to_r ! BEAT, 1, burials, 0, 0 }
    :: atomic { t_x != x_incarnation -> t_sees_x() }
    :: atomic { t_x == 2 && !t_x_ready && x_incarnation == 2 -> t_x_ready = 1 }
    od
}

proctype r()
{
    mtype kind;
    byte a, b, c, d;
    bool broken;
end:
    do
    :: atomic { nempty(to_r) && ROOM_IN(to_t) -> r_receive() }
    :: atomic { values ?? [A, _] -> r_value(A) }
    :: atomic { values ?? [B, _] -> r_value(B) }
    :: atomic { r_comparing && ROOM_IN(to_t) ->
                r_comparing = 0;
                to_t ! DIFFERENT, r_their_view, r_theirs ^ knows, r_number }
    :: atomic { t_r != r_incarnation && ROOM_IN(to_t) &&
                !(to_t ?? [BEAT, eval(r_incarnation), 0, 0]) ->
                to_t ! BEAT, r_incarnation, 0, 0 }
    :: atomic { r_asks && ROOM_IN(to_t) -> r_asks = 0; to_t ! TELL, 0, 0, 0 }
    :: atomic { !r_ready && R_COMPLETE && !r_asked && ROOM_IN(to_t) ->
                r_asked = 1; to_t ! READY_ASK, r_incarnation, 0, 0 }
    :: atomic { !r_ready && R_COMPLETE && r_yes -> r_ready = 1 }
    :: atomic { R_ACTS -> r_misses() }
    :: atomic { lapses_left > 0 && r_leased -> lapses_left--; r_leased = 0 }
    :: atomic { r_x != x_incarnation -> r_x = x_incarnation; r_x_ready = 0 }
    :: atomic { r_x == 2 && !r_x_ready && x_incarnation == 2 -> r_x_ready = 1 }
    :: atomic { others_left > 0 && (has & A) != 0 -> others_left--; knows = knows | A }
    od
}

proctype world()
{
end:
    do
    :: atomic { ends_left -> ends_left = 0; x_incarnation = 0 }
    :: atomic { returns_left && x_incarnation == 0 -> returns_left = 0; x_incarnation = 2 }
    :: atomic { t_x_ready && r_x_ready && x_incarnation != 0 && x_home != x_incarnation &&
                t_x == x_incarnation && r_x == x_incarnation -> x_home = x_incarnation }
    :: atomic { links_left > 0 -> links_left--; relink() }
    :: atomic { restarts_left > 0 -> restarts_left--; restart() }
    :: timeout ->
        assert(r_ready && r_leased && R_COMPLETE); /* R has become ready, whatever went wrong */
        break
    od
}

init
{
    atomic {
        buries_left = BURIES;
        lapses_left = LAPSES;
        links_left = LINKS;
        restarts_left = RESTARTS;
        crowds_left = CROWDS;
        others_left = OTHERS;
        ends_left = ENDS;
        returns_left = RETURNS;
        x_incarnation = LIVES;
        x_home = LIVES;
        t_x = LIVES;
        r_x = LIVES;
        t_x_ready = LIVES;
        r_x_ready = LIVES;
        t_step = IDLE;
        r_incarnation = 1;
        t_r = 1;
        r_leased = 1;
        r_had_lease = 1;
        r_counts = 1;
        t_wanted = 1;
        if
        :: STARTS_READY ->
            t_r_ready = 1;
            r_ready = 1;
            t_wanted = 0;
            t_base = T_VIEW;
            r_done = R_VIEW
        :: else -> skip
        fi;
        run t();
        run r();
        run world()
    }
}
