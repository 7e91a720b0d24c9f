package store

import (
	"testing"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/message"
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
	for range 3 {
		sealed, given := write("Subject: sealed\r\n\r\n"), write("Subject: given up\r\n\r\n")
		for range 2 {
			if got := sealed.Summary().Parts[0].Envelope.Subject; got != "sealed" {
				t.Fatal(got)
			}
		}
		must(sealed.Seal())
		sealed.Discard()
		given.Discard()
		given.Discard()
		parsers := map[*message.Parser]bool{}
		for range 8 {
			st := write("Subject: another\r\n")
			defer st.Discard()
			if parsers[st.parser] {
				t.Fatal("two messages have one parser")
			}
			parsers[st.parser] = true
		}
	}
}
