package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// TestServer runs the clients for a moment against this project's own server.
func TestServer(t *testing.T) {
	o := options{user: "check@check.example", password: "check-test", seconds: 3, seed: uint64(time.Now().UnixNano()), sessions: 8}
	stop, err := serve(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h, err := Check(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.violations) > 0 || h.operations < 100 || len(h.reads) == 0 || len(h.grants) == 0 || len(h.attempts) == 0 {
		t.Errorf("seed %d: %d operations, %v", o.seed, h.operations, h.violations[:min(5, len(h.violations))])
	}
}

// TestBadLines: each thing that a server may not tell a client is noticed, under
// its number.
func TestBadLines(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		quiet bool
		want  int // 0: all is well
	}{
		"good":                        {[]string{"* 2 EXISTS", "* 1 FETCH (UID 4 FLAGS (k1))", "* 2 FETCH (UID 5)", "* 1 EXPUNGE", "* 1 FETCH (UID 5)"}, false, 0},
		"EXISTS shrinks":              {[]string{"* 2 EXISTS", "* 1 EXISTS"}, false, 6},
		"EXPUNGE of nothing":          {[]string{"* 1 EXISTS", "* 2 EXPUNGE"}, false, 6},
		"EXPUNGE of 0":                {[]string{"* 1 EXISTS", "* 0 EXPUNGE"}, false, 6},
		"EXPUNGE during FETCH":        {[]string{"* 1 EXISTS", "* 1 EXPUNGE"}, true, 7},
		"FETCH before EXISTS":         {[]string{"* 1 FETCH (UID 4)"}, false, 9},
		"UID changes":                 {[]string{"* 1 EXISTS", "* 1 FETCH (UID 4)", "* 1 FETCH (UID 5)"}, false, 9},
		"UIDs descend":                {[]string{"* 2 EXISTS", "* 1 FETCH (UID 4)", "* 2 FETCH (UID 3)"}, false, 9},
		"unannounced keyword":         {[]string{"* 1 EXISTS", "* 1 FETCH (UID 4 FLAGS (k9))"}, false, 11},
		"announced keyword":           {[]string{"* 1 EXISTS", `* FLAGS (\Seen k9)`, "* 1 FETCH (UID 4 FLAGS (k9))"}, false, 0},
		"recent, as another was told": {[]string{"* 1 EXISTS", `* 1 FETCH (UID 7 FLAGS (\Recent))`}, false, 24},
		"recent, read-only":           {[]string{"* 1 EXISTS", "OK [READ-ONLY] SELECT completed", `* 1 FETCH (UID 7 FLAGS (\Recent))`}, false, 0},
		"another message": {[]string{"* 1 EXISTS", "* 1 FETCH (UID 4 BODY[HEADER.FIELDS (SUBJECT)] {12}\r\nSubject: a\r\n)",
			"* 1 FETCH (UID 4 BODY[HEADER.FIELDS (SUBJECT)] {12}\r\nSubject: b\r\n)"}, false, 1},
	} {
		h := newHistory()
		h.sawRecent("b", 7, 9)
		s := &session{h: h, view: &view{box: "b", keywords: map[string]bool{"k1": true}}}
		for _, l := range c.lines {
			s.line(l, c.quiet, "TEST")
		}
		expect(t, name, h, c.want)
	}
}

// TestBadUIDOnly: the same of what a client without sequence numbers is told.
func TestBadUIDOnly(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  int
	}{
		"good":          {[]string{"* 3 EXISTS", "* 7 UIDFETCH (FLAGS (k1))", "* 4 UIDFETCH (FLAGS ())", "* VANISHED 7", "* VANISHED 9", "* 4 UIDFETCH (FLAGS ())"}, 0},
		"FETCH":         {[]string{"* 1 EXISTS", "* 1 FETCH (UID 4)"}, 9},
		"EXPUNGE":       {[]string{"* 1 EXISTS", "* 1 EXPUNGE"}, 8},
		"one too many":  {[]string{"* 1 EXISTS", "* 7 UIDFETCH (FLAGS ())", "* 8 UIDFETCH (FLAGS ())"}, 9},
		"vanished late": {[]string{"* 1 EXISTS", "* 7 UIDFETCH (FLAGS ())", "* VANISHED 8"}, 8},
	} {
		h := newHistory()
		s := &session{h: h, uidOnly: true, caches: map[string]*cache{"b": {flags: map[uint32]string{}, modseqs: map[uint32]uint64{}}},
			view: &view{box: "b", keywords: map[string]bool{"k1": true}}}
		for _, l := range c.lines {
			s.line(l, false, "TEST")
		}
		expect(t, name, h, c.want)
	}
}

// TestBadSearch: a search that does not find what the session wrote is noticed.
func TestBadSearch(t *testing.T) {
	reg := register{"b", 1, "k1"}
	for name, c := range map[string]struct {
		lines []string
		want  int
	}{
		"SEARCH":           {[]string{"* SEARCH 1 5"}, 0},
		"ESEARCH":          {[]string{`* ESEARCH (TAG "t1") UID ALL 1:2,5`}, 0},
		"SEARCH without":   {[]string{"* SEARCH 5"}, 20},
		"ESEARCH without":  {[]string{`* ESEARCH (TAG "t1") UID ALL 2,5`}, 20},
		"ESEARCH, nothing": {[]string{`* ESEARCH (TAG "t1") UID`}, 20},
	} {
		h := newHistory()
		h.writes[reg] = []write{{interval{1, 2}, true}}
		h.reads[reg] = []read{{interval{3, 4}, slices.Contains(hits(c.lines), 1), 0}}
		h.judge()
		expect(t, name, h, c.want)
	}
}

// TestBadResync: what a client with QRESYNC may not be told, or not be left to
// believe, is noticed.
func TestBadResync(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string // of SELECT, and of the FETCH that follows
		fetch []string
		quiet bool
		want  int
	}{
		"good":                    {[]string{"* 2 EXISTS", "* VANISHED (EARLIER) 4", "* 1 FETCH (UID 5 FLAGS (k1) MODSEQ (12))"}, []string{"* 1 FETCH (UID 5 FLAGS (k1) MODSEQ (12))", "* 2 FETCH (UID 9 FLAGS () MODSEQ (3))"}, false, 0},
		"changed meanwhile":       {[]string{"* 1 EXISTS", "* VANISHED (EARLIER) 4"}, []string{"* 1 FETCH (UID 5 FLAGS (k1) MODSEQ (21))"}, false, 0},
		"vanished meanwhile":      {[]string{"* 2 EXISTS"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (3))", "* VANISHED 5"}, false, 0},
		"a change not told":       {[]string{"* 1 EXISTS", "* VANISHED (EARLIER) 4"}, []string{"* 1 FETCH (UID 5 FLAGS (k1) MODSEQ (12))"}, false, 17},
		"an expunge not told":     {[]string{"* 1 EXISTS"}, []string{"* 1 FETCH (UID 5 FLAGS () MODSEQ (3))"}, false, 17},
		"a message not told":      {[]string{"* 3 EXISTS"}, []string{"* 1 FETCH (UID 3 FLAGS () MODSEQ (3))", "* 2 FETCH (UID 4 FLAGS () MODSEQ (3))", "* 3 FETCH (UID 5 FLAGS () MODSEQ (3))"}, false, 17},
		"EXPUNGE":                 {[]string{"* 3 EXISTS", "* 1 EXPUNGE"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (3))", "* 2 FETCH (UID 5 FLAGS () MODSEQ (3))"}, false, 8},
		"VANISHED during FETCH":   {[]string{"* 2 EXISTS"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (3))", "* 2 FETCH (UID 5 FLAGS () MODSEQ (3))", "* VANISHED 5"}, true, 7},
		"one modseq, two flags":   {[]string{"* 2 EXISTS"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (23))", "* 1 FETCH (UID 4 FLAGS (k1) MODSEQ (23))", "* 2 FETCH (UID 5 FLAGS () MODSEQ (3))"}, false, 13},
		"vanished what was not":   {[]string{"* 2 EXISTS"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (3))", "* 2 FETCH (UID 5 FLAGS () MODSEQ (3))", "* VANISHED 3"}, false, 8},
		"vanished and then there": {[]string{"* 2 EXISTS", "* VANISHED (EARLIER) 9"}, []string{"* 1 FETCH (UID 4 FLAGS () MODSEQ (3))", "* 2 FETCH (UID 5 FLAGS () MODSEQ (3))"}, false, 8},
	} {
		h := newHistory()
		known := &cache{validity: 1, modseq: 20, known: 5, flags: map[uint32]string{4: "", 5: ""}, modseqs: map[uint32]uint64{}}
		s := &session{h: h, caches: map[string]*cache{"b": known}, view: &view{box: "b", keywords: map[string]bool{"k1": true}}}
		for _, l := range c.lines {
			s.line(l, false, "SELECT")
		}
		believed := *known
		known.flags = map[uint32]string{}
		var got []fetched
		for _, l := range c.fetch {
			if f := s.line(l, c.quiet, "FETCH"); f != nil {
				got = append(got, *f)
			}
		}
		s.compare("SELECT", believed, c.fetch, got)
		h.auditVanished("b", map[string][]uint32{"x": {9}})
		expect(t, name, h, c.want)
	}
}

func expect(t *testing.T, name string, h *history, want int) {
	t.Helper()
	switch {
	case want == 0 && len(h.violations) > 0:
		t.Errorf("%s: %v", name, h.violations)
	case want != 0 && (len(h.violations) != 1 || h.violations[0].number != want):
		t.Errorf("%s: %v, want one of invariant %d", name, h.violations, want)
	}
}

// TestBadHistories: each thing that only the whole history shows is noticed.
func TestBadHistories(t *testing.T) {
	arrived := func(token string, uid uint32, begin, end int64) *instance {
		return &instance{token: token, box: "b", uid: uid, arrive: interval{begin, end}}
	}
	reg := register{"b", 1, "k1"}
	for name, c := range map[string]struct {
		make  func(h *history)
		found map[string][]uint32
		want  int
	}{
		"good":             {func(h *history) { h.instances = []*instance{arrived("x", 1, 1, 2), arrived("y", 2, 3, 4)} }, map[string][]uint32{"x": {1}, "y": {2}}, 0},
		"at the same time": {func(h *history) { h.instances = []*instance{arrived("x", 2, 1, 3), arrived("y", 1, 2, 4)} }, map[string][]uint32{"x": {2}, "y": {1}}, 0},
		"UIDs descend":     {func(h *history) { h.instances = []*instance{arrived("x", 2, 1, 2), arrived("y", 1, 3, 4)} }, map[string][]uint32{"x": {2}, "y": {1}}, 1},
		"UIDNEXT goes back": {func(h *history) {
			h.told = []told{{interval{1, 2}, "b", 5, -1}, {interval{3, 4}, "b", 4, -1}}
		}, nil, 2},
		"UIDNEXT was given": {func(h *history) {
			h.told = []told{{interval{1, 2}, "b", 5, -1}}
			h.instances = []*instance{arrived("x", 3, 3, 4)}
		}, map[string][]uint32{"x": {3}}, 2},
		"another UID": {func(h *history) { h.instances = []*instance{arrived("x", 1, 1, 2)} }, map[string][]uint32{"x": {2}}, 3},
		"lost":        {func(h *history) { h.instances = []*instance{arrived("x", 1, 1, 2)} }, nil, 4},
		"unknown":     {func(h *history) { h.instances = []*instance{arrived("x", 0, 1, 0)} }, nil, 0},
		"twice":       {func(h *history) { h.instances = []*instance{arrived("x", 1, 1, 2)} }, map[string][]uint32{"x": {1, 2}}, 4},
		"left and there": {func(h *history) {
			x := arrived("x", 1, 1, 2)
			x.leave = interval{3, 4}
			h.instances = []*instance{x}
		}, map[string][]uint32{"x": {1}}, 5},
		"lost update": {func(h *history) {
			h.writes[reg] = []write{{interval{1, 2}, true}}
			h.reads[reg] = []read{{interval{3, 4}, false, 0}}
		}, nil, 20},
		"update under way": {func(h *history) {
			h.writes[reg] = []write{{interval{1, 5}, true}}
			h.reads[reg] = []read{{interval{3, 4}, false, 0}, {interval{3, 4}, true, 0}}
		}, nil, 0},
		"from nowhere, a flag": {func(h *history) { h.reads[reg] = []read{{interval{3, 4}, true, 0}} }, nil, 20},
		"STATUS too few": {func(h *history) {
			h.instances = []*instance{arrived("x", 1, 1, 2)}
			h.told = []told{{interval{3, 4}, "b", 2, 0}}
		}, map[string][]uint32{"x": {1}}, 25},
		"STATUS too many": {func(h *history) { h.told = []told{{interval{3, 4}, "b", 2, 1}} }, nil, 25},
		"recent twice": {func(h *history) {
			h.sawRecent("b", 1, 1)
			h.sawRecent("b", 1, 2)
		}, nil, 24},
		"IDLE told": {func(h *history) {
			h.instances = []*instance{arrived("x", 1, 1, 2)}
			h.watches = []*watched{{box: "b", at: 2 * idleSlack, there: map[uint32]bool{1: true}, last: 1}}
		}, map[string][]uint32{"x": {1}}, 0},
		"IDLE told nothing of an arrival": {func(h *history) {
			h.instances = []*instance{arrived("x", 1, 1, 2), arrived("y", 2, 3, 4)}
			h.watches = []*watched{{box: "b", at: 2 * idleSlack, there: map[uint32]bool{1: true}, last: 1}}
		}, map[string][]uint32{"x": {1}, "y": {2}}, 19},
		"IDLE told nothing of an expunge": {func(h *history) {
			x := arrived("x", 1, 1, 2)
			x.leave = interval{3, 4}
			h.instances = []*instance{x}
			h.watches = []*watched{{box: "b", at: 2 * idleSlack, there: map[uint32]bool{1: true}, last: 1}}
		}, nil, 19},
		"changed meanwhile, and stored": {func(h *history) {
			h.versions = map[version]string{{"b", 1, 5}: "", {"b", 1, 7}: "k2", {"b", 1, 9}: "k1"}
			h.conditions = []condition{{box: "b", uid: 1, keyword: "k3", value: true, unchanged: 5, modseq: 9}}
		}, nil, 16},
		"not changed, and refused": {func(h *history) {
			h.versions = map[version]string{{"b", 1, 5}: ""}
			h.conditions = []condition{{box: "b", uid: 1, unchanged: 5, modified: true}}
		}, nil, 16},
		"conditions that held": {func(h *history) {
			h.versions = map[version]string{{"b", 1, 5}: "", {"b", 1, 7}: "k2", {"b", 1, 9}: "k1"}
			h.conditions = []condition{{box: "b", uid: 1, unchanged: 5, modified: true}, {box: "b", uid: 1, unchanged: 7, modseq: 9}, {box: "b", uid: 1, keyword: "k2", value: true, unchanged: 5, modseq: 9}, {box: "b", uid: 1, unchanged: 9}}
		}, nil, 0},
		"from nowhere": {func(h *history) {}, map[string][]uint32{"x": {1}}, 28},
	} {
		h := newHistory()
		c.make(h)
		h.judge()
		h.audit("b", c.found)
		expect(t, name, h, c.want)
	}
}

// TestBadRights: what is done or told against the rights, and refused in spite of
// them, is noticed.
func TestBadRights(t *testing.T) {
	const second = idleSlack
	grants := []granted{{interval{10 * second, 11 * second}, letters("lrs")}, {interval{20 * second, 21 * second}, letters("l")}, {interval{30 * second, 31 * second}, letters("lrsi")}}
	told := func(text string) *rights { r := letters(text); return &r }
	for name, c := range map[string]struct {
		begin, end int64 // in seconds
		needs      string
		outcome    outcome
		told       *rights
		want       int
	}{
		"before any":                  {1, 2, "r", done, nil, 26},
		"with the right":              {12, 13, "rs", done, nil, 0},
		"while it is given":           {10, 12, "r", done, nil, 0},
		"while it is given, refused":  {10, 12, "r", refused, nil, 0},
		"with the right, refused":     {12, 13, "rs", refused, nil, 26},
		"with the right, ended":       {12, 13, "r", ended, nil, 26},
		"begun before it was taken":   {19, 25, "r", done, nil, 0},
		"while it is taken":           {20, 25, "r", done, nil, 0},
		"after it was taken":          {22, 23, "r", done, nil, 26},
		"after it was taken, refused": {22, 23, "r", refused, nil, 0},
		"after it was taken, ended":   {22, 23, "r", ended, nil, 0},
		"one of two":                  {22, 23, "lr", done, nil, 26},
		"never given":                 {32, 33, "ri", done, nil, 0},
		"not given, refused":          {32, 33, "rw", refused, nil, 0},
		"not given, done":             {32, 33, "rw", done, nil, 26},
		"given again, refused":        {32, 33, "rsi", refused, nil, 26},
		"MYRIGHTS":                    {22, 23, "lr", done, told("l"), 0},
		"MYRIGHTS, those of before":   {22, 23, "lr", done, told("lrs"), 26},
		"MYRIGHTS, one missing":       {12, 13, "lr", done, told("ls"), 26},
		"MYRIGHTS of nothing":         {1, 2, "lr", done, told(""), 26},
		"MYRIGHTS, refused":           {22, 23, "lr", refused, told(""), 26},
	} {
		h := newHistory()
		h.grants = grants
		h.attempts = []attempt{{interval: interval{c.begin * second, c.end * second}, needs: letters(c.needs), outcome: c.outcome, told: c.told}}
		h.judge()
		expect(t, name, h, c.want)
	}
}

// TestBadPushes: what a visitor hears of a mailbox is noticed when the right was
// taken away more than a second before.
func TestBadPushes(t *testing.T) {
	const box = `"Other Users/a@b.example/c"`
	for name, c := range map[string]struct {
		line   string
		rights string // that were left, a second ago or just now
		before time.Duration
		want   int
	}{
		"EXISTS":                    {"* 1 EXISTS", "l", 2 * time.Second, 26},
		"EXISTS at once":            {"* 1 EXISTS", "l", 0, 0},
		"STATUS":                    {"* STATUS " + box + " (UIDNEXT 3)", "l", 2 * time.Second, 26},
		"STATUS at once":            {"* STATUS " + box + " (UIDNEXT 3)", "l", 0, 0},
		"STATUS of another":         {`* STATUS "Other Users/a@b.example/d" (UIDNEXT 3)`, "l", 2 * time.Second, 0},
		"LIST":                      {`* LIST () "/" ` + box, "r", 2 * time.Second, 26},
		"LIST, that it is gone":     {`* LIST (\NonExistent) "/" ` + box, "r", 0, 0},
		"LIST of what is seen":      {`* LIST () "/" ` + box, "l", 2 * time.Second, 0},
		"FETCH":                     {"* 1 FETCH (FLAGS ())", "l", 2 * time.Second, 26},
		"EXPUNGE":                   {"* 1 EXPUNGE", "", 2 * time.Second, 26},
		"EXISTS, the right is back": {"* 1 EXISTS", "r", 2 * time.Second, 0},
	} {
		h := newHistory()
		taken := now() - int64(c.before)
		h.grants = []granted{{interval{1, 2}, letters("lr")}, {interval{taken - 2, taken - 1}, letters(c.rights)}}
		v := &visitor{session: &session{h: h, user: "v@b.example", homes: map[string]string{"c": "a@b.example", "d": "a@b.example"},
			view: &view{box: "c", uids: []uint32{4}, keywords: map[string]bool{}}}, box: "c"}
		v.hear([]string{c.line}, now())
		h.judge()
		expect(t, name, h, c.want)
	}
}

// TestBadPosts: a message that was refused and is there is noticed.
func TestBadPosts(t *testing.T) {
	h := newHistory()
	h.posted("x")
	h.auditPosts(map[string][]uint32{"x": {1, 2}})
	expect(t, "posted", h, 0)
	h.auditPosts(map[string][]uint32{"y": {1}})
	expect(t, "refused", h, 26)
}

// TestGoodHistories: nothing is found in what a server without faults does.
func TestGoodHistories(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := newHistory()
		clock, next := int64(0), uint32(1)
		tick := func() int64 { clock += 1 + rng.Int64N(5); return clock }
		there := map[string][]uint32{}
		state := map[register]bool{}
		var open []func()
		for i := range 100 {
			begin := tick()
			switch rng.IntN(4) {
			case 0:
				x := &instance{token: string(rune('a'+i%26)) + string(rune('0'+i/26)), box: "b", arrive: interval{begin: begin}}
				h.instances = append(h.instances, x)
				x.uid, there[x.token] = next, []uint32{next}
				next++
				open = append(open, func() { x.arrive.end = tick() })
			case 1:
				reg := register{"b", 1 + rng.Uint32N(next), "k1"}
				w := write{interval{begin, tick()}, rng.IntN(2) == 0}
				h.writes[reg], state[reg] = append(h.writes[reg], w), w.value
			case 2:
				reg := register{"b", 1 + rng.Uint32N(next), "k1"}
				h.reads[reg] = append(h.reads[reg], read{interval{begin, tick()}, state[reg], 0})
			default:
				h.told = append(h.told, told{interval{begin, tick()}, "b", next, len(there)})
			}
			if len(open) > 3 {
				open[0]()
				open = open[1:]
			}
		}
		for _, done := range open {
			done()
		}
		h.judge()
		h.audit("b", there)
		expect(t, "a good history", h, 0)
	}
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
