package imapserver

import (
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// listRequest is LIST with its extensions.
type listRequest struct {
	// Selection options (RFC 5258 §3.1, RFC 6154 §3).
	subscribed, specialUse, recursive bool
	reference                         string
	patterns                          []string
	octets                            int // of the patterns, with the reference in each
	extended                          bool
	// Return options (RFC 5258 §3.2, RFC 5819).
	tellSubscribed bool
	status         []string
	metadata       *getMetadata // RFC 9590

	xlist bool
}

// parseList is LIST (RFC 3501 §6.3.8, RFC 5258).
func parseList(s *session, d *imapwire.Decoder) request {
	var l listRequest
	d.Space()
	if d.Peek() == '(' {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		l.selectionOptions(d)
		d.Space()
	}
	l.reference = d.Mailbox()
	d.Space()
	if d.Peek() == '(' {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		d.List(func() { l.addPattern(d) })
	} else {
		l.addPattern(d)
	}
	if d.Take(' ') {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		if d.Word() != "RETURN" {
			d.Fail("expected RETURN")
		}
		d.Space()
		l.returnOptions(d)
	}
	return l.run
}

func (l *listRequest) addPattern(d *imapwire.Decoder) {
	p := d.MailboxPattern()
	l.octets += len(l.reference) + len(p)
	if l.octets > patternMax || len(l.patterns) >= patternsMax {
		d.Fail("the pattern is too long")
	}
	l.patterns = append(l.patterns, p)
}

func (l *listRequest) selectionOptions(d *imapwire.Decoder) {
	d.List(func() {
		switch option := d.Word(); option {
		case "SUBSCRIBED":
			l.subscribed, l.tellSubscribed = true, true
		case "SPECIAL-USE":
			d.Needs("SPECIAL-USE")
			l.specialUse = true
		case "RECURSIVEMATCH":
			l.recursive = true
		case "REMOTE": // nothing is remote
		default:
			d.Fail("unknown selection option " + option)
		}
	})
	if l.recursive && !l.subscribed && !l.specialUse {
		d.Fail("RECURSIVEMATCH needs another selection option") // RFC 5258 §3.1
	}
}

func (l *listRequest) returnOptions(d *imapwire.Decoder) {
	d.List(func() {
		switch option := d.Word(); option {
		case "SUBSCRIBED":
			l.tellSubscribed = true
		case "CHILDREN", "SPECIAL-USE": // always told
		case "STATUS":
			d.Needs("LIST-STATUS")
			d.Space()
			l.status = parseStatusItems(d)
		case "METADATA":
			d.Needs("LIST-METADATA")
			d.Space()
			l.metadata = &getMetadata{maxSize: -1}
			l.metadata.readEntries(d)
		default:
			d.Fail("unknown return option " + option)
		}
	})
}

// listed is a name that LIST may answer.
type listed struct {
	name     string
	box      *store.Mailbox // nil: there is no such mailbox
	selected bool           // satisfies the selection options
	below    bool           // so does a name below it
	hidden   bool           // one of those matches no pattern
	matched  bool
	oldName  string // before it was renamed
}

func (l *listRequest) run(ctx context.Context, s *session) error {
	if !l.extended && l.patterns[0] == "" {
		s.line("* " + l.response() + ` (\Noselect) "/" ""`)
		return nil
	}
	s.enableByStatus(l.status)
	v, err := s.acct.Snapshot()
	if err != nil {
		return err
	}
	names := candidates(v, l.subscribed)
	for i := range names {
		n := &names[i]
		n.selected = (!l.subscribed || v.IsSubscribed(n.name)) && (!l.specialUse || n.box != nil && n.box.SpecialUse != 0)
	}
	matchNames(names, l.reference, l.patterns)
	for i := range names {
		n := &names[i]
		// RFC 5258 §3.3 point 2.
		if !n.matched || !n.selected && !(l.recursive && n.hidden) {
			continue
		}
		s.tellMailbox(v, n, l)
		if l.metadata != nil && n.box != nil && !n.box.NoSelect {
			if _, err := l.metadata.tell(ctx, s, v, n.box.ID, n.name); err != nil {
				return err
			}
		}
		if l.status != nil && n.box != nil && !n.box.NoSelect {
			if err := s.tellStatus(ctx, v, n.box, l.status); err != nil {
				return err
			}
		}
	}
	return nil
}

// candidates returns the names that there are, and with subscribed those that
// are only subscribed, with all names above them.
func candidates(v *store.Snapshot, subscribed bool) []listed {
	var names []listed
	for box := range v.Mailboxes() {
		names = append(names, listed{name: box.Name, box: box})
	}
	if !subscribed {
		return names
	}
	have := make(map[string]bool, len(names))
	for _, n := range names {
		have[n.name] = true
	}
	for sub := range v.Subscribed() {
		for n := sub; n != "" && !have[n]; n = mail.ParentMailbox(n) {
			have[n] = true
			names = append(names, listed{name: n})
		}
	}
	slices.SortFunc(names, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	return names
}

// matchNames marks what matches a pattern, and the names above selected ones.
func matchNames(names []listed, reference string, patterns []string) {
	byName := make(map[string]*listed, len(names))
	var compiled []*pattern
	for _, p := range patterns {
		if p != "" { // RFC 5258 §3
			compiled = append(compiled, compilePattern(reference+p))
		}
	}
	for i := range names {
		n := &names[i]
		byName[n.name] = n
		n.matched = slices.ContainsFunc(compiled, func(p *pattern) bool { return p.match(n.name) })
	}
	for i := range names {
		n := &names[i]
		if !n.selected {
			continue
		}
		for p := mail.ParentMailbox(n.name); p != ""; p = mail.ParentMailbox(p) {
			if above := byName[p]; above != nil {
				above.below = true
				above.hidden = above.hidden || !n.matched
			}
		}
	}
}

// tellMailbox sends one LIST response (RFC 3501 §7.2.2, RFC 5258 §3.5).
func (s *session) tellMailbox(v *store.Snapshot, n *listed, l *listRequest) {
	var attributes []string
	switch {
	case n.box == nil:
		attributes = append(attributes, `\NonExistent`)
	case n.box.NoSelect:
		attributes = append(attributes, `\Noselect`)
	}
	if l.tellSubscribed && v.IsSubscribed(n.name) {
		attributes = append(attributes, `\Subscribed`)
	}
	switch {
	case !s.offers("CHILDREN"):
	case v.HasChildren(n.name):
		attributes = append(attributes, `\HasChildren`)
	default:
		attributes = append(attributes, `\HasNoChildren`)
	}
	if n.box != nil && (l.xlist || s.offers("SPECIAL-USE")) {
		attributes = append(attributes, l.uses(n.box)...)
	}
	b := s.appendMailboxLine(nil, l.response(), attributes, n.name)
	if l.recursive && l.subscribed && n.below {
		b = append(b, ` ("CHILDINFO" ("SUBSCRIBED"))`...)
	}
	if n.oldName != "" { // RFC 5465 §5.4
		b = append(s.appendMailbox(append(b, ` ("OLDNAME" (`...), n.oldName), "))"...)
	}
	s.conn.Write(append(b, "\r\n"...))
}

func (s *session) appendMailboxLine(b []byte, response string, attributes []string, name string) []byte {
	b = append(append(append(b, "* "...), response...), " ("...)
	b = append(b, strings.Join(attributes, " ")...)
	b = append(b, `) "/" `...)
	return s.appendMailbox(b, name)
}
