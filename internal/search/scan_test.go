package search

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// TestScanAllocates sees what a search allocates for each message, though there is
// room for none of them in the cache: nothing for header fields, and for texts no
// more than what says where they are.
func TestScanAllocates(t *testing.T) {
	const few, many = 100, 600
	text := "Gr=FC=DFe aus K=F6ln, und so weiter. " + strings.Repeat("Noch eine Zeile Text, wie man sie schreibt.\r\n", 200)
	var all []testMessage
	for i := range many {
		all = append(all, testMessage{fmt.Sprintf("From: a@b\r\nSubject: subject %d\r\nReferences: <a@b>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"+
			"Content-Transfer-Encoding: quoted-printable\r\n\r\n%s", i, text), mail.Flags{}, "2026-02-10T10:00:00Z"})
	}
	for _, test := range []struct {
		program string
		most    float64 // octets for a message
	}{{`SUBJECT "subject 77"`, 10}, {`BODY "keinmal"`, 1500}, {`TEXT "keinmal"`, 1500}} {
		allocates := func(messages int) float64 {
			s, a := openAccountWith(t, store.Options{SummaryCacheOctets: 1})
			list := appendTo(t, s, a, all[:messages])
			return float64(allocated(func() {
				if _, err := run(t, s, list, test.program); err != nil {
					t.Fatal(err)
				}
			}))
		}
		if each := (allocates(many) - allocates(few)) / (many - few); each > test.most {
			t.Errorf("%s allocates %.0f octets for each message", test.program, each)
		}
	}
}
