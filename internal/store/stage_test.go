package store

import (
	"testing"

	"github.com/angarium/angarium/internal/engine/mem"
)

// TestStageParser: a parser serves one message at a time, also where messages are given
// up, and the summary is there before the message is sealed.
func TestStageParser(t *testing.T) {
	s := openStore(t, mem.New())
	write := func(text string) *Stage {
		st := must(s.Stage(ctx))
		st.Write([]byte(text))
		return st
	}
	for range 10 {
		sealed, given := write("Subject: sealed\r\n\r\n"), write("Subject: given up\r\n\r\n")
		if got := sealed.Summary().Parts[0].Envelope.Subject; got != "sealed" || sealed.Summary() != sealed.Summary() {
			t.Fatal(got)
		}
		must(sealed.Seal())
		sealed.Discard()
		given.Discard()
		given.Discard()
		one, other := write("Subject: one\r\n"), write("Subject: other\r\n")
		if one.parser == other.parser {
			t.Fatal("two messages have one parser")
		}
		for st, want := range map[*Stage]string{one: "one", other: "other"} {
			if got := st.Summary().Parts[0].Envelope.Subject; got != want {
				t.Errorf("%s has the subject %s", want, got)
			}
			st.Discard()
		}
	}
}
