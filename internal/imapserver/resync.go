package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// selectParameters are those of SELECT and EXAMINE (RFC 7162 §3.1.8, §3.2.5, RFC
// 5257 §4.2).
type selectParameters struct {
	enable   features
	known    *known
	annotate bool
}

// known is what a client kept of a mailbox from an earlier session.
type known struct {
	uidValidity uint32
	modseq      mail.ModSeq
	uids        imapwire.NumSet // nil: all
	// A sample of sequence numbers and their UIDs.
	numbers, numberUIDs imapwire.NumSet
}

func (p *selectParameters) parse(s *session, d *imapwire.Decoder) {
	d.List(func() {
		switch name := d.Word(); name {
		case "CONDSTORE":
			d.Needs("CONDSTORE")
			p.enable |= condstore
		case "ANNOTATE":
			d.Needs(capAnnotate)
			p.annotate = true
		case "QRESYNC":
			if !s.has(qresync) {
				d.Fail("QRESYNC needs ENABLE QRESYNC first")
			}
			d.Space()
			p.known = parseKnown(d)
		default:
			d.Fail("unknown parameter " + name)
		}
	})
}

func parseKnown(d *imapwire.Decoder) *known {
	k := &known{}
	d.Expect('(')
	k.uidValidity = d.Number32()
	d.Space()
	if k.modseq = d.ModSeq(); k.uidValidity == 0 || k.modseq == 0 {
		d.Fail("UIDVALIDITY and mod-sequence must be above zero")
	}
	if d.Take(' ') && d.Peek() != '(' {
		k.uids = d.PlainNumSet()
		if !d.Take(' ') {
			d.Expect(')')
			return k
		}
	}
	if d.Take('(') {
		k.numbers = d.PlainNumSet()
		d.Space()
		k.numberUIDs = d.PlainNumSet()
		d.Expect(')')
	}
	d.Expect(')')
	return k
}

// resync tells what happened since the client saw the mailbox (RFC 7162
// §3.2.5.1).
func (s *session) resync(ctx context.Context, k *known) error {
	v := s.view
	if k.uidValidity != v.box.UIDValidity {
		return nil
	}
	uids := mail.UIDSetOf(mail.UIDRange{First: 1, Last: mail.UIDMax})
	if k.uids != nil {
		uids = v.uidRanges(k.uids)
	}
	if err := s.tellVanished(ctx, uids, k.modseq, k.matchedUntil(v)); err != nil {
		return err
	}
	t := teller{old: v.list, echo: v.list.ChangedSince(uids, k.modseq)}
	if v.annotate {
		var err error
		if t.annotations, err = s.changedAnnotations(ctx, t.echo, func(mail.UID) mail.ModSeq { return k.modseq }); err != nil {
			return err
		}
	}
	s.tellFlags(&t)
	return nil
}

// tellVanished tells which of the UIDs were expunged behind a mod-sequence.
// Those up to until are known to the client. What the view still holds is left
// to sync.
func (s *session) tellVanished(_ context.Context, uids mail.UIDSet, since mail.ModSeq, until mail.UID) error {
	v := s.view
	gone, err := v.acct.Vanished(v.box.ID, since)
	if err != nil {
		return err
	}
	gone = gone.Intersect(uids)
	if until > 0 {
		gone = gone.Minus(mail.UIDSetOf(mail.UIDRange{First: 1, Last: until}))
	}
	s.vanished("* VANISHED (EARLIER) ", gone.Minus(v.list.Existing(gone)))
	return nil
}

// matchedUntil returns the largest UID of the sample up to which the client's
// numbers are those of the view (RFC 7162 §3.2.5.2).
func (k *known) matchedUntil(v *view) (until mail.UID) {
	uids := k.numberUIDs.Resolve(imapwire.NumMax)
	i, next := 0, uint32(0)
	for _, r := range k.numbers.Resolve(uint32(v.list.Len())) {
		for n := r.First; n <= r.Last; n++ {
			if i < len(uids) && next == 0 {
				next = uids[i].First
			}
			if i == len(uids) || int(n) > v.list.Len() || uint32(v.list.At(int(n)-1).UID) != next {
				return until
			}
			until = mail.UID(next)
			if next++; next > uids[i].Last {
				i, next = i+1, 0
			}
		}
	}
	return until
}
