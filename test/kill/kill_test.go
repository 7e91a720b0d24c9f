package main

import (
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

// TestKill is the time-boxed part of `go run ./test/kill --rounds 100`.
func TestKill(t *testing.T) {
	bin, err := harness.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 4
	result, err := Run(bin, t.TempDir(), rounds, 1, func(r Round) { t.Logf("%+v", r) })
	if err != nil {
		t.Fatal(err)
	}
	if result.Rounds != rounds || result.Operations < 100 {
		t.Fatalf("%d rounds of %d with %d acknowledged operations: too little was checked", result.Rounds, rounds, result.Operations)
	}
	for _, v := range result.Violations {
		t.Error(v)
	}
}

// TestLedgerCatches is the control: each way to lose, double or alter mail is
// a violation.
func TestLedgerCatches(t *testing.T) {
	const acct = "a@x"
	at := func(uid uint64, token, mailbox string) found {
		return found{mailbox: mailbox, token: token, uid: uid, size: 10}
	}
	const valid = "[UIDVALIDITY 1] [UIDNEXT 10] [HIGHESTMODSEQ 20]"
	for name, test := range map[string]struct {
		want     string
		change   func(*entry)
		messages []found
		told     string
	}{
		"lost":      {"lost", nil, nil, valid},
		"doubled":   {"twice", nil, []found{at(1, "t", "INBOX"), at(2, "t", "INBOX")}, valid},
		"refused":   {"refused", func(e *entry) { e.arrived = never }, []found{at(1, "t", "INBOX")}, valid},
		"back":      {"expunged", func(e *entry) { e.expunged = acked }, []found{at(1, "t", "INBOX")}, valid},
		"elsewhere": {"not in", nil, []found{at(1, "t", "Archive")}, valid},
		"altered":   {"octets", func(e *entry) { e.size = 11 }, []found{at(1, "t", "INBOX")}, valid},
		"flag":      {"keyword", func(e *entry) { e.keyword = acked }, []found{at(1, "t", "INBOX")}, valid},
		"foreign":   {"never sent", nil, []found{at(1, "t", "INBOX"), at(2, "u", "INBOX")}, valid},
		"reused":    {"is t", nil, []found{at(9, "t", "INBOX")}, valid},
		"validity":  {"UIDVALIDITY", nil, []found{at(1, "t", "INBOX")}, "[UIDVALIDITY 2] [UIDNEXT 10] [HIGHESTMODSEQ 20]"},
		"UIDNEXT":   {"UIDNEXT", nil, []found{at(1, "t", "INBOX")}, "[UIDVALIDITY 1] [UIDNEXT 9] [HIGHESTMODSEQ 20]"},
		"modseq":    {"HIGHESTMODSEQ", nil, []found{at(1, "t", "INBOX")}, "[UIDVALIDITY 1] [UIDNEXT 10] [HIGHESTMODSEQ 19]"},
		"good":      {"", nil, []found{at(1, "t", "INBOX")}, valid},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.tells(acct, "INBOX", []string{valid})
			l.uids[uidKey{acct, "INBOX", 9}] = "older"
			l.begin("t", acct, "INBOX", 10)
			l.note("t", true, func(e *entry) {
				e.arrived = acked
				if test.change != nil {
					test.change(e)
				}
			})
			l.tells(acct, "INBOX", []string{test.told})
			got := strings.Join(l.check(acct, test.messages), "\n")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Fatalf("violations %q, want one with %q", got, test.want)
			}
		})
	}
}
