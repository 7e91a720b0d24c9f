package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseLsub is LSUB (RFC 3501 §6.3.9).
func parseLsub(s *session, d *imapwire.Decoder) request {
	l := listRequest{subscribed: true}
	d.Space()
	l.reference = d.Mailbox()
	d.Space()
	l.addPattern(d)
	return l.runLsub
}

func (l *listRequest) runLsub(ctx context.Context, s *session) error {
	if l.patterns[0] == "" {
		s.line(`* LSUB (\Noselect) "/" ""`)
		return nil
	}
	names, err := s.candidates(ctx, l)
	if err != nil {
		return err
	}
	for i := range names {
		names[i].selected = names[i].subscribed
	}
	matchNames(names, l.reference, l.patterns)
	for i := range names {
		n := &names[i]
		var attributes []string
		switch {
		case !n.matched || !n.selected && !n.hidden:
			continue
		case !n.selected: // only stands for subscribed names below it
			attributes = []string{`\Noselect`}
		}
		s.conn.Write(append(s.appendMailboxLine(nil, "LSUB", attributes, n.name), "\r\n"...))
	}
	return nil
}
