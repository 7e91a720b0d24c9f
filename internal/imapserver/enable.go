package imapserver

import (
	"context"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
)

// features is a set of what a client turned on, until the connection ends.
type features uint8

const (
	condstore    features = 1 << iota // FETCH tells MODSEQ and UID unasked (RFC 7162 §3.1, §3.2.4)
	qresync                           // VANISHED instead of EXPUNGE (RFC 7162 §3.2.3)
	utf8Names                         // mailbox names are UTF-8 (RFC 6855 §3, RFC 9051 §5.1)
	utf8Accept                        // RFC 6855
	rev2                              // IMAP4rev2 (RFC 9051 §6.3.1)
	uidOnly                           // no sequence numbers (RFC 9586)
	tellMetadata                      // METADATA unasked (RFC 5464 §4.4)
)

// enableNames holds what ENABLE knows (RFC 5161).
var enableNames = map[string]features{
	"CONDSTORE":       condstore,
	"QRESYNC":         qresync | condstore,
	"UTF8=ACCEPT":     utf8Accept | utf8Names,
	"IMAP4REV2":       rev2 | utf8Names,
	"UIDONLY":         uidOnly,
	"METADATA":        tellMetadata,
	"METADATA-SERVER": tellMetadata,
}

// enabledNames spells them as the RFCs do.
var enabledNames = strings.NewReplacer("IMAP4REV2", "IMAP4rev2")

func (s *session) has(f features) bool { return s.enabled&f == f }

// parseEnable is ENABLE (RFC 5161). Names that are unknown are passed over
// (§3.1), also those that are cut.
func parseEnable(s *session, d *imapwire.Decoder) request {
	var names []string
	for ok := true; ok; ok = d.Peek() == ' ' {
		d.Space()
		names = append(names, d.Word())
	}
	return func(_ context.Context, s *session) error {
		line := "* ENABLED"
		for _, name := range names {
			f, ok := enableNames[name]
			name = enabledNames.Replace(name)
			if ok && !s.has(f) && s.offers(name) {
				line += " " + name
				s.enable(f)
			}
		}
		s.line(line)
		return nil
	}
}

// enable turns features on. The first command that enables CONDSTORE tells
// where a selected mailbox is (RFC 7162 §3.1).
func (s *session) enable(f features) {
	first := f&condstore != 0 && !s.has(condstore)
	s.enabled |= f
	if f&tellMetadata != 0 {
		s.notes, _ = s.notesNow()
	}
	if f&uidOnly != 0 && s.view != nil {
		s.endContexts(func(c *searchContext) bool { return !c.byUID }, "Sequence numbers are not used any more")
	}
	if f&utf8Names != 0 {
		s.dec.SetUTF8()
	}
	if first && s.view != nil {
		s.highestModSeq()
	}
}

// highestModSeq tells up to where the client knows everything.
func (s *session) highestModSeq() {
	if !s.offers("CONDSTORE") {
		return
	}
	s.line("* OK [HIGHESTMODSEQ " + strconv.FormatUint(uint64(s.view.complete), 10) + "] Everything until then was told")
}
