/* A write that goes by way of the home to the owner, when the link to the home ends: src/fabric/
 * operation.c and home.c. docs/peer-protocol.md tells the rules in words. tests/model/test_relay.py
 * checks this, and that leaving out a rule is found: RULE_x defined as 0.
 *
 * A client writes 1, 2, ... one after the other, each when it knows what came of the one before. It
 * asks node A, who asks the home H, who sends it on to the owner O; or it asks O. Each end of the
 * link between A and H notices in its own time that it is no more. */

#ifndef WRITES
#define WRITES 3
#endif
#ifndef LINKS /* how often the link between A and H ends */
#define LINKS 2
#endif
/* There is no clock here. The client is told that nothing is known of its write when it is not done
 * any more: H knows of the end, too, and what it sent on has arrived. */
#ifndef SETTLES
#define SETTLES 1
#endif
#ifndef RULE_FORGET /* the home forgets what it has not decided yet */
#define RULE_FORGET 1
#endif
#ifndef RULE_UNSURE /* who asked answers at once that it does not know */
#define RULE_UNSURE 1
#endif
#ifndef RULE_ONCE /* and does not ask again */
#define RULE_ONCE 1
#endif

#define ROOM 4

chan a_to_h = [ROOM] of { byte };
chan h_to_o = [ROOM] of { byte };
chan o_to_a = [ROOM] of { byte };

bool a_linked = 1, h_linked = 1; /* as each end of the link believes */
bool stands = 1;                 /* the link does */
byte asked, again;               /* at A: what waits for an answer; is to be asked once more */
byte waiting;                    /* at H: not decided */
byte content, acked, written;
byte executed; /* a bit for each write */
byte links_left = LINKS;
bool busy; /* the client waits */

inline execute(w)
{
    assert((executed & (1 << (w))) == 0); /* nothing is done twice */
    executed = executed | (1 << (w));
    content = w
}

inline client_knows(w)
{
    acked = w;
    busy = 0
}

#define SETTLED (!SETTLES || (h_linked == a_linked && empty(h_to_o)))

proctype a()
{
    byte w;
end:
    do
    :: atomic { !busy && written < WRITES && a_linked ->
                written++; busy = 1; asked = written;
                if
                :: stands -> a_to_h ! asked
                :: else -> skip /* into a link that is no more */
                fi }
    :: atomic { again != 0 && a_linked && stands -> a_to_h ! again; again = 0 }
    :: atomic { nempty(o_to_a) -> o_to_a ? w;
                if
                :: asked == w -> asked = 0; again = 0; client_knows(w)
                :: else -> skip
                fi;
                w = 0 }
    :: atomic { a_linked && !stands ->
                a_linked = 0;
                if
                :: asked != 0 && RULE_UNSURE && RULE_ONCE -> asked = 0; busy = 0
                :: asked != 0 && RULE_UNSURE && !RULE_ONCE -> again = asked
                :: else -> skip
                fi }
    od
}

proctype h()
{
    byte w;
end:
    do
    :: atomic { h_linked && stands && nempty(a_to_h) && waiting == 0 -> a_to_h ? waiting }
    :: atomic { waiting != 0 && nfull(h_to_o) -> h_to_o ! waiting; waiting = 0 }
    :: atomic { h_linked && !stands ->
                h_linked = 0; waiting = (RULE_FORGET -> 0 : waiting) }
    od
}

proctype o()
{
    byte w;
end:
    do
    :: atomic { nempty(h_to_o) && nfull(o_to_a) -> h_to_o ? w; execute(w); o_to_a ! w; w = 0 }
    :: atomic { !busy && written < WRITES && SETTLED ->
                written++; execute(written); client_knows(written) }
    :: atomic { acked != 0 -> assert(content >= acked) } /* no read goes back */
    od
}

proctype network()
{
end:
    do
    :: atomic { links_left > 0 && stands ->
                links_left--; stands = 0;
                do
                :: nempty(a_to_h) -> a_to_h ? _
                :: empty(a_to_h) -> break
                od }
    :: atomic { !stands && !a_linked && !h_linked -> stands = 1; a_linked = 1; h_linked = 1 }
    :: timeout -> assert(!busy && written == WRITES); break /* nobody waits for ever */
    od
}

init { atomic { run a(); run h(); run o(); run network() } }
